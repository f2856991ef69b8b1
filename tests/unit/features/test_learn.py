"""Which features a workspace's data can carry."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from crm.known import to_micros
from features.build import build_features
from features.learn import MAX_KINDS, MAX_LEVELS, MIN_LEVEL_ROWS, MIN_TOUCHES, learn_features
from features.spec import FeatureSet
from features.touch_features import CountIn
from tests.histories import DAY, NOW, START, Row, Rows, moments_of, tables_of

MOMENT = START + 100 * DAY


def learned(rows: Rows, as_of: datetime = MOMENT, **sections: object) -> FeatureSet:
    sections = {"columns": {"known_at_creation": ("industry", "size", "big", "status", "work_email")}, **sections}
    with tables_of(rows, **sections) as tables:
        moments = moments_of((row["lead_id"], to_micros(as_of)) for row in rows["leads"])
        return learn_features(tables, moments, to_micros(as_of))


def leads(count: int = 3, **columns: object) -> list[Row]:
    return [{"lead_id": f"L{n}", "created_at": START, **columns} for n in range(count)]


def touches(kind: str, count: int, **columns: object) -> Iterator[Row]:
    step = timedelta(minutes=1)
    return ({"lead_id": "L0", "happened_at": START + n * step, "kind": kind, **columns} for n in range(count))


class TestTouches:
    def test_a_kind_needs_fifty_touches_the_rest_is_pooled(self) -> None:
        rows = {"leads": leads(), "touches": [*touches("visit", MIN_TOUCHES), *touches("call", MIN_TOUCHES - 1)]}
        signals = learned(rows).signals
        assert "visit" in signals
        assert "call" not in signals
        assert "other" in signals

    def test_nothing_is_pooled_when_nothing_is_left(self) -> None:
        assert "other" not in learned({"leads": leads(), "touches": list(touches("visit", MIN_TOUCHES))}).signals

    def test_only_the_most_frequent_kinds_stand_alone(self) -> None:
        kinds = [f"k{n:02}" for n in range(MAX_KINDS + 2)]
        rows = {"leads": leads(), "touches": [row for n, kind in enumerate(kinds) for row in touches(kind, 60 - n)]}
        alone = [signal for signal in learned(rows).signals if signal.startswith("k")]
        assert alone == kinds[: MAX_KINDS if MAX_KINDS <= 11 else 11]

    @pytest.mark.parametrize("kind", ["other", "any", "account_any", "kind.other"])
    def test_a_kind_that_is_called_like_a_pool_is_still_a_kind(self, kind: str) -> None:
        rows = {
            "leads": leads(account_id="A"),
            "touches": [*touches(kind, MIN_TOUCHES), *touches("visit", MIN_TOUCHES + 3), *touches("rare", 2)],
        }
        features = learned(rows)
        assert len(set(features.names)) == len(features.names)
        mine = next(
            f for f in features.features if isinstance(f, CountIn) and f.kinds == (kind,) and f.label != "other"
        )
        with tables_of(rows) as tables:
            counted = build_features(tables, moments_of([("L0", to_micros(START + DAY))]), FeatureSet((mine,)))
        assert counted[0, 0] == MIN_TOUCHES

    def test_what_was_not_recorded_yet_and_what_leads_did_not_do_does_not_count(self) -> None:
        late = touches("visit", MIN_TOUCHES, recorded_at=MOMENT + DAY)
        by_sales = touches("call", MIN_TOUCHES, actor="sales")
        assert learned({"leads": leads(), "touches": [*late, *by_sales]}).signals == ("freshness", "any")

    def test_values_and_contents_are_used_where_touches_have_them(self) -> None:
        with_value = {"leads": leads(), "touches": list(touches("visit", 60, value=1.0))}
        with_content = {"leads": leads(), "touches": list(touches("visit", 60, content_id="c"))}
        assert "visit_value_7d" in learned(with_value).names
        assert "visit_value_7d" not in learned(with_content).names
        assert "any_content_30d" in learned(with_content).names
        assert "any_content_30d" not in learned(with_value).names


class TestLeads:
    def test_without_touches_stages_and_accounts_age_is_left(self) -> None:
        assert learned({"leads": leads()}).names == ("lead_age_days",)

    def test_accounts_need_two_leads_created_by_then(self) -> None:
        one = [{**row, "account_id": row["lead_id"]} for row in leads()]
        assert "account_leads_count" not in learned({"leads": one}).names
        two = leads(account_id="A")
        assert "account_leads_count" in learned({"leads": two}).names
        later = [{**row, "created_at": START if row["lead_id"] == "L0" else NOW} for row in two]
        assert "account_leads_count" not in learned({"leads": later}).names

    def test_of_the_stages_only_those_before_sales_decides(self) -> None:
        stages = [
            {"lead_id": "L0", "stage": stage, "entered_at": START + n * DAY}
            for stage in ("mql", "recycled", "sql", "closed_won")
            for n in range(MIN_LEVEL_ROWS)
        ]
        assert learned({"leads": leads(), "stages": stages}).names == (
            "lead_age_days",
            "mql_age_days",
            "recycled_age_days",
        )
        few = learned({"leads": leads(), "stages": stages[1:]}, START + (MIN_LEVEL_ROWS - 2) * DAY)
        assert few.names == ("lead_age_days",)

    def test_frequent_levels_stand_alone_rare_and_missing_ones_together(self) -> None:
        industries = ["Retail"] * MIN_LEVEL_ROWS + ["Farming"] * (MIN_LEVEL_ROWS - 1) + [None]
        rows = [{**row, "industry": name} for row, name in zip(leads(len(industries)), industries, strict=True)]
        assert learned({"leads": rows}).names == (
            "lead_age_days",
            "lead.industry=Retail",
            "lead.industry~rare",
            "lead.industry~missing",
        )

    def test_levels_are_limited(self) -> None:
        count = (MAX_LEVELS + 5) * MIN_LEVEL_ROWS
        rows = [{**row, "industry": f"i{n % (MAX_LEVELS + 5):03}"} for n, row in enumerate(leads(count))]
        assert sum("=" in name for name in learned({"leads": rows}).names) == MAX_LEVELS

    def test_numbers_and_yes_or_no_are_numbers(self) -> None:
        assert learned({"leads": leads(size=3.0, big=True)}).names == ("lead_age_days", "lead.size", "lead.big")

    def test_l6_no_feature_reads_a_refused_attribute(self) -> None:
        rows = leads(MIN_LEVEL_ROWS, status="won", work_email="a@example.com", owner="kim", unlisted="x")
        features = learned({"leads": rows}, columns={"known_at_creation": ("status", "work_email", "owner")})
        assert features.attributes == frozenset()
