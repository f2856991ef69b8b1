"""From the bytes of a request to its answers: everything between HTTP and the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from crm.config import Workspace, WorkspaceConfig
from crm.rules import LeadRules
from features.feature import Language
from models.decisions import decided
from models.registry import load_model
from models.scoring import LoadedModel, answers, score_matrix
from serving.bodies import BodyError, ScoreBody, read_batch, read_score
from serving.checks import wrong_fields
from serving.languages import language_for
from serving.lead_from_body import LeadToScore, lead_from_body
from serving.problems import FieldError, ProblemError, invalid_request
from serving.reading import Reading
from serving.strict_json import parse_json

__all__ = ["WARM_UP", "Scorer", "load_scorer"]

WARM_UP = {
    "lead": {"lead_id": "warm-up", "created_at": "2020-01-01T00:00:00Z"},
    "touches": [{"kind": "visit", "happened_at": "2020-01-02T00:00:00Z"}],
}
"""A body that every model can score."""


class Scorer:
    """A model that answers requests.

    Parameters
    ----------
    model
        The version in force, with its line.
    config
        The workspace file.
    """

    def __init__(self, model: LoadedModel, config: WorkspaceConfig) -> None:
        self.model = model
        self.config = config
        self._rules = LeadRules(config.exclude)
        self.reading = Reading.of(model.bundle.features, config)

    def score(self, data: bytes, accept_language: str | None, now: datetime) -> dict[str, Any]:
        """Answer the body of /v1/score.

        Parameters
        ----------
        data
            The body.
        accept_language
            The request's header; by default reasons are in the workspace's language.
        now
            The clock. Timezone-aware.

        Raises
        ------
        ProblemError
            With everything that is wrong in the body.
        """
        content = parse_json(data)
        try:
            body = read_score(content)
        except BodyError as error:
            raise ProblemError(invalid_request(error.errors)) from None
        wrong = wrong_fields(body, self.reading, now)
        if wrong:
            raise ProblemError(invalid_request(wrong))
        return self._answers([body], accept_language, now)[0]

    def score_batch(self, data: bytes, accept_language: str | None, now: datetime) -> dict[str, Any]:
        """Answer the body of /v1/score/batch: every lead in order, or none.

        Raises
        ------
        ProblemError
            With everything that is wrong in any lead.
        """
        content = parse_json(data)
        try:
            body = read_batch(content, self.config.serve.max_batch)
        except BodyError as error:
            raise ProblemError(invalid_request(error.errors)) from None
        wrong = [
            FieldError(f"/leads/{number}{error.field}", error.message)
            for number, lead in enumerate(body.leads)
            for error in wrong_fields(lead, self.reading, now)
        ]
        if wrong:
            raise ProblemError(invalid_request(wrong))
        return {"answers": self._answers(body.leads, accept_language, now)}

    def warm_up(self, now: datetime) -> None:
        """Score a made-up lead: what is made on first use exists before the first caller waits for it."""
        data = json.dumps({"leads": [WARM_UP]}).encode()
        for language in ("en", "ja"):
            self.score_batch(data, language, now)

    def _answers(self, bodies: Sequence[ScoreBody], accept_language: str | None, now: datetime) -> list[dict[str, Any]]:
        language = language_for(accept_language, self.config.workspace.language)
        leads = [lead_from_body(body, self.reading, now) for body in bodies]
        scored = self._score(leads, language)
        rules = self._rules.excluded([lead.columns for lead in leads])
        return [
            decided(answer, rule) | {"warnings": [asdict(warning) for warning in lead.warnings]}
            for answer, lead, rule in zip(scored, leads, rules, strict=True)
        ]

    def _score(self, leads: Sequence[LeadToScore], language: Language) -> list[dict[str, Any]]:
        bundle = self.model.bundle
        moments = np.array([lead.as_of_us for lead in leads], dtype=np.int64)
        matrix = bundle.features.rows([lead.known for lead in leads], moments)
        scores = score_matrix(bundle, self.model.line, matrix)
        return answers(self.model, scores, [lead.lead_id for lead in leads], moments, language)


def load_scorer(workspace: Workspace) -> Scorer:
    """Load the workspace's champion.

    Raises
    ------
    RegistryError
        When there is none.
    BundleError
        When its files are not those that were registered.
    """
    scorer = Scorer(load_model(workspace), workspace.config)
    scorer.warm_up(datetime.now(UTC))
    return scorer
