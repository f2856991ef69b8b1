"""The sentinel finds what was planted and leaves honest columns alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from crm.errors import LeakError
from features.lead_features import AttributeIs, AttributeMissing, AttributeNumber, LeadAge
from features.touch_features import CountIn
from features.touch_times import Recency
from tests.unit.training.made import data_of
from training.leaks import Suspect, find_suspects, refuse_leaks

COUNT = 3000
Labels = NDArray[np.bool_]


def labels(seed: int = 1, rate: float = 0.08) -> tuple[np.random.Generator, Labels]:
    rng = np.random.default_rng(seed)
    return rng, rng.random(COUNT) < rate


def names(found: tuple[Suspect, ...]) -> list[str]:
    return [suspect.signal for suspect in found]


def test_a_number_that_rises_with_the_outcome_is_found() -> None:
    rng, happened = labels()
    data = data_of(
        [
            (AttributeNumber("deal_size"), rng.lognormal(0, 1, COUNT) + 50 * happened),
            (AttributeNumber("employees"), rng.lognormal(4, 1, COUNT)),
        ],
        happened,
    )
    found = find_suspects(data)
    assert names(found) == ["deal_size"]
    assert found[0].outcome == "sql"
    assert found[0].auc > 0.95
    assert "AUC" in found[0].why


def test_a_level_that_only_the_outcome_has_is_found() -> None:
    rng, happened = labels()
    level = np.where(happened, "customer", rng.choice(["east", "west"], COUNT))
    columns = [(AttributeIs("status", name), (level == name).astype(float)) for name in ("customer", "east", "west")]
    found = find_suspects(data_of([*columns, (LeadAge(), rng.exponential(30, COUNT))], happened))
    assert names(found) == ["status"]


def test_levels_that_tell_the_outcome_together_are_found() -> None:
    rng, happened = labels(rate=0.4)
    level = rng.integers(0, 4, COUNT) + 4 * happened
    columns = [(AttributeIs("code", str(n)), (level == n).astype(float)) for n in range(8)]
    assert names(find_suspects(data_of([*columns], happened))) == ["code"]


@pytest.mark.parametrize("kept", [1.0, 0.3])
def test_a_value_that_is_present_iff_won_is_found(kept: float) -> None:
    rng, happened = labels()
    filled = happened & (rng.random(COUNT) < kept)
    number = np.where(filled, rng.normal(0, 1, COUNT), np.nan)
    data = data_of([(AttributeNumber("contract"), number), (Recency("any"), rng.exponential(9, COUNT))], happened)
    assert names(find_suspects(data)) == ["contract"]


def test_a_flag_of_absence_is_found() -> None:
    rng, happened = labels()
    absent = (~happened).astype(float)
    data = data_of([(AttributeMissing("closed_by"), absent), (LeadAge(), rng.exponential(30, COUNT))], happened)
    assert names(find_suspects(data)) == ["closed_by"]


def test_wins_are_watched_as_well_as_sqls() -> None:
    rng, happened = labels(rate=0.3)
    won = happened & (rng.random(COUNT) < 0.3)
    number = rng.normal(0, 1, COUNT) + 20 * won
    found = find_suspects(data_of([(AttributeNumber("invoice"), number)], happened, won=won))
    assert [(suspect.signal, suspect.outcome) for suspect in found] == [("invoice", "won")]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [0.02, 0.08, 0.5])
def test_honest_columns_are_left_alone(seed: int, rate: float) -> None:
    """Strong, as good signals are, rare, empty, constant and full of levels: none of them tells."""
    rng = np.random.default_rng(seed)
    strong = rng.normal(0, 1, COUNT)
    happened = rng.random(COUNT) < expit(np.log(rate / (1 - rate)) + 1.2 * strong)
    level = rng.integers(0, 40, COUNT)
    columns = [
        (AttributeNumber("strong"), strong),
        (AttributeNumber("noise"), rng.normal(0, 1, COUNT)),
        (AttributeNumber("mostly_empty"), np.where(rng.random(COUNT) < 0.02, strong, np.nan)),
        (AttributeNumber("empty"), np.full(COUNT, np.nan)),
        (AttributeNumber("constant"), np.ones(COUNT)),
        (CountIn("visit", ("visit",), window_days=7), rng.poisson(np.exp(0.5 * strong)).astype(float)),
        *((AttributeIs("city", str(n)), (level == n).astype(float)) for n in range(40)),
        *((AttributeIs(f"id{n}", "x"), (np.arange(COUNT) == n).astype(float)) for n in range(20)),
    ]
    assert find_suspects(data_of(columns, happened)) == ()


def test_immature_rows_neither_accuse_nor_excuse() -> None:
    rng, happened = labels()
    mature = np.arange(COUNT) < 2000
    number = np.where(mature, rng.normal(0, 1, COUNT), 50.0 * happened)
    data = data_of([(AttributeNumber("late"), number)], happened, mature=mature)
    assert find_suspects(data) == ()


def test_too_few_outcomes_accuse_nobody() -> None:
    happened = np.arange(COUNT) < 19
    assert find_suspects(data_of([(AttributeNumber("deal_size"), happened * 1.0)], happened)) == ()


def test_suspects_are_refused_by_name() -> None:
    refuse_leaks(())
    suspect = Suspect("deal_size", "sql", 0.99, "alone it ranks sql with an AUC of 0.99")
    with pytest.raises(LeakError, match="'deal_size'") as caught:
        refuse_leaks((suspect, Suspect("invoice", "won", 0.95, "because")))
    assert "2 columns" in str(caught.value)
    assert "'invoice'" in caught.value.fix
