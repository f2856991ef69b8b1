"""Draws hang on lead ids, so that the same lead is drawn whichever others there are, and however they are numbered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.drawing import draw_accounts, even_draw

ROWS, MOST = 60_000, 20_000


def leads_of(count: int, *, prefix: str = "lead") -> pa.Table:
    return pa.table({"lead_id": [f"{prefix} {n}" for n in range(count)], "as_of_us": np.zeros(count, dtype=np.int64)})


def accounts_of(size: int) -> NDArray[np.int64]:
    return np.arange(ROWS) // size


def test_two_moments_of_a_lead_are_drawn_apart() -> None:
    moments = leads_of(ROWS)
    later = moments.set_column(1, "as_of_us", pa.array(np.full(ROWS, 7), pa.int64()))
    assert abs(np.corrcoef(even_draw(moments), even_draw(later))[0, 1]) < 0.02


def test_accounts_stay_or_go_as_a_whole_whatever_their_numbers() -> None:
    moments, group = leads_of(ROWS), accounts_of(5)
    kept = draw_accounts(group, moments, MOST)
    assert abs(kept.sum() - MOST) < 0.05 * MOST
    assert all(len(set(part)) == 1 for part in np.split(kept, ROWS // 5))
    np.testing.assert_array_equal(draw_accounts(group.max() - group, moments, MOST), kept)
    order = np.random.default_rng(3).permutation(ROWS)
    np.testing.assert_array_equal(draw_accounts(group[order], moments.take(pa.array(order)), MOST), kept[order])


def test_a_placeholder_that_many_leads_share_does_not_decide_how_many_stay() -> None:
    group = np.where(np.arange(ROWS) < ROWS // 2, 0, np.arange(ROWS))
    for prefix in "abcd":
        kept = draw_accounts(group, leads_of(ROWS, prefix=prefix), MOST)
        assert abs(kept.sum() - MOST) < 0.05 * MOST


def test_few_rows_are_all_kept() -> None:
    assert draw_accounts(accounts_of(3)[:MOST], leads_of(MOST), MOST).all()
