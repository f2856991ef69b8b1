"""What answers at this moment: one model with its line, the leads as it reads them, and the way scores are issued.

A new champion is a new :class:`Live`, put in the place of the old one between two requests; a request that has begun
ends with the one that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crm.known import to_micros
from features.feature import Language
from models.answers import answers
from models.scoring import score_matrix
from serving.asked import Asked
from serving.bodies import ScoreBody
from serving.held_leads import HeldLead, HeldLeads
from serving.issuing import Issue, Issuer, Origin, input_hmac
from serving.lead_from_body import lead_from_body, listed
from serving.problems import FieldError
from serving.scorer import Scorer

__all__ = ["Live", "Scored"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """Scores that are ready to be issued.

    Parameters
    ----------
    issues
        One a lead that could be scored.
    warnings
        What the caller should know of each of them.
    unknown
        Ids of which nothing is held.
    """

    issues: tuple[Issue, ...]
    warnings: tuple[tuple[FieldError, ...], ...]
    unknown: tuple[str, ...] = ()

    def answers(self, issued: Sequence[Row]) -> list[Row]:
        """Give issued answers their warnings, and return them."""
        told = self.warnings
        if len(issued) < len(told):  # a lead was erased meanwhile
            by_lead = {one.answer["lead_id"]: said for one, said in zip(self.issues, told, strict=True)}
            told = tuple(by_lead[answer["lead_id"]] for answer in issued)
        for answer, warnings in zip(issued, told, strict=True):
            answer["warnings"] = [{"field": one.field, "message": one.message} for one in warnings]
        return list(issued)


class _Wanted(NamedTuple):
    """A lead that is held here, the request for it, and the moment that is asked for."""

    lead: HeldLead
    asked: Asked
    as_of_us: int


@dataclass(frozen=True)
class Live:
    """A model in force.

    Parameters
    ----------
    scorer
        The model and what it makes of bodies.
    held
        Leads by id, as it reads them.
    issuer
        How its scores are issued.
    """

    scorer: Scorer
    held: HeldLeads
    issuer: Issuer

    def score_held(self, lead_ids: Sequence[str], asked: Asked, origin: Origin = "served") -> Scored:
        """Score leads that are held here, each id once."""
        return self.score_each([(one, asked) for one in lead_ids], origin)

    def score_each(self, wanted: Sequence[tuple[str, Asked]], origin: Origin = "served") -> Scored:
        """Score leads that are held here, each id once, every one for its own request; all in the first's language."""
        found = self.held.get([lead_id for lead_id, _ in wanted])
        known: list[_Wanted] = []
        unknown: list[str] = []
        for lead_id, asked in wanted:
            lead, as_of_us = found.get(lead_id), to_micros(asked.as_of or asked.now)
            if lead is None or lead.known.created_us > as_of_us:
                unknown.append(lead_id)
            else:
                known.append(_Wanted(lead, asked, as_of_us))
        if not known:
            return Scored((), (), tuple(unknown))
        moments = np.array([one.as_of_us for one in known], dtype=np.int64)
        matrix = self.scorer.matrix([one.lead.known for one in known], moments)
        records = self._answers(matrix, [one.lead.lead_id for one in known], moments, known[0].asked.language)
        columns = self.scorer.reading.rule_columns
        rules = self.scorer.excluded([one.lead.columns(one.as_of_us, columns) for one in known])
        issues = tuple(
            Issue(
                answer=record,
                as_of_us=one.as_of_us,
                issued_us=to_micros(one.asked.now),
                excluded_by=rule,
                is_with_sales=one.lead.sales.is_with_sales(one.as_of_us),
                is_stored=True,
                account_id=one.lead.account_id,
                input_hmac=input_hmac(self.issuer.secret, row.tobytes()),
                origin="replay" if one.asked.as_of is not None else origin,
                latency_us=round((perf_counter() - one.asked.started) * 1e6),
                request_id=one.asked.request_id,
            )
            for record, rule, one, row in zip(records, rules, known, matrix.astype(np.float32), strict=True)
        )
        return Scored(issues, tuple(self._warnings(one.lead, one.as_of_us) for one in known), tuple(unknown))

    def score_given(self, bodies: Sequence[ScoreBody], asked: Asked) -> Scored:
        """Score leads that requests bring along; nothing of them is kept but the ledger's row."""
        leads = [lead_from_body(body, self.scorer.reading, asked.now) for body in bodies]
        moments = np.array([lead.as_of_us for lead in leads], dtype=np.int64)
        matrix = self.scorer.matrix([lead.known for lead in leads], moments)
        ids = [lead.lead_id for lead in leads]
        records = self._answers(matrix, ids, moments, asked.language)
        rules = self.scorer.excluded([lead.columns for lead in leads])
        issues = tuple(
            Issue(
                answer=record,
                as_of_us=lead.as_of_us,
                issued_us=to_micros(asked.now),
                excluded_by=rule,
                is_with_sales=False,
                is_stored=False,
                account_id=None,
                input_hmac=input_hmac(self.issuer.secret, row.tobytes()),
                origin="served",
                latency_us=round((perf_counter() - asked.started) * 1e6),
                request_id=asked.request_id,
            )
            for record, rule, lead, row in zip(records, rules, leads, matrix.astype(np.float32), strict=True)
        )
        return Scored(issues, tuple(lead.warnings for lead in leads))

    def _answers(
        self, matrix: NDArray[np.float64], ids: Sequence[str], moments: NDArray[np.int64], language: Language
    ) -> list[Row]:
        model = self.scorer.model
        return answers(model, score_matrix(model.bundle, model.line, matrix), ids, moments, language)

    def _warnings(self, lead: HeldLead, as_of_us: int) -> tuple[FieldError, ...]:
        reading: Mapping[str, object] = self.scorer.reading.attributes
        missing = [name for name in reading if lead.known.attribute(name, as_of_us) is None]
        if not missing:
            return ()
        return (FieldError("/lead_id", f"attributes that the model reads are missing: {listed(missing)}"),)
