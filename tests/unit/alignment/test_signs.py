"""Nine scripted years: each of the three signs aligned, to be watched, and misaligned, told apart from the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alignment.signs import Level, Measure
from tests.scenes import Scene, alignment_of

ALIGNED = Scene()
SITUATIONS: list[tuple[str, Scene, dict[str, Level]]] = [
    ("all is well", ALIGNED, {"counts": "aligned", "content": "aligned", "data": "aligned"}),
    (
        "conversion slips while MQLs grow",
        replace(ALIGNED, mqls=150, growth=8, sql_share=0.33, sql_change=-0.006),
        {"counts": "watch", "content": "aligned", "data": "aligned"},
    ),
    (
        "MQLs double, SQLs stay where they were",
        replace(ALIGNED, growth=6, sql_share=0.36, sql_change=-0.022),
        {"counts": "misaligned", "content": "aligned", "data": "aligned"},
    ),
    (
        "a third of marketing's items helps no deal",
        replace(ALIGNED, unused_items=2),
        {"counts": "aligned", "content": "watch", "data": "aligned"},
    ),
    (
        "sales lives on its own content",
        replace(ALIGNED, sales_uses=8),
        {"counts": "aligned", "content": "misaligned", "data": "aligned"},
    ),
    (
        "one hand-off in six has no outcome",
        replace(ALIGNED, undisposed=2),
        {"counts": "aligned", "content": "aligned", "data": "watch"},
    ),
    (
        "half of the hand-offs wait for a fortnight",
        replace(ALIGNED, late=5),
        {"counts": "aligned", "content": "aligned", "data": "misaligned"},
    ),
    (
        "marketing sells MQLs below the line, and promises nothing else",
        replace(ALIGNED, below_share=0.7, counts_only=True),
        {"counts": "misaligned", "content": "aligned", "data": "aligned"},
    ),
    (
        "the teams expect something else of every campaign, and describe leads differently",
        replace(ALIGNED, gap=3.0, differing=2),
        {"counts": "aligned", "content": "aligned", "data": "misaligned"},
    ),
]


@pytest.mark.parametrize(("scene", "levels"), [case[1:] for case in SITUATIONS], ids=[case[0] for case in SITUATIONS])
def test_nine_situations_are_told_apart(scene: Scene, levels: dict[str, Level]) -> None:
    found = alignment_of(scene)
    told = {sign.key: sign.level for sign in found.signs}
    why = {measure.key: (measure.level, measure.value) for sign in found.signs for measure in sign.measures}
    assert told == levels, why


def _measures(scene: Scene, *without: str) -> dict[str, Measure]:
    found = alignment_of(scene, *([None] if without else []), *without) if without else alignment_of(scene)
    return {measure.key: measure for sign in found.signs for measure in sign.measures}


def test_each_measure_is_what_was_scripted() -> None:
    measures = _measures(replace(ALIGNED, undisposed=2, sales_uses=3, doubled_topics=1, differing=4, below_share=0.3))
    assert measures["sales_content"].value == pytest.approx(0.3, abs=0.02)
    assert measures["duplicate_topics"].value == pytest.approx(0.25)
    assert measures["differing_fields"].value == pytest.approx(0.4, abs=0.07)
    assert measures["below_line"].value == pytest.approx(0.3, abs=0.01)
    # SQLs are an outcome although nobody wrote a disposition down.
    assert 0.1 < measures["no_disposition"].value < 0.2


def test_a_fall_counts_only_while_mqls_rise() -> None:
    falling = replace(ALIGNED, growth=-3, mqls=100, sql_share=0.36, sql_change=-0.022)
    measure = _measures(falling)["conversion_fall"]
    assert measure.level == "aligned"
    assert measure.value > 0.2
    assert measure.facts["volume"] < 0


def test_what_the_data_lacks_is_unknown_and_named() -> None:
    measures = _measures(
        replace(ALIGNED, below_share=None), "content", "campaigns", "expectations", "hand_offs", "lead_changes"
    )
    unknown = {key: measure.lacks for key, measure in measures.items() if measure.level == "unknown"}
    assert unknown == {
        "below_line": "scores",
        "count_targets": "expectations",
        "unused_content": "content",
        "sales_content": "content",
        "duplicate_topics": "content",
        "no_disposition": "hand_offs",
        "late_contact": "hand_offs",
        "diverging_expectations": "campaigns",
        "differing_fields": "lead_changes",
    }
    assert all(np.isnan(measures[key].value) for key in unknown)


def test_levels_are_those_of_the_workspace_file() -> None:
    strict = {"signs": {"sales_content": {"watch": 0.05, "misaligned": 0.08}}}
    found = alignment_of(ALIGNED, **strict)
    assert {sign.key: sign.level for sign in found.signs}["content"] == "misaligned"
