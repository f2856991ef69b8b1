"""L13 and L15: leads that came into being at their sale, and outcomes that were not written down when they happened."""

# Ibis gives every column of a table the type Column, which has no operators.
# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.known import to_micros
from crm.outcomes import SQL_STAGES
from crm.store import Tables
from training.sentinel.association import Counted, count_levels, is_telling, stratified_odds
from training.sentinel.facts import DAY_US, MINUTE_US, UNITS, Facts, fineness, has_clock
from training.sentinel.verdict import Figure, LeakVerdict, Trace, not_computable, settle

__all__ = ["check_creation", "check_recording"]

MIN_LEADS, MIN_SHARE = 10, 0.05
MIN_FORM, FORM_ODDS = 20, 8.0
AT_SALE_US = 10 * MINUTE_US
MIN_ROWS = 50
BULK_MOMENTS, BULK_SHARE, BULK_SPAN_US = 3, 0.50, 60 * DAY_US
EARLY_SHARE = 0.02
CREATION = LeakVerdict(
    "L13",
    "Leads made at the sale",
    "Were leads there before their outcome, or created or entered at the sale, with a date set back?",
    "passed",
    "",
)
RECORDING = LeakVerdict(
    "L15",
    "Recording of outcomes",
    "Were outcomes written down as they happened, so that the past can be looked at as it was known?",
    "passed",
    "",
)


def check_creation(facts: Facts) -> LeakVerdict:
    """Give the verdict on when leads were created and entered."""
    outcome = facts.column("first_outcome_us")
    has_outcome = np.isfinite(outcome)
    total = int(has_outcome.sum())
    if total < MIN_LEADS:
        return not_computable(CREATION, f"{total} leads have an outcome, fewer than {MIN_LEADS}")
    traces = list(_created(facts, outcome, has_outcome)) + list(_entered(facts, outcome, has_outcome))
    traces += _forms(facts)
    figures = (Figure("leads with an outcome", float(total), "leads"),)
    return settle(CREATION, traces, clean="leads were there before their outcome", figures=figures)


def _created(facts: Facts, outcome: NDArray[np.float64], has_outcome: NDArray[np.bool_]) -> Iterator[Trace]:
    created = facts.column("created_us")
    total = int(has_outcome.sum())
    slack = AT_SALE_US if has_clock(created) and has_clock(outcome[has_outcome].astype(np.int64)) else -1
    born = has_outcome & (outcome <= created + slack)
    count, before = int(born.sum()), int((has_outcome & (outcome < created)).sum())
    if count >= MIN_LEADS and count >= MIN_SHARE * total:
        yield Trace(
            "created_at",
            "failed",
            f"{count:,} of the {total:,} leads with an outcome were created within 10 minutes of it or after it "
            f"({before:,} after): they came into being with the sale",
            "Leave leads out of the SELECT that were made for an opportunity, or give created_at of the first touch "
            "and recorded_at of the entry.",
        )


def _entered(facts: Facts, outcome: NDArray[np.float64], has_outcome: NDArray[np.bool_]) -> Iterator[Trace]:
    """Find leads whose creation lies before the outcome and whose entry after it."""
    created, recorded = facts.column("created_us"), facts.column("recorded_us").astype(np.float64)
    set_back = has_outcome & (created < outcome) & (recorded >= outcome) & (recorded > created + DAY_US)
    total, count = int(has_outcome.sum()), int(set_back.sum())
    if count >= MIN_LEADS and count >= MIN_SHARE * total:
        yield Trace(
            "recorded_at of leads",
            "failed",
            f"{count:,} of the {total:,} leads with an outcome were entered after it, with created_at set back: nobody "
            "could have scored them, and their like without an outcome were never entered",
            "Use the moment of entry as created_at, or leave these leads out of the SELECT.",
        )


