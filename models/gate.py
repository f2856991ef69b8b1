"""What a version must show before it may be champion (docs/adr/0010)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.intervals import Interval
from models.paired import SIDES, Drawn, PairedRows, draw_accounts, on_list

__all__ = [
    "MIN_ORIGINS",
    "MIN_OUTCOMES",
    "Basis",
    "Condition",
    "Verdict",
    "alone",
    "decide_first",
    "decide_next",
    "leak_condition",
    "own_condition",
    "ranking",
]

Matrix = NDArray[np.float64]
Status = Literal["passed", "failed", "not_enough", "reported"]

CHANCE = 0.5
MIN_OUTCOMES = 100
MIN_ORIGINS = 3
SURE = 0.9
WORST_CAPTURED = 0.02
WORST_LOSS = 0.01
LEVEL = (0.8, 1.25)
NO_FURTHER = 0.05
SEGMENT_OUTCOMES = 30
WORST_SEGMENT = 0.10
WORDS = {"sql": "SQLs", "won": "wins"}


@dataclass(frozen=True)
class Condition:
    """One thing that the gate asks.

    Parameters
    ----------
    name
        Short and stable, for programs.
    status
        ``passed``, ``failed``, ``not_enough`` (the rows cannot tell) or ``reported`` (no condition, a figure to know).
    found, limit
        In words, with units.
    figures
        The numbers behind it.
    """

    name: str
    status: Status
    found: str
    limit: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Basis:
    """On which rows a verdict rests.

    Parameters
    ----------
    outcome
        Endpoint that was judged.
    rows, outcomes, accounts, origins
        How many; outcomes are leads with one.
    shipped
        Rows later than the champion's training, of which it spoke as it was shipped, not by its folds.
    is_refresh
        Both versions were trained with one recipe.
    share
        Share of the leads that sales can work.
    """

    outcome: str
    rows: int
    outcomes: int
    accounts: int
    origins: int
    shipped: int
    is_refresh: bool
    share: float

    @property
    def words(self) -> str:
        """One sentence on the rows."""
        kind = "a refresh of the champion's recipe" if self.is_refresh else "another recipe than the champion's"
        return (
            f"{self.rows:,} rows of {self.accounts:,} accounts that neither version had learned from, with "
            f"{self.outcomes:,} {WORDS[self.outcome]} from {self.origins} origins. Of {self.shipped:,} rows the "
            f"champion spoke as it was shipped, of the others by its time-forward folds. The challenger is {kind}."
        )


@dataclass(frozen=True)
class Verdict:
    """Whether a version may be champion, and every reason against it.

    Parameters
    ----------
    passed
        It may.
    reasons
        Why not, one a condition.
    conditions
        All that was asked; none where a version was judged in training.
    basis
        On which rows; None where there were none to share.
    """

    passed: bool
    reasons: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    basis: Basis | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        found = asdict(self)
        for condition in found["conditions"]:
            condition["figures"] = {k: v if np.isfinite(v) else None for k, v in condition["figures"].items()}
        return found


def decide_first(metrics: Mapping[str, Interval], bar: float, outcome: str) -> Verdict:
    """Judge a version by itself: it must rank unseen leads better than chance.

    The lower end of the 95% interval of its time-forward AUC must lie above 0.5, so that a model of noise stays out.
    Where leads are scored at several ages that is the AUC among leads of one age: age alone ranks a lead of last year
    below one of today, and says nothing that a salesperson does not know. Its log-loss must be below that of the base
    rate and of the ages alone.

    Parameters
    ----------
    metrics
        ``auc`` or ``auc_same_age``, and ``log_loss``, as they were judged.
    bar
        Log-loss to stay below, nats.
    outcome
        ``sql`` or ``won``, for the reasons.
    """
    reasons: list[str] = []
    auc, loss = ranking(metrics), metrics["log_loss"]
    if not auc.low_95 > CHANCE:
        among = " among leads of the same age" if "auc_same_age" in metrics else ""
        reasons.append(
            f"time-forward AUC for {outcome}{among} is {auc.value:.3f} with a lower 95% bound of {auc.low_95:.3f}; "
            "it must lie above 0.5"
        )
    if not loss.value < bar:
        reasons.append(
            f"log-loss for {outcome} is {loss.value:.4f}, no better than {bar:.4f} of the base rate or of ages alone"
        )
    return Verdict(not reasons, tuple(reasons))


def ranking(metrics: Mapping[str, Interval]) -> Interval:
    """Return the AUC that the gate looks at: among leads of one age where leads are scored at several."""
    return metrics.get("auc_same_age", metrics["auc"])


def own_condition(numbers: Mapping[str, Any]) -> Condition:
    """Say whether a version passed :func:`decide_first`, by what its training logged.

    Parameters
    ----------
    numbers
        ``gate_passed`` (1 or 0), ``auc_low_95``, ``outcome``.
    """
    low = float(numbers.get("auc_low_95", float("nan")))
    return Condition(
        "better than chance",
        "passed" if numbers.get("gate_passed") else "failed",
        f"time-forward AUC for {numbers.get('outcome', 'its outcome')} has a lower 95% bound of {low:.3f}",
        "above 0.5, and log-loss below that of the base rate and of ages alone",
        {"auc_low_95": low},
    )


def leak_condition(statuses: Mapping[str, str]) -> Condition:
    """Say what the checks for leaks found when a version was trained.

    Parameters
    ----------
    statuses
        By check (``L1`` to ``L16``): ``passed``, ``attention``, ``failed`` or ``not_computable``.
    """
    failed = [check for check, status in statuses.items() if status == "failed"]
    looks = [check for check, status in statuses.items() if status == "attention"]
    passed = sum(status == "passed" for status in statuses.values())
    parts = [f"{passed} of {len(statuses)} passed"]
    parts += [f"failed: {', '.join(failed)}"] if failed else []
    parts += [f"to look at: {', '.join(looks)}"] if looks else []
    return Condition(
        "leaks",
        "failed" if failed else "passed" if statuses else "not_enough",
        "; ".join(parts) if statuses else "no checks were recorded with this version",
        "no check failed",
        {"failed": float(len(failed)), "attention": float(len(looks))},
    )


def alone(conditions: tuple[Condition, ...]) -> Verdict:
    """Judge a version that has no champion to be held against."""
    return _settle(conditions, None)


def decide_next(rows: PairedRows, *, is_refresh: bool, others: tuple[Condition, ...] = (), seed: int = 1) -> Verdict:
    """Judge a challenger against the champion on identical rows (methods 8, docs/adr/0010).

    Parameters
    ----------
    rows
        What both said of leads that they had not learned from.
    is_refresh
        Both were trained with one recipe, and the challenger has newer data alone. It must then be not worse; another
        recipe must be better.
    others
        Conditions that do not come from these rows.
    seed
        Of the draws of accounts.
    """
    happened = len(np.unique(rows.lead[rows.happened]))
    basis = Basis(
        rows.outcome,
        len(rows.group),
        happened,
        len(np.unique(rows.group)),
        len(np.unique(rows.origin[rows.happened])),
        0 if rows.shipped is None else int(rows.shipped.sum()),
        is_refresh,
        rows.share,
    )
    if not rows.happened.any() or rows.happened.all():
        return _settle((*others, _enough(basis)), basis)
    drawn = draw_accounts(rows, seed=seed)
    conditions = (
        *others,
        _enough(basis),
        _captured(drawn, basis),
        _log_loss(drawn, basis),
        _level(drawn),
        _slope(drawn),
        _segments(drawn, rows),
        _overlap(rows),
    )
    return _settle(conditions, basis)


def _settle(conditions: tuple[Condition, ...], basis: Basis | None) -> Verdict:
    """Pass where nothing failed; what the rows cannot tell holds back another recipe, but no refresh."""
    refresh = basis is not None and basis.is_refresh
    against = [
        condition
        for condition in conditions
        if condition.status == "failed" or (condition.status == "not_enough" and not refresh)
    ]
    reasons = tuple(
        f"{item.name}: {'not enough to tell, ' if item.status == 'not_enough' else ''}{item.found}; "
        f"the limit is {item.limit}"
        for item in against
    )
    return Verdict(not reasons, reasons, conditions, basis)


def _enough(basis: Basis) -> Condition:
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


def _captured(drawn: Drawn, basis: Basis) -> Condition:
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


def _log_loss(drawn: Drawn, basis: Basis) -> Condition:
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


def _level(drawn: Drawn) -> Condition:
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


def _slope(drawn: Drawn) -> Condition:
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


def _segments(drawn: Drawn, rows: PairedRows) -> Condition:
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


def _overlap(rows: PairedRows) -> Condition:
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
