"""What is known as of a moment: the one place where both clocks are compared.

A touch or stage is known iff it happened before ``as_of`` and was recorded by then; a lead iff it was created by
then; a merge or a change of an attribute iff it was recorded by then. Everything here takes *moments*, a table of
``row_id``, ``lead_id`` and ``as_of_us`` (microseconds since 1970, UTC), and gives back what each row may see.
"""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from crm.store import Attribute, Tables

__all__ = [
    "account_leads_known",
    "account_members_known",
    "attributes_known",
    "follow_merges",
    "from_micros",
    "members_known",
    "merge_paths",
    "moments_table",
    "stages_known",
    "to_micros",
    "touches_known",
    "typed_change",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Return whole microseconds since 1970 UTC.

    Examples
    --------
    >>> to_micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Return the UTC moment of whole microseconds since 1970."""
    return EPOCH + timedelta(microseconds=int(micros))


def moments_table(tables: Tables, moments: pa.Table) -> ir.Table:
    """Put moments (row_id, lead_id, as_of_us) into the engine of ``tables``."""
    return tables.backend.create_table("moments", moments.select(["row_id", "lead_id", "as_of_us"]), overwrite=True)


def merge_paths(tables: Tables) -> pa.Table:
    """List every merge, chains followed: from_lead_id, into_lead_id, merged_us.

    A chain is known when its last link was recorded. A lead that is merged twice keeps both rows.
    """
    links: dict[str, list[tuple[str, int]]] = {}
    if tables.has("lead_merges"):
        rows = tables.table("lead_merges").to_pyarrow().to_pylist()
        for row in rows:
            links.setdefault(row["from_lead_id"], []).append((row["into_lead_id"], row["recorded_us"]))
    columns = [list(column) for column in zip(*follow_merges(links), strict=True)] or [[], [], []]
    return pa.table(
        {
            "from_lead_id": pa.array(columns[0], pa.string()),
            "into_lead_id": pa.array(columns[1], pa.string()),
            "merged_us": pa.array(columns[2], pa.int64()),
        }
    )


def follow_merges(links: Mapping[str, Sequence[tuple[str, int]]]) -> list[tuple[str, str, int]]:
    """Follow chains of merges to every lead that they reach: from, into, and when the whole chain was known.

    Parameters
    ----------
    links
        By the lead that was merged away: which it went into, and when that was recorded, microseconds since 1970 UTC.

    Examples
    --------
    >>> sorted(follow_merges({"A": [("B", 5)], "B": [("C", 3)]}))
    [('A', 'B', 5), ('A', 'C', 5), ('B', 'C', 3)]
    """
    paths: dict[tuple[str, str], int] = {}
    for start in links:
        waiting = list(links[start])
        while waiting:
            into, known = waiting.pop()
            if into == start or paths.get((start, into), known + 1) <= known:
                continue
            paths[start, into] = known
            waiting += [(further, max(known, later)) for further, later in links.get(into, [])]
    return [(start, into, known) for (start, into), known in paths.items()]


def members_known(tables: Tables, moments: ir.Table) -> ir.Table:
    """Return, for each moment, the lead itself and the leads merged into it by then: row_id, as_of_us, member_id."""
    own = moments.select("row_id", "as_of_us", member_id=moments.lead_id)
    if not tables.has("lead_merges"):
        return own
    survivors = moments.select("row_id", "as_of_us", into_lead_id=moments.lead_id)
    return own.union(_merged_into(tables, survivors))


def touches_known(tables: Tables, members: ir.Table) -> ir.Table:
    """Return the touches by leads (not by sales, systems or bots) that the members' rows know.

    Returns
    -------
    ir.Table
        row_id, as_of_us, happened_us, kind, content_id, value.
    """
    touches = tables.table("touches")
    touches = touches.filter(touches.actor == "lead")
    return members.join(
        touches,
        [
            members.member_id == touches.lead_id,
            touches.happened_us < members.as_of_us,
            touches.recorded_us <= members.as_of_us,
        ],
    ).select(members.row_id, members.as_of_us, touches.happened_us, touches.kind, touches.content_id, touches.value)


def account_leads_known(tables: Tables, moments: ir.Table, members: ir.Table) -> ir.Table:
    """Return the account's other leads that each moment knows: row_id, as_of_us, member_id.

    A lead that was merged into the row's own lead by then is no other lead; one that was merged into another
    lead of the account counts once, as the lead it went into.
    """
    known = _account_of(tables, moments)
    others = known.anti_join(members, ["row_id", "member_id"])
    if tables.has("lead_merges"):
        survivors = known.rename(into_lead_id="member_id").select("row_id", "as_of_us", "into_lead_id")
        others = others.anti_join(_merged_into(tables, survivors), ["row_id", "member_id"])
    return others


def account_members_known(tables: Tables, moments: ir.Table, members: ir.Table) -> ir.Table:
    """Return the leads whose touches are those of the account's other leads: row_id, as_of_us, member_id.

    They are the account's leads created by then, and what was merged into them by then, without the row's own
    lead and what was merged into that.
    """
    known = _account_of(tables, moments)
    if tables.has("lead_merges"):
        survivors = known.rename(into_lead_id="member_id").select("row_id", "as_of_us", "into_lead_id")
        known = known.union(_merged_into(tables, survivors), distinct=True)
    return known.anti_join(members, ["row_id", "member_id"])


def _account_of(tables: Tables, moments: ir.Table) -> ir.Table:
    """Return every lead of the row's account that was created by then, the row's own included."""
    leads = tables.table("leads").select("lead_id", "account_id", "created_us")
    own = leads.rename(own_lead_id="lead_id", own_account="account_id").drop("created_us")
    rows = moments.join(own, moments.lead_id == own.own_lead_id).select("row_id", "as_of_us", "own_account")
    return rows.join(leads, [rows.own_account == leads.account_id, leads.created_us <= rows.as_of_us]).select(
        rows.row_id, rows.as_of_us, member_id=leads.lead_id
    )


def _merged_into(tables: Tables, survivors: ir.Table) -> ir.Table:
    """Return what was merged by then into each row's ``into_lead_id``: row_id, as_of_us, member_id."""
    paths = tables.backend.create_table("merge_paths", merge_paths(tables), overwrite=True)
    return survivors.join(
        paths, [survivors.into_lead_id == paths.into_lead_id, paths.merged_us <= survivors.as_of_us]
    ).select(survivors.row_id, survivors.as_of_us, member_id=paths.from_lead_id)


def stages_known(tables: Tables, moments: ir.Table, stage: str) -> ir.Table:
    """Return the entries into one stage that each moment knows: row_id, as_of_us, happened_us."""
    stages = tables.table("stages")
    stages = stages.filter(stages.stage == stage)
    return moments.join(
        stages,
        [
            moments.lead_id == stages.lead_id,
            stages.entered_us < moments.as_of_us,
            stages.recorded_us <= moments.as_of_us,
        ],
    ).select(moments.row_id, moments.as_of_us, happened_us=stages.entered_us)


def attributes_known(tables: Tables, moments: ir.Table, attributes: Sequence[Attribute] | None = None) -> ir.Table:
    """Return each moment's attributes as known then: row_id, as_of_us, created_us, account_id and one column each.

    The newest change recorded by then rules, a cleared value included; without any, the value at creation for
    attributes that are known at creation, and missing for the others.

    Parameters
    ----------
    tables
        The workspace's tables.
    moments
        ``row_id``, ``lead_id``, ``as_of_us``.
    attributes
        Which attributes; by default those that may become features. Of one that has neither history nor a value at
        creation, every moment gets the value of today.
    """
    attributes = tables.used_attributes if attributes is None else attributes
    leads = tables.table("leads")
    wanted = [attribute.name for attribute in attributes if attribute.name in leads.columns]
    rows = moments.join(leads, moments.lead_id == leads.lead_id, how="left").select(
        moments.row_id,
        moments.as_of_us,
        leads.created_us,
        leads.account_id,
        *(leads[name] for name in wanted),
    )
    for attribute in attributes:
        if not attribute.has_history:
            continue
        changes = tables.table("lead_changes")
        changes = changes.filter(changes.field == attribute.name)
        known = moments.join(
            changes, [moments.lead_id == changes.lead_id, changes.recorded_us <= moments.as_of_us]
        ).select(moments.row_id, changes.recorded_us, new_value=changes.value.fill_null(_CLEARED))
        newest = known.group_by("row_id").aggregate(new_value=known.new_value.argmax(known.recorded_us))
        newest = newest.rename({"change_row": "row_id"})
        joined = rows.join(newest, rows.row_id == newest["change_row"], how="left")
        value = typed_change(joined.new_value.nullif(_CLEARED), attribute.type)
        before = (
            joined[attribute.name]
            if attribute.name in wanted and attribute.known_at_creation
            else ibis.null(value.type())
        )
        rows = joined.mutate(**{attribute.name: ibis.ifelse(joined.new_value.notnull(), value, before)}).drop(
            "new_value", "change_row"
        )
    return rows


# Stands for "the field was emptied" while the newest change is looked for; no CRM value begins with a NUL-like mark.
_CLEARED = "\x01cleared"


def typed_change(value: ir.StringColumn, kind: str) -> ir.Value:
    """Type a value of ``lead_changes``, which are all text; missing where it is none of that type, or not finite."""
    if kind == "number":
        number = value.try_cast("float64")
        return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)
    if kind == "boolean":
        return value.try_cast("boolean")
    return value
