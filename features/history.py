"""Leads of a workspace, in memory: the same facts as :class:`features.known.KnownTables` reads for a table of rows."""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from crm.attribute_text import attribute_value
from crm.errors import TableError
from crm.known import merge_paths
from crm.store import Tables
from features.known import NEVER_US, Arrivals, Change, KnownLead

__all__ = ["AttributeKind", "LeadRows", "TableRows", "known_lead", "known_leads", "leads_of_rows"]

Value = str | float | bool | None
Row = dict[str, Any]
Since = dict[str, int]
"""Microseconds since 1970 UTC by lead."""
ALWAYS_US = -NEVER_US
AttributeKind = Literal["number", "text", "boolean"]


class LeadRows(Protocol):
    """Where rows of leads lie: tables in memory, or what the service holds."""

    def rows(self, name: str, column: str, wanted: Collection[str]) -> list[Row]:
        """Return the rows of a table of the contract whose ``column`` is one of ``wanted``; none without the table.

        Times are microseconds since 1970 UTC under ``*_us``; rows of ``leads`` have ``attributes``, their values at
        creation by name; rows of ``lead_changes`` come in order of recording.
        """
        ...

    def merges(self) -> Sequence[tuple[str, str, int]]:
        """Return every merge, chains followed: from, into, and when it was known, microseconds since 1970 UTC."""
        ...


@dataclass(frozen=True)
class TableRows:
    """Rows of the tables that a command has taken in."""

    tables: Tables

    def rows(self, name: str, column: str, wanted: Collection[str]) -> list[Row]:
        """Return rows as :class:`LeadRows` has them."""
        if not wanted or not self.tables.has(name):
            return []
        table = self.tables.table(name)
        found = table.filter(table[column].isin(sorted(wanted)))
        if name == "lead_changes":
            found = found.order_by("recorded_us")
        rows: list[Row] = found.to_pyarrow().to_pylist()
        if name == "leads":
            creation = [a.name for a in self.tables.used_attributes if a.known_at_creation]
            rows = [{**row, "attributes": {name: row[name] for name in creation}} for row in rows]
        return rows

    def merges(self) -> Sequence[tuple[str, str, int]]:
        """Return merges as :class:`LeadRows` has them."""
        rows = merge_paths(self.tables).to_pylist()
        return [(row["from_lead_id"], row["into_lead_id"], row["merged_us"]) for row in rows]


def known_lead(tables: Tables, lead_id: str) -> KnownLead:
    """Gather everything that the features of one lead may ever read; :func:`known_leads` for several at once."""
    return known_leads(tables, (lead_id,))[lead_id]


def known_leads(tables: Tables, lead_ids: Collection[str]) -> dict[str, KnownLead]:
    """Gather everything that the features of these leads may ever read, each with the moments between which it counts.

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
    kinds = {attribute.name: attribute.type for attribute in tables.used_attributes}
    found = leads_of_rows(TableRows(tables), lead_ids, kinds)
    for lead_id in lead_ids:
        if lead_id not in found:
            raise TableError(
                found=f"no lead '{lead_id}' in table 'leads'",
                expected="an id that the table has",
                fix="check the id; a lead that was merged away may be known by the id of the lead it went into",
            )
    return found


def leads_of_rows(
    source: LeadRows, lead_ids: Collection[str], kinds: Mapping[str, AttributeKind]
) -> dict[str, KnownLead]:
    """Gather everything that the features of these leads may ever read, each with the moments between which it counts.

    A touch of a merged lead counts from the merge on. A touch of the account's other lead counts from that lead's
    creation on, and no longer once that lead was merged into this one, of which it is then a touch of its own.

    Parameters
    ----------
    source
        Where the rows lie.
    lead_ids
        Which leads.
    kinds
        Attributes that are read, with their types.

    Returns
    -------
    dict
        A lead for each id that ``leads`` has.
    """
    found = _by(source.rows("leads", "lead_id", lead_ids), "lead_id")
    leads = {lead_id: found[lead_id][0] for lead_id in lead_ids if lead_id in found}
    owned = {lead["account_id"] for lead in leads.values()} - {None}
    accounts = _by(source.rows("leads", "account_id", owned), "account_id")
    merges = _Merges(source.merges())
    scopes = {
        lead_id: _Scope(
            merges, lead_id, {row["lead_id"]: row["created_us"] for row in accounts.get(lead["account_id"], ())}
        )
        for lead_id, lead in leads.items()
    }
    everyone = {member for scope in scopes.values() for member in (*scope.own, *scope.others)}
    touches = _by((row for row in source.rows("touches", "lead_id", everyone) if row["actor"] == "lead"), "lead_id")
    stages = _by(source.rows("stages", "lead_id", leads), "lead_id")
    changes = _by(source.rows("lead_changes", "lead_id", leads), "lead_id")
    return {
        lead_id: KnownLead(
            created_us=int(lead["created_us"]),
            attributes={name: lead["attributes"].get(name) for name in kinds},
            changes=_changes(kinds, changes.get(lead_id, [])),
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
    """Merges by the lead that was merged away and by the one it went into."""

    def __init__(self, merges: Iterable[tuple[str, str, int]]) -> None:
        self.into: dict[str, Since] = {}
        self.out_of: dict[str, Since] = {}
        for start, end, moment in merges:
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


def _changes(kinds: Mapping[str, AttributeKind], rows: Iterable[Row]) -> Mapping[str, tuple[Change, ...]]:
    return {
        name: tuple(Change(row["recorded_us"], attribute_value(row["value"], kinds[name])) for row in changes)
        for name, changes in _by(rows, "field").items()
        if name in kinds
    }
