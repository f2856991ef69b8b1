"""Which features a workspace's data can carry: kinds of touches and levels are learned, not hard-coded."""

# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Iterator

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from crm.known import moments_table
from crm.store import Tables
from features.feature import Feature
from features.known import KnownTables
from features.lead_features import (
    AccountLeads,
    AttributeIs,
    AttributeMissing,
    AttributeNumber,
    AttributeOther,
    LeadAge,
    StageAge,
)
from features.spec import FeatureSet
from features.touch_features import (
    ActiveDaysIn,
    CountIn,
    DistinctIn,
    SessionsIn,
    ValueIn,
    label_of,
)
from features.touch_times import DecayedSum, Recency, Velocity

__all__ = ["learn_features"]

MAX_KINDS = 10
MIN_TOUCHES = 50
MAX_LEVELS = 60
MIN_LEVEL_ROWS = 20
WINDOWS = (1, 7, 30, 90)
HALF_LIVES = (3, 14, 60)


def learn_features(tables: Tables, moments: pa.Table, as_of_us: int) -> FeatureSet:
    """List the features that the training snapshots can carry.

    Parameters
    ----------
    tables
        The workspace's tables.
    moments
        Training snapshots: row_id, lead_id, as_of_us. Frequent levels are counted among them.
    as_of_us
        Moment of training; touches recorded later do not count.

    Returns
    -------
    FeatureSet
        Own touches by kind, the account's touches, attributes as known, age and stages.
    """
    known = KnownTables(tables, moments_table(tables, moments))
    found: list[Feature] = [LeadAge()]
    if tables.has("touches"):
        found += _touch_features(tables, as_of_us)
    if _has_accounts(tables, as_of_us):
        found.append(AccountLeads())
        if tables.has("touches"):
            found += _account_features()
    if tables.has("stages"):
        found += [StageAge(stage) for stage in ("mql", "recycled") if _has_stage(tables, stage, as_of_us)]
    found += _attribute_features(tables, known.attributes)
    return FeatureSet(tuple(found))


def _touch_features(tables: Tables, as_of_us: int) -> Iterator[Feature]:
    touches = tables.table("touches")
    touches = touches.filter((touches.actor == "lead") & (touches.recorded_us <= as_of_us))
    counted = (
        touches.group_by("kind")
        .aggregate(rows=touches.count(), valued=touches.value.count())
        .order_by(ibis.desc("rows"), "kind")
        .to_pyarrow()
        .to_pylist()
    )
    frequent = [row for row in counted if row["rows"] >= MIN_TOUCHES][:MAX_KINDS]
    kinds = tuple(row["kind"] for row in frequent)
    attributes = [attribute.name for attribute in tables.used_attributes]
    for row in frequent:
        label, kind = label_of(row["kind"], attributes), (row["kind"],)
        yield from _kind_features(label, kind)
        if row["valued"] * 2 >= row["rows"]:
            yield from (ValueIn(label, kind, window_days=days) for days in (1, 7, 30))
    if len(counted) > len(frequent) and frequent:
        yield from _kind_features("other", kinds)
    yield from (CountIn("any", window_days=days) for days in (*WINDOWS, 0))
    yield from (ActiveDaysIn("any", window_days=days) for days in (7, 30))
    yield from (SessionsIn("any", window_days=days) for days in (7, 30))
    yield from (DecayedSum("any", half_life_days=days) for days in HALF_LIVES)
    yield Recency("any")
    yield Velocity("any")
    if touches.content_id.count().to_pyarrow().as_py():
        yield from (DistinctIn("any", window_days=days) for days in (30, 90))


def _kind_features(label: str, kinds: tuple[str, ...]) -> Iterator[Feature]:
    yield from (CountIn(label, kinds, window_days=days) for days in WINDOWS[1:])
    yield Recency(label, kinds)
    yield DecayedSum(label, kinds, half_life_days=HALF_LIVES[1])


def _account_features() -> Iterator[Feature]:
    yield from (CountIn("any", scope="account", window_days=days) for days in (7, 30, 90))
    yield DecayedSum("any", scope="account", half_life_days=14)
    yield Recency("any", scope="account")


def _has_accounts(tables: Tables, as_of_us: int) -> bool:
    leads = tables.table("leads")
    leads = leads.filter(leads.account_id.notnull() & (leads.created_us <= as_of_us))
    sizes = leads.group_by("account_id").aggregate(size=leads.count())
    largest = sizes["size"].max().to_pyarrow().as_py()
    return largest is not None and int(largest) > 1


def _has_stage(tables: Tables, stage: str, as_of_us: int) -> bool:
    stages = tables.table("stages")
    found = stages.filter((stages.stage == stage) & (stages.recorded_us <= as_of_us)).count().to_pyarrow().as_py()
    return int(found) >= MIN_LEVEL_ROWS


def _attribute_features(tables: Tables, attributes: ir.Table) -> Iterator[Feature]:
    for attribute in tables.used_attributes:
        if attribute.type != "text":
            yield AttributeNumber(attribute.name)
            continue
        levels = (
            attributes.filter(attributes[attribute.name].notnull())
            .group_by(level=attributes[attribute.name])
            .aggregate(rows=lambda t: t.count())
            .order_by(ibis.desc("rows"), "level")
            .limit(MAX_LEVELS + 1)
            .to_pyarrow()
            .to_pylist()
        )
        frequent = tuple(row["level"] for row in levels if row["rows"] >= MIN_LEVEL_ROWS)[:MAX_LEVELS]
        if not frequent:
            continue
        yield from (AttributeIs(attribute.name, level) for level in frequent)
        if len(levels) > len(frequent):
            yield AttributeOther(attribute.name, frequent)
        yield AttributeMissing(attribute.name)
