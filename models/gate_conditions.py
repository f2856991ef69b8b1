"""The conditions that two versions are held to on identical rows (methods 8, docs/adr/0010)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.paired import SIDES, Drawn, PairedRows, on_list
from models.verdict import WORDS, Basis, Condition, Status

__all__ = [
    "MIN_ORIGINS",
    "MIN_OUTCOMES",
    "ask_captured",
    "ask_enough",
    "ask_level",
    "ask_log_loss",
    "ask_overlap",
    "ask_segments",
    "ask_slope",
]

Matrix = NDArray[np.float64]
MIN_OUTCOMES = 100
MIN_ORIGINS = 3
SURE = 0.9
WORST_CAPTURED = 0.02
WORST_LOSS = 0.01
LEVEL = (0.8, 1.25)
NO_FURTHER = 0.05
SEGMENT_OUTCOMES = 30
WORST_SEGMENT = 0.10


def ask_enough(basis: Basis) -> Condition:
    """Ask that the rows hold enough outcomes from enough test periods."""
    is_enough = basis.outcomes >= MIN_OUTCOMES and basis.origins >= MIN_ORIGINS
    return Condition(
        "enough rows",
        "passed" if is_enough else "failed",
        f"{basis.outcomes:,} {WORDS[basis.outcome]} from {basis.origins} origins on {basis.rows:,} rows of both",
        f"at least {MIN_OUTCOMES} from {MIN_ORIGINS}",
        {"outcomes": float(basis.outcomes), "origins": float(basis.origins), "rows": float(basis.rows)},
    )


def _share(drawn: Matrix, below: float) -> float:
    """Return the share of the draws below a number; halves for draws on it."""
    usable = drawn[np.isfinite(drawn)]
    return float("nan") if not usable.size else float(np.mean((usable < below) + 0.5 * (usable == below)))


def ask_captured(drawn: Drawn, basis: Basis) -> Condition:
    """Ask that the list at capacity does not catch less: of revenue, or of SQLs where wins are few."""
    what = "revenue" if basis.outcome == "won" else "SQLs"
    value, draws = drawn.ratio("challenger.captured", "champion.captured")
    change, changes = value - 1.0, draws - 1.0
    usable = changes[np.isfinite(changes)]
    if not usable.size or not np.isfinite(change):
        return Condition(f"captured {what}", "not_enough", f"the champion's list caught no {what}", "some to compare")
    low, high = (float(end) for end in np.quantile(usable, [1 - SURE, SURE]))
    worse = _share(changes, -WORST_CAPTURED)
    status: Status = "passed" if low > -WORST_CAPTURED else "failed" if worse >= SURE else "not_enough"
    return Condition(
        f"captured {what}",
        status,
        f"{change:+.1%} at the capacity of sales ({basis.share:.1%} of the leads); 80% of the draws lie from "
        f"{low:+.1%} to {high:+.1%}",
        f"lower 90% bound above {-WORST_CAPTURED:.0%}",
        {"change": change, "low_90": low, "high_90": high, "p_worse": worse},
    )


def ask_log_loss(drawn: Drawn, basis: Basis) -> Condition:
    """Ask that a refresh has no worse log-loss, and another recipe a better one."""
    value, draws = drawn.ratio("challenger.loss", "champion.loss")
    change, changes = value - 1.0, draws - 1.0
    better = _share(changes, 0.0)
    within = _share(changes, WORST_LOSS)
    sure, limit = (
        (within, f"P(worse by less than {WORST_LOSS:.0%}) at least {SURE}")
        if basis.is_refresh
        else (better, f"P(better) at least {SURE}, as the recipe is another")
    )
    champion, challenger = (drawn.ratio(f"{side}.loss", "rows")[0] for side in SIDES)
    shown = "" if not basis.is_refresh else f", P(worse by less than {WORST_LOSS:.0%}) {within:.2f}"
    return Condition(
        "log-loss",
        "passed" if sure >= SURE else "failed",
        f"{challenger:.4f} nats against {champion:.4f}, {change:+.2%}; P(better) {better:.2f}{shown}",
        limit,
        {"champion": champion, "challenger": challenger, "p_better": better, "p_not_worse": within},
    )


def _interval(draws: Matrix) -> tuple[float, float]:
    usable = draws[np.isfinite(draws)]
    low, high = np.quantile(usable, [0.05, 0.95]) if usable.size else (np.nan, np.nan)
    return float(low), float(high)


def _is_no_further(challenger: float, champion: float) -> bool:
    """Tell whether a ratio that should be 1 is no further from it than the champion's, in logarithms."""
    if not (challenger > 0 and champion > 0):
        return False
    return bool(abs(np.log(challenger)) <= abs(np.log(champion)) + NO_FURTHER)


