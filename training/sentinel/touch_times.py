"""When touches happened and were recorded, beside the moment of the outcome."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.sentinel.association import MIN_LEADS, bound
from training.sentinel.facts import DAY_US, HOUR_US, MINUTE_US, Facts, has_clock
from training.sentinel.verdict import Trace

__all__ = ["late_recorded", "piled_up"]

LATE_SHARE, LATE_BOUND = 0.03, 0.02
LATE_QUANTILE = 0.99
MIN_KIND = 200
PILE_SHARE = 0.20
OTHERS_SHARE = 0.25
MIN_MINUTE_LEADS = 10
WORDS = {"sql": "the SQL", "won": "the win"}
TODO = "Leave these touches out of the SELECT, or give them the times at which they happened and were written down."


def late_recorded(facts: Facts) -> Iterator[Trace]:
    """Find kinds that were written down much later for leads with the outcome than for others.

    A lag that all leads have in common is none: what is late is measured on leads without the outcome.
    """
    touches = facts.lead_touches
    lead, happened = touches["lead"].to_numpy(), touches["happened_us"].to_numpy()
    lag = touches["recorded_us"].to_numpy() - happened
    # Touches from before creation are recorded at it: how late they are says how old the lead's first trace is.
    counted = happened >= facts.column("created_us")[lead]
    usual = _usual_lag(touches["kind"], lag, counted & ~facts.outcomes["sql"][lead])
    is_late = lag > usual
    kinds = touches.groupby("kind").indices
    told: set[str] = set()
    for outcome in facts.outcomes:
        moment = facts.column(f"{outcome}_us")[lead]
        before = counted & np.isfinite(moment) & (happened < moment)
        for kind, at in kinds.items():
            mine = at[before[at]]
            late = mine[is_late[mine]]
            many = len(late) > LATE_SHARE * len(mine) and bound(len(late), len(mine), 0.001) > LATE_BOUND
            if kind in told or not many or len(np.unique(lead[late])) < MIN_LEADS:
                continue
            told.add(str(kind))
            after = int((happened[late] + lag[late] > moment[late]).sum())
            yield Trace(
                f"kind '{kind}'",
                "failed",
                f"{len(late):,} of the {len(mine):,} touches of leads with the outcome ({outcome}) before it were "
                f"recorded over {usual[late].max() / DAY_US:.1f} days late, as 1% of others' are; {after:,} of them "
                "after the outcome: they were back-filled",
                TODO + " Features see them from recorded_at on, so those recorded after the outcome do not train.",
            )


def _usual_lag(kind: pd.Series, lag: NDArray[np.int64], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each touch, the lag that 99 of 100 touches of its kind keep below among leads without the outcome."""
    usual = float(np.quantile(lag[others], LATE_QUANTILE)) if others.any() else float("inf")
    found = np.full(len(lag), usual)
    for at in pd.Series(np.arange(len(kind))).groupby(kind.to_numpy()).indices.values():
        mine = at[others[at]]
        if len(mine) >= MIN_KIND:
            found[at] = float(np.quantile(lag[mine], LATE_QUANTILE))
    return np.maximum(found, HOUR_US)


def piled_up(facts: Facts) -> Iterator[Trace]:
    """Find kinds that lie in the minute of the outcome, or at one fixed distance from it or from creation."""
    touches = facts.lead_touches
    if not has_clock(touches["happened_us"].to_numpy()) or not _outcomes_have_clock(facts):
        return  # with days alone, every distance is a whole number of them
    for kind, at in touches.groupby("kind").indices.items():
        yield from _of_outcome(facts, str(kind), at) or _of_creation(facts, str(kind), at)


def _of_outcome(facts: Facts, kind: str, at: NDArray[np.intp]) -> list[Trace]:
    """Find one distance that many leads with the outcome have between a touch and what it became."""
    lead = facts.lead_touches["lead"].to_numpy()[at]
    happened = facts.lead_touches["happened_us"].to_numpy()[at]
    for outcome, has_outcome in facts.outcomes.items():
        mine = has_outcome[lead]
        leads = len(np.unique(lead[mine]))
        asked = {WORDS[outcome]: f"{outcome}_us", "the end of its time at risk": "last_end_us"}
        for what, column in asked.items():
            found = _commonest(facts.column(column)[lead[mine]] - happened[mine], lead[mine])
            if found is not None and found[1] >= max(MIN_MINUTE_LEADS, PILE_SHARE * leads) and _is_ours(what, found):
                return [_pile(kind, what, found, leads)]
    return []


def _of_creation(facts: Facts, kind: str, at: NDArray[np.intp]) -> list[Trace]:
    """Find one distance from creation that leads with the outcome have, and others have not."""
    lead = facts.lead_touches["lead"].to_numpy()[at]
    gap = (facts.lead_touches["happened_us"].to_numpy()[at] - facts.column("created_us")[lead]).astype(np.float64)
    mine = facts.outcomes["sql"][lead]
    leads, others = len(np.unique(lead[mine])), len(np.unique(lead[~mine]))
    found = _commonest(gap[mine], lead[mine])
    if found is None or found[1] < max(MIN_LEADS, PILE_SHARE * leads):
        return []
    alike = len(np.unique(lead[~mine & (gap // MINUTE_US == found[0])]))
    return [_pile(kind, "creation", found, leads)] if alike * leads < OTHERS_SHARE * found[1] * max(others, 1) else []


def _is_ours(what: str, found: tuple[int, int]) -> bool:
    """Leave out what a system does that hands a lead over at once: within minutes, the distance is its own."""
    return what in WORDS.values() or found[0] > 10


def _outcomes_have_clock(facts: Facts) -> bool:
    moments = facts.column("sql_us")
    return has_clock(moments[np.isfinite(moments)].astype(np.int64))


def _commonest(gap_us: NDArray[np.float64], lead: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the whole minutes of the commonest distance, and how many leads have it; inf counts for none."""
    known = np.isfinite(gap_us)
    if not known.any():
        return None
    minutes = np.floor_divide(gap_us[known], MINUTE_US).astype(np.int64)
    pairs = np.unique(np.stack([minutes, lead[known]]), axis=1)
    values, counts = np.unique(pairs[0], return_counts=True)
    best = int(np.argmax(counts))
    return int(values[best]), int(counts[best])


def _pile(kind: str, what: str, found: tuple[int, int], leads: int) -> Trace:
    minutes, count = found
    where = f"in the minute of {what}" if minutes in (0, -1) else f"exactly {abs(minutes):,} minutes from {what}"
    return Trace(
        f"kind '{kind}'",
        "failed",
        f"{count:,} of the {leads:,} leads with the outcome that have it have it {where}: it was written from {what}",
        TODO,
    )
