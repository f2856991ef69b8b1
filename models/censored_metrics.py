"""How good predictions are where not every lead was followed to the horizon.

Inverse probability of censoring weighting (Graf et al. 1999; Uno et al. 2007; Blanche et al. 2013 with competing
events): a lead whose state at the horizon is known stands for those like it that were not followed that long. Without
censoring every measure is the plain one. Times are half-open as everywhere: an outcome counts iff it came before the
horizon, and a lead followed exactly to the horizon is known.

The follow-up must not depend on the outcome. Where young leads differ from old ones, weights cannot mend it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.aalen_johansen import cumulative_incidence
from models.metrics import BINS, Bin, pairs_in_order, run_ends

__all__ = ["CensoredJudgement", "censored_bins"]

Matrix = NDArray[np.float64]
NAMES = ("auc", "brier", "observed", "observed_over_expected", "followed")


class CensoredJudgement:
    """Predictions and follow-up, sorted once, measured under any weights.

    Parameters
    ----------
    probability
        Predicted probability of the outcome before the horizon, shape (n,).
    days
        Days to the first event, or to the end of follow-up, shape (n,), none below 0.
    event
        What ended the row, shape (n,): 0 nothing (follow-up ended), 1 the outcome, 2 or more a competing event after
        which the outcome cannot come. A lost lead that may come back is no event: its days are its whole follow-up.
    horizon_days
        Days, above 0.

    Raises
    ------
    ValueError
        When days are negative or NaN, or the horizon is not above 0.

    Examples
    --------
    Four leads; the second was followed for 40 of 90 days, so the third and the fourth stand for it as well.

    >>> judged = CensoredJudgement(
    ...     np.array([0.9, 0.5, 0.2, 0.3]), np.array([20.0, 40.0, 90.0, 50.0]), np.array([1, 0, 0, 1]), 90.0
    ... )
    >>> found = judged.measure(np.ones(4))
    >>> round(found["auc"], 3), round(found["brier"], 4), round(found["observed"], 3)
    (1.0, 0.2012, 0.625)
    """

    def __init__(self, probability: Matrix, days: Matrix, event: NDArray[np.integer], horizon_days: float) -> None:
        if not horizon_days > 0 or not (days >= 0).all():
            raise ValueError("days must be 0 or more, and the horizon above 0")
        self.order = np.argsort(-probability, kind="stable")
        self.p = probability[self.order]
        self.ends = run_ends(self.p)
        early = days < horizon_days
        self.is_case = (early & (event == 1))[self.order]
        self.is_control = (~early | (event > 1))[self.order]
        # Distinct days before the horizon, and one for all that were followed to it.
        _, number = np.unique(np.minimum(days, horizon_days), return_inverse=True)
        self.days = int(number.max()) + 1 if len(number) else 0
        self.is_followed = (~early)[self.order]
        self.number = number[self.order]
        self.ends_follow_up = (early & (event == 0))[self.order]

    def measure(self, weights: Matrix) -> Mapping[str, float]:
        """Return measures under row weights, shape (n,).

        Returns
        -------
        mapping of str to float
            ``auc`` (cumulative cases, dynamic controls; ties half), ``brier``, ``observed`` (share with the outcome
            before the horizon), ``observed_over_expected``, and ``followed`` (share of leads that follow-up alone
            would leave at the horizon: below 0.1 or so the rest rests on few leads). NaN where nobody was followed to
            the horizon, though some were lost from sight before; the AUC also where all have one label.
        """
        w = weights[self.order]
        total = float(w.sum())
        followed, known = self._follow_up(w)
        is_open = float((w * self.ends_follow_up).sum()) > 0 and not float((w * self.is_followed).sum()) > 0
        if is_open or not total > 0:
            return dict.fromkeys(NAMES, float("nan"))
        case, control = known * self.is_case, known * self.is_control
        brier = float((case * (1 - self.p) ** 2 + control * self.p**2).sum()) / total
        true, false = np.cumsum(case)[self.ends], np.cumsum(control)[self.ends]
        pairs, expected = float(true[-1] * false[-1]), float((w * self.p).sum())
        return {
            "auc": pairs_in_order(true, false) / pairs if pairs > 0 else float("nan"),
            "brier": brier,
            "observed": float(true[-1]) / total,
            "observed_over_expected": float(true[-1]) / expected if expected > 0 else float("nan"),
            "followed": followed,
        }

    def _follow_up(self, w: Matrix) -> tuple[float, Matrix]:
        """Return the share followed to the horizon, and the weights of rows whose state at the horizon is known.

        Kaplan-Meier of the follow-up: G(s) = P(follow-up > s). A row known by an event on day s was there because its
        follow-up is longer than s; one that reached the horizon because its follow-up is that long at least.
        """
        here = np.bincount(self.number, w, self.days)
        ended = np.bincount(self.number, w * self.ends_follow_up, self.days)
        at_risk = np.cumsum(here[::-1])[::-1]
        left = np.divide(at_risk - ended, at_risk, out=np.ones_like(here), where=at_risk > 0)
        share = np.cumprod(left)
        is_known = self.is_case | self.is_control
        known = np.zeros_like(w)
        known[is_known] = np.divide(
            w[is_known], share[self.number[is_known]], out=np.zeros(int(is_known.sum())), where=w[is_known] > 0
        )
        return float(share[-1]), known


def censored_bins(
    probability: Matrix,
    days: Matrix,
    event: NDArray[np.integer],
    horizon_days: float,
    *,
    weights: Matrix | None = None,
    bins: int = BINS,
) -> tuple[Bin, ...]:
    """Group predictions into bins of equal size and compare with what happened before the horizon.

    Parameters
    ----------
    probability, days, event, horizon_days
        As :class:`CensoredJudgement` takes them.
    weights
        Row weights, shape (n,).
    bins
        How many.

    Returns
    -------
    tuple of Bin
        Lowest predictions first. ``observed`` is the Aalen-Johansen share with its 90% interval, NaN where nobody of
        the bin was followed to the horizon.
    """
    w = np.ones(len(probability)) if weights is None else weights
    order = np.argsort(probability, kind="stable")
    order = order[w[order] > 0]
    found: list[Bin] = []
    for part in np.array_split(order, max(min(bins, len(order)), 1)):
        if len(part):
            seen = cumulative_incidence(days[part], event[part], w[part], np.array([horizon_days]))
            mean = float(np.average(probability[part], weights=w[part]))
            found.append(Bin(mean, float(seen.value[0]), float(seen.low[0]), float(seen.high[0]), len(part)))
    return tuple(found)
