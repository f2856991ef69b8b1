"""The calls by which HubSpot is read: search by change, records with history, deleted ones, associations, pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from crm.clients.calls import json_of
from crm.clients.hubspot import CALLS, HUBSPOT_API_VERSION, SECONDS, hubspot_calls
from crm.clients.reading import ReadTerms
from crm.clients.time_paging import Asked, Listing
from crm.clients.waiting import Pace, Waiting

__all__ = ["HubSpotApi", "moment_of", "record_id"]

Record = Mapping[str, Any]
SEARCHES, SEARCH_SECONDS = 4, 1.0
"""A limit of its own, in searches a second."""
SEARCH_PAGE = 200
HISTORY_PAGE = 50
ARCHIVED_PAGE = 100
ASSOCIATED = 1_000
_TICK = timedelta(milliseconds=1)


class HubSpotApi:
    """Read-only calls to one account."""

    def __init__(self, terms: ReadTerms, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._calls = hubspot_calls(terms.name, terms.config, Pace(CALLS, SECONDS, waiting), secrets)
        self._searches = hubspot_calls(terms.name, terms.config, Pace(SEARCHES, SEARCH_SECONDS, waiting), secrets)

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()
        self._searches.close()

    def listing(self, kind: str, properties: Sequence[str] = ()) -> Listing:
        """Return how records of a kind are listed by change."""
        changed = "lastmodifieddate" if kind == "contacts" else "hs_lastmodifieddate"

        def page(asked: Asked) -> Sequence[Record]:
            return self._search(kind, changed, properties, asked)

        def changed_at(record: Record) -> datetime:
            return moment_of(record["properties"][changed])

        return Listing(page, changed_at, record_id, _TICK, SEARCH_PAGE)

    def _search(self, kind: str, changed: str, properties: Sequence[str], asked: Asked) -> Sequence[Record]:
        filters = [
            {"propertyName": changed, "operator": "GTE", "value": _milliseconds(asked.low)},
            {"propertyName": changed, "operator": "LT", "value": _milliseconds(asked.high)},
        ]
        if asked.after_id is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": asked.after_id})
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [
                {"propertyName": changed if asked.after_id is None else "hs_object_id", "direction": "ASCENDING"}
            ],
            "properties": [changed, *properties],
            "limit": asked.size,
            "after": "0",
        }
        answer = self._searches.call("POST", f"/crm/objects/{HUBSPOT_API_VERSION}/{kind}/search", json=body)
        return json_of(answer)["results"]

    def read(
        self,
        kind: str,
        ids: Sequence[str],
        properties: Sequence[str],
        history: Sequence[str],
        *,
        archived: bool = False,
    ) -> list[Record]:
        """Return records with today's values and those so far; one that is not there is left out."""
        found: list[Record] = []
        path = f"/crm/objects/{HUBSPOT_API_VERSION}/{kind}/batch/read"
        params = {"archived": "true"} if archived else None
        for start in range(0, len(ids), HISTORY_PAGE):
            body = {
                "inputs": [{"id": one} for one in ids[start : start + HISTORY_PAGE]],
                "properties": list(properties),
                "propertiesWithHistory": list(history),
            }
            found += json_of(self._calls.call("POST", path, json=body, params=params))["results"]
        return found

    def archived(self, kind: str, after: str | None) -> Iterator[tuple[list[Record], str | None]]:
        """Yield pages of deleted records, which HubSpot keeps for 90 days, each with the place after it."""
        path = f"/crm/objects/{HUBSPOT_API_VERSION}/{kind}"
        while True:
            params = {"archived": "true", "limit": str(ARCHIVED_PAGE), **({"after": after} if after else {})}
            found = json_of(self._calls.call("GET", path, params=params))
            after = ((found.get("paging") or {}).get("next") or {}).get("after")
            yield found["results"], after
            if after is None:
                return

    def associated(self, kind: str, other: str, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the ids of the other kind by id of the one; one without any is left out."""
        found: dict[str, list[str]] = {}
        path = f"/crm/associations/{HUBSPOT_API_VERSION}/{kind}/{other}/batch/read"
        for start in range(0, len(ids), ASSOCIATED):
            body = {"inputs": [{"id": one} for one in ids[start : start + ASSOCIATED]]}
            for result in json_of(self._calls.call("POST", path, json=body))["results"]:
                targets = [str(to.get("toObjectId", to.get("id"))) for to in result["to"]]
                if targets:
                    found[str(result["from"]["id"])] = targets
        return found

    def closed_stages(self) -> dict[str, bool]:
        """Return the stages of deals that end a deal, and whether by a win."""
        answer = self._calls.call("GET", f"/crm/pipelines/{HUBSPOT_API_VERSION}/deals")
        found: dict[str, bool] = {}
        for pipeline in json_of(answer)["results"]:
            for stage in pipeline["stages"]:
                told = stage.get("metadata") or {}
                if str(told.get("isClosed", "")).lower() == "true":
                    found[str(stage["id"])] = float(told.get("probability") or 0) >= 1.0
        return found


def record_id(record: Record) -> str:
    """Return a record's id as a text."""
    return str(record["id"])


def moment_of(text: str) -> datetime:
    """Read a time as HubSpot writes it.

    Examples
    --------
    >>> moment_of("2026-11-02T09:00:00.250Z").microsecond
    250000
    """
    return datetime.fromisoformat(text)


def _milliseconds(moment: datetime) -> str:
    return str(round(moment.timestamp() * 1_000))
