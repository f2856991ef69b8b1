"""Salesforce: scores into custom fields, by sObject Collections, or by Bulk API 2.0 where many wait.

A Lead that was converted lives on as a Contact, so the fields belong on both; the first three characters of an id say
which it is. Collections take 200 rows a call and answer 200 with an outcome a row (``allOrNone`` is false).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from crm.clients.calls import json_of
from crm.clients.outcomes import Outcome, delivered, refused, retry
from crm.clients.salesforce_bulk import update_in_bulk
from crm.clients.salesforce_session import SALESFORCE_PATH, TRANSIENT, SalesforceSession
from crm.clients.values import field_values
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmRefusedError, CrmSetupError
from crm.outbox import Queued

__all__ = ["Salesforce"]

MOST_ROWS = 200
BULK_FROM = 2_000
BULK_ROWS = 10_000
TYPES: Mapping[str, str] = {"00Q": "Lead", "003": "Contact"}
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


class Salesforce:
    """A Salesforce org, reached with the client-credentials flow of an external client app."""

    def __init__(self, name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._name, self._config = name, config
        self._session = SalesforceSession(name, config, waiting, secrets)
        self._calls = self._session.calls

    def batch_size(self, waiting: int) -> int:
        """Return 200, or 10,000 for the Bulk API where more than 2,000 wait; less if the workspace file says so."""
        if self._config.batch is not None and self._config.batch <= MOST_ROWS:
            return self._config.batch
        return min(self._config.batch or BULK_ROWS, BULK_ROWS) if waiting > BULK_FROM else MOST_ROWS

    def on_call(self, action: Callable[[], None]) -> None:
        """Let ``action`` run before each call and each wait."""
        self._calls.before = action

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def push(self, rows: Sequence[Queued]) -> Sequence[Outcome]:
        """Update records; see :class:`crm.clients.outcomes.CrmClient`."""
        outcomes: dict[int, Outcome] = {}
        for kind, places in _by_type(rows).items():
            if kind is None:
                outcomes |= {
                    place: refused(f"'{rows[place].lead_id}' is no id of a Lead or a Contact") for place in places
                }
                continue
            chosen = [rows[place] for place in places]
            written = self._session.with_token(partial(self._write, kind, chosen))
            outcomes |= dict(zip(places, written, strict=True))
        return [outcomes[place] for place in range(len(rows))]

    def _write(self, kind: str, rows: Sequence[Queued]) -> list[Outcome]:
        records = [{"Id": row.lead_id, **self._values(row)} for row in rows]
        try:
            if len(rows) > MOST_ROWS:
                return update_in_bulk(self._calls, SALESFORCE_PATH, kind, records)
            return self._collection(kind, records)
        except CrmRefusedError as error:
            if "INVALID_FIELD" in error.message or "No such column" in error.message:
                raise self._missing_field(kind, error.message) from error
            raise

    def _collection(self, kind: str, records: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        body = {"allOrNone": False, "records": [{"attributes": {"type": kind}, **record} for record in records]}
        answer = self._calls.call("PATCH", f"{SALESFORCE_PATH}/composite/sobjects", json=body)
        return [_outcome(result) for result in json_of(answer) or []]

    def _values(self, row: Queued) -> dict[str, Any]:
        found = field_values(row, self._config.written)
        return {name: _timed(value) for name, value in found.items()}

    def _missing_field(self, kind: str, message: str) -> CrmSetupError:
        return CrmSetupError(
            found=f"a field that {kind} of '{self._name}' does not have or does not show us ({message})",
            expected=f"{', '.join(self._config.written.values())} on Lead and Contact, and the right to edit them",
            fix=f"create it and give the app's user the right, or leave it out in [crm.{self._name}.fields]",
        )


def _by_type(rows: Sequence[Queued]) -> dict[str | None, list[int]]:
    places: dict[str | None, list[int]] = {}
    for place, row in enumerate(rows):
        kind = TYPES.get(row.lead_id[:3]) if _ID.fullmatch(row.lead_id) else None
        places.setdefault(kind, []).append(place)
    return places


def _outcome(result: Mapping[str, Any]) -> Outcome:
    if result.get("success"):
        return delivered
    errors: list[Mapping[str, Any]] = result.get("errors") or [{}]
    code = str(errors[0].get("statusCode", "refused"))
    said = f"{code}: {errors[0].get('message', 'no message')}"
    return retry(said) if code in TRANSIENT else refused(said)


def _timed(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
