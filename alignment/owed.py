"""What marketing owes by the agreement, and what it handed over: a mean a week over a quarter."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alignment.people import People
from alignment.periods import DAY_US
from crm.config_sla import Owed
from models.intervals import NORMAL_90, jeffreys, poisson_ratio

__all__ = ["Delivered", "marketing_delivered"]

WEEKS = 13


@dataclass(frozen=True)
class Delivered:
    """One thing that marketing owes.

    Parameters
    ----------
    key
        ``mqls_per_week``, ``value_per_week`` or ``above_line_share``.
    owed
        What was agreed; None where nothing was.
    value, low, high
        What came, and its 90% interval; NaN where it is not known.
    """

    key: str
    owed: float | None
    value: float
    low: float
    high: float

    @property
    def is_kept(self) -> bool | None:
        """What came is at least what was agreed; None where nothing was agreed, or it is not known."""
        return None if self.owed is None or not np.isfinite(self.value) else self.value >= self.owed


def marketing_delivered(people: People) -> tuple[Delivered, ...]:
    """Return what marketing handed over in the last :data:`WEEKS` weeks (91 days), beside what it owes.

    Parameters
    ----------
    people
        Who, and as of when.
    """
    owed = people.config.sla.marketing if people.config.sla else Owed()
    frame = people.frame
    first = float(frame["created_us"].min()) if len(frame) else float(people.until_us)
    weeks = min(float(WEEKS), max((people.until_us - first) / (7 * DAY_US), 1.0))
    mine = frame[frame["mql_us"] >= people.until_us - weeks * 7 * DAY_US]
    count = len(mine)
    low, high = poisson_ratio(count, weeks)
    value = mine["value"].to_numpy(dtype="float64")
    known = value[np.isfinite(value)]
    found = [Delivered("mqls_per_week", owed.mqls_per_week, count / weeks, low, high)]
    nothing = float("nan")
    if known.size == 0:
        return (
            *found,
            Delivered("value_per_week", owed.value_per_week, nothing, nothing, nothing),
            Delivered("above_line_share", owed.above_line_share, nothing, nothing, nothing),
        )
    # Those without a score are taken for as valuable as the others. A compound Poisson sum varies as its squares do.
    scale = count / known.size / weeks
    total, spread = float(known.sum()) * scale, NORMAL_90 * float(np.sqrt((known**2).sum())) * scale
    found.append(Delivered("value_per_week", owed.value_per_week, total, max(total - spread, 0.0), total + spread))
    above = int((mine["is_above_line"] == True).sum())  # noqa: E712 - may be None
    scored = int(mine["is_above_line"].notna().sum())
    ends = jeffreys(above, scored) if scored else (nothing, nothing)
    found.append(Delivered("above_line_share", owed.above_line_share, above / scored if scored else nothing, *ends))
    return tuple(found)
