"""Issuing scores: decision, row of the ledger, newest score and what CRMs are to be told, in one transaction.

The service and ``kizashi rescore`` both issue here, so a score that anybody was told is in the ledger.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import orjson
import sqlalchemy as sa

from crm.config_crm import CrmConfig
from crm.lead_hashes import not_scored
from crm.ledger import append_ledger, current_scores, put_current
from crm.outbox import queue_scores
from models.decisions import Decision, DecisionName, decide, decided, draw_of
from models.line import Line

__all__ = ["Issue", "Issuer", "Origin", "input_hmac"]

Origin = Literal["served", "batch", "replay"]
Row = dict[str, Any]
MOVED_POINTS = 0.1
"""Points by which a score that nobody asked for must have moved to be issued."""


@dataclass(frozen=True)
class Issue:
    """A score that is about to be issued.

    Parameters
    ----------
    answer
        As :func:`models.scoring.answers` gives it.
    as_of_us, issued_us
        Moment that it speaks of, and of its making, microseconds since 1970 UTC.
    excluded_by
        Rule of ``[exclude]`` that meets the lead.
    is_with_sales
        Sales has the lead.
    is_stored
        The lead is held here; otherwise it came in the request's body.
    account_id
        Its account.
    input_hmac
        Keyed hash of the features.
    origin
        ``served``, ``batch`` (rescore), or ``replay`` of an earlier moment, which is no news to anybody.
    latency_us
        From the request to the score, microseconds.
    request_id
        Under which the request is found in the log.
    """

    answer: Mapping[str, Any]
    as_of_us: int
    issued_us: int
    excluded_by: str | None
    is_with_sales: bool
    is_stored: bool
    account_id: str | None
    input_hmac: str
    origin: Origin
    latency_us: int = 0
    request_id: str = ""

    @property
    def is_news(self) -> bool:
        """Whether it becomes the newest score of a lead that is held here."""
        return self.is_stored and self.origin != "replay"


def input_hmac(secret: bytes, features: bytes) -> str:
    """Return the keyed hash of a lead's features as bytes of 32-bit floats: scores of one hash had the same input.

    In 64 bits, sums of the same touches differ in the last digit by the order in which they were added.

    Examples
    --------
    >>> input_hmac(b"secret", b"features")[:8]
    '6724081a'
    """
    return hmac.digest(secret, features, "sha256").hex()[:32]


@dataclass(frozen=True)
class Issuer:
    """Issues scores under one line.

    Parameters
    ----------
    line
        The line in force.
    secret
        Key of the draws in the band.
    crms
        CRMs that are told scores, by name.
    """

    line: Line
    secret: bytes
    crms: Mapping[str, CrmConfig]

    def issue(self, connection: sa.Connection, issues: Sequence[Issue], *, only_moved: bool = False) -> list[Row]:
        """Write scores down, and return the answers with their decisions and ``ledger_id``.

        Leads that were erased or objected meanwhile have no answer.

        Parameters
        ----------
        connection
            In a transaction.
        issues
            Scores, each lead once.
        only_moved
            Leave out scores that say what the lead's newest one says already: nobody asked for them.
        """
        version = self._line_version
        gone = not_scored(connection, self.secret, {one.answer["lead_id"] for one in issues})
        if gone:  # after it was scored and before this: nothing of it may be written down, or told, again
            issues = [one for one in issues if one.answer["lead_id"] not in gone]
        held = {one.answer["lead_id"] for one in issues if one.is_stored}
        before = current_scores(connection, held)
        made = [self._decided(one, before.get(one.answer["lead_id"]), version) for one in issues]
        if only_moved:
            moved = [_has_moved(before.get(answer["lead_id"]), answer) for answer, _ in made]
            issues = [one for one, is_moved in zip(issues, moved, strict=True) if is_moved]
            made = [one for one, is_moved in zip(made, moved, strict=True) if is_moved]
        rows = [_ledger_row(one, answer, decision) for one, (answer, decision) in zip(issues, made, strict=True)]
        numbers = append_ledger(connection, rows)
        answers = [answer for answer, _ in made]
        for answer, seq in zip(answers, numbers, strict=True):
            answer["ledger_id"] = seq
        news = [(one, answer, row) for one, answer, row in zip(issues, answers, rows, strict=True) if one.is_news]
        put_current(connection, [_current_row(one, answer, row) for one, answer, row in news])
        if self.crms and news:
            scores = [{**answer, "seq": answer["ledger_id"]} for _, answer, _ in news]
            queue_scores(connection, self.crms, scores, now_us=issues[0].issued_us)
        return answers

    @cached_property
    def _line_version(self) -> str:
        """Version of the line, a hash of its whole document."""
        return self.line.version

    def _decided(self, one: Issue, before: Row | None, version: str) -> tuple[Row, Decision]:
        answer = decided(one.answer, one.excluded_by)
        value = float(answer["expected_value"])
        previous = _previous(before, version) if before is not None else None
        # Without a band every draw decides the same.
        draw = 0.0 if self.line.band is None else draw_of(answer["lead_id"], version, self.secret)
        decision = decide(self.line, previous, value, draw)
        if one.excluded_by is not None:
            decision = replace(decision, decision="excluded", propensity=0.0)
        elif one.is_with_sales:
            decision = Decision("already_handed_off", 0.0, is_above=False)
        answer["decision"] = decision.decision
        return answer, decision


def _previous(before: Row, version: str) -> Decision | None:
    """Return what was decided before under the same line; a lead that came back from sales begins anew."""
    if before["line_version"] != version or before["decision"] == "already_handed_off":
        return None
    name: DecisionName = before["decision"]
    return Decision(name, float(before["propensity"]), bool(before["is_above"]))


def _has_moved(before: Row | None, answer: Row) -> bool:
    if before is None or abs(answer["score"] - before["score"]) >= MOVED_POINTS:
        return True
    return any(answer[name] != before[name] for name in ("grade", "decision", "model_version", "line_version"))


_PLAIN = (
    *(
        "lead_id",
        "model_version",
        "line_version",
        "score_outcome",
        "score",
        "score_unclipped",
        "base",
        "p_sql",
        "p_won",
    ),
    *("expected_revenue", "expected_value", "percentile", "grade", "is_mql", "decision", "excluded_by"),
)


def _ledger_row(one: Issue, answer: Row, decision: Decision) -> Row:
    return {name: answer[name] for name in _PLAIN} | {
        "as_of_us": one.as_of_us,
        "issued_us": one.issued_us,
        "origin": one.origin,
        "is_stored": one.is_stored,
        "propensity": decision.propensity,
        "is_above": decision.is_above,
        "points": orjson.dumps({point["signal"]: point["points"] for point in answer["points"]}).decode(),
        "reasons": orjson.dumps(answer["reasons"]).decode(),
        "input_hmac": one.input_hmac,
        "latency_us": one.latency_us,
        "request_id": one.request_id,
    }


def _current_row(one: Issue, answer: Row, row: Row) -> Row:
    plain = ("lead_id", "model_version", "line_version", "score", "expected_value", "grade", "decision")
    return {name: answer[name] for name in plain} | {
        "seq": answer["ledger_id"],
        "account_id": one.account_id,
        "as_of_us": one.as_of_us,
        "propensity": row["propensity"],
        "is_above": row["is_above"],
    }
