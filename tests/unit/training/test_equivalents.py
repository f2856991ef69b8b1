"""What the line means for a segment: a lead with its mean amount meets each grade exactly there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crm.rules import Segments
from models.scoring import score_matrix
from tests.unit.models.test_scoring import BUNDLE, LINE, MATRIX
from training.equivalents import equivalents

ROWS = MATRIX[:400]
MEMBER = np.stack([ROWS[:, 0] > np.median(ROWS[:, 0]), np.zeros(len(ROWS), dtype=bool)], axis=1)
SEGMENTS = Segments(("busy", "nobody"), MEMBER)


def test_a_lead_of_the_mean_amount_meets_the_line_there() -> None:
    bundle = replace(BUNDLE, score_outcome="won", g50=BUNDLE.won.calibrator.inverse(0.01))
    scores = score_matrix(bundle, LINE, ROWS)
    line = LINE.model_copy(update={"price": float(np.quantile(scores.expected_value, 0.8)), "median_mql_value": None})
    whole, busy, nobody = equivalents(
        line, bundle, scores.score_unclipped, (scores.p_won, scores.expected_revenue), SEGMENTS
    )
    assert (whole.segment, whole.leads, busy.leads) == ("all", 400, int(MEMBER[:, 0].sum()))
    assert whole.mqls == int((scores.expected_value > line.threshold).sum())
    assert (nobody.leads, nobody.mean_amount, nobody.b) == (0, None, None)
    for found in (whole, busy):
        assert found.a is None
        assert found.b is not None
        assert found.mean_amount is not None
        worth = line.expected_value(np.array([found.b.p_won * found.mean_amount]))
        assert worth[0] == pytest.approx(line.threshold)
    # Score and chance are one scale: the line lies between the leads just below and just above it.
    assert whole.b is not None
    assert ((scores.p_won > whole.b.p_won) == (scores.score_unclipped > whole.b.score)).mean() == pytest.approx(1.0)


def test_where_the_score_speaks_of_sql_as_many_leads_reach_it() -> None:
    scores = score_matrix(BUNDLE, LINE, ROWS)
    sql = replace(BUNDLE, score_outcome="sql")
    mean = float(scores.expected_revenue.sum() / scores.p_won.sum())
    price = float(np.quantile(scores.p_won, 0.7)) * mean * LINE.margin - LINE.touch_cost
    line = LINE.model_copy(update={"price": price, "median_mql_value": None})
    found = equivalents(line, sql, scores.score_unclipped, (scores.p_won, scores.expected_revenue), SEGMENTS)[0].b
    assert found is not None
    assert (scores.score_unclipped > found.score).mean() == pytest.approx(0.3, abs=0.02)


def test_without_leads_there_are_none() -> None:
    none = np.zeros(0)
    assert equivalents(LINE, BUNDLE, none, (none, none), Segments((), np.zeros((0, 0), dtype=bool))) == ()
