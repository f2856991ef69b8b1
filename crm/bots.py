"""Clicks that no person made: programs that guard mailboxes open every link of a mail at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from crm.config_serve import BotsConfig
from crm.state_tables import TOLD

__all__ = ["mark_bots"]

Row = dict[str, Any]
CLICKS = ("email_click", "email_open")
SENT = ("email_sent", "email_delivered")
SECOND_US = 1_000_000


def mark_bots(connection: sa.Connection, rows: Sequence[Row], config: BotsConfig) -> None:
    """Give clicks to a bot that come in a burst, or right upon the sending of their mail; in place.

    A touch by a bot is kept and counts for nothing. What was stored before a burst could be seen stays as it was.

    Parameters
    ----------
    connection
        A transaction; what is held of the same leads belongs to the burst.
    rows
        Touches as they are about to be stored, times in microseconds.
    config
        What a burst is.
    """
    clicks = [row for row in rows if row["kind"] in CLICKS and row["actor"] == "lead" and row["lead_id"]]
    if not clicks:
        return
    window_us = round(config.seconds * SECOND_US)
    around = _around(connection, clicks, window_us)
    for row in clicks:
        around.setdefault(row["lead_id"], []).append((row["kind"], row["happened_us"], row["content_id"]))
    for row in rows:
        if row["kind"] in SENT and row["lead_id"] in around:
            around[row["lead_id"]].append((row["kind"], row["happened_us"], row["content_id"]))
    for row in clicks:
        if _is_bot(row, around[row["lead_id"]], config, window_us):
            row["actor"] = "bot"


def _is_bot(
    row: Mapping[str, Any], around: Sequence[tuple[str, int, str | None]], config: BotsConfig, window_us: int
) -> bool:
    at = row["happened_us"]
    if row["kind"] == "email_click":
        links = {content for kind, when, content in around if kind == "email_click" and abs(when - at) <= window_us}
        if len(links) >= config.links:
            return True
    upon_us = round(config.upon_sending_seconds * SECOND_US)
    return any(kind in SENT and 0 <= at - when < upon_us for kind, when, _ in around)


def _around(
    connection: sa.Connection, clicks: Sequence[Row], window_us: int
) -> dict[str, list[tuple[str, int, str | None]]]:
    """Return what is held of the clicks' leads near in time, by lead: kind, moment and content."""
    touches = TOLD["touches"].c
    moments = [row["happened_us"] for row in clicks]
    query = sa.select(touches.lead_id, touches.kind, touches.happened_us, touches.content_id).where(
        touches.lead_id.in_(sorted({row["lead_id"] for row in clicks})),
        touches.happened_us.between(min(moments) - window_us, max(moments) + window_us),
        touches.kind.in_([*CLICKS, *SENT]),
    )
    found: dict[str, list[tuple[str, int, str | None]]] = {}
    for lead_id, kind, happened_us, content_id in connection.execute(query):
        found.setdefault(lead_id, []).append((kind, happened_us, content_id))
    return found
