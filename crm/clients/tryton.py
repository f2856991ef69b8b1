"""Tryton: scores into a field of ``sale.opportunity``, a record a call over REST."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import orjson

from crm.clients.calls import Calls, Meaning, status_meaning
from crm.clients.outcomes import Outcome, delivered, refused, retry
from crm.clients.values import field_values
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmRefusedError, CrmUnavailableError
from crm.outbox import Queued

__all__ = ["MODEL", "Tryton", "datetime_parts", "encoded", "tryton_calls"]

MODEL = "sale.opportunity"
MOST_ROWS = 50


class Tryton:
    """A database of Tryton, with the key of an application for REST."""

    def __init__(self, name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._config = config
        self._calls = tryton_calls(name, config, waiting, secrets)
        self._path = f"/{config.database}/rest/model/{config.object or MODEL}"

    def batch_size(self, waiting: int) -> int:
        """Return 50: Tryton takes a record a call, and what was told is noted after so many."""
        del waiting
        return min(self._config.batch or MOST_ROWS, MOST_ROWS)

    def on_call(self, action: Callable[[], None]) -> None:
        """Let ``action`` run before each call and each wait."""
        self._calls.before = action

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def push(self, rows: Sequence[Queued]) -> Sequence[Outcome]:
        """Update records; see :class:`crm.clients.outcomes.CrmClient`."""
        outcomes: list[Outcome] = []
        for row in rows:
            try:
                outcomes.append(self._put(row))
            except CrmUnavailableError as error:
                if not outcomes:
                    raise
                if not error.may_be_a_row:
                    break  # what arrived before is noted; the rest was not reached
                outcomes.append(retry(error.found))
        return outcomes

    def _put(self, row: Queued) -> Outcome:
        if not row.lead_id.isdecimal():
            return refused(f"'{row.lead_id}' is no id of a record of Tryton, which are numbers")
        values = {
            name: datetime_parts(value) if isinstance(value, datetime) else value
            for name, value in field_values(row, self._config.written).items()
        }
        try:
            self._calls.call("PUT", f"{self._path}/{row.lead_id}", json=values)
        except CrmRefusedError as error:
            return refused(error.message)
        return delivered


def tryton_calls(name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...]) -> Calls:
    """Return calls with a key of an application, in the company that the records belong to."""
    return Calls(
        name,
        config.address,
        waiting,
        headers={"Authorization": f"bearer {config.token}", "X-Tryton-Context": encoded({"company": 1})},
        secrets=(*secrets, *config.secrets),
        meaning=partial(_meaning, config),
    )


def encoded(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON as Tryton takes it in headers and parameters.

    Examples
    --------
    >>> encoded({"company": 1})
    'eyJjb21wYW55IjoxfQ=='
    """
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode()


def _meaning(config: CrmConfig, answer: httpx.Response) -> Meaning:
    """Tell what is missing from what is broken: Tryton answers 500 and the name alone where it knows no such name."""
    names = (config.object or MODEL, *config.written.values())
    if answer.status_code == 500 and any(f"<p>&#39;{name}&#39;</p>" in answer.text for name in names):
        return "setup"
    return status_meaning(answer)


def datetime_parts(moment: datetime) -> dict[str, Any]:
    """Return a moment as Tryton takes it: in UTC, in parts."""
    moment = moment.astimezone(UTC)
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{name: getattr(moment, name) for name in names}}
