"""Odoo's rule against what a real Odoo 18.0 gave for 3,000 leads of our own making.

The file is not part of the repository: it lies in ``reference`` beside the folder that ``KIZASHI_EXAMPLE_DATA`` names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.odoo_bayes import Categories, Field, OdooBayes, encode, fit_odoo_bayes

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("KIZASHI_EXAMPLE_DATA", ROOT.parent / "shared" / "data"))
GOLDEN = DATA.parent / "reference" / "odoo18_pls_golden.json"
# A row: team, stage, closed as (won, lost or null), tags, the fields in order, percent that Odoo showed.
TEAM, STAGE, CLOSED, TAGS, FIRST_FIELD = range(5)
UNSET_COUNTS = ("email_state", "phone_state")


@dataclass(frozen=True)
class Golden:
    """The file, and the rule fitted on its closed leads."""

    rows: list[list[Any]]
    leads: Categories
    model: OdooBayes

    def of(self, closed: str | None) -> np.ndarray:
        return np.array([row[CLOSED] == closed for row in self.rows])

    @property
    def expected(self) -> np.ndarray:
        return np.array([row[-1] for row in self.rows])


def columns_of(golden: Mapping[str, Any]) -> tuple[list[Field], np.ndarray]:
    """One column a field, and one a tag: all tags are one field with several values."""
    rows, fields, codes = golden["rows"], [], []
    for number, name in enumerate(golden["features"], start=FIRST_FIELD):
        # Odoo writes False for unset; only the states of e-mail and phone count that as a value.
        values = [row[number] if row[number] is not False or name in UNSET_COUNTS else None for row in rows]
        levels = sorted({value for value in values if value is not None}, key=str)
        fields.append(Field(name, len(levels)))
        codes.append(encode(values, levels))
    tags = sorted({tag for row in rows for tag in row[TAGS]})
    for tag in tags:
        fields.append(Field("tag", 1, is_tag=True))
        codes.append(encode([tag if tag in row[TAGS] else None for row in rows], [tag]))
    return fields, np.stack(codes, axis=1)


@pytest.fixture(scope="module")
def golden() -> Golden:
    if not GOLDEN.exists():
        pytest.skip(f"no {GOLDEN}; KIZASHI_EXAMPLE_DATA names the folder beside it")
    file = json.loads(GOLDEN.read_text(encoding="utf-8"))
    rows, (fields, values) = file["rows"], columns_of(file)
    pipeline = sorted(file["stages"], key=lambda stage: stage[1])
    leads = Categories(
        values,
        encode([row[TEAM] for row in rows], sorted({row[TEAM] for row in rows if row[TEAM] is not None})),
        encode([row[STAGE] for row in rows], [stage[0] for stage in pipeline]),
    )
    closed = np.flatnonzero([row[CLOSED] is not None for row in rows])
    model = fit_odoo_bayes(
        Categories(leads.values[closed], leads.team[closed], leads.stage[closed]),
        np.array([rows[number][CLOSED] == "won" for number in closed]),
        fields,
        stages=len(pipeline),
        won_stages=[number for number, stage in enumerate(pipeline) if stage[2]],
    )
    return Golden(rows, leads, model)


def test_every_open_lead_has_exactly_the_percent_of_odoo(golden: Golden) -> None:
    is_open = golden.of(None)
    assert is_open.sum() == 800
    assert golden.model.percent(golden.leads)[is_open].tolist() == golden.expected[is_open].tolist()


def test_won_leads_are_certain(golden: Golden) -> None:
    assert golden.model.percent(golden.leads)[golden.of("won")].tolist() == golden.expected[golden.of("won")].tolist()


def test_lost_leads_are_not_scored_by_odoo(golden: Golden) -> None:
    """Losing a lead sets its percent to 0; the rule has no say, which is why it asks for leads that are not lost."""
    assert not golden.expected[golden.of("lost")].any()
