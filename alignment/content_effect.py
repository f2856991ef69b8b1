"""What using an item does: users beside matched leads who did not use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alignment.content_use import ContentUse
from alignment.people import People

__all__ = ["ItemEffect", "content_effects"]


@dataclass(frozen=True)
class ItemEffect:
    """Effect of having used one item."""

    users: int
    outcomes: int
    rate_users: float
    rate_matched: float
    effect: float
    low: float
    high: float
    q_value: float
    is_found: bool
    is_measured: bool


def content_effects(people: People, use: ContentUse, outcome: str) -> Mapping[str, ItemEffect]:
    """Return the effect of each item that enough people used, by content_id."""
    del people, use, outcome
    return {}
