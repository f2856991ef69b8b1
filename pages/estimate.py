"""A number with its interval."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A number with its 90% interval (account-cluster bootstrap); the ends are None where no interval was computed."""

    value: float
    low: float | None = None
    high: float | None = None
