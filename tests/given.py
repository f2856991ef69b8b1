"""Scoring of leads that requests bring along, without HTTP: read, scored, issued into a state in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from crm.state_tables import METADATA
from serving.asked import Asked
from serving.bodies import HeldBatchBody, HeldBody, ScoreBody
from serving.held_leads import HeldLeads
from serving.issuing import Issuer
from serving.languages import language_for
from serving.live import Live
from serving.scorer import Scorer

__all__ = ["score_batch", "score_one"]


def score_one(scorer: Scorer, data: bytes, accept_language: str | None, now: datetime) -> dict[str, Any]:
    """Answer the body of /v1/score."""
    body = scorer.read_score(data, now)
    assert not isinstance(body, HeldBody)
    return _answers(scorer, [body], accept_language, now)[0]


def score_batch(scorer: Scorer, data: bytes, accept_language: str | None, now: datetime) -> list[dict[str, Any]]:
    """Answer the body of /v1/score/batch."""
    bodies = scorer.read_batch(data, now)
    assert not isinstance(bodies, HeldBatchBody)
    return _answers(scorer, bodies, accept_language, now)


def _answers(
    scorer: Scorer, bodies: Sequence[ScoreBody], accept_language: str | None, now: datetime
) -> list[dict[str, Any]]:
    live = Live(scorer, cast(HeldLeads, None), Issuer(scorer.model.line, b"secret", {}))
    language = language_for(accept_language, scorer.config.workspace.language)
    scored = live.score_given(bodies, Asked(now, language))
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.begin() as connection:
        issued = live.issuer.issue(connection, scored.issues)
    engine.dispose()
    return scored.answers(issued)
