"""Both computations of every feature, held to each other and to what was known, over drawn histories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crm.errors import TableError
from crm.known import to_micros
from crm.store import Tables
from features import spec
from features.build import build_features
from features.feature import Feature
from features.history import known_lead, known_leads
from features.known import DAY_US, Arrivals, KnownLead
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
from features.touch_features import ActiveDaysIn, CountIn, DistinctIn, SessionsIn, ValueIn
from features.touch_times import DecayedSum, Recency, Velocity
from tests.histories import (
    COLUMNS,
    DAY,
    MICROSECOND,
    START,
    History,
    Row,
    Rows,
    moments_of,
    several,
    tables_of,
    together,
)

CHECKS = list(HealthCheck)
PARITY = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=CHECKS)
INVARIANCE = settings(PARITY, max_examples=4)
TOLERANCE = 1e-9
LABELS = (("any", ()), ("visit", ("visit",)), ("other", ("visit", "email_open")))
CLOCKS = {"leads": "created_at", "touches": "happened_at", "stages": "entered_at"}

Pairs = list[tuple[str, int]]


def every_feature() -> Iterator[Feature]:
    for scope in ("own", "account"):
        for label, kinds in LABELS:
            for days in (0, 1, 7, 30):
                yield CountIn(label, kinds, scope, days)
            for windowed in (ActiveDaysIn, DistinctIn, SessionsIn, ValueIn):
                yield windowed(label, kinds, scope, 0)
                yield windowed(label, kinds, scope, 7)
            yield Recency(label, kinds, scope)
            yield DecayedSum(label, kinds, scope, 3)
            yield DecayedSum(label, kinds, scope, 60)
            yield Velocity(label, kinds, scope)
    yield from (LeadAge(), AccountLeads(), StageAge("mql"), StageAge("recycled"))
    # One that no table has any more, one that became text, one that became a number.
    for number in ("employees", "newsletter", "seats", "gone", "industry"):
        yield AttributeNumber(number)
    for text in ("industry", "region", "plan", "source", "gone", "newsletter"):
        yield AttributeIs(text, {"industry": "Software", "newsletter": "true"}.get(text, "east"))
        yield AttributeIs(text, "日本語")
        yield AttributeOther(text, ("Software", "gold", "east"))
        yield AttributeMissing(text)


EVERY = FeatureSet(tuple(every_feature()))
SOME = FeatureSet(
    tuple(
        feature
        for feature in EVERY.features
        if getattr(feature, "label", "any") == "any" and getattr(feature, "window_days", 0) in (0, 7)
    )
)


def pairs_of(history: History) -> Pairs:
    return [(lead, to_micros(moment)) for lead in history.ids for moment in history.as_of]


def pairs_at(history: History, number: int) -> Pairs:
    return [(lead, to_micros(history.as_of[number])) for lead in history.ids]


def batch(tables: Tables, pairs: Pairs, features: FeatureSet) -> NDArray[np.float64]:
    return build_features(tables, moments_of(pairs), features)


def memory(tables: Tables, pairs: Pairs, features: FeatureSet) -> NDArray[np.float64]:
    """Compute leads together, each at its own moment, and hold that to each of them alone."""
    leads = known_leads(tables, {lead for lead, _ in pairs})
    all_at_once = features.rows([leads[lead] for lead, _ in pairs], np.array([moment for _, moment in pairs]))
    alone = np.array([features.row(leads[lead], moment) for lead, moment in pairs])
    np.testing.assert_allclose(all_at_once, alone, rtol=1e-12, atol=0)
    return all_at_once


def difference(left: NDArray[np.float64], right: NDArray[np.float64], pairs: Pairs, features: FeatureSet) -> str:
    """Say where two matrices differ; empty when they do not."""
    differs = np.argwhere(~np.isclose(left, right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
    if not len(differs):
        return ""
    row, column = (int(number) for number in differs[0])
    return f"{features.names[column]} of {pairs[row]}: {left[row, column]} against {right[row, column]}"


def both(rows: Rows, pairs: Pairs, features: FeatureSet = SOME) -> NDArray[np.float64]:
    """Compute the features both ways, hold them to each other and return them."""
    with tables_of(rows, **COLUMNS) as tables:
        many, one = batch(tables, pairs, features), memory(tables, pairs, features)
    assert difference(many, one, pairs, features) == "", "batch against memory"
    return many


def one_feature(rows: Rows, feature: Feature, lead: str, moments: Sequence[datetime]) -> list[float]:
    pairs = [(lead, to_micros(moment)) for moment in moments]
    return both(rows, pairs, FeatureSet((feature,)))[:, 0].tolist()


def known_rows(rows: Rows, as_of: datetime) -> dict[str, list[Row]]:
    """Delete whatever was not known at a moment: L1 of methods 1.5."""
    return {name: [row for row in table if _is_known(name, row, as_of)] for name, table in rows.items()}


def _is_known(name: str, row: Row, as_of: datetime) -> bool:
    recorded = row.get("recorded_at") or row.get(CLOCKS.get(name, "recorded_at"))
    if name == "leads":
        return row["created_at"] <= as_of
    if name in CLOCKS:
        return row[CLOCKS[name]] < as_of and recorded <= as_of
    return recorded <= as_of


def test_every_kind_of_feature_is_compared() -> None:
    assert {type(feature).__name__ for feature in EVERY.features} == set(spec._KINDS_OF_FEATURE)
    assert {getattr(feature, "scope", "own") for feature in EVERY.features} == {"own", "account"}


@PARITY
@given(several(6))
def test_batch_and_memory_agree(many: list[History]) -> None:
    both(together(history.rows for history in many), [pair for history in many for pair in pairs_of(history)], EVERY)


@INVARIANCE
@given(several(6))
def test_rows_that_were_not_known_change_nothing(many: list[History]) -> None:
    """L1: delete what was not known at a moment."""
    kept = [known_rows(history.rows, history.as_of[1]) for history in many]
    living = {row["lead_id"] for rows in kept for row in rows["leads"]}
    pairs = [pair for history in many for pair in pairs_at(history, 1) if pair[0] in living]
    if pairs:
        left, right = both(together(history.rows for history in many), pairs), both(together(kept), pairs)
        assert difference(left, right, pairs, SOME) == ""


@INVARIANCE
@given(several(6), st.sampled_from((timedelta(0), MICROSECOND, timedelta(seconds=1), DAY)))
def test_absurd_rows_of_the_future_change_nothing(many: list[History], later: timedelta) -> None:
    """L2: add what happened at a moment or later, and what was recorded after it."""
    pairs = [pair for history in many for pair in pairs_at(history, 1)]
    known = together(history.rows for history in many)
    absurd = together([known, *(absurd_rows(history, history.as_of[1], later) for history in many)])
    assert difference(both(known, pairs), both(absurd, pairs), pairs, SOME) == ""


def absurd_rows(history: History, as_of: datetime, later: timedelta) -> dict[str, list[Row]]:
    happened = as_of + later
    recorded = {"recorded_at": max(happened, as_of + MICROSECOND)}
    accounts = sorted({row["account_id"] for row in history.rows["leads"]} - {None})
    ids = history.ids
    touch = {"kind": "visit", "value": 1e9, "content_id": "absurd"}
    return {
        "leads": [
            {"lead_id": f"new {account}", "created_at": recorded["recorded_at"], "account_id": account, "industry": "?"}
            for account in accounts
        ],
        "lead_changes": [
            {"lead_id": lead, "field": name, "value": "1e9", **recorded}
            for lead in ids
            for name in ("industry", "employees")
        ],
        "lead_merges": [
            {"from_lead_id": one, "into_lead_id": two, **recorded}
            for one, two in zip(ids, (*ids[1:], "ghost"), strict=True)
        ],
        "touches": [
            *({"lead_id": lead, "happened_at": happened, **touch} for lead in ids),
            *({"lead_id": lead, "happened_at": as_of - DAY, **touch, **recorded} for lead in ids),
        ],
        "stages": [
            {"lead_id": lead, "stage": stage, "entered_at": entered, **recorded}
            for lead in ids
            for stage in ("mql", "recycled", "closed_won")
            for entered in (happened, as_of - MICROSECOND)
        ],
    }


@INVARIANCE
@given(several(6), st.sampled_from((MICROSECOND, DAY, 9 * DAY)))
def test_rows_that_are_recorded_later_are_known_later(many: list[History], delay: timedelta) -> None:
    """L3: with every recording delayed, a moment knows what was recorded by the moment before the delay."""
    pairs = [pair for history in many for pair in pairs_at(history, -1)]
    shifted = together(delayed(history, delay, forget=False) for history in many)
    forgotten = together(delayed(history, delay, forget=True) for history in many)
    assert difference(both(shifted, pairs), both(forgotten, pairs), pairs, SOME) == ""


def delayed(history: History, delay: timedelta, *, forget: bool) -> dict[str, list[Row]]:
    """Delay every recording, or forget what would be recorded too late and leave the rest at its time."""
    rows: dict[str, list[Row]] = {"leads": list(history.rows["leads"])}
    for name in ("lead_changes", "lead_merges", "touches", "stages"):
        clock = CLOCKS.get(name, "recorded_at")
        timed = [(row, row["recorded_at"] or row[clock]) for row in history.rows[name]]
        if forget:
            rows[name] = [row for row, time in timed if time + delay <= history.as_of[-1]]
        else:
            rows[name] = [{**row, "recorded_at": time + delay} for row, time in timed]
    return rows


class TestMerges:
    """L10 of methods 1.5: a merge counts from its recording on, for the lead and for its colleagues."""

    touch: ClassVar[Any] = {"happened_at": START + DAY, "kind": "visit"}
    rows: ClassVar[Any] = {
        "leads": [
            {"lead_id": "keep", "created_at": START, "account_id": "A"},
            {"lead_id": "gone", "created_at": START, "account_id": "A"},
            {"lead_id": "peer", "created_at": START, "account_id": "A"},
        ],
        "lead_merges": [{"from_lead_id": "gone", "into_lead_id": "keep", "recorded_at": START + 10 * DAY}],
        "touches": [{"lead_id": "gone", **touch}, {"lead_id": "gone", **touch}, {"lead_id": "keep", **touch}],
    }
    before, at = START + 10 * DAY - MICROSECOND, START + 10 * DAY

    def test_touches_of_the_merged_lead_become_own(self) -> None:
        assert one_feature(self.rows, CountIn("any"), "keep", [self.before, self.at]) == [1, 3]

    def test_and_stop_being_the_accounts_at_the_same_moment(self) -> None:
        count = CountIn("any", scope="account")
        assert one_feature(self.rows, count, "keep", [self.before, self.at]) == [2, 0]
        assert one_feature(self.rows, count, "peer", [self.before, self.at]) == [3, 3]

    def test_one_person_is_one_lead_of_the_account(self) -> None:
        assert one_feature(self.rows, AccountLeads(), "keep", [self.before, self.at]) == [2, 1]
        assert one_feature(self.rows, AccountLeads(), "peer", [self.before, self.at]) == [2, 1]

    def test_touches_of_a_lead_that_the_crm_no_longer_lists_count_from_the_merge_on(self) -> None:
        rows = {**self.rows, "leads": [row for row in self.rows["leads"] if row["lead_id"] != "gone"]}
        assert one_feature(rows, CountIn("any"), "keep", [self.before, self.at]) == [1, 3]
        assert one_feature(rows, CountIn("any", scope="account"), "peer", [self.before, self.at]) == [1, 3]

    def test_a_chain_is_known_with_its_last_link(self) -> None:
        links = (("first", "gone", 20), ("gone", "keep", 10))
        merges = [
            {"from_lead_id": one, "into_lead_id": two, "recorded_at": START + days * DAY} for one, two, days in links
        ]
        touches = [*self.rows["touches"], {"lead_id": "first", **self.touch}]
        rows = {**self.rows, "lead_merges": merges, "touches": touches}
        moments = [START + days * DAY - step for days in (10, 20) for step in (MICROSECOND, timedelta(0))]
        assert one_feature(rows, CountIn("any"), "keep", moments) == [1, 3, 3, 4]

    def test_a_circle_of_merges_ends(self) -> None:
        back = {"from_lead_id": "keep", "into_lead_id": "gone", "recorded_at": START + 12 * DAY}
        rows = {**self.rows, "lead_merges": [*self.rows["lead_merges"], back]}
        assert one_feature(rows, CountIn("any"), "keep", [START + 15 * DAY]) == [3]
        assert one_feature(rows, CountIn("any"), "gone", [START + 11 * DAY, START + 15 * DAY]) == [2, 3]

    def test_the_attributes_of_the_merged_lead_stay_its_own(self) -> None:
        leads = [{**row, "region": "east" if row["lead_id"] == "gone" else None} for row in self.rows["leads"]]
        rows = {**self.rows, "leads": leads}
        assert one_feature(rows, AttributeMissing("region"), "keep", [self.before, self.at]) == [1, 1]


class TestEdges:
    """Moments at which something is, or is not yet, known."""

    lead: ClassVar[Any] = {"lead_id": "a", "created_at": START, "account_id": "A"}
    moments: ClassVar[Any] = [START + DAY - MICROSECOND, START + DAY, START + DAY + MICROSECOND]

    def test_a_touch_is_known_after_it_happened_and_from_its_recording_on(self) -> None:
        touch = {"lead_id": "a", "happened_at": START + DAY, "kind": "visit"}
        rows = {"leads": [self.lead], "touches": [touch]}
        assert one_feature(rows, CountIn("any"), "a", self.moments) == [0, 0, 1]
        late = {"leads": [self.lead], "touches": [{**touch, "happened_at": START, "recorded_at": START + DAY}]}
        assert one_feature(late, CountIn("any"), "a", self.moments) == [0, 1, 1]

    def test_only_what_leads_do_counts(self) -> None:
        touches = [
            {"lead_id": "a", "happened_at": START, "kind": "call", "actor": actor}
            for actor in ("lead", "sales", "system", "bot", None)
        ]
        rows = {"leads": [self.lead], "touches": touches}
        assert one_feature(rows, CountIn("any"), "a", [START + DAY]) == [2]

    def test_a_colleague_is_known_from_creation_on_and_so_are_its_earlier_touches(self) -> None:
        other = {"lead_id": "b", "created_at": START + DAY, "account_id": "A"}
        rows = {"leads": [self.lead, other], "touches": [{"lead_id": "b", "happened_at": START, "kind": "visit"}]}
        assert one_feature(rows, AccountLeads(), "a", self.moments) == [0, 1, 1]
        assert one_feature(rows, CountIn("any", scope="account"), "a", self.moments) == [0, 1, 1]

    def test_a_change_is_known_from_its_recording_on_and_may_empty_a_field(self) -> None:
        change = {"lead_id": "a", "field": "region", "value": None, "recorded_at": START + DAY}
        rows = {"leads": [{**self.lead, "region": "east"}], "lead_changes": [change]}
        assert one_feature(rows, AttributeIs("region", "east"), "a", self.moments) == [1, 0, 0]
        assert one_feature(rows, AttributeMissing("region"), "a", self.moments) == [0, 1, 1]

    def test_a_window_holds_its_border(self) -> None:
        rows = {"leads": [self.lead], "touches": [{"lead_id": "a", "happened_at": START, "kind": "visit"}]}
        moments = [START + 7 * DAY, START + 7 * DAY + MICROSECOND]
        assert one_feature(rows, CountIn("any", window_days=7), "a", moments) == [1, 0]

    @pytest.mark.parametrize(("minutes", "sessions"), [(30, 1), (30.0001, 2)])
    def test_a_session_ends_after_more_than_half_an_hour(self, minutes: float, sessions: int) -> None:
        times = [START, START, START + timedelta(minutes=minutes)]
        touches = [{"lead_id": "a", "happened_at": time, "kind": "visit"} for time in times]
        rows = {"leads": [self.lead], "touches": touches}
        assert one_feature(rows, SessionsIn("any"), "a", [START + DAY]) == [sessions]

    def test_a_session_is_begun_by_every_kind_of_its_first_moment(self) -> None:
        kinds = ("visit", "download")
        touches = [{"lead_id": "a", "happened_at": START, "kind": kind} for kind in kinds]
        rows = {"leads": [self.lead], "touches": touches}
        for kind in kinds:
            assert one_feature(rows, SessionsIn(kind, (kind,)), "a", [START + DAY]) == [1]

    def test_an_unknown_lead_has_no_history(self) -> None:
        with tables_of({"leads": [self.lead]}) as tables, pytest.raises(TableError, match="no lead 'x'"):
            known_lead(tables, "x")

    def test_tables_that_the_workspace_lacks_leave_nothing(self) -> None:
        with tables_of({"leads": [self.lead]}) as tables:
            lead = known_lead(tables, "a")
        assert lead.touches.happened_us.size == 0
        assert lead.account_leads_us == ()

    def test_who_does_not_know_the_account_leaves_its_features_missing(self) -> None:
        features = FeatureSet((CountIn("any", scope="account"), AccountLeads(), CountIn("any")))
        lead = KnownLead(0, {}, account_touches=None, account_leads_us=None, touches=Arrivals.of([1]))
        assert features.row(lead, 5).tolist() == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)

    def test_and_those_of_the_leads_beside_it_are_not(self) -> None:
        features = FeatureSet((CountIn("any", scope="account"), AccountLeads(), Recency("any", scope="account")))
        unknown = KnownLead(0, {}, account_touches=None, account_leads_us=None)
        known = KnownLead(0, {}, account_touches=Arrivals.of([1, 3]), account_leads_us=(2,))
        rows = features.rows([known, unknown, known], np.array([3, 3, 4]))
        expected = [[1, 1, 2 / DAY_US], [np.nan] * 3, [2, 1, 1 / DAY_US]]
        np.testing.assert_allclose(rows, expected)
