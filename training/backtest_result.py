"""What a backtest came to, origin by origin and all of them together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm.outcomes import Observation, Outcome
from models.intervals import Interval
from training.backtest_measures import Compared
from training.backtest_rows import STEP_DAYS

__all__ = ["OURS", "Backtest", "Origin"]

OURS = "kizashi"


@dataclass(frozen=True)
class Origin:
    """One moment of the past.

    Parameters
    ----------
    as_of, until
        The moment of training, and the end of the test window.
    trained
        Mature training rows, by endpoint.
    outcomes
        Leads with a mature outcome that it learned from, by endpoint.
    tested, happened
        Test rows, one a lead, and those with the outcome by endpoint.
    deals, revenue
        Deals won inside the horizon of the test rows, each once, and their amounts in workspace currency.
    worked
        Leads that a list at capacity holds.
    compared
        The methods side by side, by endpoint.
    """

    as_of: datetime
    until: datetime
    trained: Mapping[Outcome, int]
    outcomes: Mapping[Outcome, int]
    tested: int
    happened: Mapping[Outcome, int]
    deals: float
    revenue: float
    worked: float
    compared: Mapping[Outcome, Compared]


@dataclass(frozen=True)
class Backtest:
    """What a backtest came to.

    Parameters
    ----------
    seen
        The observed span and the run's moment, by which labels were recorded.
    origins
        Those that could be learned from, oldest first.
    pooled
        All their rows together, by endpoint. Captured wins and revenue are those of a window on average.
    notes
        What a person should know, one sentence each.
    methods
        Names in order, kizashi first.
    currency
        Of captured revenue.
    """

    seen: Observation
    origins: tuple[Origin, ...]
    pooled: Mapping[Outcome, Compared]
    notes: tuple[str, ...]
    methods: tuple[str, ...]
    currency: str

    def to_json(self) -> dict[str, Any]:
        """Return what ``kizashi backtest --json`` prints; null where there is no number."""
        return {
            "as_of": self.seen.as_of.isoformat(),
            "observed_until": self.seen.observed_until.isoformat(),
            "window_days": STEP_DAYS,
            "currency": self.currency,
            "methods": list(self.methods),
            "notes": list(self.notes),
            "pooled": {outcome: _compared(found) for outcome, found in self.pooled.items()},
            "origins": [
                {
                    "as_of": origin.as_of.isoformat(),
                    "until": origin.until.isoformat(),
                    "trained_rows": dict(origin.trained),
                    "trained_outcomes": dict(origin.outcomes),
                    "tested": origin.tested,
                    "happened": dict(origin.happened),
                    "deals": origin.deals,
                    "revenue": origin.revenue,
                    "worked": origin.worked,
                    **{outcome: _compared(found) for outcome, found in origin.compared.items()},
                }
                for origin in self.origins
            ],
        }


def _compared(found: Compared) -> dict[str, Any]:
    return {"measures": _by_method(found.measures), "kizashi_less": _by_method(found.gains)}


def _by_method(found: Mapping[str, Mapping[str, Interval]]) -> dict[str, dict[str, dict[str, float | None]]]:
    return {
        method: {
            name: {"value": _finite(i.value), "low": _finite(i.low), "high": _finite(i.high)}
            for name, i in measures.items()
        }
        for method, measures in found.items()
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
