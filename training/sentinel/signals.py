"""L5: whether any attribute tells the outcome alone, by its values, by being there, or through its account."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.outcomes import Outcome
from training.leaks import Suspect
from training.sentinel.association import MIN_LEADS, Counted, Odds, count_levels, is_telling, stratified_odds
from training.sentinel.facts import Facts
from training.sentinel.verdict import Figure, LeakVerdict, Trace, settle

__all__ = ["check_signals", "telling_signals"]

Flags = NDArray[np.bool_]

FAILED_ODDS, LOOKED_ODDS, REFUSED_ODDS = 5.0, 3.0, 15.0
MIN_GAP = 0.15
ACCOUNT_BASE = 0.30
MAX_LEVELS = 200
TOUCHES = "touches"
WORDS: Mapping[Outcome, str] = {"sql": "an SQL", "won": "a win"}
ASKED = LeakVerdict(
    "L5",
    "One signal alone",
    "Does one signal alone rank the outcome with an AUC above 0.90, have a value that only leads with the outcome "
    "have, or is it missing according to the outcome (odds above 5, at one source and in one quarter)?",
    "passed",
    "",
)


def check_signals(facts: Facts, suspects: Sequence[Suspect]) -> LeakVerdict:
    """Give the verdict on single signals.

    Parameters
    ----------
    facts
        Leads and their attributes.
    suspects
        What :func:`training.leaks.find_suspects` found among the features.
    """
    traces = [_of_suspect(suspect) for suspect in suspects]
    named = {trace.what for trace in traces}
    traces += [trace for trace in telling_signals(facts) if trace.what not in named]
    figures = (Figure("attributes tried", float(len(facts.values.columns)), "attributes"),)
    return settle(ASKED, traces, clean="no signal tells the outcome alone", figures=figures)


def telling_signals(facts: Facts) -> list[Trace]:
    """Return the attributes that tell by their account's value or by being missing, each once."""
    traces: dict[str, Trace] = {}
    for trace in (*_account_values(facts), *_missing(facts)):
        known = traces.get(trace.what)
        if known is None or (trace.status, trace.refuses) > (known.status, known.refuses):
            traces[trace.what] = trace
    return list(traces.values())


def _of_suspect(suspect: Suspect) -> Trace:
    return Trace(
        f"'{suspect.signal}'",
        "failed",
        suspect.why,
        f"Add '{suspect.signal}' to [columns] ignore, or give its history in lead_changes.",
        refuses=True,
    )


def _filled(facts: Facts) -> Iterator[tuple[str, Flags]]:
    """Yield each column whose being there may tell, with where it is filled; and whether the lead has any touch."""
    yield "account_id", facts.leads["account_id"].notna().to_numpy()
    if facts.touches is not None and len(facts.lead_touches):
        yield TOUCHES, np.bincount(facts.lead_touches["lead"].to_numpy(), minlength=len(facts.leads)) > 0
    for name in facts.values.columns:
        yield name, facts.values[name].notna().to_numpy()


def _missing(facts: Facts) -> Iterator[Trace]:
    tried = [(name, filled) for name, filled in _filled(facts) if MIN_LEADS <= filled.sum() <= len(filled) - MIN_LEADS]
    for name, filled in tried:
        for outcome, happened in facts.outcomes.items():
            wins = int(happened.sum())
            if wins < MIN_LEADS or wins == len(happened):
                continue
            with_it, without = float(filled[happened].mean()), float(filled[~happened].mean())
            if abs(with_it - without) < MIN_GAP:
                continue
            odds = stratified_odds(filled, happened, facts.strata, tests=2 * len(tried))
            if odds.strength > LOOKED_ODDS:
                yield _missing_trace(name, outcome, (with_it, without), odds)


def _missing_trace(name: str, outcome: Outcome, shares: tuple[float, float], odds: Odds) -> Trace:
    # People who buy do something first, so leads without any touch are for a person to judge.
    is_leak = odds.strength > FAILED_ODDS and name != TOUCHES
    todo = {
        "account_id": "Accounts seem to be given at conversion: select account_id only if the lead had it at creation.",
        TOUCHES: "Find out why leads have no touches: if those of lost leads were deleted, touches tell the outcome.",
    }.get(
        name,
        f"Find out who fills '{name}' in, and when: if it is filled in as sales works the lead, add it to [columns] "
        "ignore or give its history in lead_changes.",
    )
    return Trace(
        f"'{name}'",
        "failed" if is_leak else "attention",
        f"filled for {shares[0]:.0%} of the leads with {WORDS[outcome]} and {shares[1]:.0%} of the others "
        f"(odds surely {odds.strength:.1f} times, at one source and in one quarter)",
        todo,
        refuses=is_leak and odds.strength > REFUSED_ODDS,
    )


def _account_values(facts: Facts) -> Iterator[Trace]:
    """Find values of leads whose account has the outcome later, as a column has that is updated at the win."""
    account = facts.account
    if account.max(initial=-1) < 0:
        return
    for outcome, column in (("sql", "sql_us"), ("won", "won_us")):
        first = np.full(account.max() + 1, np.inf)
        owned = account >= 0
        np.minimum.at(first, account[owned], facts.column(column)[owned])
        before = owned & (facts.column("created_us") < first[account])
        happened = np.isfinite(first)
        seen = np.unique(account[before])
        base = float(happened[seen].mean()) if len(seen) else 1.0
        for name in facts.values.columns.astype(str):
            counted = _best_level(facts.values[name], account, before, happened)
            if counted is None:
                continue
            level, leads, wins = counted
            if is_telling(Counted(leads, wins, base), rare=ACCOUNT_BASE):
                yield Trace(
                    f"'{name}'",
                    "failed",
                    f"{wins} of the {leads} accounts with the value '{level}' come to {WORDS[outcome]} afterwards, "
                    f"against {base:.1%} of all accounts",
                    f"Give the history of '{name}' in lead_changes, or add it to [columns] ignore: it holds what the "
                    "account is today.",
                    refuses=True,
                )
                break


def _best_level(
    values: pd.Series, account: NDArray[np.int64], before: Flags, happened: Flags
) -> tuple[str, int, int] | None:
    """Return the level whose accounts most surely have the outcome: its name, accounts, wins."""
    filled = before & values.notna().to_numpy()
    codes, names = pd.factorize(values[filled].astype(str))
    if len(names) == 0:
        return None
    codes = codes.astype(np.int64)
    if len(names) > MAX_LEVELS:  # numbers and free text: being there is all that they have in common
        codes, names = np.zeros(len(codes), dtype=np.int64), pd.Index(["(any)"])
    leads, wins = count_levels(account[filled], codes, happened)
    best = int(np.argmax([Counted(int(n), int(w), 0.0).low for n, w in zip(leads, wins, strict=True)]))
    return str(names[best]), int(leads[best]), int(wins[best])