def ask_level(drawn: Drawn) -> Condition:
    """Ask that as many outcomes happened as the challenger expected."""
    value, draws = drawn.ratio("observed", "challenger.expected")
    champion = drawn.ratio("observed", "champion.expected")[0]
    low, high = _interval(draws)
    inside = LEVEL[0] <= value <= LEVEL[1]
    right = low <= 1.0 <= high or _is_no_further(value, champion)
    return Condition(
        "observed / expected",
        "passed" if inside and right else "failed",
        f"{value:.2f}, 90% interval {low:.2f} to {high:.2f}; the champion's {champion:.2f}",
        f"inside {LEVEL[0]:g} to {LEVEL[1]:g}, and the interval covers 1 or the champion is as far off",
        {"challenger": value, "low": low, "high": high, "champion": champion},
    )


def ask_slope(drawn: Drawn) -> Condition:
    """Ask that the challenger is neither over- nor under-confident."""
    value, draws = drawn.slope("challenger")
    champion = drawn.slope("champion")[0]
    low, high = _interval(draws)
    right = low <= 1.0 <= high or _is_no_further(value, champion)
    return Condition(
        "calibration slope",
        "passed" if right else "failed",
        f"{value:.2f}, 90% interval {low:.2f} to {high:.2f}; the champion's {champion:.2f}",
        "the interval covers 1, or the champion is as far off",
        {"challenger": value, "low": low, "high": high, "champion": champion},
    )


def ask_segments(drawn: Drawn, rows: PairedRows) -> Condition:
    """Ask of each segment with enough outcomes that the list does not catch a tenth less of it."""
    losing: list[tuple[float, str]] = []
    figures: dict[str, float] = {}
    looked = 0
    for name, member in rows.segments.items():
        if len(np.unique(rows.lead[rows.happened & member])) < SEGMENT_OUTCOMES:
            continue
        value, draws = drawn.ratio(f"challenger.captured.{name}", f"champion.captured.{name}")
        if not np.isfinite(value):
            continue
        looked += 1
        figures[name] = value - 1.0
        if _share(draws - 1.0, -WORST_SEGMENT) > SURE:
            losing.append((value - 1.0, f"{name} {value - 1.0:+.0%}"))
    limit = f"no segment with {SEGMENT_OUTCOMES} {WORDS[rows.outcome]} loses over {WORST_SEGMENT:.0%} with P > {SURE}"
    if losing:
        return Condition("segments", "failed", ", ".join(text for _, text in sorted(losing)), limit, figures)
    found = f"none of {looked}" if looked else "no segment has as many"
    return Condition("segments", "passed", found, limit, figures)


def ask_overlap(rows: PairedRows) -> Condition:
    """Report how much of the list stays, and how far leads move in the ranks."""
    lists = {side: on_list(rows.rank[side], rows.origin, rows.share) for side in SIDES}
    overlap = float(np.minimum(lists["champion"], lists["challenger"]).sum() / max(lists["champion"].sum(), 1e-12))
    ranks = [rankdata(rows.rank[side]) for side in SIDES]
    spread = all(rank.std() > 0 for rank in ranks)
    agreement = float(np.corrcoef(ranks[0], ranks[1])[0, 1]) if spread else float("nan")
    churn = float(np.median(np.abs(ranks[0] - ranks[1])) / len(rows.group))
    return Condition(
        "overlap",
        "reported",
        f"{overlap:.0%} of the champion's list is on the challenger's; ranks agree with {agreement:.2f} (Spearman), "
        f"half of the leads move by over {churn:.1%} of the places",
        "no limit, to know what changes",
        {"overlap": overlap, "spearman": agreement, "median_move": churn},
    )
