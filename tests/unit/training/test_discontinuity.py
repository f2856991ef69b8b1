"""Leads around the cut-off, from tables: what was known at thirty days of age decides, and the effect is found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from features.touch_times import Recency
from tests.histories import START, Row, config_of, tables_of
from tests.unit.training.made import END, data_of
from training.discontinuity import AGE_DAYS, CutOff, look_at_cut_off

LEADS, CUT, EFFECT = 2400, 20, 0.35
RULE: dict[str, Any] = {"threshold": CUT, "touches": {"visit": 1}}


def rows_of() -> dict[str, list[Row]]:
    """Visits on the first day give a point each; hand-offs follow the rule mostly, a tenth of them after 40 days."""
    rng = np.random.default_rng(5)
    rows: dict[str, list[Row]] = {"leads": [], "touches": [], "hand_offs": [], "stages": []}
    for number in range(LEADS):
        lead, created = f"L{number}", START + timedelta(days=float(rng.uniform(0, 500)))
        visits = int(rng.integers(2, 39))
        rows["leads"].append({"lead_id": lead, "created_at": created})
        rows["touches"] += [
            {
                "touch_id": f"{lead}-{n}",
                "lead_id": lead,
                "kind": "visit",
                "actor": "lead",
                "happened_at": created + timedelta(hours=1 + n % 20),
            }
            for n in range(visits)
        ]
        is_handed = rng.random() < (0.9 if visits >= CUT else 0.05)
        late = rng.random() < 0.1
        if is_handed:
            moment = created + timedelta(days=40 if late else 2)
            rows["hand_offs"].append({"hand_off_id": f"h{number}", "lead_id": lead, "handed_off_at": moment})
        if rng.random() < 0.1 + 0.004 * visits + EFFECT * is_handed:
            rows["stages"].append({"lead_id": lead, "stage": "sql", "entered_at": created + timedelta(days=45)})
    return rows


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return rows_of()


def look(rows: dict[str, list[Row]], rule: dict[str, Any] = RULE) -> CutOff:
    config = config_of(old_rule=rule)
    data = data_of([(Recency("any"), np.zeros(LEADS))], np.zeros(LEADS, dtype=bool))
    with tables_of(rows, now=END, old_rule=rule) as tables:
        return look_at_cut_off(tables, data, config)


def test_the_cut_off_tells_what_a_hand_off_brings_about(rows: dict[str, list[Row]]) -> None:
    found = look(rows)
    assert found.missing == ""
    assert (found.points, found.days) == (CUT, AGE_DAYS + 30)
    jump = found.jumps[0]
    assert jump.handed.value == pytest.approx(0.85 * 0.9, abs=0.12)  # a tenth came after the thirty days
    assert jump.effect.low < EFFECT / 0.9 < jump.effect.high
    assert [one.bandwidth for one in found.jumps] == [jump.bandwidth * by for by in (1, 0.5, 2)][: len(found.jumps)]


def test_what_was_recorded_after_thirty_days_moves_no_lead(rows: dict[str, list[Row]]) -> None:
    late = {
        "touch_id": "late", "lead_id": "L0", "kind": "visit", "actor": "lead",
        "happened_at": rows["leads"][0]["created_at"] + timedelta(days=AGE_DAYS + 1),
    }  # fmt: skip
    assert look(
        {**rows, "touches": [*rows["touches"], *({**late, "touch_id": f"late{n}"} for n in range(40))]}
    ) == look(rows)


def test_without_points_hand_offs_or_leads_it_says_why(rows: dict[str, list[Row]]) -> None:
    assert "counts no points" in look(rows, {"stage": "mql"}).missing
    assert "No hand-offs" in look({name: some for name, some in rows.items() if name != "hand_offs"}).missing
    assert look(rows, {**RULE, "threshold": 38}).missing.endswith("100 are needed on either side.")
