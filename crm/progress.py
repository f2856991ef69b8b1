"""How long work tells what it is doing, without knowing who listens."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "Silent", "SilentStep", "Step"]


class Step(Protocol):
    """One running piece of work."""

    def advance(self, amount: int = 1) -> None:
        """Say that ``amount`` more units are done."""
        ...

    def note(self, text: str) -> None:
        """Add what came of it, shown when the step ends."""
        ...


class Progress(Protocol):
    """Where long work reports."""

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Generator[Step]:
        """Announce a piece of work; ``total`` units when they can be counted."""
        yield SilentStep()


class SilentStep:
    """A step that nobody watches."""

    def advance(self, amount: int = 1) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""


class Silent:
    """Progress for callers that show none (tests, the service)."""

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Generator[Step]:
        """Yield a step that nobody watches."""
        del label, total
        yield SilentStep()
