"""The gate on planted numbers: what is better passes, what is equal passes as a refresh, what is worse is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from models.gate import alone, decide_next, leak_condition, own_condition
from models.paired import PairedRows, draw_accounts, on_list
from models.verdict import Verdict

SEEDS = range(8)


def planted(seed: int, *, champion: float, challenger: float, leads: int = 6000, shift: float = 0.0) -> PairedRows:
    """Leads whose true log-odds both sides see: each loses a share of them (0 sees all), the challenger shifted."""
    rng = np.random.default_rng(seed)
    seen, unseen = rng.normal(0, 1.0, leads), rng.normal(0, 0.3, leads)
    z = -2.4 + seen + unseen
    happened = rng.random(leads) < expit(z)

    def said(lost: float) -> np.ndarray:
        own = np.random.default_rng(seed + round(1000 * lost) + 7).normal(0, 1.0, leads)
        kept = np.sqrt(1 - lost)
        return -2.4 + kept * (kept * seen + np.sqrt(lost) * own)

    p = {"champion": expit(said(champion)), "challenger": expit(said(challenger) + shift)}
    amount = rng.lognormal(9.0, 0.6, leads)
    return PairedRows(
        "won", np.arange(leads), rng.integers(0, leads // 2, leads), np.arange(leads) % 4, happened, happened * amount,
        p, {side: value * 8000.0 for side, value in p.items()}, 0.2,
        {"north": rng.random(leads) < 0.5, "south": rng.random(leads) < 0.3},
    )  # fmt: skip


def failed(verdict: Verdict) -> set[str]:
    return {item.name for item in verdict.conditions if item.status == "failed"}


def test_a_better_recipe_passes_in_most_draws() -> None:
    verdicts = [decide_next(planted(seed, champion=0.4, challenger=0.0), is_refresh=False) for seed in SEEDS]
    assert sum(verdict.passed for verdict in verdicts) >= 6
    assert all(verdict.basis is not None and verdict.basis.origins == 4 for verdict in verdicts)


def test_an_equal_one_passes_as_a_refresh_and_not_as_another_recipe() -> None:
    rows = [planted(seed, champion=0.02, challenger=0.021) for seed in SEEDS]
    assert sum(decide_next(one, is_refresh=True).passed for one in rows) >= 7
    assert sum(decide_next(one, is_refresh=False).passed for one in rows) <= 2
    same = replace(rows[0], probability=dict.fromkeys(("champion", "challenger"), rows[0].probability["champion"]))
    same = replace(same, rank=dict.fromkeys(("champion", "challenger"), rows[0].rank["champion"]))
    assert decide_next(same, is_refresh=True).passed
    assert "log-loss" in failed(decide_next(same, is_refresh=False))


def test_a_worse_one_fails_even_as_a_refresh() -> None:
    for seed in SEEDS:
        verdict = decide_next(planted(seed, champion=0.0, challenger=0.4), is_refresh=True)
        assert not verdict.passed
        assert "log-loss" in failed(verdict)
        assert any(reason.startswith("log-loss: ") and "limit" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_a_wrong_level_fails_by_its_name(shift: float) -> None:
    for seed in range(6):
        verdict = decide_next(planted(seed, champion=0.2, challenger=0.0, shift=shift), is_refresh=True)
        assert "observed / expected" in failed(verdict)


def test_a_wrong_slope_fails_by_its_name() -> None:
    rows = planted(1, champion=0.0, challenger=0.0)
    p = rows.probability["challenger"]
    wide = expit(1.8 * logit(p) + 1.6)
    wide = expit(logit(wide) + np.log(rows.happened.sum() / wide.sum()))
    verdict = decide_next(replace(rows, probability={**rows.probability, "challenger": wide}), is_refresh=True)
    assert "calibration slope" in failed(verdict)
    assert "overlap" not in failed(verdict)


def test_a_segment_that_loses_is_named() -> None:
    rows = planted(2, champion=0.1, challenger=0.1, leads=12_000)
    rank = np.where(rows.segments["south"], 0.0, rows.rank["champion"])
    verdict = decide_next(replace(rows, rank={**rows.rank, "challenger": rank}), is_refresh=True)
    found = {item.name: item for item in verdict.conditions}
    assert found["segments"].status == "failed"
    assert "south" in found["segments"].found
    assert "north" not in found["segments"].found


def test_few_outcomes_or_origins_need_a_person() -> None:
    few = planted(3, champion=0.3, challenger=0.0, leads=300)
    verdict = decide_next(few, is_refresh=True)
    assert "enough rows" in failed(verdict)
    assert "at least 100" in verdict.reasons[0]
    one = replace(planted(3, champion=0.3, challenger=0.0), origin=np.zeros(6000, dtype=np.int64))
    assert failed(decide_next(one, is_refresh=True)) >= {"enough rows"}
    none = replace(few, happened=np.zeros(300, dtype=bool))
    assert failed(decide_next(none, is_refresh=True)) == {"enough rows"}


def test_what_a_heavy_tail_cannot_tell_holds_back_another_recipe_alone() -> None:
    rows = planted(4, champion=0.05, challenger=0.051)
    heavy = np.where(rows.happened, np.random.default_rng(4).pareto(1.1, len(rows.held)), 0.0)
    rows = replace(rows, held=heavy, share=0.02)
    found = {item.name: item.status for item in decide_next(rows, is_refresh=True).conditions}
    assert found["captured revenue"] == "not_enough"
    assert any("not enough to tell" in reason for reason in decide_next(rows, is_refresh=False).reasons)
    assert not any("captured" in reason for reason in decide_next(rows, is_refresh=True).reasons)


def test_noise_and_leaks_fail_whatever_else_is_good() -> None:
    noise = own_condition({"gate_passed": 0.0, "auc_low_95": 0.44, "outcome": "sql"})
    leak = leak_condition({"L3": "passed", "L8": "failed", "L9": "attention"})
    verdict = decide_next(planted(5, champion=0.4, challenger=0.0), is_refresh=False, others=(noise, leak))
    assert failed(verdict) == {"better than chance", "leaks"}
    assert "0.440" in verdict.reasons[0]
    assert "L8" in verdict.reasons[1]
    assert alone((own_condition({"gate_passed": 1.0, "auc_low_95": 0.7}),)).passed
    assert not alone((noise,)).passed


def test_the_draws_have_the_spread_of_means_over_accounts() -> None:
    rows = planted(6, champion=0.2, challenger=0.0)
    drawn = draw_accounts(rows, draws=600)
    value, draws = drawn.ratio("observed", "rows")
    assert value == pytest.approx(rows.happened.mean())
    assert draws.std() == pytest.approx(np.sqrt(value * (1 - value) / len(rows.happened)), rel=0.15)
    slope, slopes = drawn.slope("challenger")
    assert slopes.mean() == pytest.approx(slope, abs=0.02)
    listed = on_list(rows.rank["champion"], rows.origin, 0.2)
    assert listed.sum() == pytest.approx(0.2 * len(listed))
