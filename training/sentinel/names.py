"""L6: columns whose name or values say that sales fills them in."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportArgumentType=false
from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

from crm.personal import forbidden_reason
from crm.store import Attribute
from training.sentinel.association import MIN_LEADS
from training.sentinel.facts import Facts
from training.sentinel.verdict import Figure, LeakVerdict, Trace, settle

__all__ = ["check_names", "doubtful_name"]

# Beyond what the intake refuses by name (crm/personal.py): words of what sales does, and of what follows a win.
_DOUBTFUL = re.compile(
    r"(^|_)(contracts?|contracted|signed|invoice[sd]?|invoicing|onboard(ed|ing)?|renewals?|churn(ed)?|purchase[sd]?|"
    r"proposals?|negotiation|bant|sales_(notes?|calls?|rep|comments?|team|person)|rep_(notes?|name|id)|ae_(name|id)|"
    r"sdr_(name|id)|calls?_(made|count|outcome|result)|meetings?_(held|count|booked)|demo_(done|held|given|completed)|"
    r"outcome|customer_(since|id|status|no|number)|is_customer|became_customer|win_loss|lost|"
    r"rejected|qualified(_at|_by)?|disqualified|pipeline|arr|mrr|acv|tcv|revenue_booked|next_step|"
    r"(lead|deal|sales|sfa|crm|customer|pipeline)_(status|stage|phase|owner)|disposition)($|_)",
    re.IGNORECASE,
)
_DOUBTFUL_JAPANESE = re.compile(
    r"ステータス|商談|失注|受注|成約|見積|(営業|対応|リード|顧客)(フェーズ|ステージ|状況|進捗|履歴|結果|メモ|コメント|活動|担当)|進捗|担当営業|"
    r"案件|契約(日|済|金額|番号|状況|有無)|請求|発注|稟議|確度|ヨミ|見込み?度|架電|面談|打ち?合わ?せ|クローズ|導入(済|日)|顧客化|取引開始|成立|解約|"
    r"次のステップ|ネクストアクション"
)
_STAGE_VALUES = re.compile(
    r"^(closed?[ _-]?(won|lost)|won|lost|sql|sal|opportunity|disqualified|unqualified|qualified|converted|"
    r"contract(ed)?|signed|受注|失注|成約|商談(化|中|済)?|契約(済|中)?|案件化|見送り|対象外|不成立|成立|クローズ)$",
    re.IGNORECASE,
)
MIN_STAGE_SHARE = 0.02
ASKED = LeakVerdict(
    "L6",
    "Forbidden names",
    "Is a column used whose name or values say that it is written after the hand-off: status, stage, owner, lost "
    "reason, tags, last activity, opportunity, quote, merge flags, in English or Japanese?",
    "passed",
    "",
)


def doubtful_name(name: str) -> bool:
    """Tell whether a column's name speaks of sales' work or of what follows a win.

    Examples
    --------
    >>> doubtful_name("ContractDate"), doubtful_name("失注理由"), doubtful_name("industry"), doubtful_name("従業員数")
    (True, True, False, False)
    """
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    plain = re.sub(r"[^0-9A-Za-z\u3040-\u9fff]+", "_", text).strip("_")
    return bool(_DOUBTFUL.search(plain) or _DOUBTFUL_JAPANESE.search(plain))


def check_names(facts: Facts, attributes: Collection[Attribute], declared: Collection[str]) -> LeakVerdict:
    """Give the verdict on names and on values that are stages.

    Parameters
    ----------
    facts
        Leads and their attributes.
    attributes
        Every attribute, used and refused.
    declared
        ``[columns] known_at_creation``: what somebody wants used.
    """
    forbidden = [a.name for a in attributes if a.refused and forbidden_reason(a.name)]
    traces = [*_wanted(forbidden, declared), *_doubtful(attributes), *_stage_values(facts)]
    figures = [Figure("columns kept out by name", float(len(forbidden)), "columns")]
    clean = "no column that is used is named after sales' work"
    if forbidden:
        clean += f"; not used, for their names: {', '.join(forbidden[:8])}"
    return settle(ASKED, traces, clean=clean, figures=figures)


def _wanted(forbidden: Collection[str], declared: Collection[str]) -> Iterator[Trace]:
    for name in forbidden:
        if name in declared:
            yield Trace(
                f"'{name}'",
                "failed",
                "listed under known_at_creation, but fields of this name are filled in after the hand-off; it is not "
                "used",
                f"Take '{name}' out of [columns] known_at_creation. If it is known at creation, select it under "
                "another name.",
            )


def _doubtful(attributes: Collection[Attribute]) -> Iterator[Trace]:
    for attribute in attributes:
        if not attribute.refused and not attribute.has_history and doubtful_name(attribute.name):
            yield Trace(
                f"'{attribute.name}'",
                "attention",
                "its name speaks of what sales does or of what follows a win, and it has no history",
                f"Make sure that '{attribute.name}' holds the value at creation; else add it to [columns] ignore.",
            )


def _stage_values(facts: Facts) -> Iterator[Trace]:
    for name in facts.values.columns:
        texts = facts.values[name].dropna()
        if texts.dtype.kind in "fib" or not len(texts):
            continue
        counts = texts.astype(str).str.strip().value_counts()
        stages = counts[[bool(_STAGE_VALUES.match(level)) for level in counts.index.astype(str)]]
        if stages.sum() >= max(MIN_LEADS, MIN_STAGE_SHARE * len(texts)):
            yield Trace(
                f"'{name}'",
                "attention",
                f"{int(stages.sum()):,} leads have a stage of the funnel for a value, such as '{stages.index[0]}'",
                f"Add '{name}' to [columns] ignore, or give its history in lead_changes.",
            )
