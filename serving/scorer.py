"""A model as the service uses it: how it reads bodies, what it computes, and whom the workspace leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.rules import LeadRules
from features.known import KnownLead
from models.scoring import LoadedModel
from serving.bodies import BodyError, HeldBatchBody, HeldBody, ScoreBody, read_batch, read_score
from serving.checks import wrong_as_of, wrong_fields
from serving.problems import FieldError, ProblemError, invalid_request
from serving.reading import Reading
from serving.strict_json import parse_json

__all__ = ["WARM_UP", "Scorer"]

Value = str | float | bool | None
WARM_UP = {
    "lead": {"lead_id": "warm-up", "created_at": "2020-01-01T00:00:00Z"},
    "touches": [{"kind": "visit", "happened_at": "2020-01-02T00:00:00Z"}],
}
"""A body that every model can score."""


class Scorer:
    """A model that reads requests and scores leads.

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

    def read_score(self, data: bytes, now: datetime) -> ScoreBody | HeldBody:
        """Read the body of /v1/score: a lead with its touches, or the id of one that is held here.

        Parameters
        ----------
        data
            The body.
        now
            The clock. Timezone-aware.

        Raises
        ------
        ProblemError
            With everything that is wrong in it.
        """
        content = parse_json(data)
        try:
            body = read_score(content)
        except BodyError as error:
            raise ProblemError(invalid_request(error.errors)) from None
        wrong = wrong_as_of(body.as_of, now) if isinstance(body, HeldBody) else wrong_fields(body, self.reading, now)
        if wrong:
            raise ProblemError(invalid_request(wrong))
        return body

    def read_batch(self, data: bytes, now: datetime) -> Sequence[ScoreBody] | HeldBatchBody:
        """Read the body of /v1/score/batch: every lead in order, or none; or ids of leads that are held here.

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
        if isinstance(body, HeldBatchBody):
            wrong = wrong_as_of(body.as_of, now)
        else:
            wrong = [
                FieldError(f"/leads/{number}{error.field}", error.message)
                for number, lead in enumerate(body.leads)
                for error in wrong_fields(lead, self.reading, now)
            ]
        if wrong:
            raise ProblemError(invalid_request(wrong))
        return body if isinstance(body, HeldBatchBody) else body.leads

    def matrix(self, leads: Sequence[KnownLead], as_of_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the features of leads, each as known at its own moment, shape (n, n_features)."""
        return self.model.bundle.features.rows(leads, as_of_us)

    def excluded(self, leads: Sequence[Mapping[str, Value]]) -> list[str | None]:
        """Give, for each lead's columns, the first rule of ``[exclude]`` that meets it, or None."""
        return self._rules.excluded(leads)
