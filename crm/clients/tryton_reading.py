"""Reading Tryton's opportunities as rows of the contract: leads, the history of attributes, stages, priced deals.

A version of a record is known from when Tryton had it, so what is read today can be used as known at any moment of the
past.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from crm.clients.reading import Page, ReadTerms, Row, RowsByTable, Span, attribute_of, gathered
from crm.clients.tryton import MODEL, tryton_calls
from crm.clients.tryton_history import Version, changed_since, versions_of
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig

__all__ = ["TrytonReader", "rows_of"]

LEADS_A_PAGE = 50
"""A lead takes a call a version: after so many leads what was read is stored."""
_CLOSED: Mapping[str, bool] = {"closed_won": True, "closed_lost": False}


class TrytonReader:
    """Opportunities of a Tryton database, from the state ``lead`` on."""

    streams: tuple[str, ...] = ("opportunities",)
    optional: frozenset[str] = frozenset()

    def __init__(self, terms: ReadTerms, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._config = terms.config
        self._calls = tryton_calls(terms.name, terms.config, waiting, secrets)
        self._path = f"/{terms.config.database}/rest/model/{terms.config.object or MODEL}"
        # One version has every field, or a change of one that is not asked for would look like a repetition.
        self._fields = tuple(dict.fromkeys(("state", "lost_reason", "party", "amount", *terms.config.pulled)))
        self.notes: list[str] = []

    def pages(self, stream: str, span: Span) -> Iterator[Page]:
        """Yield the versions of changed opportunities by id; see :class:`crm.clients.reading.CrmReader`."""
        del stream
        for ids in changed_since(self._calls, self._path, span.since, after=span.at, size=LEADS_A_PAGE):
            leads = [self._versions(one, span.since) for one in ids]
            yield Page(self._rows(leads), len(ids), ids[-1])

    def read(self, lead_ids: Sequence[str], until: datetime) -> RowsByTable:
        """Read every version of some leads; see :class:`crm.clients.reading.CrmReader`."""
        del until
        return self._rows([self._versions(one, None) for one in lead_ids])

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def _versions(self, lead_id: str, since: datetime | None) -> Sequence[Version]:
        """Return every version of a lead of which something that is read has changed, and none of another.

        A score that we wrote makes a version, too; it takes one call to see that nothing else has changed. When a
        stage was entered can be told from the whole of the history alone.
        """
        recent = versions_of(self._calls, self._path, lead_id, self._fields, since)
        if recent[0].written_at == recent[0].created_at:
            return recent
        if all(version.values == recent[0].values for version in recent):
            return ()
        return versions_of(self._calls, self._path, lead_id, self._fields)

    def _rows(self, leads: Sequence[Sequence[Version]]) -> RowsByTable:
        return gathered(pair for versions in leads if versions for pair in rows_of(versions, self._config))


def rows_of(versions: Sequence[Version], config: CrmConfig) -> Iterator[tuple[str, Row]]:
    """Yield the rows of the contract that the versions of one lead come to, the oldest first, each with its table."""
    first = versions[0]
    yield (
        "leads",
        {
            "lead_id": first.lead_id,
            "created_at": first.created_at,
            "recorded_at": first.created_at,
            "account_id": _account(versions, config),
        },
    )
    before: Mapping[str, Any] = {}
    stage, opened_at, deal = None, None, {}
    for version in versions:
        yield from _changes(version, before, config.pulled)
        reached = config.stages.get(version.values["state"])
        if reached is not None and reached != stage:
            yield "stages", _stage(version, reached, versions)
        if reached == "opportunity" and opened_at is None:
            opened_at = version.written_at
        if opened_at is not None:
            newer = _deal(version, reached, opened_at, deal)
            if newer != deal:
                yield "opportunities", {**newer, "recorded_at": version.written_at}
            deal = newer
        before, stage = version.values, reached


def _account(versions: Sequence[Version], config: CrmConfig) -> str | None:
    """Return the party of a lead before it became more than a lead: who converts one has to name a party."""
    as_lead = [version for version in versions if version.values["state"] not in config.stages] or versions[:1]
    return as_lead[-1].values.get("party")


def _changes(version: Version, before: Mapping[str, Any], pulled: Mapping[str, str]) -> Iterator[tuple[str, Row]]:
    for name, attribute in pulled.items():
        value = version.values.get(name)
        if value != before.get(name):
            yield (
                "lead_changes",
                {
                    "lead_id": version.lead_id,
                    "field": attribute,
                    "value": attribute_of(value),
                    "recorded_at": version.written_at,
                },
            )


def _stage(version: Version, stage: str, versions: Sequence[Version]) -> Row:
    """Return a stage's row; Tryton asks for the reason of a loss after the loss, so the newest one counts."""
    return {
        "lead_id": version.lead_id,
        "stage": stage,
        "entered_at": version.written_at,
        "recorded_at": version.written_at,
        "reason": versions[-1].values.get("lost_reason") if stage == "closed_lost" else None,
    }


def _deal(version: Version, stage: str | None, opened_at: datetime, before: Row) -> Row:
    """Return the deal as a version has it; a closed one keeps the moment at which it was closed."""
    is_won = _CLOSED.get(stage or "")
    closed_at = None if is_won is None else (before.get("closed_at") or version.written_at)
    return {
        "opportunity_id": version.lead_id,
        "lead_id": version.lead_id,
        "account_id": version.values.get("party"),
        "created_at": opened_at,
        "closed_at": closed_at,
        "is_won": is_won,
        "amount": version.values.get("amount"),
    }
