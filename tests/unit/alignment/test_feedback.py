"""Disagreement, what marketing owes, the agreement to sign and the weekly digest."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from alignment.agreement import agreement_document, agreement_version
from alignment.board.context import BoardContext
from alignment.board.page import Findings, board_context
from alignment.digest import digest_document
from alignment.owed import marketing_delivered
from crm.config import WorkspaceConfig
from pages.document import render_document
from pages.formats import Formats
from pages.words import Language, load_words
from tests.histories import config_of
from tests.scenes import END, Scene, alignment_of

SLA = {
    "parties": ["Aoi, marketing", "Sam, sales"],
    "effective_on": date(2025, 6, 1),
    "accept_hours": 6,
    "band": {"A": {"first_contact_hours": 2}},
    "hours": {"country": "JP", "closed_on": [date(2025, 12, 29)]},
    "hours_of_team": {"field": {"timezone": "Asia/Tokyo", "closes": "24:00"}},
    "marketing": {"mqls_per_week": 10, "value_per_week": 500.0, "above_line_share": 0.95},
}


def context_of(config: WorkspaceConfig, language: Language) -> BoardContext:
    words = load_words(language)
    return BoardContext(words, Formats(words, config.workspace.currency), config.workspace.timezone, {})


# --- disagreement ----------------------------------------------------------------------------------------------------


def test_high_scores_that_were_rejected_and_low_ones_that_were_won() -> None:
    found = alignment_of(replace(Scene(), below_share=0.5)).disagreement
    assert found is not None
    assert found.has_scores
    assert set(found.rejected["band"]) <= {"A", "B"}
    assert set(found.rejected["disposition"]) == {"disqualified"}
    assert 0 < len(found.rejected) < found.answered
    assert (found.won["value"] <= 100).all()
    assert 0 < len(found.won) < found.wins
    assert found.rejected["value"].is_monotonic_decreasing


def test_dispositions_and_reasons_that_were_not_agreed_on_are_named() -> None:
    found = alignment_of(Scene(), END, dispositions={"accepted": ["qualified"], "rejected": ["no thanks"]}).disagreement
    assert found is not None
    assert dict(found.unlisted).keys() == {"disqualified"}
    assert found.rejected.empty


def test_without_scores_there_is_nothing_to_disagree_with() -> None:
    found = alignment_of(replace(Scene(), below_share=None)).disagreement
    assert found is not None
    assert not found.has_scores
    assert found.rejected.empty
    assert found.won.empty


# --- what marketing owes ---------------------------------------------------------------------------------------------


def test_what_marketing_handed_over_stands_beside_what_it_owes() -> None:
    people = alignment_of(replace(Scene(mqls=60, growth=0), below_share=0.1), END, sla=SLA).reports.people
    found = {one.key: one for one in marketing_delivered(people)}
    assert found["mqls_per_week"].value == pytest.approx(60 * 12 / 52, rel=0.1)
    assert found["mqls_per_week"].is_kept
    assert found["mqls_per_week"].low < found["mqls_per_week"].value < found["mqls_per_week"].high
    assert found["above_line_share"].value == pytest.approx(0.9, abs=0.03)
    assert found["above_line_share"].is_kept is False
    mean = 0.9 * 200 + 0.1 * 50
    assert found["value_per_week"].value == pytest.approx(mean * found["mqls_per_week"].value, rel=0.05)
    unscored = alignment_of(replace(Scene(), below_share=None), END, sla=SLA).reports.people
    assert [one.is_kept for one in marketing_delivered(unscored)] == [True, None, None]


# --- the agreement ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_agreement_says_every_term_and_who_signs(language: Language) -> None:
    config = config_of(sla=SLA, segments={"large": "size = 'a'"}, dispositions={"reasons": ["no_budget"]})
    document = agreement_document(config, context_of(config, language))
    for as_html in (False, True):
        text = render_document(document, language, as_html=as_html)
        for said in (
            "Aoi, marketing",
            "Sam, sales",
            "Asia/Tokyo",
            "09:00 – 24:00",
            "2025-12-29",
            "JP",
            "no_budget",
            "95%",
        ):
            assert said in text, said
        assert agreement_version(config) in text


def test_the_version_changes_with_whatever_is_printed_and_not_with_a_signer() -> None:
    one = config_of(sla=SLA, segments={"large": "size = 'a'"})
    same = config_of(sla={**SLA, "parties": []}, segments={"large": "size = 'a'"})
    assert agreement_version(one) == agreement_version(same)
    named = {**SLA, "segments": ["large"]}
    others = [
        config_of(sla={**SLA, "accept_hours": 7}),
        config_of(sla=SLA, dispositions={"reasons": ["no_need"]}),
        config_of(sla=SLA, workspace={"timezone": "Asia/Tokyo"}),
        config_of(sla=named, segments={"large": "size = 'a'"}),
        config_of(sla=named, segments={"large": "size = 'b'"}),
    ]
    assert len({agreement_version(config) for config in (one, *others)}) == 6


def test_terms_that_are_signed_are_not_rounded() -> None:
    config = config_of(sla={"accept_hours": 0.25, "first_contact_hours": 1.125})
    text = render_document(agreement_document(config, context_of(config, "en")), "en", as_html=False)
    assert "| all | 0.25 | 1.125 | 3 |" in text


def test_without_an_agreement_the_defaults_are_written_out_for_both_heads() -> None:
    config = config_of()
    text = render_document(agreement_document(config, context_of(config, "en")), "en", as_html=False)
    assert "Head of marketing" in text
    assert "every lead that marketing hands to sales" in text


# --- the digest ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weeks() -> tuple[Findings, Findings]:
    scene = replace(Scene(), undisposed=3, late=3)
    return alignment_of(scene, END, sla=SLA), alignment_of(scene, END - timedelta(days=7), sla=SLA)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_digest_says_what_changed_what_is_due_and_who_owes_what(
    weeks: tuple[Findings, Findings], language: Language
) -> None:
    now, before = weeks
    context = board_context(now, language, names_owners=False)
    document = digest_document(now, before, context)
    text = render_document(document, language, as_html=False)
    words = load_words(language)
    for key in ("digest.changed_heading", "digest.due_heading", "digest.owes_heading", "digest.leads_heading"):
        assert f"## {words(key)}" in text
    assert words("board.owner", n="1") in text
    assert "o0" not in text
    created = now.reports.people.frame["created_us"]
    until = now.reports.people.until_us
    new = int(((until - created) <= 7 * 86_400_000_000).sum())
    assert f"| {words('digest.count_created')} | {new} |" in text
    named = digest_document(now, before, board_context(now, language, names_owners=True))
    assert "o0" in render_document(named, language, as_html=False)


def test_the_digest_counts_each_overdue_term_of_each_owner(weeks: tuple[Findings, Findings]) -> None:
    now, before = weeks
    sla = now.reports.sla
    assert sla is not None
    document = digest_document(now, before, board_context(now, "en", names_owners=True))
    text = render_document(document, "en", as_html=False)
    counts = sla.breaches.groupby(["owner", "clock"]).size()
    for owner in sla.breaches["owner"].unique():
        cells = [f"{int(counts.get((owner, clock), 0)):,}" for clock in ("accept", "contact", "disposition")]
        assert f"| {owner} | {' | '.join(cells)} |" in text
    assert np.isfinite(sla.breaches["overdue_hours"]).all()
