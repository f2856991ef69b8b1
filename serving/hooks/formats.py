"""What is kept of a webhook until it is worked on, and what it then asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from crm.config import WorkspaceConfig
from crm.config_crm import CrmConfig
from crm.hook_events import HookEvent
from crm.known import from_micros, to_micros
from crm.naming import LEAD_COLUMNS
from crm.personal import personal_name_reason
from crm.state_tables import micros_name
from crm.tables import TABLES
from serving.bodies import BodyError
from serving.hooks.hubspot import leads_of_event, leads_of_workflow, work_of_event, work_of_workflow
from serving.hooks.work import Row, Work
from serving.posted import POSTED, read_posted
from serving.problems import FieldError, ProblemError, invalid_request, json_pointer

__all__ = ["GENERIC", "crm_source", "leads_named", "pack", "pack_rows", "read_generic", "read_odoo", "work_of"]

GENERIC = "generic"
"""The source of Standard Webhooks; those of CRMs are ``crm.NAME``."""
ODOO_MODEL = "crm.lead"


def crm_source(name: str) -> str:
    """Return the source under which webhooks of ``[crm.NAME]`` are kept."""
    return f"crm.{name}"


def pack(kind: str, content: object) -> str:
    """Return what is kept of a webhook: which of a source's formats it has, and what it holds."""
    return json.dumps({"kind": kind, "content": content}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def pack_rows(table: str, rows: Sequence[Row]) -> str:
    """Return what is kept of rows; moments become microseconds under their names there."""
    packed = [
        {
            micros_name(name) if isinstance(value, datetime) else name: _packed(value)
            for name, value in row.items()
            if value is not None
        }
        for row in rows
    ]
    return pack("rows", {"table": table, "rows": packed})


def leads_named(kind: str, content: Any) -> set[str]:
    """Return the leads that a kept webhook speaks of, under the ids that it was sent with.

    Examples
    --------
    >>> sorted(leads_named("event", {"objectId": 7, "mergedObjectIds": [8], "eventId": 9}))
    ['7', '8']
    """
    if kind == "rows":
        return {str(row[name]) for row in content["rows"] for name in LEAD_COLUMNS if row.get(name) is not None}
    if kind == "record":
        return {str(content)}
    return leads_of_event(content) if kind == "event" else leads_of_workflow(content)


def _packed(value: Any) -> Any:
    return to_micros(value) if isinstance(value, datetime) else value


def work_of(event: HookEvent, crms: Mapping[str, CrmConfig]) -> Work:
    """Return what a kept webhook asks for.

    Raises
    ------
    KeyError
        When its CRM is no longer in the workspace file.
    """
    kept: dict[str, Any] = json.loads(event.body)
    kind, content = kept["kind"], kept["content"]
    if kind == "rows":
        return Work(rows={content["table"]: content["rows"]})
    if kind == "record":
        return Work(reread=(str(content),))
    crm = crms[event.source.removeprefix("crm.")]
    if kind == "event":
        return work_of_event(content, crm)
    return work_of_workflow(content, crm, from_micros(event.received_us))


def read_generic(content: object, config: WorkspaceConfig) -> tuple[str, Sequence[Row]]:
    """Return the table and the rows of a body ``{"type": ..., "rows": [...]}``; rows as those that are posted.

    An attribute of a lead whose name says that it holds personal data is refused.

    Raises
    ------
    ProblemError
        422, with everything that is wrong in it.
    """
    if not isinstance(content, dict):
        raise ProblemError(invalid_request([FieldError("", 'must be an object {"type": ..., "rows": [...]}')]))
    wrong = [FieldError(json_pointer(key), "is not a key that is known here") for key in content.keys() - _KEYS]
    table = content.get("type")
    if not isinstance(table, str) or table not in POSTED:
        wrong.append(FieldError("/type", f"must be one of {', '.join(POSTED)}"))
    if wrong:
        raise ProblemError(invalid_request(wrong))
    try:
        rows = read_posted(str(table), {str(table): content.get("rows")}, config.serve.max_batch)
    except BodyError as error:
        raise ProblemError(invalid_request([_in_rows(str(table), one) for one in error.errors])) from None
    wrong = [
        FieldError(json_pointer("rows", number, name), f"is not taken: {reason}")
        for number, row in enumerate(rows if table == "leads" else ())
        for name in row.keys() - {*TABLES["leads"].column_names, *config.columns.allow_personal}
        if (reason := personal_name_reason(name)) is not None
    ]
    if wrong:
        raise ProblemError(invalid_request(wrong))
    return str(table), rows


def _in_rows(table: str, error: FieldError) -> FieldError:
    return FieldError("/rows" + error.field.removeprefix(f"/{table}"), error.message)


_KEYS = {"type", "rows"}


def read_odoo(content: object) -> str:
    """Return the id of the lead that an automation rule of Odoo is about; nothing else of the body is believed.

    Raises
    ------
    ProblemError
        422, when it is about something else.

    Examples
    --------
    >>> read_odoo({"_action": "Tell kizashi(#41)", "_id": 7, "_model": "crm.lead", "probability": 100})
    '7'
    """
    found = content if isinstance(content, dict) else {}
    record = found.get("_id")
    wrong: list[FieldError] = []
    if found.get("_model") != ODOO_MODEL:
        wrong.append(FieldError("/_model", f"must be {ODOO_MODEL}"))
    if isinstance(record, bool) or not isinstance(record, int) or not 0 < record < 2**63:
        wrong.append(FieldError("/_id", "must be the number of a record"))
    if wrong:
        raise ProblemError(invalid_request(wrong))
    return str(record)
