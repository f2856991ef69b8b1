"""Telling our own writes from news: a CRM reports every change of a record, and ours are changes too.

Without this a score that is pushed would come back as a change of the lead, be scored again, and be pushed again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from crm.config_crm import FIELDS, CrmConfig
from crm.state_tables import LEDGER, PUSHED

__all__ = ["is_echo", "news_of"]

BOOKKEEPING = frozenset(
    {
        "lastmodifieddate",
        "hs_lastmodifieddate",
        "hs_object_id",
        "hs_updated_by_user_id",
        "LastModifiedDate",
        "LastModifiedById",
        "SystemModstamp",
        "write_date",
        "write_uid",
        "__last_update",
    }
)
"""What a CRM notes of any write by itself; by these alone nothing is new."""

SHARED = frozenset(FIELDS["tryton"].values())
"""Fields that we write and that people write as well: only a value that is ours makes them ours."""

_IN_LEDGER = ("p_sql", "p_won", "expected_value", "percentile", "model_version", "line_version", "reasons")


def news_of(config: CrmConfig, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed fields of a record without our own and the CRM's bookkeeping.

    Examples
    --------
    >>> config = CrmConfig(kind="hubspot", token="...")
    >>> news_of(config, {"ml_lead_score": "87", "lastmodifieddate": "2026-11-02T09:00:00Z", "industry": "bank"})
    {'industry': 'bank'}
    """
    own = frozenset(config.written.values()) - SHARED
    return {name: value for name, value in changed.items() if name not in own and name not in BOOKKEEPING}


def is_echo(connection: sa.Connection, name: str, config: CrmConfig, lead_id: str, changed: Mapping[str, Any]) -> bool:
    """Tell whether a change that a CRM reports is our own write.

    Parameters
    ----------
    connection
        To the state.
    name, config
        ``[crm.NAME]``.
    lead_id
        The record.
    changed
        Field to its new value. A report without any field is news: nothing says that we were the one.

    Returns
    -------
    bool
        True when only our own fields changed, or fields that we share with people to the value that we wrote.
    """
    if not changed:
        return False
    news = news_of(config, changed)
    if not news:
        return True
    names = {field: what for what, field in config.written.items() if field in SHARED}
    if not news.keys() <= names.keys():
        return False
    told = _told(connection, name, lead_id)
    return told is not None and all(_is_same(told.get(names[field]), value) for field, value in news.items())


def _told(connection: sa.Connection, name: str, lead_id: str) -> Mapping[str, Any] | None:
    """Return what a CRM was last told of a lead."""
    joined = PUSHED.outerjoin(LEDGER, PUSHED.c.seq == LEDGER.c.seq)
    row = (
        connection.execute(
            sa.select(
                PUSHED.c.score,
                PUSHED.c.grade,
                PUSHED.c.is_mql,
                PUSHED.c.decision,
                *(LEDGER.c[column] for column in _IN_LEDGER),
            )
            .select_from(joined)
            .where(PUSHED.c.crm == name, PUSHED.c.lead_id == lead_id)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    reasons = "\n".join(orjson.loads(row["reasons"])) if row["reasons"] else None
    return {**row, "reasons": reasons}


def _is_same(ours: Any, theirs: Any) -> bool:
    """Compare as the CRM may give a value back: as a text, or rounded."""
    if ours is None or isinstance(theirs, datetime):
        return False
    if isinstance(ours, bool | str):
        return str(ours).lower() == str(theirs).lower()
    try:
        return math.isclose(float(ours), float(theirs), rel_tol=0.0, abs_tol=0.005 if abs(ours) > 1.0 else 0.000_05)
    except (TypeError, ValueError):
        return False
