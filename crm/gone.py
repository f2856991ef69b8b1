"""Records that a CRM has deleted: their leads are out of the race, their open deals lost.

The tables of the contract are appended to and know no deletion. What was known of the record stays as it was known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from crm.known import from_micros
from crm.state_tables import TOLD

__all__ = ["GONE_DEALS", "GONE_LEADS", "REASON", "gone_rows"]

GONE_LEADS, GONE_DEALS = "gone_leads", "gone_deals"
"""Names under which readers tell of deleted records, beside the tables: rows of ``id`` and ``at``."""
REASON = "deleted in the CRM"

Row = dict[str, Any]
HeldId = Callable[[str], str]


def gone_rows(
    connection: sa.Connection, rows: Mapping[str, Sequence[Row]], held_id: HeldId
) -> Mapping[str, Sequence[Row]]:
    """Return the rows that deletions come to, with ids as they are held; of an unknown record there is none.

    Parameters
    ----------
    connection
        To the state.
    rows
        What was read, what is gone among it.
    held_id
        Makes the id under which a lead is held out of that of the CRM.
    """
    stages = (_out_of_the_race(connection, held_id(one["id"]), one) for one in rows.get(GONE_LEADS, ()))
    lost = (_lost(connection, one) for one in rows.get(GONE_DEALS, ()))
    found = {"stages": [row for row in stages if row], "opportunities": [row for row in lost if row]}
    return {table: kept for table, kept in found.items() if kept}


def _out_of_the_race(connection: sa.Connection, lead_id: str, gone: Row) -> Row | None:
    leads = TOLD["leads"]
    found = connection.execute(sa.select(leads.c.lead_id).where(leads.c.lead_id == lead_id)).first()
    if found is None:
        return None
    return {
        "lead_id": lead_id,
        "stage": "disqualified",
        "entered_at": gone["at"],
        "recorded_at": gone["at"],
        "reason": REASON,
    }


def _lost(connection: sa.Connection, gone: Row) -> Row | None:
    """Return the version that closes a deal, if it was open; what was won or lost before stays so."""
    deals = TOLD["opportunities"]
    newest = sa.select(deals).where(deals.c.opportunity_id == gone["id"]).order_by(deals.c.recorded_us.desc()).limit(1)
    row = connection.execute(newest).mappings().one_or_none()
    if row is None or row["closed_us"] is not None:
        return None
    return {
        **{name: row[name] for name in ("opportunity_id", "lead_id", "account_id", "amount", "currency")},
        "created_at": from_micros(row["created_us"]),
        "closed_at": gone["at"],
        "is_won": False,
        "recorded_at": gone["at"],
    }
