"""Odoo: scores into fields of our own (``x_kizashi_*``) of ``crm.lead``, many leads a call by ``load``.

Never ``probability``: a value written there switches Odoo's own scoring off for the lead. How Odoo is spoken to can be
exchanged: JSON-2 from version 19 on, JSON-RPC for 18 and before (it goes away with 22).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from crm.clients.calls import Calls
from crm.clients.odoo_protocols import Json2, JsonRpc, OdooProtocol
from crm.clients.outcomes import Outcome, delivered, refused
from crm.clients.values import field_values
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmRefusedError, CrmSetupError
from crm.outbox import Queued

__all__ = ["Odoo"]

MOST_ROWS = 200
CONTEXT = {"tz": "UTC", "lang": "en_US", "active_test": False, "tracking_disable": True, "mail_notrack": True}
"""Times are read as UTC, lost leads (archived in Odoo) are found, and no message is logged on the lead."""


class Odoo:
    """An Odoo database, with the API key of a user who may write leads."""

    def __init__(self, name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._name, self._config = name, config
        self._model = config.object or "crm.lead"
        self._calls = Calls(name, config.address, waiting, secrets=(*secrets, *config.secrets))
        self._odoo: OdooProtocol = (JsonRpc if config.protocol == "jsonrpc" else Json2)(self._calls, config)
        self._is_checked = False

    def batch_size(self, waiting: int) -> int:
        """Return 200, or what the workspace file says if it is less."""
        del waiting
        return min(self._config.batch or MOST_ROWS, MOST_ROWS)

    def on_call(self, action: Callable[[], None]) -> None:
        """Let ``action`` run before each call and each wait."""
        self._calls.before = action

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def push(self, rows: Sequence[Queued]) -> Sequence[Outcome]:
        """Update leads; see :class:`crm.clients.outcomes.CrmClient`."""
        self._check_fields()
        outcomes = {
            place: refused(f"'{row.lead_id}' is no id of a record of Odoo, which are numbers")
            for place, row in enumerate(rows)
            if not re.fullmatch(r"[1-9]\d{0,17}", row.lead_id)
        }
        rest = [place for place in range(len(rows)) if place not in outcomes]
        while rest:
            failed = self._load([rows[place] for place in rest])
            if not failed:
                outcomes |= dict.fromkeys(rest, delivered)
                break
            # All or nothing: Odoo names the rows that it cannot take and writes none. The others go again without them.
            outcomes |= {rest[place]: refused(message) for place, message in failed.items()}
            rest = [place for number, place in enumerate(rest) if number not in failed]
        return [outcomes[place] for place in range(len(rows))]

    def _load(self, rows: Sequence[Queued]) -> Mapping[int, str]:
        """Write, or return the message for each row that kept the call from writing any."""
        fields = list(self._config.written.values())
        data = [[row.lead_id, *map(_cell, field_values(row, self._config.written).values())] for row in rows]
        found = self._odoo.call(self._model, "load", {"fields": [".id", *fields], "data": data}, CONTEXT)
        if found.get("ids"):
            return {}
        failed: dict[int, str] = {}
        for message in found.get("messages") or []:
            span = message.get("rows") or {}
            first = span.get("from", message.get("record"))
            if isinstance(first, int) and 0 <= first < len(rows):
                failed |= dict.fromkeys(
                    range(first, min(int(span.get("to", first)), len(rows) - 1) + 1), str(message["message"])
                )
        if failed:
            return failed
        said = "; ".join(str(message.get("message")) for message in found.get("messages") or []) or "no message"
        raise CrmRefusedError(
            found=f"'{self._name}' wrote nothing ({said})",
            expected="written rows",
            fix="look at the message",
            message=said,
        )

    def _check_fields(self) -> None:
        """Ask once whether the fields are there: ``load`` would refuse every row for want of one."""
        if self._is_checked:
            return
        wanted = list(self._config.written.values())
        there = self._odoo.call(self._model, "fields_get", {"allfields": wanted, "attributes": ["type"]}, {})
        if missing := [name for name in wanted if name not in there]:
            raise CrmSetupError(
                found=f"no field {', '.join(missing)} on {self._model} of '{self._name}'",
                expected="fields of our own, made in Odoo Studio or under Settings, Technical, Fields",
                fix=f"create them, or leave them out in [crm.{self._name}.fields]; nothing was lost",
            )
        self._is_checked = True


def _cell(value: Any) -> str:
    """Return a value as ``load`` reads it: always a text."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)
