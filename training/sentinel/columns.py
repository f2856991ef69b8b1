"""L14: whether a column that is said to hold the value at creation holds today's."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from training.sentinel.association import MIN_LEADS, MIN_OWNERS, Counted, bound, count_levels, is_telling
from training.sentinel.facts import DAY_US, MINUTE_US, Facts
from training.sentinel.verdict import Figure, LeakVerdict, Trace, settle

__all__ = ["check_columns"]

CURRENT_SHARE = 0.30
TOTAL_RHO = 0.90
TOTAL_GAP = 0.15
MIN_COINCIDING = 10
COINCIDING_SHARE = 0.10
MANY_VALUES = 1_000
ASKED = LeakVerdict(
    "L14",
    "Values of today",
    "Does a column hold what was known at creation, and not a later value: the newest change, a running total, "
    "something written down in the minute of the outcome?",
    "passed",
    "",
)


def check_columns(facts: Facts) -> LeakVerdict:
    """Give the verdict on columns and changes that know later."""
    traces = [*_newest_change(facts), *_running_totals(facts), *_changes_at_outcome(facts), *_changed_leads(facts)]
    changes = 0 if facts.changes is None else len(facts.changes)
    figures = (Figure("changes looked at", float(changes), "changes"),)
    return settle(
        ASKED, traces, clean="columns hold values of creation, as far as the tables can tell", figures=figures
    )


def _newest_change(facts: Facts) -> Iterator[Trace]:
    """Compare columns with their own history: a change that changed nothing shows that the column came after it."""
    if facts.changes is None:
        return
    created, sql = facts.column("created_us"), facts.column("sql_us")
    for name in facts.values.columns:
        rows = facts.changes[facts.changes["field"] == name]
        rows = rows[rows["recorded_us"].to_numpy() > created[rows["lead"].to_numpy()] + MINUTE_US]
        newest = rows.drop_duplicates("lead", keep="last")
        lead = newest["lead"].to_numpy()
        same = _same(facts.values[name].iloc[lead], newest["value"])
        for who, mask in (("", np.ones(len(lead), dtype=bool)), (" with the outcome", np.isfinite(sql[lead]))):
            count, equal = int(mask.sum()), int(same[mask].sum())
            if count >= MIN_COINCIDING and bound(equal, count) > CURRENT_SHARE:
                yield Trace(
                    f"'{name}'",
                    "failed",
                    f"for {equal:,} of the {count:,} leads{who} whose value was changed later, the column already "
                    "holds the newest change",
                    f"Take '{name}' out of [columns] known_at_creation (its history in lead_changes is enough), or "
                    "select the value of creation.",
                    refuses=equal >= 0.9 * count and count >= MIN_LEADS,
                )
                break


def _same(column: pd.Series, newest: pd.Series) -> NDArray[np.bool_]:
    is_filled = column.notna().to_numpy() & newest.notna().to_numpy()
    if column.dtype.kind in "fi":
        equal = np.isclose(column.to_numpy(dtype=float), pd.to_numeric(newest, errors="coerce").to_numpy(dtype=float))
    else:
        equal = column.astype(str).str.lower().to_numpy() == newest.astype(str).str.lower().to_numpy()
    return is_filled & np.asarray(equal, dtype=bool)


def _running_totals(facts: Facts) -> Iterator[Trace]:
    """Compare numbers with how many touches a lead has by now: the total of today knows how the story went on."""
    if facts.touches is None or not len(facts.touches):
        return
    size = len(facts.leads)
    lead = facts.touches["lead"].to_numpy()
    known = np.maximum(facts.touches["happened_us"].to_numpy() + 1, facts.touches["recorded_us"].to_numpy())
    is_early = known <= facts.column("created_us")[lead] + DAY_US
    by_lead = facts.touches["actor"].to_numpy() == "lead"
    totals = {"touches": np.ones(len(lead), bool), "touches by leads": by_lead, "touches by others": ~by_lead}
    totals |= {f"touches of kind '{k}'": (facts.touches["kind"] == k).to_numpy(bool) for k in _kinds(facts.touches)}
    for name in facts.values.columns:
        number = facts.values[name]
        filled = number.notna().to_numpy()
        if number.dtype.kind not in "fi" or filled.sum() < 100 or number.nunique() < 3:
            continue
        shown = number.to_numpy(dtype=float)[filled]
        for words, mask in totals.items():
            now, then = (np.bincount(lead[m], minlength=size)[filled] for m in (mask, mask & is_early))
            rho = _rho(shown, now)
            if rho > TOTAL_RHO and rho - _rho(shown, then) > TOTAL_GAP:
                yield Trace(
                    f"'{name}'",
                    "failed",
                    f"it goes with the number of {words} by today (rank correlation {rho:.2f}), and not with the "
                    "number at creation: a running total",
                    f"Add '{name}' to [columns] ignore; the touches themselves are counted as known at each moment.",
                    refuses=True,
                )
                break


def _kinds(touches: pd.DataFrame) -> list[str]:
    return [str(kind) for kind in touches["kind"].value_counts().index[:12]]


def _rho(one: NDArray[np.float64], two: NDArray[np.int64]) -> float:
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return abs(float(np.corrcoef(rankdata(one), rankdata(two))[0, 1]))


def _changes_at_outcome(facts: Facts) -> Iterator[Trace]:
    """Find fields that are written in the very minute in which the outcome is."""
    if facts.changes is None or not len(facts.changes):
        return
    lead = facts.changes["lead"].to_numpy()
    recorded = facts.changes["recorded_us"].to_numpy()
    gaps = np.minimum(*(np.abs(recorded - facts.column(name)[lead]) for name in ("sql_us", "won_us")))
    known = recorded <= facts.column("last_end_us")[lead]
    for field, rows in facts.changes.groupby("field").groups.items():
        at = np.asarray(rows)
        near = int((gaps[at] <= MINUTE_US).sum())
        if near >= MIN_COINCIDING and near >= COINCIDING_SHARE * len(at):
            seen = int((known[at] & (gaps[at] <= MINUTE_US)).sum())
            yield Trace(
                f"'{field}'",
                "failed",
                f"{near:,} of its {len(at):,} changes were recorded within a minute of the outcome, {seen:,} of them "
                "while the lead was still at risk: it is part of the outcome",
                f"Add '{field}' to [columns] ignore.",
            )


def _changed_leads(facts: Facts) -> Iterator[Trace]:
    """Find fields, and values of them, that are changed beforehand for leads with the outcome alone."""
    if facts.changes is None or not len(facts.changes):
        return
    lead = facts.changes["lead"].to_numpy()
    visible = facts.changes["recorded_us"].to_numpy() <= facts.column("last_end_us")[lead]
    rows = facts.changes[visible]
    if not len(rows):
        return
    fields = rows["field"].astype(str)
    valued = fields + " = " + rows["value"].astype(str)
    parts = (fields, valued) if valued.nunique() <= MANY_VALUES else (fields,)
    told: set[str] = set()
    for part in parts:
        codes, names = pd.factorize(part)
        for outcome, happened in facts.outcomes.items():
            base = float(happened.mean())
            leads, wins = count_levels(lead[visible], codes.astype(np.int64), happened)
            for number, level in enumerate(names):
                field = str(level).split(" = ")[0]
                counted = Counted(int(leads[number]), int(wins[number]), base)
                if field in told or not is_telling(counted):
                    continue
                if facts.owners(lead[visible][codes == number]) >= MIN_OWNERS:
                    told.add(field)
                    yield Trace(
                        f"'{field}'",
                        "failed",
                        f"of the {leads[number]:,} leads with a change '{level}' while at risk, {wins[number]:,} have "
                        f"the outcome ({outcome}), against {base:.1%} of all",
                        f"Add '{field}' to [columns] ignore: its changes are dated too early, or are sales' own.",
                        refuses=True,
                    )
