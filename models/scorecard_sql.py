"""The scorecard as one SELECT over the contract's tables, for a warehouse, or to check what the tool does.

Standard SQL (common table expressions, CASE, intervals in hours), which DuckDB runs as it is. Only an attribute with a
history that is a number needs ``TRY_CAST``, which most engines have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from features.feature import Feature
from features.lead_features import LeadAge
from features.touch_features import CountIn, TouchFeature
from models.scorecard import Scorecard
from models.scorecard_entries import LevelEntry, RangeEntry

__all__ = ["scorecard_sql"]

HOURS = 24


def scorecard_sql(card: Scorecard) -> str:
    """Return a SELECT of ``lead_id`` and ``points`` with the placeholder ``:as_of``.

    It gives each lead that was created by ``:as_of`` the points that :meth:`Scorecard.points` gives it. Tables are
    named as in the contract; windows end at ``:as_of``, and what was recorded later does not exist.

    Parameters
    ----------
    card
        The card.
    """
    touched = [entry for entry in card.entries if isinstance(entry, RangeEntry) and _is_touch(entry.feature)]
    known = [entry for entry in card.entries if _attribute(entry)]
    parts = [f"moment AS (\n{_moment(card)}\n)"]
    if card.facts.has_merges and touched:
        parts += [f"merged (member_id, lead_id) AS (\n{MERGED}\n)", f"members AS (\n{MEMBERS}\n)"]
    if touched:
        parts.append(f"did AS (\n{_did(touched, card.facts.has_merges)}\n)")
    changed = [name for name, _ in card.facts.histories if name in {_attribute(entry) for entry in known}]
    if changed:
        parts.append(f"changed AS (\n{_changed(changed)}\n)")
    parts.append(f"known AS (\n{_known(card, touched, changed)}\n)")
    word = "WITH RECURSIVE" if card.facts.has_merges and touched else "WITH"
    terms = "\n  + ".join(_points(entry, card) for entry in card.entries)
    head = (
        "-- Points of a kizashi scorecard: lead_id, points.\n"
        "-- Put a moment in place of :as_of, such as CURRENT_TIMESTAMP. Times are timestamps with time zone.\n"
        "-- Touches count with actor 'lead' alone, and once recorded_at has come.\n"
    )
    tables = ",\n".join(parts)
    return f"{head}{word} {tables}\nSELECT\n  lead_id,\n  {terms} AS points\nFROM known\n"


MERGED = """\
  SELECT m.from_lead_id, m.into_lead_id
  FROM lead_merges m CROSS JOIN moment n
  WHERE m.recorded_at <= n.as_of
  UNION
  SELECT g.member_id, m.into_lead_id
  FROM merged g JOIN lead_merges m ON m.from_lead_id = g.lead_id CROSS JOIN moment n
  WHERE m.recorded_at <= n.as_of"""
MEMBERS = """\
  SELECT lead_id, lead_id AS member_id FROM leads
  UNION
  SELECT lead_id, member_id FROM merged"""


def _is_touch(feature: Feature) -> bool:
    return isinstance(feature, TouchFeature)


def _attribute(entry: Any) -> str:
    """Return the attribute that an entry reads; empty for none."""
    if isinstance(entry, LevelEntry):
        return entry.attribute
    return str(getattr(entry.feature, "attribute", ""))


def _days(card: Scorecard) -> list[int]:
    """List the whole days that any entry looks back."""
    found: set[int] = set()
    for entry in card.entries:
        if not isinstance(entry, RangeEntry):
            continue
        if isinstance(entry.feature, CountIn):
            found |= {entry.feature.window_days} - {0}
        elif entry.feature.shape == "days":
            found |= {int(edge) for edge in entry.edges}
    return sorted(found)


def _moment(card: Scorecard) -> str:
    columns = [f"as_of - INTERVAL '{HOURS * days}' HOUR AS since_{days}d" for days in _days(card)]
    listed = ",\n    ".join(["as_of", *columns])
    return f"  SELECT\n    {listed}\n  FROM (SELECT CAST(:as_of AS TIMESTAMP WITH TIME ZONE) AS as_of) AS asked"


def _did(touched: list[RangeEntry], has_merges: bool) -> str:
    columns = [f"{_measure(entry.feature)} AS {_name(entry.feature.name)}" for entry in touched]
    owner = "b.lead_id" if has_merges else "t.lead_id"
    source = "members b JOIN touches t ON t.lead_id = b.member_id" if has_merges else "touches t"
    listed = ",\n    ".join([owner, *columns])
    return (
        f"  SELECT\n    {listed}\n  FROM {source} CROSS JOIN moment n\n"
        "  WHERE t.actor = 'lead' AND t.happened_at < n.as_of AND t.recorded_at <= n.as_of\n"
        f"  GROUP BY {owner}"
    )


def _measure(feature: Feature) -> str:
    """Count the touches of a window, or find the newest one."""
    if not isinstance(feature, TouchFeature):
        raise TypeError(f"{feature.name} is not made of touches")
    kinds = ", ".join(_text(kind) for kind in feature.kinds)
    conditions = [] if feature.label == "any" else [f"t.kind IN ({kinds})"]
    if isinstance(feature, CountIn):
        if feature.window_days:
            conditions.append(f"t.happened_at >= n.since_{feature.window_days}d")
        return f"COUNT(CASE WHEN {' AND '.join(conditions)} THEN 1 END)"
    return f"MAX(CASE WHEN {conditions[0]} THEN t.happened_at END)" if conditions else "MAX(t.happened_at)"


def _changed(names: list[str]) -> str:
    return (
        "  SELECT lead_id, field, value\n  FROM (\n"
        "    SELECT c.lead_id, c.field, c.value,\n"
        "      ROW_NUMBER() OVER (PARTITION BY c.lead_id, c.field ORDER BY c.recorded_at DESC) AS place\n"
        "    FROM lead_changes c CROSS JOIN moment n\n"
        f"    WHERE c.recorded_at <= n.as_of AND c.field IN ({', '.join(_text(name) for name in names)})\n"
        "  ) AS numbered\n  WHERE place = 1"
    )


def _known(card: Scorecard, touched: list[RangeEntry], changed: list[str]) -> str:
    columns = ["l.lead_id", "l.created_at"]
    columns += [f"n.since_{days}d" for days in _days(card)]
    for entry in touched:
        name = _name(entry.feature.name)
        columns.append(
            f"COALESCE(d.{name}, 0) AS {name}" if isinstance(entry.feature, CountIn) else f"d.{name} AS {name}"
        )
    kinds = dict(card.facts.histories)
    alias = {name: f"c{number}" for number, name in enumerate(changed, start=1)}
    for attribute in dict.fromkeys(filter(None, (_attribute(entry) for entry in card.entries))):
        columns.append(f"{_value(attribute, alias.get(attribute), kinds, card)} AS {_column(attribute)}")
    joins = ["  FROM leads l CROSS JOIN moment n"]
    joins += ["  LEFT JOIN did d ON d.lead_id = l.lead_id"] if touched else []
    joins += [
        f"  LEFT JOIN changed {short} ON {short}.lead_id = l.lead_id AND {short}.field = {_text(name)}"
        for name, short in alias.items()
    ]
    listed = ",\n    ".join(columns)
    return f"  SELECT\n    {listed}\n" + "\n".join(joins) + "\n  WHERE l.created_at <= n.as_of"


def _value(attribute: str, alias: str | None, kinds: dict[str, str], card: Scorecard) -> str:
    """Return an attribute as known: its newest change, or the value at creation."""
    own = f"l.{_name(attribute)}"
    if alias is None:
        return own
    value = f"{alias}.value"
    if kinds[attribute] == "number":
        number = f"TRY_CAST({value} AS DOUBLE PRECISION)"
        value = f"CASE WHEN {number} BETWEEN -1E300 AND 1E300 THEN {number} END"
    elif kinds[attribute] == "boolean":
        value = f"TRY_CAST({value} AS BOOLEAN)"
    before = own if attribute in card.facts.at_creation else "NULL"
    return f"CASE WHEN {alias}.lead_id IS NULL THEN {before} ELSE {value} END"


def _points(entry: RangeEntry | LevelEntry, card: Scorecard) -> str:
    cases = " ".join(_cases(entry, card))
    return f"CASE {cases} END"


def _cases(entry: RangeEntry | LevelEntry, card: Scorecard) -> Iterator[str]:
    if isinstance(entry, LevelEntry):
        name = _column(entry.attribute)
        yield f"WHEN {name} IS NULL THEN {entry.missing}"
        for group in entry.groups:
            yield f"WHEN {name} IN ({', '.join(_text(level) for level in group.levels)}) THEN {group.points}"
        yield f"ELSE {entry.others}"
        return
    feature = entry.feature
    is_boolean = _attribute(entry) in card.facts.booleans
    name = "created_at" if isinstance(feature, LeadAge) else _name(feature.name)
    if not isinstance(feature, LeadAge | CountIn):  # these are never missing
        yield f"WHEN {name} IS NULL THEN {entry.missing}"
    for edge, points in zip(entry.edges, entry.points[:-1], strict=True):
        if is_boolean:
            yield f"WHEN NOT {name} THEN {points}"
        elif feature.shape == "days":
            yield f"WHEN {name} >= since_{int(edge)}d THEN {points}"
        else:
            yield f"WHEN {name} <= {int(edge) if edge == int(edge) else repr(edge)} THEN {points}"
    yield f"ELSE {entry.points[-1]}"


def _column(attribute: str) -> str:
    """Name an attribute as features do, so that it is not taken for anything else."""
    return _name(f"lead.{attribute}")


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
