"""What became of a lead, against the definition written out in plain Python, and its edges one by one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.config import OutcomeConfig
from crm.known import from_micros, to_micros
from crm.outcomes import (
    ENDING_STAGES,
    SQL_STAGES,
    Labels,
    Observation,
    label_moments,
    newest_moment,
    observation,
    outcome_events,
    risk_spells,
)
from crm.store import Tables
from crm.tables import STAGES
from tests.histories import DAY, MICROSECOND, NOW, START, Row, Rows, moments_of, tables_of, together

SETTINGS = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
HOUR = timedelta(hours=1)
LEAD = {"lead_id": "a", "created_at": START, "account_id": "A"}
SEEN = Observation(None, NOW, NOW)
MOMENTS = [START + number * 5 * DAY + step for number in range(5) for step in (-MICROSECOND, timedelta(0), MICROSECOND)]


def labels_of(
    tables: Tables,
    pairs: list[tuple[str, datetime]],
    outcome: Literal["sql", "won"],
    days: float = 10,
    seen: Observation = SEEN,
) -> Labels:
    moments = moments_of((lead, to_micros(moment)) for lead, moment in pairs)
    events = outcome_events(tables, seen.as_of)
    return label_moments(tables, moments, events, seen, outcome=outcome, horizon_days=days)


def happened(
    rows: Rows, outcome: Literal["sql", "won"], moments: list[datetime], lead: str = "a", **how: Any
) -> list[bool]:
    with tables_of(rows) as tables:
        return labels_of(tables, [(lead, moment) for moment in moments], outcome, **how).happened.tolist()


@st.composite
def funnels(draw: st.DrawFn) -> dict[str, list[Row]]:
    """Draw leads with every outcome table, versions and merges; every row is good."""
    pick, moment = st.sampled_from, st.sampled_from(MOMENTS)
    ids = [f"L{number}" for number in range(draw(st.integers(2, 4)))]
    lead = pick(ids)
    late = pick((timedelta(0), MICROSECOND, 5 * DAY))
    rows: dict[str, list[Row]] = {
        "leads": [
            {"lead_id": name, "created_at": START - draw(pick((0, 1, -6))) * DAY, "account_id": draw(pick(("A", None)))}
            for name in ids
        ]
    }
    stages = draw(st.lists(st.tuples(lead, pick(STAGES), moment, late), max_size=6, unique_by=lambda row: row[:3]))
    rows["stages"] = [
        {"lead_id": name, "stage": stage, "entered_at": at, "recorded_at": at + wait}
        for name, stage, at, wait in stages
    ]
    merges = draw(st.lists(st.tuples(lead, lead, moment).filter(lambda row: row[0] != row[1]), max_size=2,
                           unique_by=lambda row: (row[0], row[2])))  # fmt: skip
    rows["lead_merges"] = [{"from_lead_id": a, "into_lead_id": b, "recorded_at": at} for a, b, at in merges]
    if draw(st.booleans()):
        rows["opportunities"] = []
        for number in range(draw(st.integers(0, 4))):
            owner = {"lead_id": draw(lead)} if draw(st.booleans()) else {"account_id": "A"}
            created, closed = sorted((draw(moment), draw(moment)))
            versions = draw(st.lists(st.tuples(moment, st.booleans(), pick((None, 5.0, 80.0))), min_size=1, max_size=3,
                                     unique_by=lambda row: row[0]))  # fmt: skip
            for at, is_won, amount in versions:
                rows["opportunities"].append(
                    {"opportunity_id": f"o{number}", "created_at": created, "closed_at": closed if is_won else None,
                     "is_won": is_won or None, "amount": amount, "recorded_at": max(at, created), **owner}
                )  # fmt: skip
        rows["opportunities"] = list(
            {(row["opportunity_id"], row["recorded_at"]): row for row in rows["opportunities"]}.values()
        )
    if draw(st.booleans()):
        hand_offs = draw(st.lists(st.tuples(lead, moment), max_size=3))
        rows["hand_offs"] = [
            {"hand_off_id": f"h{number}", "lead_id": name, "handed_off_at": at, "recorded_at": at}
            for number, (name, at) in enumerate(hand_offs)
        ]
    return rows


class Plain:
    """The definition of outcomes and spells, written out for one small workspace."""

    def __init__(self, rows: Rows, as_of: datetime) -> None:
        self.leads = {row["lead_id"]: row for row in rows["leads"]}
        self.as_of = as_of
        self.has_deals = "opportunities" in rows
        self.rows = {
            name: [row for row in rows.get(name, []) if row["recorded_at"] <= as_of]
            for name in ("stages", "lead_merges", "opportunities", "hand_offs")
        }
        self.events = [event for one in self._events() for event in self._of_the_person(one)]

    def _events(self) -> list[tuple[str, str, datetime, float | None]]:
        found = [
            (row["lead_id"], "sql", row["entered_at"], None)
            for row in self.rows["stages"]
            if row["stage"] in SQL_STAGES
        ]
        if not self.has_deals:
            won = [row for row in self.rows["stages"] if row["stage"] == "closed_won"]
            return found + [(row["lead_id"], "won", row["entered_at"], None) for row in won]
        newest: dict[str, Row] = {}
        for row in sorted(self.rows["opportunities"], key=lambda row: row["recorded_at"]):
            newest[row["opportunity_id"]] = row
        for row in newest.values():
            owners = [row["lead_id"]] if row.get("lead_id") else [
                name for name, lead in self.leads.items()
                if lead["account_id"] == row["account_id"] and lead["created_at"] < row["created_at"]
            ]  # fmt: skip
            for name in owners:
                found.append((name, "sql", row["created_at"], None))
                if row["is_won"]:
                    closed = row["closed_at"] or row["recorded_at"]
                    amount = None if row["amount"] is None else row["amount"] / len(owners)
                    found += [(name, "sql", closed, None), (name, "won", closed, amount)]
        return found

    def person(self, lead: str) -> set[str]:
        found = {lead}
        while True:
            more = {end for row in self.rows["lead_merges"] for end in (row["from_lead_id"], row["into_lead_id"])
                    if found & {row["from_lead_id"], row["into_lead_id"]}}  # fmt: skip
            if more <= found:
                return found
            found |= more

    def _of_the_person(
        self, event: tuple[str, str, datetime, float | None]
    ) -> list[tuple[str, str, datetime, float | None]]:
        return [(name, *event[1:]) for name in self.person(event[0])]

    def label(self, lead: str, outcome: str, moment: datetime, horizon: timedelta) -> tuple[bool, float]:
        inside = [
            event for event in self.events if event[:2] == (lead, outcome) and moment <= event[2] < moment + horizon
        ]
        amounts = [event[3] for event in inside if event[3] is not None]
        return bool(inside), sum(amounts) if amounts else (np.nan if inside else 0.0)

    def spells(self, lead: str) -> list[tuple[datetime, datetime | None]]:
        mine = [row for row in self.rows["stages"] if row["lead_id"] == lead]
        ends = [event[2] for event in self.events if event[0] == lead]
        ends += [*self._own_ends(lead), *self._leaving(lead).values(), *self._inherited(lead)]
        created = self.leads[lead]["created_at"]
        recycled = [row["entered_at"] for row in mine if row["stage"] == "recycled"]
        spells = [(created, min((end for end in ends if end >= created), default=None))]
        spells += [(start, min((end for end in ends if end > start), default=None)) for start in recycled]
        kept: dict[datetime | None, tuple[datetime, datetime | None]] = {}
        for start, end in sorted(spells, key=lambda spell: spell[0]):
            kept.setdefault(end, (start, end))
        return sorted(kept.values(), key=lambda spell: spell[0])

    def _own_ends(self, lead: str) -> list[datetime]:
        mine = [row for row in self.rows["stages"] if row["lead_id"] == lead and row["stage"] in ENDING_STAGES]
        handed_off = [row["handed_off_at"] for row in self.rows["hand_offs"] if row["lead_id"] == lead]
        return [*(row["entered_at"] for row in mine), *handed_off]

    def _inherited(self, lead: str) -> list[datetime]:
        """Return the merges by which a lead that sales had came in, and when sales took such leads after that."""
        found: list[datetime] = []
        for other in self.leads:
            merged = self._leaving(other).get(lead)
            if merged is None:
                continue
            ends = self._own_ends(other)
            back = [r["entered_at"] for r in self.rows["stages"] if (r["lead_id"], r["stage"]) == (other, "recycled")]
            last_end, last_back = (max((at for at in ats if at <= merged), default=None) for ats in (ends, back))
            if last_end is not None and (last_back is None or last_end > last_back):
                found.append(merged)
            found += [at for at in ends if at > merged]
        return found

    def _leaving(self, lead: str) -> dict[str, datetime]:
        """Return when the lead was merged into each other one, chains followed."""
        found: dict[str, datetime] = {}
        waiting = [(lead, START - 1000 * DAY)]
        while waiting:
            here, known = waiting.pop()
            for row in self.rows["lead_merges"]:
                if row["from_lead_id"] == here and row["into_lead_id"] != lead:
                    at, into = max(known, row["recorded_at"]), row["into_lead_id"]
                    if into not in found or at < found[into]:
                        found[into] = at
                        waiting.append((into, at))
        return found


@SETTINGS
@given(
    funnels(), st.sampled_from([*MOMENTS[6:], NOW]), st.sampled_from([HOUR, 5 * DAY, 5 * DAY + MICROSECOND, 90 * DAY])
)
def test_labels_and_spells_are_as_written_out(rows: dict[str, list[Row]], as_of: datetime, horizon: timedelta) -> None:
    plain = Plain(rows, as_of)
    pairs = [(lead, moment) for lead in plain.leads for moment in MOMENTS]
    days = horizon / DAY
    with tables_of(rows) as tables:
        assert tables.quarantine().num_rows == 0
        for outcome in ("sql", "won"):
            found = labels_of(tables, pairs, outcome, days, Observation(None, as_of, as_of))
            expected = [plain.label(lead, outcome, moment, horizon) for lead, moment in pairs]
            assert found.happened.tolist() == [label for label, _ in expected]
            np.testing.assert_allclose(found.amount, [amount for _, amount in expected])
        spells = risk_spells(tables, as_of)
    for lead, row in plain.leads.items():
        mine = spells[spells["lead_id"] == lead]
        found = [
            (from_micros(start), None if np.isnan(end) else from_micros(end))
            for start, end in zip(mine["start_us"], mine["end_us"], strict=True)
        ]
        assert found == (plain.spells(lead) if row["created_at"] <= as_of else [])


@SETTINGS
@given(funnels(), st.sampled_from(MOMENTS[6:]))
def test_what_was_recorded_later_does_not_exist(rows: dict[str, list[Row]], as_of: datetime) -> None:
    known = {name: [row for row in table if row.get("recorded_at", START) <= as_of] for name, table in rows.items()}
    with tables_of(rows) as all_tables, tables_of(known) as known_tables:
        for answer in (outcome_events, risk_spells):
            left, right = answer(all_tables, as_of), answer(known_tables, as_of)
            order = [column for column in left.columns if column != "amount"]
            left, right = (frame.sort_values(order).reset_index(drop=True) for frame in (left, right))
            pd.testing.assert_frame_equal(left, right, check_dtype=False)


@SETTINGS
@given(funnels())
def test_a_win_is_an_sql_and_horizons_add_up(rows: dict[str, list[Row]]) -> None:
    with tables_of(rows) as tables:
        pairs = [(row["lead_id"], moment) for row in rows["leads"] for moment in MOMENTS]
        later = [(lead, moment + 5 * DAY) for lead, moment in pairs]
        sql, won = (labels_of(tables, pairs, outcome, 5) for outcome in ("sql", "won"))
        assert not (won.happened & ~sql.happened).any()
        whole, rest = labels_of(tables, pairs, "won", 12), labels_of(tables, later, "won", 7)
        assert (whole.happened == (won.happened | rest.happened)).all()
        assert (np.nan_to_num(whole.amount) >= np.nan_to_num(won.amount)).all()


@SETTINGS
@given(funnels())
def test_an_accounts_deal_is_paid_once_among_those_who_were_not_merged_away(rows: dict[str, list[Row]]) -> None:
    deal = {"opportunity_id": "shared", "account_id": "A", "created_at": MOMENTS[-1], "closed_at": MOMENTS[-1] + DAY,
            "is_won": True, "amount": 100.0, "recorded_at": MOMENTS[-1] + DAY}  # fmt: skip
    plain = Plain({**rows, "opportunities": [deal]}, NOW)
    with tables_of({**rows, "opportunities": [deal]}) as tables:
        events = outcome_events(tables, NOW)
    paid = events[events["outcome"] == "won"].groupby("lead_id")["amount"].sum()
    people = {frozenset(plain.person(lead)) for lead in plain.leads} if len(paid) else set()
    assert sum(float(paid.get(min(person), 0.0)) for person in people) == pytest.approx(100.0 if len(paid) else 0.0)


class TestHorizon:
    rows: ClassVar[Any] = {
        "leads": [LEAD],
        "stages": [{"lead_id": "a", "stage": "sql", "entered_at": START + 10 * DAY}],
    }

    def test_it_is_half_open(self) -> None:
        moments = [START - MICROSECOND, START, START + MICROSECOND, START + 10 * DAY, START + 10 * DAY + MICROSECOND]
        assert happened(self.rows, "sql", moments) == [False, False, True, True, False]

    def test_a_fraction_of_a_day_counts_too(self) -> None:
        moments = [START + 10 * DAY - HOUR, START + 10 * DAY - 2 * HOUR]
        assert happened(self.rows, "sql", moments, days=1.5 / 24) == [True, False]

    def test_the_first_outcome_after_the_moment_counts_not_an_earlier_one(self) -> None:
        rows = together([self.rows, {"stages": [{"lead_id": "a", "stage": "sql", "entered_at": START + 30 * DAY}]}])
        assert happened(rows, "sql", [START + 11 * DAY, START + 25 * DAY]) == [False, True]

    def test_a_mature_label_has_its_whole_horizon_inside_the_observed_span(self) -> None:
        seen = Observation(START + DAY, START + 20 * DAY, NOW)
        moments = [START, START + DAY, START + 10 * DAY, START + 10 * DAY + MICROSECOND]
        with tables_of(self.rows) as tables:
            found = labels_of(tables, [("a", moment) for moment in moments], "sql", seen=seen)
        assert found.is_mature.tolist() == [False, True, True, False]
        assert [seen.is_mature(moment, 10 * DAY) for moment in moments] == found.is_mature.tolist()


class TestSql:
    @pytest.mark.parametrize("stage", STAGES)
    def test_skipped_stages_count_as_passed(self, stage: str) -> None:
        rows = {"leads": [LEAD], "stages": [{"lead_id": "a", "stage": stage, "entered_at": START + DAY}]}
        assert happened(rows, "sql", [START]) == [stage in ("sql", "opportunity", "closed_won")]
        assert happened(rows, "won", [START]) == [stage == "closed_won"]

    def test_an_opportunity_is_an_sql_from_its_creation_and_again_when_it_is_won(self) -> None:
        deal = {
            "opportunity_id": "o",
            "lead_id": "a",
            "created_at": START + DAY,
            "closed_at": START + 20 * DAY,
            "is_won": True,
        }
        rows = {"leads": [LEAD], "opportunities": [deal]}
        assert happened(rows, "sql", [START, START + 2 * DAY, START + 15 * DAY]) == [True, False, True]
        assert happened(rows, "won", [START, START + 15 * DAY]) == [False, True]


class TestOpportunities:
    deal: ClassVar[Any] = {"opportunity_id": "o", "lead_id": "a", "created_at": START, "amount": 10.0, "is_won": True,
            "closed_at": START + DAY, "recorded_at": START + DAY}  # fmt: skip

    def wins(self, *deals: Row, **rows: list[Row]) -> list[tuple[str, float]]:
        leads = rows.pop("leads", [LEAD])
        with tables_of({"leads": leads, "opportunities": list(deals), **rows}) as tables:
            events = outcome_events(tables, NOW)
        won = events[events["outcome"] == "won"].sort_values("lead_id")
        return list(zip(won["lead_id"], won["amount"].tolist(), strict=True))

    def test_they_rule_over_stages(self) -> None:
        stages = [{"lead_id": "a", "stage": "closed_won", "entered_at": START + DAY}]
        lost = {**self.deal, "is_won": False}
        assert self.wins(lost, stages=stages) == []
        assert self.wins(self.deal, stages=stages) == [("a", 10.0)]

    def test_the_newest_version_counts_even_where_it_empties_a_value(self) -> None:
        later = {**self.deal, "recorded_at": START + 2 * DAY}
        assert self.wins(self.deal, {**later, "amount": 7.0}) == [("a", 7.0)]
        assert self.wins(self.deal, {**later, "is_won": None, "closed_at": None}) == [], "reopened"
        assert self.wins({**later, "amount": 7.0}, self.deal) == [("a", 7.0)], "whatever the order of rows"

    def test_a_version_is_known_from_its_recording_on(self) -> None:
        with tables_of({"leads": [LEAD], "opportunities": [self.deal]}) as tables:
            assert len(outcome_events(tables, START + DAY - MICROSECOND)) == 0
            assert len(outcome_events(tables, START + DAY)) == 3

    def test_a_win_without_closing_time_was_won_when_it_was_recorded(self) -> None:
        rows = {"leads": [LEAD], "opportunities": [{**self.deal, "closed_at": None, "recorded_at": START + 3 * DAY}]}
        assert happened(rows, "won", [START + 3 * DAY, START + 3 * DAY + MICROSECOND]) == [True, False]

    def test_an_account_shares_a_deal_among_the_leads_created_before_it(self) -> None:
        leads = [
            {"lead_id": name, "created_at": START + days * DAY, "account_id": account}
            for name, days, account in (("a", -1, "A"), ("b", -2, "A"), ("c", 0, "A"), ("d", -1, "B"))
        ]
        deal = {**self.deal, "lead_id": None, "account_id": "A"}
        assert self.wins(deal, leads=leads) == [("a", 5.0), ("b", 5.0)]
        assert self.wins({**deal, "lead_id": "d"}, leads=leads) == [("d", 10.0)], "its own lead comes first"
        assert self.wins({**deal, "account_id": "none"}, leads=leads) == []

    def test_amounts_of_several_wins_add_up_and_an_unknown_amount_is_missing(self) -> None:
        other = {**self.deal, "opportunity_id": "p", "amount": None}
        with tables_of(
            {"leads": [LEAD], "opportunities": [self.deal, other, {**self.deal, "opportunity_id": "q"}]}
        ) as tables:
            assert labels_of(tables, [("a", START)], "won").amount.tolist() == [20.0]
        with tables_of({"leads": [LEAD], "opportunities": [other]}) as tables:
            found = labels_of(tables, [("a", START), ("a", START + 2 * DAY)], "won")
        assert found.happened.tolist() == [True, False]
        np.testing.assert_equal(found.amount, [np.nan, 0.0])


class TestMerges:
    rows: ClassVar[Any] = {
        "leads": [LEAD, {**LEAD, "lead_id": "b"}, {**LEAD, "lead_id": "c"}],
        "lead_merges": [{"from_lead_id": "a", "into_lead_id": "b", "recorded_at": START + 5 * DAY}],
    }

    def test_what_a_lead_reached_after_its_conversion_counts_for_it(self) -> None:
        rows = {**self.rows, "stages": [{"lead_id": "b", "stage": "sql", "entered_at": START + 8 * DAY}]}
        assert happened(rows, "sql", [START], "a") == [True]
        assert happened(rows, "sql", [START], "b") == [True]
        assert happened(rows, "sql", [START], "c") == [False]

    def test_what_it_reached_before_counts_for_the_lead_it_went_into(self) -> None:
        rows = {**self.rows, "stages": [{"lead_id": "a", "stage": "sql", "entered_at": START + DAY}]}
        assert happened(rows, "sql", [START], "b") == [True]

    def test_a_merge_applies_from_its_recording_on(self) -> None:
        rows = {**self.rows, "stages": [{"lead_id": "b", "stage": "sql", "entered_at": START + DAY}]}
        early = START + 5 * DAY - MICROSECOND
        assert happened(rows, "sql", [START], "a", seen=Observation(None, early, early)) == [False]
        assert happened(rows, "sql", [START], "a", seen=Observation(None, START + 5 * DAY, START + 5 * DAY)) == [True]

    def test_it_ends_the_spell_of_the_lead_that_is_gone(self) -> None:
        with tables_of(self.rows) as tables:
            spells = risk_spells(tables, NOW).set_index("lead_id")["end_us"]
        assert spells["a"] == to_micros(START + 5 * DAY)
        assert spells[["b", "c"]].isna().all()

    @pytest.mark.parametrize(("given_back", "ends"), [(None, 5), (1, 5), (3, None), (4, None)])
    def test_a_lead_is_with_sales_once_one_that_sales_has_was_merged_into_it(
        self, given_back: int | None, ends: int | None
    ) -> None:
        hand_off = {"hand_off_id": "h", "lead_id": "a", "handed_off_at": START + 3 * DAY}
        back = (
            []
            if given_back is None
            else [{"lead_id": "a", "stage": "recycled", "entered_at": START + given_back * DAY}]
        )
        with tables_of({**self.rows, "hand_offs": [hand_off], **({"stages": back} if back else {})}) as tables:
            spells = risk_spells(tables, NOW).groupby("lead_id")["end_us"].min()
            before = risk_spells(tables, START + 4 * DAY).set_index("lead_id")["end_us"]
        assert np.isnan(before["b"])
        assert np.isnan(spells["c"])
        if ends is None:
            assert np.isnan(spells["b"])
        else:
            assert spells["b"] == to_micros(START + ends * DAY)

    def test_what_sales_took_under_the_old_id_after_the_merge_ends_it_then(self) -> None:
        late = {"hand_off_id": "h", "lead_id": "a", "handed_off_at": START + 8 * DAY}
        with tables_of({**self.rows, "hand_offs": [late]}) as tables:
            assert risk_spells(tables, NOW).set_index("lead_id")["end_us"]["b"] == to_micros(START + 8 * DAY)


class TestSpells:
    def spells(self, as_of: datetime = NOW, **rows: list[Row]) -> list[tuple[int, int | None]]:
        with tables_of({"leads": [LEAD], **rows}) as tables:
            found = risk_spells(tables, as_of)
        assert (found["account_id"] == "A").all()
        begin = to_micros(START)
        days = 86_400_000_000
        return [
            ((start - begin) // days, None if np.isnan(end) else int(end - begin) // days)
            for start, end in zip(found["start_us"], found["end_us"], strict=True)
        ]

    @staticmethod
    def stage(stage: str, day: int, lag: int = 0) -> Row:
        at = START + day * DAY
        return {"lead_id": "a", "stage": stage, "entered_at": at, "recorded_at": at + lag * DAY}

    def test_an_undecided_lead_is_at_risk_from_its_creation_on(self) -> None:
        assert self.spells() == [(0, None)]
        assert self.spells(as_of=START - MICROSECOND) == []

    @pytest.mark.parametrize("stage", STAGES)
    def test_a_decision_ends_it(self, stage: str) -> None:
        ends = stage not in ("mql", "recycled")
        assert self.spells(stages=[self.stage(stage, 3)]) == [(0, 3 if ends else None)]

    def test_a_hand_off_ends_it_at_its_newest_time(self) -> None:
        hand_off = {
            "hand_off_id": "h",
            "lead_id": "a",
            "handed_off_at": START + 2 * DAY,
            "recorded_at": START + 2 * DAY,
        }
        corrected = {**hand_off, "handed_off_at": START + 4 * DAY, "recorded_at": START + 5 * DAY}
        assert self.spells(hand_offs=[hand_off]) == [(0, 2)]
        assert self.spells(hand_offs=[hand_off, corrected]) == [(0, 4)]
        assert self.spells(hand_offs=[hand_off, corrected], as_of=START + 3 * DAY) == [(0, 2)]

    def test_a_recycled_lead_is_at_risk_again(self) -> None:
        stages = [self.stage("sql", 2), self.stage("recycled", 5), self.stage("accepted", 9)]
        assert self.spells(stages=stages) == [(0, 2), (5, 9)]
        assert self.spells(stages=[*stages, self.stage("recycled", 12)]) == [(0, 2), (5, 9), (12, None)]

    def test_recycling_an_open_lead_changes_nothing(self) -> None:
        assert self.spells(stages=[self.stage("recycled", 5), self.stage("sql", 9)]) == [(0, 9)]

    def test_a_lead_disqualified_and_recycled_on_one_day_is_at_risk_again(self) -> None:
        assert self.spells(stages=[self.stage("disqualified", 5), self.stage("recycled", 5)]) == [(0, 5), (5, None)]

    def test_a_decision_at_creation_is_a_spell_of_one_moment(self) -> None:
        assert self.spells(stages=[self.stage("sql", 0)]) == [(0, 0)]

    def test_a_decision_before_creation_ends_nothing(self) -> None:
        assert self.spells(stages=[self.stage("disqualified", -3)]) == [(0, None)]

    def test_a_decision_counts_from_its_recording_on(self) -> None:
        stages = [self.stage("sql", 2, lag=5)]
        assert self.spells(stages=stages, as_of=START + 7 * DAY - MICROSECOND) == [(0, None)]
        assert self.spells(stages=stages, as_of=START + 7 * DAY) == [(0, 2)]


class TestObservation:
    rows: ClassVar[Any] = {"leads": [LEAD], "stages": [{"lead_id": "a", "stage": "mql", "entered_at": START + 9 * DAY}]}

    def test_it_ends_with_the_newest_recorded_outcome_the_configured_end_or_the_run(self) -> None:
        with tables_of(self.rows) as tables:
            ends = [
                observation(tables, OutcomeConfig(observed_until=until), as_of).observed_until
                for until, as_of in ((None, NOW), (START + 5 * DAY, NOW), (START + 50 * DAY, NOW), (None, START + DAY))
            ]
        assert ends == [START + 9 * DAY, START + 5 * DAY, START + 50 * DAY, START + DAY]

    def test_without_outcomes_it_ends_with_the_run(self) -> None:
        with tables_of({"leads": [LEAD]}) as tables:
            assert observation(tables, OutcomeConfig(), NOW).observed_until == NOW

    def test_the_newest_moment_is_that_of_leads_and_touches(self) -> None:
        touch = {"lead_id": "a", "happened_at": START, "kind": "visit", "recorded_at": START + DAY}
        with tables_of({"leads": [LEAD], "touches": [touch]}) as tables:
            assert newest_moment(tables) == START + DAY


def test_no_outcome_at_all_is_no_error() -> None:
    with tables_of({"leads": [LEAD]}) as tables:
        assert len(outcome_events(tables, NOW)) == 0
        found = labels_of(tables, [("a", START)], "won")
    assert (found.happened.tolist(), found.amount.tolist()) == ([False], [0.0])
