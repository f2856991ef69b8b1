"""What one price in money means for each segment: as a chance to win, and as a score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crm.rules import Segments
from models.bundle import Bundle
from models.line import Line
from models.line_terms import ALL_LEADS, Equivalent, Mark
from models.scoring import CENTRE, points_per_logit

__all__ = ["equivalents"]

Matrix = NDArray[np.float64]


def equivalents(
    line: Line, bundle: Bundle, scores: Matrix, worth: tuple[Matrix, Matrix], segments: Segments
) -> tuple[Equivalent, ...]:
    """Return where a lead with the mean amount of its segment meets each grade.

    Such a lead meets a value v at the chance ``(v + touch_cost) / (margin * amount)``. Where the score speaks of wins,
    its score is exact: the calibrator turned round. Where it speaks of SQL, it is the score that as many leads at risk
    reach as reach the chance.

    Parameters
    ----------
    line
        The line, without equivalents.
    bundle
        The model.
    scores
        Unclipped scores of the leads at risk, shape (n,).
    worth
        Their chance to win and their expected revenue in workspace currency, shape (n,) each.
    segments
        Their segments.

    Returns
    -------
    tuple of Equivalent
        All leads first, then each segment in the file's order; nothing without leads.
    """
    p_won, revenue = worth
    if len(p_won) == 0:
        return ()
    is_mql = line.expected_value(revenue) > line.threshold
    groups = [(ALL_LEADS, np.ones(len(p_won), dtype=bool))]
    groups += [(name, segments.member[:, number]) for number, name in enumerate(segments.names)]
    found: list[Equivalent] = []
    for name, mine in groups:
        chance, brought = float(p_won[mine].sum()), float(revenue[mine].sum())
        amount = brought / chance if chance > 0 and brought > 0 else None
        a, b, c = (
            None if amount is None or value is None else _mark(line, bundle, value, amount, scores, p_won)
            for value in (line.median_mql_value, line.threshold, 0.0)
        )
        found.append(
            Equivalent(
                segment=name,
                leads=int(mine.sum()),
                mqls=int((mine & is_mql).sum()),
                mean_amount=amount,
                a=a,
                b=b,
                c=c,
            )
        )
    return tuple(found)


def _mark(line: Line, bundle: Bundle, value: float, amount: float, scores: Matrix, p_won: Matrix) -> Mark | None:
    chance = (value + line.touch_cost) / (amount * line.margin)
    if not 0 < chance < 1:
        return None
    if bundle.score_outcome == "won":
        g = bundle.won.calibrator.inverse(chance)
        return Mark(p_won=chance, score=CENTRE + points_per_logit() * (g - bundle.g50))
    return Mark(p_won=chance, score=float(np.quantile(scores, float((p_won <= chance).mean()))))