def _forms(facts: Facts) -> Iterator[Trace]:
    """Find a way of dating leads, such as whole days among seconds, that leads with the outcome have."""
    created, recorded = facts.column("created_us"), facts.column("recorded_us")
    form = fineness(created) * 2 + (created == recorded)
    codes, names = pd.factorize(form)
    if len(names) < 2:
        return
    for outcome, happened in facts.outcomes.items():
        base = float(happened.mean())
        leads, wins = count_levels(np.arange(len(codes)), codes.astype(np.int64), happened)
        for number in np.flatnonzero((leads >= MIN_FORM) & (leads < len(codes) / 2)):
            counted = Counted(int(leads[number]), int(wins[number]), base)
            odds = stratified_odds(codes == number, happened, facts.strata, tests=2 * len(names))
            if is_telling(counted) or (counted.wins >= MIN_LEADS and odds.low > FORM_ODDS):
                unit = UNITS[int(names[number]) // 2]
                yield Trace(
                    "created_at",
                    "failed",
                    f"of the {counted.leads:,} leads dated by the {unit}, {counted.wins:,} have the outcome "
                    f"({outcome}), against {base:.1%} of all: they were entered in another way, knowing it",
                    "Find out how these leads came in; leave out those that were made for an opportunity.",
                )
                return


def check_recording(tables: Tables, facts: Facts) -> LeakVerdict:
    """Give the verdict on the two clocks of the outcome tables."""
    rows = _outcome_rows(tables, to_micros(facts.seen.as_of))
    if len(rows) < MIN_ROWS:
        return not_computable(RECORDING, f"{len(rows):,} outcomes are recorded, fewer than {MIN_ROWS}")
    lag = (rows["recorded_us"] - rows["at_us"]).to_numpy()
    figures = [
        Figure("outcomes", float(len(rows)), "rows"),
        Figure("median lag of recording", float(np.median(lag)) / DAY_US, "days"),
    ]
    traces = [*_bulk(rows), *_early(lag)]
    clean = "outcomes were recorded one by one, as they happened"
    if not traces and not lag.any():
        clean = "outcomes carry no recording time of their own: each counts as known when it happened"
    return settle(RECORDING, traces, clean=clean, figures=figures)


def _outcome_rows(tables: Tables, known: int) -> pd.DataFrame:
    """List when outcomes happened and were recorded: at_us, recorded_us, table."""
    parts = [
        pd.DataFrame({"at_us": [], "recorded_us": [], "table": []}).astype({"at_us": "int64", "recorded_us": "int64"})
    ]
    if tables.has("stages"):
        stages = tables.table("stages")
        stages = stages.filter(stages["stage"].isin(SQL_STAGES) & (stages["recorded_us"] <= known))
        parts.append(stages.select("recorded_us", at_us="entered_us").to_pyarrow().to_pandas().assign(table="stages"))
    if tables.has("opportunities"):
        deals = tables.table("opportunities")
        deals = deals.filter(deals["recorded_us"] <= known)
        moment = (deals["is_won"].fill_null(False) & deals["closed_us"].notnull()).ifelse(
            deals["closed_us"], deals["created_us"]
        )
        frame = deals.select("recorded_us", at_us=moment).to_pyarrow().to_pandas()
        parts.append(frame.assign(table="opportunities"))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _bulk(rows: pd.DataFrame) -> Iterator[Trace]:
    for table, part in rows.groupby("table"):
        top = part["recorded_us"].value_counts().head(BULK_MOMENTS)
        inside = part[part["recorded_us"].isin(top.index)]
        span = int(inside["at_us"].max() - inside["at_us"].min())
        if len(part) >= MIN_ROWS and len(inside) > BULK_SHARE * len(part) and span > BULK_SPAN_US:
            yield Trace(
                f"recorded_at of {table}",
                "failed",
                f"{len(inside):,} of its {len(part):,} outcomes were recorded in {len(top)} moment"
                f"{'s' if len(top) > 1 else ''}, though they happened over {span / DAY_US:,.0f} days: as-of training "
                "and back-tests at an earlier moment know none of them",
                f"Without recorded_at of {table}, [source.lag] {table} can say how late they come; or take it from the "
                "CRM's history.",
            )


def _early(lag: NDArray[np.int64]) -> Iterator[Trace]:
    early = int((lag < -DAY_US).sum())
    if early >= MIN_LEADS and early > EARLY_SHARE * len(lag):
        yield Trace(
            "recorded_at of outcomes",
            "attention",
            f"{early:,} of {len(lag):,} outcomes were recorded over a day before they happened: plans, or dates that "
            "were changed afterwards",
            "Select the day on which it happened, not the planned one.",
        )
