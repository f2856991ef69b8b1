"""L10 and L16: merges and ids that know the outcome, and one person under several accounts."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from training.sentinel.association import (
    MIN_LEADS,
    MIN_OWNERS,
    Counted,
    auc_of,
    count_levels,
    is_telling,
    stratified_odds,
)
from training.sentinel.facts import MINUTE_US, Facts, has_clock
from training.sentinel.verdict import Figure, LeakVerdict, Trace, not_computable, settle

__all__ = ["check_identity", "check_persons"]

Codes = NDArray[np.int64]

MIN_MERGES = 10
MERGE_ODDS, ID_ODDS = 8.0, 8.0
ORDER_AUC, ORDER_ERRORS = 0.15, 5.0
MIN_IMPOSSIBLE_SHARE = 0.05
SAME_TOUCHES, SAME_SHARE, MAX_SHARERS = 3, 0.5, 5
PERSON_SHARE = 0.01
IDENTITY = LeakVerdict(
    "L10",
    "Merges and ids as of",
    "Do merges apply from the moment at which they were made, for leads with and without the outcome alike, and do ids "
    "keep silent about it?",
    "passed",
    "",
)
PERSONS = LeakVerdict(
    "L16",
    "One person, several accounts",
    "Is the same person under several ids and accounts, so that a model is tested on whom it was trained?",
    "passed",
    "",
)


def check_identity(facts: Facts) -> LeakVerdict:
    """Give the verdict on merges and ids."""
    traces = [*_impossible(facts), *_chosen(facts), *_id_shapes(facts), *_id_order(facts)]
    figures = (Figure("merges", float(len(facts.merges)), "merges"),)
    clean = (
        "merges and ids say nothing of the outcome"
        if len(facts.merges)
        else "ids say nothing of the outcome; no merges"
    )
    return settle(IDENTITY, traces, clean=clean, figures=figures)


def _impossible(facts: Facts) -> Iterator[Trace]:
    """Find merges from before one of the two leads was there."""
    merges, created = facts.merges, facts.column("created_us")
    if not len(merges):
        return
    ends = [merges[name].to_numpy() for name in ("from_lead", "into_lead")]
    born = np.maximum(*(np.where(end >= 0, created[end], -1) for end in ends))
    count = int((merges["recorded_us"].to_numpy() < born - MINUTE_US).sum())
    if count >= MIN_MERGES and count > MIN_IMPOSSIBLE_SHARE * len(merges):
        yield Trace(
            "lead_merges",
            "failed",
            f"{count:,} of {len(merges):,} merges were recorded before one of their leads was created: what was found "
            "out later is applied from the start",
            "Give recorded_at of lead_merges as the moment at which the two were merged.",
        )


def _chosen(facts: Facts) -> Iterator[Trace]:
    """Find merges that, while the lead was at risk, happened to those with the outcome alone."""
    recorded = facts.merges["recorded_us"].to_numpy()
    for column, words in (("into_lead", "others were merged into"), ("from_lead", "were merged into others")):
        lead = facts.merges[column].to_numpy()
        # A lead that is merged away leaves at that moment: its own last moment at risk is the merge.
        visible = (lead >= 0) & (recorded <= facts.column("last_end_us")[lead])
        flag = np.zeros(len(facts.leads), dtype=bool)
        flag[lead[visible]] = True
        if flag.sum() < MIN_MERGES:
            continue
        for outcome, happened in facts.outcomes.items():
            wins, base = int((flag & happened).sum()), float(happened.mean())
            odds = stratified_odds(flag, happened, facts.strata, tests=4)
            if is_telling(Counted(int(flag.sum()), wins, base)) or (wins >= MIN_MERGES and odds.low > MERGE_ODDS):
                yield Trace(
                    "lead_merges",
                    "failed",
                    f"of the {int(flag.sum()):,} leads that {words} while at risk, {wins:,} have the outcome "
                    f"({outcome}), against {base:.1%} of all: who bought was looked at again, and merged in hindsight",
                    "Give recorded_at of lead_merges as the moment at which the two were merged, or leave merges made "
                    "at a sale out.",
                    refuses=is_telling(Counted(int(flag.sum()), wins, base)),
                )
                break


def _shape(ids: pd.Series) -> pd.Series:
    text = ids.astype(object).where(ids.notna(), "")
    return text.map(lambda value: re.sub(r"[0-9]+", "#", str(value)) + f"/{len(str(value))}")


def _id_shapes(facts: Facts) -> Iterator[Trace]:
    """Find forms of ids, and how they begin, that only leads with the outcome have."""
    for column in ("lead_id", "account_id"):
        ids = facts.leads[column]
        known = ids.notna().to_numpy()
        if not known.any():
            continue
        text = ids[known].astype(str)
        parts = {
            "form": _shape(text).str.split("/").str[0],
            "length": text.str.len().astype(str),
            "start": text.str[:2],
        }
        told = False
        for word, part in parts.items():
            codes, names = pd.factorize(part)
            if told or not 2 <= len(names) <= 400:
                continue
            for trace in _id_levels(
                facts, column, word, (np.flatnonzero(known), codes.astype(np.int64), [str(name) for name in names])
            ):
                told = True
                yield trace


def _id_levels(
    facts: Facts, column: str, word: str, level: tuple[NDArray[np.intp], Codes, list[str]]
) -> Iterator[Trace]:
    rows, codes, names = level
    for outcome, happened in facts.outcomes.items():
        base = float(happened.mean())
        leads, wins = count_levels(rows.astype(np.int64), codes, happened)
        for number in np.flatnonzero(leads >= MIN_LEADS):
            counted = Counted(int(leads[number]), int(wins[number]), base)
            strong = False
            if counted.wins >= MIN_MERGES and counted.leads < len(rows) / 2:
                flag = np.zeros(len(happened), dtype=bool)
                flag[rows[codes == number]] = True
                strong = stratified_odds(flag, happened, facts.strata, tests=2 * len(names)).low > ID_ODDS
            if (is_telling(counted) or strong) and facts.owners(rows[codes == number]) >= MIN_OWNERS:
                yield Trace(
                    column,
                    "failed",
                    f"of the {counted.leads:,} leads whose {column} has the {word} '{names[number]}', {counted.wins:,} "
                    f"have the outcome ({outcome}), against {base:.1%} of all: ids were given at the outcome",
                    f"Use the id that the record had from its creation on for {column}.",
                )
                return


def _id_order(facts: Facts) -> Iterator[Trace]:
    """Find running numbers that, beside the order of creation, put leads with the outcome first or last."""
    tail = facts.leads["lead_id"].astype(str).str.extract(r"([0-9]{1,15})$")[0]
    if tail.isna().mean() > 0.1:
        return
    known = tail.notna().to_numpy()
    number = tail[known].astype(np.int64).to_numpy()
    created = facts.column("created_us")[known]
    by_number, by_time = rankdata(number), rankdata(created)
    size = len(number)
    runs_in_time = abs(float(np.corrcoef(by_number, by_time)[0, 1])) > 0.5 if size > 2 else False
    beside = (by_number - by_time) / size if runs_in_time else by_number / size
    for outcome, everyone in facts.outcomes.items():
        happened = everyone[known]
        wins = int(happened.sum())
        if wins < MIN_LEADS or wins == size:
            continue
        error = np.sqrt((size + 1) / (12.0 * wins * (size - wins)))
        auc = auc_of(np.round(beside, 3), happened)
        if abs(auc - 0.5) > max(ORDER_AUC, ORDER_ERRORS * error):
            yield Trace(
                "lead_id",
                "failed",
                f"beside the order of creation, the number in lead_id ranks the outcome ({outcome}) with an AUC of "
                f"{auc:.2f}: ids were numbered when the outcome was known",
                "Use the id that the lead had from its creation on; and never sort or number leads by their outcome.",
            )
            return


def check_persons(facts: Facts) -> LeakVerdict:
    """Give the verdict on leads that are one person: the same touches at the same moments under other accounts."""
    touches = facts.lead_touches
    if not len(touches):
        return not_computable(PERSONS, "there are no touches by leads to tell persons by")
    if not has_clock(touches["happened_us"].to_numpy()):
        return not_computable(PERSONS, "touches are dated by the day: that two leads share some says nothing")
    pairs = _pairs(facts)
    leads = np.unique(pairs)
    share = len(leads) / len(facts.leads)
    figures = (Figure("leads that share their touches with another account's lead", float(len(leads)), "leads"),)
    traces: list[Trace] = []
    if len(leads) >= MIN_LEADS and share > PERSON_SHARE:
        traces.append(
            Trace(
                "lead_id",
                "failed",
                f"{len(leads):,} leads ({share:.1%}) have the same touches at the same moments as a lead of another "
                "account: they are tested on what they were trained on, and AUC and lift come out too high",
                "Merge them in lead_merges, or give them one account_id: folds keep accounts apart.",
            )
        )
    return settle(PERSONS, traces, clean="no person shows under several accounts", figures=figures)


def _pairs(facts: Facts) -> Codes:
    """Return pairs of leads, shape (n, 2), of different accounts that share most of their touches."""
    touches = facts.lead_touches
    lead = touches["lead"].to_numpy()
    kind, kinds = pd.factorize(touches["kind"])
    key = pd.factorize(touches["happened_us"].to_numpy() * (len(kinds) + 1) + kind)[0].astype(np.int64)
    once = pd.unique(key * len(facts.leads) + lead)
    keys, leads = once // len(facts.leads), once % len(facts.leads)
    sharers = np.bincount(keys)[keys]
    few = (sharers > 1) & (sharers <= MAX_SHARERS)
    frame = pd.DataFrame({"key": keys[few], "lead": leads[few]})
    joined = frame.merge(frame, on="key")
    joined = joined[joined["lead_x"] < joined["lead_y"]]
    shared = joined.groupby(["lead_x", "lead_y"]).size()
    shared = shared[shared >= SAME_TOUCHES]
    one, two = (shared.index.get_level_values(name).to_numpy().astype(np.int64) for name in ("lead_x", "lead_y"))
    own = np.bincount(lead, minlength=len(facts.leads))
    alike = shared.to_numpy() >= SAME_SHARE * np.minimum(own[one], own[two])
    person = _person(facts)
    alike &= person[one] != person[two]
    return np.stack([one[alike], two[alike]], axis=1)


def _person(facts: Facts) -> Codes:
    """Give one number to what folds keep together: accounts, leads without one, and what was merged."""
    owner = facts.owner.copy()
    for _, row in facts.merges.iterrows():
        one, two = int(row["from_lead"]), int(row["into_lead"])
        if one >= 0 and two >= 0:
            owner[owner == owner[one]] = owner[two]
    return owner
