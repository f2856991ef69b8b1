"""What is read of the state: the queue, a lead's scores, the model in force."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from crm.known import from_micros
from crm.ledger import Order, ledger_of_lead, queue_of
from crm.parsing import is_plain
from serving.moves import Moves
from serving.problems import FieldError, Problem, ProblemError
from serving.runtime import Runtime

__all__ = ["Readings"]

Row = dict[str, Any]
PAGE = 100
MAX_PAGE = 1_000
DECISIONS = ("hand_off", "keep", "held_by_band", "already_handed_off", "excluded")
ORDERS: Mapping[str, Order] = {"expected_value": "expected_value", "score": "score"}


@dataclass(frozen=True)
class Readings:
    """Answers questions about what was scored.

    Parameters
    ----------
    runtime
        What the service holds.
    """

    runtime: Runtime

    def queue(self, query: Sequence[tuple[str, str]]) -> Row:
        """Return leads by their newest scores, highest first.

        Parameters
        ----------
        query
            ``decision``, ``order`` (expected_value or score), ``limit`` and ``after``, the ``next`` of the page before.

        Raises
        ------
        ProblemError
            When one of them cannot be used.
        """
        asked = _asked(query, ("decision", "order", "limit", "after"))
        decision, order = asked.get("decision"), asked.get("order", "expected_value")
        if decision is not None and decision not in DECISIONS:
            raise _wrong("decision", f"must be one of {', '.join(DECISIONS)}")
        if order not in ORDERS:
            raise _wrong("order", f"must be one of {', '.join(ORDERS)}")
        limit, after = _limit(asked), _place(asked.get("after"))
        with self.runtime.state.reading() as connection:
            rows = queue_of(connection, decision=decision, order=ORDERS[order], limit=limit + 1, after=after)
        shown = rows[:limit]
        further = _token(shown[-1][order], shown[-1]["lead_id"]) if len(rows) > limit else None
        currency = self.runtime.settings.workspace.config.workspace.currency
        return {"leads": [_queued(row, currency) for row in shown], "next": further}

    def scores(self, lead_id: str, query: Sequence[tuple[str, str]]) -> Row:
        """Return a lead's scores, newest first, each with why it moved since the one before.

        Parameters
        ----------
        lead_id
            As the caller knows it.
        query
            ``limit``, and ``before``, the ``next`` of the page before.

        Raises
        ------
        ProblemError
            404 when the lead was never scored.
        """
        asked = _asked(query, ("limit", "before"))
        limit, before = min(_limit(asked), PAGE), _whole(asked, "before")
        rows: list[Row] = []
        if is_plain(lead_id):  # no other id was ever taken, and PostgreSQL refuses to look for U+0000
            held = self.runtime.teller.held_id(lead_id)
            with self.runtime.state.reading() as connection:
                rows = ledger_of_lead(connection, held, limit=limit + 1, before=before)
        if not rows:
            detail = "Ask /v1/score for its score first."
            raise ProblemError(Problem("not-scored", "The lead has no score", 404, detail))
        moves = Moves(self.runtime)
        found = [
            {**_issued(row, lead_id), "moved": moves.between(rows[number + 1], row) if number + 1 < len(rows) else None}
            for number, row in enumerate(rows[:limit])
        ]
        return {"lead_id": lead_id, "scores": found, "next": str(rows[limit - 1]["seq"]) if len(rows) > limit else None}

    def model(self) -> Row:
        """Return the card of the model in force."""
        model = self.runtime.live.scorer.model
        bundle = model.bundle
        ends = {
            end.outcome: {
                "horizon_days": end.horizon_days,
                "members": [
                    {"member": member.name, "weight": weight}
                    for member, weight in zip(end.members, end.weights, strict=True)
                ],
            }
            for end in (bundle.sql, bundle.won)
        }
        return {
            "model_version": model.version,
            "line_version": model.line.version,
            "trained_from": bundle.trained_from,
            "trained_until": bundle.trained_until,
            "score_outcome": bundle.score_outcome,
            "value_basis": bundle.basis,
            "currency": bundle.currency,
            "endpoints": ends,
            "features": list(bundle.features.names),
            "attributes": dict(self.runtime.live.scorer.reading.attributes),
            "fingerprint": bundle.features.fingerprint,
            "versions": dict(bundle.versions),
        }


def _queued(row: Row, currency: str) -> Row:
    names = ("lead_id", "account_id", "decision", "score", "grade", "expected_value", "model_version", "line_version")
    return {name: row[name] for name in names} | {
        "currency": currency,
        "as_of": from_micros(row["as_of_us"]).isoformat(),
        "ledger_id": row["seq"],
    }


def _issued(row: Row, lead_id: str) -> Row:
    names = (
        *("score", "score_unclipped", "base", "p_sql", "p_won", "expected_revenue", "expected_value", "percentile"),
        *("grade", "is_mql", "decision", "excluded_by", "model_version", "line_version", "score_outcome", "origin"),
        *("input_hmac", "request_id"),
    )
    return {name: row[name] for name in names} | {
        "lead_id": lead_id,
        "ledger_id": row["seq"],
        "as_of": from_micros(row["as_of_us"]).isoformat(),
        "issued_at": from_micros(row["issued_us"]).isoformat(),
        "latency_ms": row["latency_us"] / 1000,
        "is_stored": row["is_stored"],
        "points": json.loads(row["points"]),
        "reasons": json.loads(row["reasons"]),
    }


def _asked(query: Sequence[tuple[str, str]], known: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters by name; one that is there twice is refused: a proxy may have looked at the other."""
    asked = dict(query)
    if asked.keys() - set(known):
        raise _wrong("?", f"has a parameter that is not known here; there are {', '.join(known)}")
    twice = next((name for name in known if sum(name == one for one, _ in query) > 1), None)
    if twice is not None:
        raise _wrong(twice, "must be there once")
    return asked


def _limit(asked: Mapping[str, str]) -> int:
    limit = _whole(asked, "limit")
    if limit is None:
        return PAGE
    if not 1 <= limit <= MAX_PAGE:
        raise _wrong("limit", f"must lie between 1 and {MAX_PAGE:,}")
    return limit


def _whole(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise _wrong(name, "must be a whole number")
    return int(text)


def _token(value: float, lead_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, lead_id]).encode()).decode().rstrip("=")


def _place(token: str | None) -> tuple[float, str] | None:
    if token is None:
        return None
    try:
        value, lead_id = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if isinstance(value, float) and isfinite(value) and isinstance(lead_id, str) and is_plain(lead_id):
            return value, lead_id
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass  # a caller made it up
    raise _wrong("after", "must be the 'next' of the page before")


def _wrong(name: str, message: str) -> ProblemError:
    errors = (FieldError(name, message),)
    return ProblemError(Problem("invalid-query", "The query cannot be understood", 422, f"{name} {message}.", errors))
