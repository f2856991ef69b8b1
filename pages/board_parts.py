"""The parts that only the board has: definitions, panels to choose from, a search, links to rows, signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pages.report_parts import Section, Table

__all__ = ["BoardPage", "Definition", "Panel", "Panels", "Rows", "Search", "SignTile"]


@dataclass(frozen=True)
class Definition:
    """What a number means, one click away."""

    term: str
    sentences: tuple[str, ...]

    kind: ClassVar[str] = "definition"


@dataclass(frozen=True)
class Panel:
    """One of several that a reader chooses from; without a script all are shown."""

    title: str
    blocks: tuple[Any, ...]


@dataclass(frozen=True)
class Panels:
    """Panels under one choice; ``name`` is unique within the page."""

    name: str
    label: str
    panels: tuple[Panel, ...]

    kind: ClassVar[str] = "panels"


@dataclass(frozen=True)
class Search:
    """A field that leaves the rows of a table that hold a text; ``table`` is the table's name."""

    label: str
    table: str

    kind: ClassVar[str] = "search"


@dataclass(frozen=True)
class Rows:
    """Links to CSV files of rows behind the numbers."""

    label: str
    files: tuple[str, ...]

    kind: ClassVar[str] = "rows"


@dataclass(frozen=True)
class SignTile:
    """One of the three signs.

    Parameters
    ----------
    anchor, title, question
        Where links lead, its name, and what it asks.
    level, tone
        Its level in words, and ``good``, ``care``, ``bad`` or ``plain``.
    evidence
        What decided it, and what to do next.
    next_step
        Empty where nothing is to be done.
    measures
        All of its measures.
    """

    anchor: str
    title: str
    question: str
    level: str
    tone: str
    evidence: tuple[str, ...]
    next_step: str
    measures: Table


@dataclass(frozen=True)
class BoardPage:
    """Everything on the board.

    Parameters
    ----------
    workspace
        What it is called.
    facts
        Date and maturity of the data, and what it was made with.
    signs
        The three signs.
    sections
        Below them, in order.
    timezone, currency
        Of all times and amounts.
    """

    workspace: str
    facts: tuple[str, ...]
    signs: tuple[SignTile, ...]
    sections: Sequence[Section]
    timezone: str
    currency: str
