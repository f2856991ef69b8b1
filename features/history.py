"""Leads of a workspace, in memory: the same facts as :class:`features.known.KnownTables` reads for a table of rows."""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import ibis.expr.types as ir

from crm.errors import TableError
from crm.known import merge_paths, typed_change
from crm.store import Tables
from features.known import NEVER_US, Arrivals, Change, KnownLead

__all__ = ["known_lead", "known_leads"]

Value = str | float | bool | None
Row = dict[str, Any]
Since = dict[str, int]
"""Microseconds since 1970 UTC by lead."""
ALWAYS_US = -NEVER_US


def known_lead(tables: Tables, lead_id: str) -> KnownLead:
    """Gather everything that the features of one lead may ever read; :func:`known_leads` for several at once."""
    return known_leads(tables, (lead_id,))[lead_id]


def known_leads(tables: Tables, lead_ids: Collection[str]) -> dict[str, KnownLead]:
    """Gather everything that the features of these leads may ever read, each with the moments between which it counts.

    A touch of a merged lead counts from the merge on. A touch of the account's other lead counts from that lead's
    creation on, and no longer once that lead was merged into this one, of which it is then a touch of its own.

    Parameters
    ----------
    tables
        The workspace's tables.
    lead_ids
        Rows of ``leads``.

    Returns
    -------
    dict
        A lead for each id.

    Raises
    ------
    TableError
        When ``leads`` has no such row.
    """
    found = _by(_rows_of(tables, "leads", "lead_id", lead_ids), "lead_id")
    for lead_id in lead_ids:
        if lead_id not in found:
            raise TableError(
                found=f"no lead '{lead_id}' in table 'leads'",
                expected="an id that the table has",
                fix="check the id; a lead that was merged away may be known by the id of the lead it went into",
            )
    leads = {lead_id: found[lead_id][0] for lead_id in lead_ids}
    owned = {lead["account_id"] for lead in leads.values()} - {None}
    accounts = _by(_rows_of(tables, "leads", "account_id", owned), "account_id")
    merges = _Merges(tables)
    scopes = {
        lead_id: _Scope(
            merges, lead_id, {row["lead_id"]: row["created_us"] for row in accounts.get(lead["account_id"], ())}
        )
        for lead_id, lead in leads.items()
    }
    everyone = {member for scope in scopes.values() for member in (*scope.own, *scope.others)}
    touches = _by(
        (row for row in _rows_of(tables, "touches", "lead_id", everyone) if row["actor"] == "lead"), "lead_id"
    )
    stages = _by(_rows_of(tables, "stages", "lead_id", lead_ids), "lead_id")
    changes = _by(_typed_changes(tables, lead_ids), "lead_id")
    return {
        lead_id: KnownLead(
            created_us=int(lead["created_us"]),
            attributes=_attributes(tables, lead),
            changes=_changes(tables, changes.get(lead_id, [])),
            touches=_arrivals(touches, scopes[lead_id].own, {}),
            account_touches=_arrivals(touches, scopes[lead_id].others, scopes[lead_id].own),
            account_leads_us=tuple(since for since, _ in scopes[lead_id].spans),
            mql=_entries(stages.get(lead_id, []), "mql"),
            recycled=_entries(stages.get(lead_id, []), "recycled"),
            account_leads_until_us=tuple(until for _, until in scopes[lead_id].spans),
        )
        for lead_id, lead in leads.items()
    }


class _Merges:
    """Merges of a workspace, chains followed, by the lead that was merged away and by the one it went into."""

    def __init__(self, tables: Tables) -> None:
        self.into: dict[str, Since] = {}
        self.out_of: dict[str, Since] = {}
        for row in merge_paths(tables).to_pylist():
            start, end, moment = row["from_lead_id"], row["into_lead_id"], row["merged_us"]
            self.into.setdefault(end, {})[start] = moment
            self.out_of.setdefault(start, {})[end] = moment


class _Scope:
    """Whose touches are a lead's own, and whose are its account's, each from a moment on.

    Parameters
    ----------
    merges
        The workspace's merges.
    lead_id
        The lead.
    account
        Creation of every lead of its account, its own included; empty without account.
    """

    def __init__(self, merges: _Merges, lead_id: str, account: Since) -> None:
        self.own: Since = {**merges.into.get(lead_id, {}), lead_id: ALWAYS_US}
        since = dict(account)
        for survivor, created in account.items():
            for member, merged in merges.into.get(survivor, {}).items():
                since[member] = min(since.get(member, NEVER_US), max(created, merged))
        self.others: Since = {
            member: moment for member, moment in since.items() if moment < self.own.get(member, NEVER_US)
        }
        self.spans = sorted(self._spans(merges, account))

    def _spans(self, merges: _Merges, account: Since) -> Iterable[tuple[int, int]]:
        """Yield between which moments each of the account's leads was another lead."""
        for other, created in account.items():
            gone = [self.own.get(other, NEVER_US)]
            out_of = merges.out_of.get(other, {})
            gone += [max(account[into], merged) for into, merged in out_of.items() if into in account]
            if created < min(gone):
                yield created, min(gone)


def _rows_of(tables: Tables, name: str, column: str, wanted: Collection[str]) -> list[Row]:
    """Return the rows of a table whose ``column`` is one of ``wanted``; none when the workspace has no such table."""
    if not wanted or not tables.has(name):
        return []
    table = tables.table(name)
    return _rows(table.filter(table[column].isin(sorted(wanted))))


def _rows(table: ir.Table) -> list[Row]:
    return table.to_pyarrow().to_pylist()


def _by(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _arrivals(touches: Mapping[str, list[Row]], since: Since, until: Since) -> Arrivals:
    """Return the touches of the leads in ``since``, known from then on, counted until ``until``."""
    rows = [row for lead_id in since for row in touches.get(lead_id, ())]
    return Arrivals.of(
        [row["happened_us"] for row in rows],
        [max(row["recorded_us"], since[row["lead_id"]]) for row in rows],
        [row["kind"] for row in rows],
        [row["content_id"] for row in rows],
        [row["value"] for row in rows],
        [until.get(row["lead_id"], NEVER_US) for row in rows],
    )


def _entries(stages: Iterable[Row], stage: str) -> Arrivals:
    rows = [row for row in stages if row["stage"] == stage]
    return Arrivals.of([row["entered_us"] for row in rows], [row["recorded_us"] for row in rows])


def _attributes(tables: Tables, lead: Row) -> Mapping[str, Value]:
    """Return the values at creation; missing for attributes that are known by their changes alone."""
    return {
        attribute.name: lead.get(attribute.name) if attribute.known_at_creation else None
        for attribute in tables.used_attributes
    }


def _typed_changes(tables: Tables, lead_ids: Collection[str]) -> list[Row]:
    """Return the leads' changes in order of recording, the value as each of the types that an attribute may have."""
    if not tables.has("lead_changes"):
        return []
    changes = tables.table("lead_changes")
    types = {kind: typed_change(changes["value"], kind) for kind in ("text", "number", "boolean")}
    changes = changes.select("lead_id", "field", "recorded_us", **types)
    return _rows(changes.filter(changes["lead_id"].isin(sorted(lead_ids))).order_by("recorded_us"))


def _changes(tables: Tables, rows: Iterable[Row]) -> Mapping[str, tuple[Change, ...]]:
    by_field = _by(rows, "field")
    return {
        attribute.name: tuple(
            Change(row["recorded_us"], row[attribute.type]) for row in by_field.get(attribute.name, ())
        )
        for attribute in tables.used_attributes
        if attribute.has_history
    }
