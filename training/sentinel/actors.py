"""L12: what sales did, recorded as if the lead had done it."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false, reportOperatorIssue=false
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.sentinel.association import MIN_LEADS, bound
from training.sentinel.facts import Facts, has_clock
from training.sentinel.verdict import Figure, LeakVerdict, Trace, not_computable, settle

__all__ = ["check_actors", "is_sales_kind"]

_SALES_KIND = re.compile(
    r"(^|[_\W])((out(bound|going)?_?)?calls?|phone_?calls?|called|meetings?|meeting_.*|demo_(held|meeting|given|call)|"
    r"sales_.*|quotes?(_.*)?|proposals?(_.*)?|negotiation|contract(_.*)?|email_sent|sent_email|linkedin_message|visit_by.*|"
    r"discovery.*|follow_?up.*|tasks?|voicemail|onboarding.*|kick_?off|invoice.*|task_.*|note(_.*)?)($|[_\W])|"
    r"架電|電話|商談|訪問(?!者)|面談|打ち?合わ?せ|見積|提案|契約|フォロー|営業",
    re.IGNORECASE,
)
_INBOUND = re.compile(r"inbound|incoming|request|book|web|受電|問い?合わ?せ|申し?込み|予約|依頼|サイト", re.IGNORECASE)
AFTER_SHARE = 0.60
FOLLOWS_SHARE, FOLLOWS_TIMES = 0.90, 2.0
MIN_TOUCHES = 30
SAME_CLOCK_US = 1_000_000
SECONDS = 1 << 36
"""More seconds than any time since 1970 has."""
BESIDE_SHARE = 0.10
TODO = "Set actor = 'sales' for these touches in the SELECT: only what leads did becomes a feature."
ASKED = LeakVerdict(
    "L12",
    "Sales' own activity",
    "Is what sales did (calls, meetings, quotes) recorded with actor 'lead', or does a kind of touch begin once sales "
    "is at work?",
    "passed",
    "",
)


@dataclass(frozen=True)
class _Kind:
    name: str
    touches: int
    leads: int
    after: int
    low: float
    doubles: int


def is_sales_kind(kind: str) -> bool:
    """Tell whether a kind of touch is named after what a salesperson does.

    Examples
    --------
    >>> is_sales_kind("call"), is_sales_kind("demo_request"), is_sales_kind("商談"), is_sales_kind("visit")
    (True, False, True, False)
    """
    return bool(_SALES_KIND.search(kind)) and not _INBOUND.search(kind)


def check_actors(facts: Facts) -> LeakVerdict:
    """Give the verdict on who did what."""
    if facts.touches is None:
        return not_computable(ASKED, "there is no table touches", "Add touches to [source.tables].")
    if not len(facts.lead_touches):
        return not_computable(ASKED, "no touch is by a lead", "Fill in actor, or leave it out for touches by leads.")
    kinds, share = _kinds(facts)
    actors = facts.touches["actor"].value_counts()
    figures = [Figure(f"touches by {actor}", float(count), "touches") for actor, count in actors.items()]
    figures.append(Figure("of those by leads, after the hand-off or decision", 100 * share, "%"))
    return settle(
        ASKED, list(_traces(kinds, share)), clean="what leads did and what sales did lie apart", figures=figures
    )


def _kinds(facts: Facts) -> tuple[list[_Kind], float]:
    """Count each kind's touches, and how many come after the lead was first handed off or decided."""
    touches = facts.lead_touches
    lead = touches["lead"].to_numpy()
    happened = touches["happened_us"].to_numpy()
    after = happened >= facts.column("first_end_us")[lead]
    doubled = _doubled(facts)
    found: list[_Kind] = []
    for kind, at in touches.groupby("kind").indices.items():
        count, late = len(at), int(after[at].sum())
        found.append(
            _Kind(str(kind), count, len(np.unique(lead[at])), late, bound(late, count), int(doubled[at].sum()))
        )
    return found, float(after.mean())


def _doubled(facts: Facts) -> NDArray[np.bool_]:
    """Mark touches by leads that stand in one second with what sales did with the same lead: a touch, a stage."""
    touches = facts.lead_touches
    done = [(facts.sales["lead"], facts.sales["at_us"])]
    if facts.touches is not None:
        sales = facts.touches[(facts.touches["actor"] == "sales").to_numpy(dtype=bool)]
        done.append((sales["lead"], sales["happened_us"]))
    lead, moment = (np.concatenate([pair[side].to_numpy() for pair in done]).astype(np.int64) for side in (0, 1))
    own = touches["happened_us"].to_numpy()
    beside = np.zeros(len(touches), dtype=bool)
    if not has_clock(own) or not has_clock(moment):
        return beside
    for step in (-1, 0, 1):
        keys = lead * SECONDS + moment // SAME_CLOCK_US + step
        beside |= np.isin(touches["lead"].to_numpy() * SECONDS + own // SAME_CLOCK_US, keys)
    return beside


def _traces(kinds: list[_Kind], share: float) -> Iterator[Trace]:
    for kind in kinds:
        where = f"{kind.after:,} of its {kind.touches:,} touches by leads come after the hand-off or decision"
        what = f"kind '{kind.name}'"
        if is_sales_kind(kind.name) and kind.touches >= MIN_LEADS:
            is_work = kind.low > max(AFTER_SHARE, share)
            why = f"it is named after what sales does, and is recorded as done by leads; {where}"
            yield Trace(what, "failed" if is_work else "attention", why, TODO)
        elif kind.touches >= MIN_TOUCHES and kind.low > max(FOLLOWS_SHARE, FOLLOWS_TIMES * share):
            yield Trace(
                what, "failed", f"{where}, against {share:.0%} of all touches: it begins with sales' work", TODO
            )
        elif kind.doubles >= MIN_LEADS and kind.doubles > BESIDE_SHARE * kind.touches:
            why = f"{kind.doubles:,} of its {kind.touches:,} touches lie in the second of something that sales did"
            yield Trace(what, "failed", why, TODO)
