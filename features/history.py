# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false
# Ibis types a column as its widest class, which promises neither arithmetic nor the methods of its own kind.
"""One lead of a workspace, in memory: the same facts as :class:`features.known.KnownTables` reads for many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir

from crm.errors import TableError
from crm.known import merge_paths, typed_change
from crm.store import Tables
from features.known import NEVER_US, NOTHING, Arrivals, Change, KnownLead

__all__ = ["known_lead"]

Value = str | float | bool | None
Row = dict[str, Any]
Since = dict[str, int]
"""Microseconds since 1970 UTC by lead."""
ALWAYS_US = -NEVER_US


def known_lead(tables: Tables, lead_id: str) -> KnownLead:
    """Gather everything that the features of one lead may ever read, each with the moments between which it counts.

    A touch of a merged lead counts from the merge on. A touch of the account's other lead counts from that lead's
    creation on, and no longer once that lead was merged into this one, of which it is then a touch of its own.

    Parameters
    ----------
    tables
        The workspace's tables.
    lead_id
        A row of ``leads``.

    Raises
    ------
    TableError
        When ``leads`` has no such row.
    """
    leads = tables.table("leads")
    found = _rows(leads.filter(leads.lead_id == lead_id))
    if not found:
        raise TableError(
            found=f"no lead '{lead_id}' in table 'leads'",
            expected="an id that the table has",
            fix="check the id; a lead that was merged away may be known by the id of the lead it went into",
        )
    lead = found[0]
    merges = _Merges(tables)
    account = _account(tables, lead)
    own = {lead_id: ALWAYS_US, **merges.into(lead_id)}
    others = _other_members(merges, account, own)
    spans = _other_leads(merges, account, own)
    touches = _touches(tables, {*own, *others})
    return KnownLead(
        created_us=int(lead["created_us"]),
        attributes=_attributes(tables, lead),
        changes=_changes(tables, lead_id),
        touches=_arrivals(touches, own, {}),
        account_touches=_arrivals(touches, others, own),
        account_leads_us=tuple(since for since, _ in spans),
        mql=_stages(tables, lead_id, "mql"),
        recycled=_stages(tables, lead_id, "recycled"),
        account_leads_until_us=tuple(until for _, until in spans),
    )


class _Merges:
    """Merges of a workspace, chains followed, by the lead that was merged away and by the one it went into."""

    def __init__(self, tables: Tables) -> None:
        self._into: dict[str, Since] = {}
        self._from: dict[str, Since] = {}
        for row in merge_paths(tables).to_pylist():
            start, end, moment = row["from_lead_id"], row["into_lead_id"], row["merged_us"]
            self._into.setdefault(end, {})[start] = moment
            self._from.setdefault(start, {})[end] = moment

    def into(self, lead_id: str) -> Since:
        """Return when each lead was merged into ``lead_id``."""
        return self._into.get(lead_id, {})

    def out_of(self, lead_id: str) -> Since:
        """Return when ``lead_id`` was merged into each lead."""
        return self._from.get(lead_id, {})


def _account(tables: Tables, lead: Row) -> Since:
    """Return the creation of every lead of the account, the lead itself included."""
    if lead["account_id"] is None:
        return {}
    leads = tables.table("leads")
    rows = leads.filter(leads.account_id == lead["account_id"]).select("lead_id", "created_us")
    return {row["lead_id"]: row["created_us"] for row in _rows(rows)}


def _other_members(merges: _Merges, account: Since, own: Since) -> Since:
    """Return from when on each lead's touches are those of the account's other leads."""
    since = dict(account)
    for survivor, created in account.items():
        for member, merged in merges.into(survivor).items():
            since[member] = min(since.get(member, NEVER_US), max(created, merged))
    return {member: moment for member, moment in since.items() if moment < own.get(member, NEVER_US)}


def _other_leads(merges: _Merges, account: Since, own: Since) -> list[tuple[int, int]]:
    """Return between which moments each of the account's leads was another lead."""
    spans: list[tuple[int, int]] = []
    for other, created in account.items():
        gone = [own.get(other, NEVER_US)]
        gone += [max(account[into], at) for into, at in merges.out_of(other).items() if into in account]
        if created < min(gone):
            spans.append((created, min(gone)))
    return sorted(spans)


def _touches(tables: Tables, lead_ids: set[str]) -> list[Row]:
    if not tables.has("touches"):
        return []
    touches = tables.table("touches")
    wanted = touches.filter((touches.actor == "lead") & touches.lead_id.isin(sorted(lead_ids)))
    return _rows(wanted.select("lead_id", "happened_us", "recorded_us", "kind", "content_id", "value"))


def _arrivals(touches: list[Row], since: Since, until: Since) -> Arrivals:
    """Return the touches of the leads in ``since``, known from then on, counted until ``until``."""
    rows = [row for row in touches if row["lead_id"] in since]
    if not rows:
        return NOTHING
    return Arrivals.of(
        [row["happened_us"] for row in rows],
        [max(row["recorded_us"], since[row["lead_id"]]) for row in rows],
        [row["kind"] for row in rows],
        [row["content_id"] for row in rows],
        [row["value"] for row in rows],
        [until.get(row["lead_id"], NEVER_US) for row in rows],
    )


def _stages(tables: Tables, lead_id: str, stage: str) -> Arrivals:
    if not tables.has("stages"):
        return NOTHING
    stages = tables.table("stages")
    rows = _rows(stages.filter((stages.lead_id == lead_id) & (stages.stage == stage)))
    return Arrivals.of([row["entered_us"] for row in rows], [row["recorded_us"] for row in rows])


def _attributes(tables: Tables, lead: Row) -> Mapping[str, Value]:
    """Return the values at creation; missing for attributes that are known by their changes alone."""
    return {
        attribute.name: lead.get(attribute.name) if attribute.known_at_creation else None
        for attribute in tables.used_attributes
    }


def _changes(tables: Tables, lead_id: str) -> Mapping[str, tuple[Change, ...]]:
    found: dict[str, tuple[Change, ...]] = {}
    for attribute in tables.used_attributes:
        if not attribute.has_history:
            continue
        changes = tables.table("lead_changes")
        changes = changes.filter((changes.lead_id == lead_id) & (changes.field == attribute.name))
        typed = changes.select("recorded_us", value=typed_change(changes.value, attribute.type))
        rows = _rows(typed.order_by("recorded_us"))
        found[attribute.name] = tuple(Change(row["recorded_us"], row["value"]) for row in rows)
    return found


def _rows(table: ir.Table) -> list[Row]:
    return table.to_pyarrow().to_pylist()
