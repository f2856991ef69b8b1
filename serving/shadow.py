"""The challenger's scores of leads that the champion was asked for: made after the answer, kept for comparison."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from crm.lead_hashes import not_scored
from crm.state_tables import SHADOW_SCORES
from serving.asked import Asked
from serving.runtime import Runtime

__all__ = ["Shadow"]

WAITING = 20_000
AT_ONCE = 25


@dataclass
class Shadow:
    """Scores by the challenger what was issued by the champion.

    Parameters
    ----------
    runtime
        What the service holds.
    """

    runtime: Runtime
    dropped: int = 0
    _waiting: deque[tuple[int, str, str]] = field(default_factory=deque)

    def note(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Take note of issued scores; beyond a bound the oldest are let go, as comparing must not hold up answering."""
        if self.runtime.shadow is None:
            return
        for answer in answers:
            self._waiting.append((answer["ledger_id"], answer["lead_id"], answer["as_of"]))
            if len(self._waiting) > WAITING:
                self._waiting.popleft()
                self.dropped += 1

    def work(self) -> bool:
        """Score some of what waits; tell whether more does."""
        live, batch = self.runtime.shadow, self._taken()
        if live is None or not batch:
            return False
        rows: list[dict[str, Any]] = []
        for seq, lead_id, as_of in batch:
            asked = Asked(datetime.now(UTC), "en", as_of=datetime.fromisoformat(as_of))
            for issue in live.score_held([lead_id], asked).issues:
                answer = issue.answer
                names = ("lead_id", "score_unclipped", "p_sql", "p_won", "expected_value", "is_mql", "model_version")
                rows.append({"seq": seq, **{name: answer[name] for name in names}})
        if rows:
            self.runtime.writer.submit(partial(_keep, rows, self.runtime.secret)).result()
        return len(self._waiting) > 0

    def _taken(self) -> list[tuple[int, str, str]]:
        return [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]


def _keep(rows: list[dict[str, Any]], secret: bytes, connection: sa.Connection) -> None:
    gone = not_scored(connection, secret, {row["lead_id"] for row in rows})
    kept = [row for row in rows if row["lead_id"] not in gone]
    if kept:
        connection.execute(sa.insert(SHADOW_SCORES), kept)
