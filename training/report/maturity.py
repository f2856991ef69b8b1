"""What was learned from, month by month, and how much of it is settled."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.outcomes import Labels
from pages.report_evidence import MonthCount, MonthRow
from training.report.parts import ReportParts

__all__ = ["month_rows", "months_of"]


def months_of(parts: ReportParts) -> NDArray[np.str_]:
    """Return the calendar month of each snapshot in the workspace's time zone, ``YYYY-MM``, shape (n,)."""
    moments = pd.DatetimeIndex(parts.data.snapshots.as_of_us.astype("datetime64[us]")).tz_localize("UTC")
    local = moments.tz_convert(parts.workspace.config.workspace.timezone)
    return np.asarray(local.strftime("%Y-%m"), dtype=np.str_)


def month_rows(parts: ReportParts) -> tuple[MonthRow, ...]:
    """Count rows, leads and outcomes of each month; a row counts in the month of its moment, not of its outcome."""
    data, months = parts.data, months_of(parts)
    found: list[MonthRow] = []
    for month in np.unique(months):
        rows = np.flatnonzero(months == month)
        counts = {name: _count(data.snapshots.lead, rows, labels) for name, labels in _labels(parts).items()}
        found.append(MonthRow(str(month), len(rows), len(np.unique(data.snapshots.lead[rows])), counts))
    return tuple(found)


def _labels(parts: ReportParts) -> dict[str, Labels]:
    both = {"sql": parts.data.sql, "won": parts.data.won}
    return {"sql": both["sql"]} if parts.learned.won_is_sql else both


def _count(lead: NDArray[np.int64], rows: NDArray[np.int64], labels: Labels) -> MonthCount:
    settled = rows[labels.is_mature[rows]]
    came = settled[labels.happened[settled]]
    return MonthCount(len(settled), len(np.unique(lead[came])), len(came))
