"""Reading Tryton: which opportunities changed, and every version that each of them has had.

Tryton keeps history: a record read with ``_datetime`` in the context is the record as it was then. A version carries
the moment at which it was written, so reading just before that moment gives the version before it, down to the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from crm.clients.calls import Calls, json_of
from crm.clients.tryton import datetime_parts, encoded

__all__ = ["Version", "changed_since", "versions_of"]

PAGE = 200
MOST_VERSIONS = 1_000
_TIMES = ("create_date", "write_date")


@dataclass(frozen=True)
class Version:
    """A record as it was from ``written_at`` on; ``values`` by field, a related record as its id."""

    lead_id: str
    created_at: datetime
    written_at: datetime
    values: Mapping[str, Any]


def changed_since(
    calls: Calls, path: str, since: datetime | None, *, after: str | None = None, size: int = PAGE
) -> Iterator[list[str]]:
    """Yield ids of records that were created or written at ``since`` or later, some at a time and in order.

    ``write_date`` is empty until a record is written for the first time, so both dates are asked for. Each page asks
    for the ids behind the last one: a record that is deleted meanwhile moves no other off a page.
    """
    while True:
        params = {"f": "id", "o": encoded([["id", "ASC"]]), "s": str(size), "p": "0"}
        if domain := [*_since(since), *([["id", ">", int(after)]] if after else [])]:
            params["d"] = encoded(domain)
        found = [str(row["id"]) for row in json_of(calls.call("GET", path, params=params)) or []]
        if found:
            yield found
        if len(found) < size:
            return
        after = found[-1]


def _since(since: datetime | None) -> list[Any]:
    if since is None:
        return []
    moment = datetime_parts(since)
    return [["OR", ["create_date", ">=", moment], ["write_date", ">=", moment]]]


def versions_of(
    calls: Calls, path: str, lead_id: str, fields: Sequence[str], since: datetime | None = None
) -> list[Version]:
    """Return the versions of a record, the oldest first; of those before ``since`` only the newest."""
    found: list[Version] = []
    before: datetime | None = None
    while len(found) < MOST_VERSIONS:
        version = _read(calls, path, lead_id, fields, before)
        found.append(version)
        if version.written_at == version.created_at or (since is not None and version.written_at < since):
            break
        before = version.written_at - timedelta(microseconds=1)
    return found[::-1]


def _read(calls: Calls, path: str, lead_id: str, fields: Sequence[str], at: datetime | None) -> Version:
    headers = {} if at is None else {"X-Tryton-Context": encoded({"company": 1, "_datetime": datetime_parts(at)})}
    wanted = [("f", name) for name in (*fields, *_TIMES)]
    row: Mapping[str, Any] = json_of(calls.call("GET", f"{path}/{lead_id}", params=wanted, headers=headers))
    created_at = _moment(row["create_date"])
    written_at = _moment(row["write_date"]) if row.get("write_date") else created_at
    return Version(lead_id, created_at, written_at, {name: _plain(row.get(name)) for name in fields})


def _moment(value: Mapping[str, Any]) -> datetime:
    parts = {name: int(part) for name, part in value.items() if name != "__class__"}
    return datetime(**parts, tzinfo=UTC)  # pyright: ignore[reportArgumentType] - year to microsecond


def _plain(value: Any) -> Any:
    """Return a value as the tables hold it: the id of a related record, a number for a decimal, a text for a date."""
    if not isinstance(value, Mapping):
        return value
    if "id" in value:
        return str(value["id"])
    kind = value.get("__class__")
    if kind == "Decimal":
        return float(value["decimal"])
    if kind == "date":
        return f"{value['year']:04}-{value['month']:02}-{value['day']:02}"
    return _moment(value).isoformat() if kind == "datetime" else None
