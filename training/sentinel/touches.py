"""L11: touches that were put in afterwards, or that only leads with the outcome have."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.sentinel.association import (
    MIN_LEADS,
    MIN_OWNERS,
    Counted,
    auc_of,
    count_levels,
    is_telling,
    stratified_odds,
)
from training.sentinel.facts import DAY_US, UNITS, Facts, fineness
from training.sentinel.touch_times import late_recorded, piled_up
from training.sentinel.verdict import Figure, LeakVerdict, Trace, not_computable, settle

__all__ = ["check_touches", "telling_touches"]

Codes = NDArray[np.int64]

NAMED = (("kind", "kind"), ("content_id", "content"), ("campaign_id", "campaign"), ("channel", "channel"))
ENOUGH_FEW, ALL_OF_FEW = 10, 1e-6
DOUBTFUL_RATE, DOUBTFUL_LIFT = 0.70, 5.0
BATCH_TOUCHES = 20
BATCH_SPAN_US = 7 * DAY_US
MAX_BATCHES = 200
BEFORE_ODDS, BEFORE_AUC = 6.0, 0.80
BACK_FILLED = (
    "Leave these touches out of the SELECT, or give them the recorded_at at which they were really written down."
)
ASKED = LeakVerdict(
    "L11",
    "Back-filled touches",
    "Are there touches that only leads with the outcome have, that were written down after it, at a fixed distance "
    "from it, in one batch, before the lead existed, or in a form of their own?",
    "passed",
    "",
)


def check_touches(facts: Facts) -> LeakVerdict:
    """Give the verdict on touches."""
    if facts.touches is None:
        return not_computable(ASKED, "there is no table touches", "Add touches to [source.tables].")
    if not len(facts.lead_touches):
        return not_computable(ASKED, "no touch is by a lead")
    traces = [
        *telling_touches(facts),
        *_afterwards(facts),
        *late_recorded(facts),
        *piled_up(facts),
        *_before_creation(facts),
    ]
    seen = facts.lead_touches["is_visible"]
    figures = (
        Figure("touches by leads", float(len(seen)), "touches"),
        Figure("known while at risk", 100.0 * float(seen.mean()), "%"),
    )
    return settle(
        ASKED, traces, clean="touches were there before the outcome, for leads with it and without", figures=figures
    )


def telling_touches(facts: Facts) -> list[Trace]:
    """Return the kinds, contents, campaigns, channels and forms of rows that tell while the lead is at risk."""
    touches = facts.lead_touches
    if not len(touches):
        return []
    rows = touches[touches["is_visible"].to_numpy()]
    traces: list[Trace] = []
    explained = np.zeros(len(rows), dtype=bool)
    for column, word in NAMED:
        traces += _tell(facts, rows, rows[column], word, explained)
    rest = rows[~explained]
    traces += _tell(facts, rest, forms_of(rest), "touches of the form", np.zeros(len(rest), dtype=bool))
    traces += _tell(facts, rest, _batches(rest), "touches recorded in one batch at", np.zeros(len(rest), dtype=bool))
    return traces


def _tell(
    facts: Facts, rows: pd.DataFrame, level: pd.Series, word: str, explained: NDArray[np.bool_]
) -> Iterator[Trace]:
    """Yield the levels that tell, and mark their rows, so that one leak is told once."""
    codes, names = _numbered(level)
    has_level = codes >= 0
    lead = rows["lead"].to_numpy()
    told: set[int] = set()
    for outcome, happened in facts.outcomes.items():
        base = float(happened.mean()) if len(happened) else 1.0
        leads, wins = count_levels(lead[has_level], codes[has_level], happened)
        for number in np.flatnonzero(leads >= ENOUGH_FEW):
            counted = Counted(int(leads[number]), int(wins[number]), base)
            trace = None if int(number) in told else _judged(f"{word} '{names[number]}'", outcome, counted, len(names))
            if trace is not None and facts.owners(lead[codes == number]) >= MIN_OWNERS:
                told.add(int(number))
                explained |= codes == number
                yield trace


def _numbered(level: pd.Series) -> tuple[Codes, list[str]]:
    """Give each level a number, -1 where there is none."""
    codes, names = pd.factorize(level)
    return codes.astype(np.int64), [str(name) for name in names]


def _judged(what: str, outcome: str, counted: Counted, tried: int) -> Trace | None:
    why = (
        f"of the {counted.leads:,} leads that have it while at risk, {counted.wins:,} have the outcome ({outcome}), "
        f"against {counted.base:.1%} of all"
    )
    if is_telling(counted):
        return Trace(what, "failed", why, BACK_FILLED, refuses=True)
    few = counted.wins == counted.leads and counted.base**counted.leads * tried < ALL_OF_FEW and counted.base < 0.2
    if few or (counted.low > DOUBTFUL_RATE and counted.rate > DOUBTFUL_LIFT * counted.base):
        return Trace(what, "attention", why, "Find out whether it is recorded before sales decides. " + BACK_FILLED)
    return None


def forms_of(rows: pd.DataFrame) -> pd.Series:
    """Describe the form in which each touch is written: rows of one origin look alike, back-filled ones look other.

    Kind, how finely it is dated, whether it was recorded at its own moment, what it leaves empty, shape of its id.
    """
    happened = rows["happened_us"].to_numpy()
    unit = np.array([f"by the {unit}" for unit in UNITS], dtype=object)[fineness(happened)]
    parts = [
        rows["kind"].astype(str),
        pd.Series(unit, index=rows.index),
        pd.Series(np.where(rows["recorded_us"].to_numpy() == happened, "at once", "later"), index=rows.index),
        rows["content_id"].isna().map({True: "no content", False: "content"}),
        rows["campaign_id"].isna().map({True: "", False: "campaign"}),
        rows["channel"].isna().map({True: "no channel", False: ""}),
        rows["value"].isna().map({True: "no value", False: ""}),
        rows["shape"].astype(str) + "/" + rows["digits"].astype(str),
    ]
    codes = [pd.factorize(part) for part in parts]
    packed = np.zeros(len(rows), dtype=np.int64)
    for code, names in codes:
        packed = packed * (len(names) + 1) + code + 1
    form, first = np.unique(packed, return_index=True)[:2]
    words = [", ".join(str(part.iloc[at]) for part in parts if str(part.iloc[at])) for at in first]
    return pd.Series(np.array(words, dtype=object)[np.searchsorted(form, packed)], index=rows.index)


def _batches(rows: pd.DataFrame) -> pd.Series:
    """Name the moments at which many touches of a long time were recorded together; missing for the others."""
    by_moment = rows.groupby("recorded_us")["happened_us"].agg(["size", "min", "max"])
    large = by_moment[
        (by_moment["size"] >= BATCH_TOUCHES) & (by_moment["max"] - by_moment["min"] >= BATCH_SPAN_US)
    ].nlargest(MAX_BATCHES, "size")
    named = pd.to_datetime(rows["recorded_us"], unit="us", utc=True).dt.strftime("%Y-%m-%d %H:%M")
    return named.where(rows["recorded_us"].isin(large.index))


def _afterwards(facts: Facts) -> Iterator[Trace]:
    """Find contents and campaigns that leads meet only once they have the outcome: harmless while both clocks hold."""
    touches = facts.lead_touches
    seen = touches[touches["is_visible"].to_numpy()]
    for column, word in NAMED[:3]:
        codes, names = _numbered(touches[column])
        has_level = codes >= 0
        known = set(seen[column].dropna().unique())
        for outcome, happened in facts.outcomes.items():
            base = float(happened.mean())
            leads, wins = count_levels(touches["lead"].to_numpy()[has_level], codes[has_level], happened)
            for number in np.flatnonzero(leads >= MIN_LEADS):
                counted = Counted(int(leads[number]), int(wins[number]), base)
                spread = facts.owners(touches["lead"].to_numpy()[codes == number])
                if is_telling(counted) and outcome == "sql" and spread >= MIN_OWNERS:
                    share = float((seen[column] == names[number]).sum()) / max(int((codes == number).sum()), 1)
                    if names[number] not in known or share < 0.1:
                        yield Trace(
                            f"{word} '{names[number]}'",
                            "attention",
                            f"{counted.wins:,} of the {counted.leads:,} leads that have it have the outcome, and "
                            f"{1 - share:.0%} of it comes after the hand-off or decision: it follows from the outcome",
                            "Nothing, if its times are right: features do not see it while a lead is at risk. Leave it "
                            "out of the SELECT if its times cannot be trusted.",
                        )


def _before_creation(facts: Facts) -> Iterator[Trace]:
    """Find touches from before the lead was there, if leads with the outcome have them far more often."""
    touches = facts.lead_touches
    touches = touches[touches["is_visible"].to_numpy()]
    lead = touches["lead"].to_numpy()
    size, created = len(facts.leads), facts.column("created_us")
    asked = (
        ("happened", touches["happened_us"].to_numpy() < created[lead] - DAY_US),
        ("were recorded", touches["recorded_us"].to_numpy() < created[lead] - DAY_US),
    )
    for word, mask in asked:
        counts = np.bincount(lead[mask], minlength=size)
        for outcome, happened in facts.outcomes.items():
            wins = int((happened & (counts > 0)).sum())
            if wins < MIN_LEADS or happened.all():
                continue
            odds = stratified_odds(counts > 0, happened, facts.strata, tests=4)
            auc = auc_of(counts.astype(np.float64), happened)
            if odds.low > BEFORE_ODDS or auc > BEFORE_AUC:
                yield Trace(
                    f"touches that {word} more than a day before their lead was created",
                    "failed",
                    f"{wins:,} of the {int(happened.sum()):,} leads with the outcome ({outcome}) have some, and "
                    f"{int((counts > 0).sum()) - wins:,} of the {int((~happened).sum()):,} others (odds surely "
                    f"{odds.strength:.1f} times): touches of other leads were put under the id that won",
                    "Give the merges in lead_merges and each touch the id that it had then. " + BACK_FILLED,
                )
                break
