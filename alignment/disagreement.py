"""Where sales and the score disagree: high scores that were rejected, low ones that were won, and why."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alignment.people import People
from alignment.periods import DAY_US

__all__ = ["Disagreement", "disagreement"]

DAYS = 90.0


@dataclass(frozen=True)
class Disagreement:
    """Where sales and the score disagree, in the last :data:`DAYS` days.

    Parameters
    ----------
    rejected
        Hand-offs graded A or B that sales rejected: person_id, hand_off_id, owner, team, band, value, disposition,
        reason, disposed_us; highest value first.
    answered
        Hand-offs graded A or B that sales answered in that time.
    won
        Persons whose score before the MQL or the hand-off was below the line and who were won: person_id, value,
        revenue, won_us, source; highest revenue first.
    wins
        Wins of persons who were scored, in that time.
    reasons
        Reasons of rejections of all grades, their count and how many of them were graded A or B, most frequent first.
    unlisted
        Dispositions and reasons written down that ``[dispositions]`` does not list, with their count.
    has_scores
        False where no hand-off was scored before it, so that there is nothing to disagree with.
    """

    rejected: pd.DataFrame
    answered: int
    won: pd.DataFrame
    wins: int
    reasons: tuple[tuple[str, int, int], ...]
    unlisted: tuple[tuple[str, int], ...]
    has_scores: bool


def disagreement(people: People, offs: pd.DataFrame) -> Disagreement:
    """Find the leads to talk about.

    Parameters
    ----------
    people
        Who, and as of when.
    offs
        As :func:`alignment.hand_offs.hand_offs_of` gives them.
    """
    since = people.until_us - DAYS * DAY_US
    config = people.config.dispositions
    answered = offs[(offs["disposed_us"] >= since) & offs["disposition"].notna()]
    is_high = answered["band"].isin(("A", "B"))
    is_rejected = answered["disposition"].isin(config.rejected)
    columns = ["person_id", "hand_off_id", "owner", "team", "band", "value", "disposition", "reason", "disposed_us"]
    rejected = answered.loc[is_high & is_rejected, [name for name in columns if name in answered]]
    frame = people.frame
    recent = (frame["won_us"] >= since) & frame["value"].notna()
    low = frame.loc[recent & (frame["is_above_line"] == False), ["person_id", "value", "revenue", "won_us", "source"]]  # noqa: E712 - may be None
    return Disagreement(
        rejected.sort_values(["value", "hand_off_id"], ascending=[False, True], kind="stable"),
        int(is_high.sum()),
        low.sort_values(["revenue", "person_id"], ascending=[False, True], kind="stable"),
        int(recent.sum()),
        _reasons(answered[is_rejected], is_high[is_rejected]),
        _unlisted(answered, people),
        bool(np.isfinite(offs["value"].to_numpy(dtype="float64")).any()) if len(offs) else False,
    )


def _reasons(rejected: pd.DataFrame, is_high: pd.Series) -> tuple[tuple[str, int, int], ...]:
    reason = rejected["reason"].fillna("").astype(str)
    counts = pd.DataFrame({"reason": reason, "is_high": is_high}).groupby("reason")["is_high"].agg(["size", "sum"])
    ranked = sorted(counts.itertuples(), key=lambda row: (-int(row[1]), str(row[0])))
    return tuple((str(row[0]), int(row[1]), int(row[2])) for row in ranked)


def _unlisted(answered: pd.DataFrame, people: People) -> tuple[tuple[str, int], ...]:
    config = people.config.dispositions
    listed = {*config.accepted, *config.rejected}
    odd = answered.loc[~answered["disposition"].isin(list(listed)), "disposition"].value_counts()
    found = {str(name): int(count) for name, count in odd.items()}
    if config.reasons:
        is_odd = answered["reason"].notna() & ~answered["reason"].isin(config.reasons)
        found |= {str(name): int(count) for name, count in answered.loc[is_odd, "reason"].value_counts().items()}
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
