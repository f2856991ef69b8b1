"""What one check of the sentinel comes to, as plain values that a person, a program and the model report can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

__all__ = ["Figure", "LeakVerdict", "SentinelReport", "Status", "Trace", "not_computable", "settle"]

Status = Literal["passed", "attention", "failed", "not_computable"]
RANK: dict[Status, int] = {"not_computable": 0, "passed": 1, "attention": 2, "failed": 3}
SHOWN_TRACES = 12


@dataclass(frozen=True)
class Figure:
    """One number that was found.

    Parameters
    ----------
    name
        What it is.
    value
        The number.
    unit
        Of the number: ``AUC``, ``leads``, ``%``, ``days``, ...
    """

    name: str
    value: float
    unit: str

    def words(self) -> str:
        """Return the figure as a person reads it.

        Examples
        --------
        >>> Figure("drop", 0.0123, "AUC").words(), Figure("wins", 1200, "leads").words()
        ('drop 0.012 AUC', 'wins 1,200 leads')
        """
        shown = f"{self.value:,.0f}" if float(self.value).is_integer() and abs(self.value) >= 1 else f"{self.value:.3f}"
        return f"{self.name} {shown} {self.unit}"


@dataclass(frozen=True)
class Trace:
    """One thing that speaks of a leak.

    Parameters
    ----------
    what
        The column, kind of touch, page or table.
    status
        ``failed`` when it is a leak, ``attention`` when a person has to tell.
    why
        What gave it away, one sentence with numbers.
    todo
        What to do about it.
    refuses
        True when it is so certain, and so surely in the model's sight, that training is refused.
    """

    what: str
    status: Literal["attention", "failed"]
    why: str
    todo: str
    refuses: bool = False


@dataclass(frozen=True)
class LeakVerdict:
    """What one check found.

    Parameters
    ----------
    check
        ``L3`` to ``L16``; L3 to L10 as in methods 1.5 (docs/how-to/check-for-leaks.md lists all).
    title
        Short name.
    asked
        The question, with the bar.
    status
        ``passed``, ``attention`` (a person has to look), ``failed`` or ``not_computable``.
    found
        The answer, or why there is none.
    figures
        The numbers behind it.
    traces
        What speaks of a leak, worst first.
    todo
        What to do; empty when nothing is.
    """

    check: str
    title: str
    asked: str
    status: Status
    found: str
    figures: tuple[Figure, ...] = ()
    traces: tuple[Trace, ...] = ()
    todo: str = ""

    @property
    def refuses(self) -> bool:
        """Whether training is refused for it."""
        return any(trace.refuses for trace in self.traces)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain JSON."""
        return {**asdict(self), "refuses": self.refuses}


@dataclass(frozen=True)
class SentinelReport:
    """All verdicts of one look at a workspace, in order of the checks."""

    verdicts: tuple[LeakVerdict, ...]

    def verdict(self, check: str) -> LeakVerdict:
        """Return the verdict of one check; ``KeyError`` when it was not asked."""
        for verdict in self.verdicts:
            if verdict.check == check:
                return verdict
        raise KeyError(check)

    def of_status(self, status: Status) -> tuple[LeakVerdict, ...]:
        """Return the verdicts with this status."""
        return tuple(verdict for verdict in self.verdicts if verdict.status == status)

    @property
    def refusing(self) -> tuple[Trace, ...]:
        """Traces for which training is refused."""
        return tuple(trace for verdict in self.verdicts for trace in verdict.traces if trace.refuses)

    def to_json(self) -> list[dict[str, Any]]:
        """Return one object a verdict, as the model report shows them."""
        return [verdict.to_json() for verdict in self.verdicts]


def settle(asked: LeakVerdict, traces: Sequence[Trace], *, clean: str, figures: Sequence[Figure] = ()) -> LeakVerdict:
    """Settle a verdict by the worst of its traces.

    Parameters
    ----------
    asked
        The verdict with its question and no answer.
    traces
        What was found.
    clean
        What to say when nothing was.
    figures
        Numbers to show either way.
    """
    if not traces:
        return replace(asked, status="passed", found=clean, figures=tuple(figures), traces=(), todo="")
    worst = sorted(traces, key=lambda trace: (-RANK[trace.status], not trace.refuses))
    kept = tuple(worst[:SHOWN_TRACES])
    sentences = "; ".join(f"{trace.what}: {trace.why}" for trace in kept[:4])
    more = len(traces) - 4
    found = sentences + (f"; and {more} more" if more > 0 else "")
    todo = " ".join(dict.fromkeys(trace.todo for trace in kept))
    return replace(asked, status=worst[0].status, found=found, figures=tuple(figures), traces=kept, todo=todo)


def not_computable(asked: LeakVerdict, why: str, todo: str = "") -> LeakVerdict:
    """Say that a question has no answer here, and why."""
    return replace(asked, status="not_computable", found=why, todo=todo)
