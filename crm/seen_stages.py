"""Stages that a lead is seen in, of which no CRM says since when: an entry only where it was not in that stage before.

Without this each look at a lead that has changed in something else would be one more entry into the stage it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from crm.state_tables import TOLD

__all__ = ["SEEN_STAGES", "seen_stages"]

SEEN_STAGES = "seen_stages"
"""Name under which readers tell of them, beside the tables: rows of ``lead_id``, ``stage`` and ``at``."""

Row = dict[str, Any]


def seen_stages(
    connection: sa.Connection, rows: Mapping[str, Sequence[Row]], held_id: Callable[[str], str]
) -> list[Row]:
    """Return the rows of ``stages`` that are news, with ids as they are held.

    Parameters
    ----------
    connection
        To the state, in the transaction that stores them.
    rows
        What was read.
    held_id
        Makes the id under which a lead is held out of that of the CRM.
    """
    stages = TOLD["stages"]
    found: list[Row] = []
    for one in rows.get(SEEN_STAGES, ()):
        lead_id = held_id(one["lead_id"])
        query = sa.select(stages.c.stage).where(stages.c.lead_id == lead_id).order_by(stages.c.entered_us.desc())
        if connection.execute(query.limit(1)).scalar_one_or_none() != one["stage"]:
            found.append({"lead_id": lead_id, "stage": one["stage"], "entered_at": one["at"], "recorded_at": one["at"]})
    return found
