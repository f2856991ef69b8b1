"""From tables to training data: too little is refused with how much is missing, idle features are left out."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from crm.errors import TooFewOutcomesError
from crm.progress import Silent
from crm.store import Tables
from tests.histories import DAY, START, Row, config_of, tables_of
from training.prepare import MIN_OUTCOMES, TrainingData, prepare, settle_observation

SECTIONS = {"outcome": {"sql_horizon_days": 30, "won_horizon_days": 90}, "snapshots": {"creation": True}}
UNTIL = START + 400 * DAY


def rows(sqls: int, leads: int = 200) -> dict[str, list[Row]]:
    """Leads a day apart; the first ones reach SQL five days after their creation, the others are MQLs by then."""
    rng = np.random.default_rng(1)
    found: dict[str, list[Row]] = {"leads": [], "touches": [], "stages": []}
    for number in range(leads):
        name, created = f"L{number}", START + number * DAY
        found["leads"].append(
            {
                "lead_id": name,
                "created_at": created,
                "size": float(rng.lognormal(3, 1)),
                "twin": 0.0,
                "same": 7.0,
                "region": str(rng.choice(["east", "west"])),
            }
        )
        found["leads"][-1]["twin"] = found["leads"][-1]["size"]
        for _ in range(int(rng.integers(0, 4))):
            moment = created - timedelta(days=float(rng.exponential(5)))
            found["touches"].append({"lead_id": name, "happened_at": moment, "kind": "visit"})
        stage = "sql" if number < sqls else "mql"
        found["stages"].append({"lead_id": name, "stage": stage, "entered_at": created + 5 * DAY})
    # One late outcome settles how far outcomes were observed.
    found["stages"].append({"lead_id": f"L{leads - 1}", "stage": "mql", "entered_at": UNTIL})
    return found


KNOWN = {"columns": {"known_at_creation": ("size", "twin", "same", "region")}}


def open_rows(sqls: int, leads: int = 200) -> Tables:
    return tables_of(rows(sqls, leads), **SECTIONS, **KNOWN)


def prepared(tables: Tables, as_of: datetime | None = None) -> TrainingData:
    return prepare(tables, config_of(**SECTIONS, **KNOWN), as_of, Silent())


@pytest.mark.parametrize("sqls", [0, 1, 49])
def test_too_few_outcomes_are_refused_with_how_many_are_missing(sqls: int) -> None:
    with open_rows(sqls) as tables, pytest.raises(TooFewOutcomesError) as caught:
        prepared(tables)
    assert caught.value.missing == MIN_OUTCOMES - sqls
    assert f"{MIN_OUTCOMES - sqls} more are needed" in str(caught.value)


def test_enough_outcomes_are_labelled_features() -> None:
    with open_rows(60) as tables:
        data = prepared(tables)
    count = len(data.snapshots.as_of_us)
    assert count == 200
    assert data.matrix.shape == (count, len(data.features.features))
    assert data.outcomes(data.sql) == data.sql.happened.sum() == 60
    assert data.outcomes(data.won) == 0
    assert data.seen.observed_until == UNTIL
    assert data.sql.is_mature.all()


def test_what_was_recorded_after_the_runs_moment_does_not_exist() -> None:
    cut = START + 120 * DAY
    with open_rows(60) as tables:
        data = prepared(tables, cut)
    assert data.seen.as_of == data.seen.observed_until == cut
    assert data.snapshots.as_of_us.max() <= int(cut.timestamp() * 1e6)
    assert data.sql.is_mature.sum() == 91  # leads of day 0 to 90, whose thirty days are over
    with open_rows(60) as tables, pytest.raises(TooFewOutcomesError):
        prepared(tables, START + 60 * DAY)


def test_features_that_never_vary_or_repeat_another_are_left_out_with_the_reason() -> None:
    with open_rows(60) as tables:
        data = prepared(tables)
    reasons = {one.name: one.reason for one in data.dropped}
    kept = data.features.names
    assert any(name == "lead.size" for name in kept)
    assert not any(name in ("lead.twin", "lead.same") for name in kept)
    assert reasons["lead.twin"] == "equals lead.size in every training row"
    assert reasons["lead.same"] == "never varies in the training rows"
    assert not set(kept) & set(reasons)
    columns = [data.matrix[:, number].tobytes() for number in range(len(kept))]
    assert len(set(columns)) == len(columns)


def test_the_span_ends_at_the_earliest_of_run_configuration_and_data() -> None:
    with open_rows(3) as tables:
        assert settle_observation(tables, config_of(), None).observed_until == UNTIL
        early = config_of(outcome={"observed_until": START + 50 * DAY})
        assert settle_observation(tables, early, None).observed_until == START + 50 * DAY
        assert settle_observation(tables, early, START + 20 * DAY).observed_until == START + 20 * DAY
        assert settle_observation(tables, config_of(), UNTIL + 9 * DAY).observed_until == UNTIL
