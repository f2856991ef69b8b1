"""What the board is made of: the three signs, and sections below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pages.report_parts import Section, Table

__all__ = ["BoardPage", "SignTile"]


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
