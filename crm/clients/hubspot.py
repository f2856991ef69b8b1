"""HubSpot: scores into properties of our own, by batch update.

Values are strings. An update of up to 100 records answers 200, or 207 where some failed. Since 2026-09 a portal's
validation rules hold for the API as well, so a single record may be refused for reasons of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from crm.clients.calls import Calls, Meaning, json_of, status_meaning
from crm.clients.outcomes import Outcome, delivered, refused, retry
from crm.clients.values import field_values
from crm.clients.waiting import Pace, Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmRefusedError, CrmSetupError
from crm.outbox import Queued

__all__ = ["HUBSPOT_API_VERSION", "HubSpot", "hubspot_calls"]

HUBSPOT_API_VERSION = "2026-09"
"""Dated paths: a new one each March and September, supported for 18 months."""

MOST_ROWS = 100
CALLS, SECONDS = 190, 10.0
_NO_SUCH_FIELD = ("PROPERTY_DOESNT_EXIST", "infer object type")
_RETRIED = frozenset({"RATE_LIMITS", "RATE_LIMIT", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})


class HubSpot:
    """A HubSpot account, with a service key that may write contacts."""

    def __init__(self, name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._name, self._config = name, config
        self._calls = hubspot_calls(name, config, Pace(CALLS, SECONDS, waiting), secrets)
        self._path = f"/crm/objects/{HUBSPOT_API_VERSION}/{config.object or 'contacts'}/batch/update"

    def batch_size(self, waiting: int) -> int:
        """Return 100, or what the workspace file says if it is less."""
        del waiting
        return min(self._config.batch or MOST_ROWS, MOST_ROWS)

    def on_call(self, action: Callable[[], None]) -> None:
        """Let ``action`` run before each call and each wait."""
        self._calls.before = action

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def push(self, rows: Sequence[Queued]) -> Sequence[Outcome]:
        """Update up to 100 records; see :class:`crm.clients.outcomes.CrmClient`."""
        inputs = [
            {
                "id": row.lead_id,
                "objectWriteTraceId": str(place),  # comes back with a failure, whatever became of the id
                "properties": {name: _text(value) for name, value in field_values(row, self._config.written).items()},
            }
            for place, row in enumerate(rows)
        ]
        try:
            answer = self._calls.call("POST", self._path, json={"inputs": inputs})
        except CrmRefusedError as error:
            if any(sign in error.message for sign in _NO_SUCH_FIELD):
                raise self._missing(error.message) from error
            raise
        found = json_of(answer)
        return _outcomes(rows, found if isinstance(found, dict) else {}, answer.status_code)

    def _missing(self, message: str) -> CrmSetupError:
        return CrmSetupError(
            found=f"a property or a kind of record that '{self._name}' does not have ({message})",
            expected=f"{self._config.object or 'contacts'} with {', '.join(self._config.written.values())}",
            fix=f"create it, or leave it out in [crm.{self._name}.fields]; nothing was lost",
        )


def hubspot_calls(name: str, config: CrmConfig, pace: Pace, secrets: tuple[str, ...]) -> Calls:
    """Return calls with a service key, at most as many as a limit of HubSpot leaves."""
    return Calls(
        name,
        config.address,
        pace.waiting,
        pace=pace,
        headers={"Authorization": f"Bearer {config.token}"},
        secrets=(*secrets, *config.secrets),
        meaning=_meaning,
        may_be_milliseconds=True,
    )


def _meaning(answer: httpx.Response) -> Meaning:
    """Tell a record that is not there from a path that is not there; both are 404."""
    if answer.status_code != 404:
        return status_meaning(answer)
    found = json_of(answer)
    return "refused" if isinstance(found, dict) and found.get("category") == "OBJECT_NOT_FOUND" else "setup"


def _outcomes(rows: Sequence[Queued], found: Mapping[str, Any], status: int) -> list[Outcome]:
    """Read what became of each row: by its trace, else by its id; a merged contact answers under another id."""
    errors: list[Mapping[str, Any]] = found.get("errors") or []
    if not errors and status == 200:
        return [delivered] * len(rows)
    places = {**{row.lead_id: place for place, row in enumerate(rows)}, **{f"#{n}": n for n in range(len(rows))}}
    failed: dict[int, Outcome] = {}
    for error in errors:
        context = error.get("context") or {}
        named = [
            *(f"#{trace}" for trace in context.get("objectWriteTraceId") or ()),
            *map(str, context.get("ids") or ()),
        ]
        said = f"{error.get('category', 'refused')}: {error.get('message', 'no message')}"
        outcome = retry(said) if error.get("category") in _RETRIED else refused(said)
        failed |= {places[name]: outcome for name in named if name in places}
    if len(found.get("results") or ()) + len(failed) >= len(rows):
        return [failed.get(place, delivered) for place in range(len(rows))]
    message = str(errors[0].get("message", "no message")) if errors else "a partial answer that names no row"
    if len(rows) == 1:
        return [refused(message)]
    raise CrmRefusedError(
        found=f"an answer of HubSpot that leaves rows out ({message})",
        expected="a result or an error for each row",
        fix="look at the message",
        message=message,
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)
