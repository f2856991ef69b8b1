"""When touches happened and were recorded, beside the moment of the outcome."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.sentinel.association import MIN_LEADS
from training.sentinel.facts import DAY_US, HOUR_US, MINUTE_US, Facts, has_clock
from training.sentinel.verdict import Trace

__all__ = ["late_recorded", "piled_up"]

LATE_SHARE = 0.05
LATE_QUANTILE = 0.99
MIN_KIND = 200
PILE_SHARE = 0.20
OTHERS_SHARE = 0.25
MIN_MINUTE_LEADS = 10
TODO = "Leave these touches out of the SELECT, or give them the times at which they happened and were written down."


def late_recorded(facts: Facts) -> Iterator[Trace]:
    """Find kinds that were written down much later for leads with the outcome than for others.

    A lag that all leads have in common is none: what is late is measured on leads without the outcome.
    """
    touches = facts.lead_touches
    lead = touches["lead"].to_numpy()
    lag = (touches["recorded_us"] - touches["happened_us"]).to_numpy()
    outcome = np.minimum(facts.column("sql_us"), facts.column("won_us"))
    before = touches["happened_us"].to_numpy() < outcome[lead]
    won = np.isfinite(outcome)[lead] & before
    # Touches from before creation are recorded at it: how late they are says how old the lead's first trace is.
    after_creation = touches["happened_us"].to_numpy() >= facts.column("created_us")[lead]
    usual = _usual_lag(touches["kind"], lag, after_creation & ~np.isfinite(outcome)[lead])
    is_late = after_creation & (lag > usual)
    for kind, rows in touches.groupby("kind").groups.items():
        at = touches.index.get_indexer(rows)
        mine = at[won[at] & after_creation[at]]
        late = mine[is_late[mine]]
        leads = len(np.unique(lead[late]))
        if leads >= MIN_LEADS and len(late) > LATE_SHARE * len(mine):
            after = int((touches["recorded_us"].to_numpy()[late] > outcome[lead[late]]).sum())
            yield Trace(
                f"kind '{kind}'",
                "failed",
                f"{len(late):,} of the {len(mine):,} touches that leads with the outcome had before it were recorded "
                f"over {usual[late].max() / DAY_US:.1f} days late, as 1% of other leads' are; {after:,} of them after "
                "the outcome: they were back-filled",
                TODO + " Features see them from recorded_at on, so those recorded after the outcome do not train.",
            )


def _usual_lag(kind: pd.Series, lag: NDArray[np.int64], others: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each touch, the lag that 99 of 100 touches of its kind keep below among leads without the outcome."""
    usual = float(np.quantile(lag[others], LATE_QUANTILE)) if others.any() else float("inf")
    found = np.full(len(lag), usual)
    for _, rows in kind.groupby(kind).groups.items():
        at = kind.index.get_indexer(rows)
        mine = at[others[at]]
        if len(mine) >= MIN_KIND:
            found[at] = float(np.quantile(lag[mine], LATE_QUANTILE))
    return np.maximum(found, HOUR_US)


def piled_up(facts: Facts) -> Iterator[Trace]:
    """Find kinds that lie in the minute of the outcome, or at one fixed distance from it or from creation."""
    touches = facts.lead_touches
    if not has_clock(touches["happened_us"].to_numpy()) or not _outcomes_have_clock(facts):
        return  # with days alone, every distance is a whole number of them
    lead = touches["lead"].to_numpy()
    happened = touches["happened_us"].to_numpy()
    outcome = np.minimum(facts.column("sql_us"), facts.column("won_us"))
    has_outcome = np.isfinite(outcome)
    for kind, rows in touches.groupby("kind").groups.items():
        at = touches.index.get_indexer(rows)
        mine, others = at[has_outcome[lead[at]]], at[~has_outcome[lead[at]]]
        leads = len(np.unique(lead[mine]))
        if leads < MIN_MINUTE_LEADS:
            continue
        asked = {"the outcome": outcome, "the end of its time at risk": facts.column("last_end_us")}
        for what, moment in asked.items():
            gap = moment[lead[mine]] - happened[mine]
            found = _commonest(gap, lead[mine])
            if found is not None and found[1] >= max(MIN_MINUTE_LEADS, PILE_SHARE * leads) and _is_ours(what, found):
                yield _pile(str(kind), what, found, leads)
                break
        else:
            found = _commonest((happened[mine] - facts.column("created_us")[lead[mine]]).astype(float), lead[mine])
            if found is not None and found[1] >= max(MIN_LEADS, PILE_SHARE * leads):
                gap = (happened[others] - facts.column("created_us")[lead[others]]) // MINUTE_US
                alike = len(np.unique(lead[others][gap == found[0]]))
                if alike / max(len(np.unique(lead[others])), 1) < OTHERS_SHARE * found[1] / leads:
                    yield _pile(str(kind), "creation", found, leads)


def _is_ours(what: str, found: tuple[int, int]) -> bool:
    """A system that hands a lead over at a touch does so at once: within minutes, that distance is its own."""
    return what == "the outcome" or found[0] > 10


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
