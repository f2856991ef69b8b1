"""Why a score moved: the difference of two issued scores, split into what brought it about.

Between two scores four things may change: time passes, touches arrive, attributes change, the model changes. They are
put into effect one after the other, in this order, on what was held at the first score, and each step is the difference
that it makes. The steps therefore add up to the whole difference, exactly; another order would give other steps where
the four work together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crm.held import HeldRows
from models.scoring import LoadedModel, score_matrix
from serving.held_leads import load_leads
from serving.reading import Reading
from serving.runtime import Runtime

__all__ = ["Moves"]

Row = dict[str, Any]


@dataclass(frozen=True)
class _Arrived:
    """Rows that had arrived by a moment, microseconds since 1970 UTC; attributes by one of their own."""

    rows_held: HeldRows
    by_us: int
    attributes_by_us: int

    def rows(self, name: str, column: str, wanted: Collection[str]) -> list[Row]:
        by_us = self.attributes_by_us if name == "lead_changes" else self.by_us
        found = self.rows_held.rows(name, column, wanted)
        return found if name == "leads" else [row for row in found if row["arrived_us"] <= by_us]

    def merges(self) -> Sequence[tuple[str, str, int]]:
        return [merge for merge in self.rows_held.merges() if merge[2] <= self.by_us]


@dataclass(frozen=True)
class Moves:
    """Splits differences of scores.

    Parameters
    ----------
    runtime
        What the service holds.
    """

    runtime: Runtime

    def between(self, before: Row, after: Row) -> Row | None:
        """Split the difference of two rows of the ledger, in points of ``score_unclipped``.

        Returns
        -------
        dict or None
            ``since`` (the earlier row), ``total``, and its parts: ``ageing``, ``touches`` (with stages, merges and the
            account), ``attributes``, ``model``, and ``corrected``, which is what cannot be made again from what is held
            now (0 but for a source whose rows were corrected, or a model that is gone, whose part it then holds).
            None where either lead came in the body of its request, so that nothing of it is held, or the two scores
            speak of different outcomes.
        """
        is_held = before["is_stored"] and after["is_stored"]
        if not is_held or before["score_outcome"] != after["score_outcome"]:
            return None
        total = after["score_unclipped"] - before["score_unclipped"]
        model = self.runtime.model_of(before["model_version"])
        found = {"since": before["seq"], "total": total, **dict.fromkeys(_PARTS, 0.0)}
        if model is None:
            return {**found, "corrected": total}
        lead_id = after["lead_id"]
        then, now = before["issued_us"], after["issued_us"]
        first = self._score(model, lead_id, (then, then), before["as_of_us"])
        aged = self._score(model, lead_id, (then, then), after["as_of_us"])
        told = self._score(model, lead_id, (now, then), after["as_of_us"])
        changed = self._score(model, lead_id, (now, now), after["as_of_us"])
        if first is None or aged is None or told is None or changed is None:
            return {**found, "corrected": total}
        last = after["score_unclipped"] if before["model_version"] != after["model_version"] else changed
        steps = {
            "ageing": aged - first,
            "touches": told - aged,
            "attributes": changed - told,
            "model": last - changed,
        }
        return {**found, **steps, "corrected": total - sum(steps.values())}

    def _score(self, model: LoadedModel, lead_id: str, by_us: tuple[int, int], as_of_us: int) -> float | None:
        reading = Reading.of(model.bundle.features, self.runtime.settings.workspace.config)
        found = load_leads(_Arrived(self.runtime.rows, *by_us), [lead_id], reading).get(lead_id)
        if found is None:
            return None
        matrix = model.bundle.features.rows([found.known], np.array([as_of_us], dtype=np.int64))
        return float(score_matrix(model.bundle, model.line, matrix).score_unclipped[0])


_PARTS = ("ageing", "touches", "attributes", "model", "corrected")
