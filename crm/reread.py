"""Reading single leads of a CRM anew: a webhook is only a hint that something of them has changed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from crm.pulling import Puller

__all__ = ["AT_ONCE", "reread"]

AT_ONCE = 50


def reread(puller: Puller, name: str, lead_ids: Collection[str], now: datetime) -> frozenset[str]:
    """Read leads of a CRM anew, store what is new of them and queue them to be scored.

    Parameters
    ----------
    puller
        Where to read and to store.
    name
        Of ``[crm.NAME]``.
    lead_ids
        As the CRM names them.
    now
        Timezone-aware.

    Returns
    -------
    frozenset of str
        Leads of which something new is known, as they are held here.

    Raises
    ------
    CrmError
        When the CRM cannot be read.
    """
    wanted, told = list(dict.fromkeys(lead_ids)), set[str]()
    reader = puller.open_reader(name)
    try:
        for start in range(0, len(wanted), AT_ONCE):
            rows = reader.read(wanted[start : start + AT_ONCE], now)
            with puller.state.writing() as connection:
                told |= puller.store(connection, name, rows, now).leads
    finally:
        reader.close()
    return frozenset(told)
