"""Old rule and new line side by side, and what the line means for each segment: in the report and in the definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pages.formats import Formats
from pages.report_data import EquivalentRow, Estimate, MarkRow, RulesReport
from pages.report_parts import Table, columns, make_table
from pages.report_readings import has_interval
from pages.words import Words

__all__ = ["equivalents_table", "gain_sentence", "gaps_table", "rules_table"]

ALL_LEADS = "all"


def rules_table(rules: RulesReport, words: Words, formats: Formats) -> Table:
    """Set the old rule and the new line side by side."""

    def leads(value: float) -> str:
        return formats.number(value, 1)

    def share(estimate: Estimate) -> tuple[str, str]:
        return formats.percent(estimate.value), _between(estimate, formats.percent, formats)

    def money(estimate: Estimate) -> tuple[str, str]:
        return formats.money(estimate.value), _between(estimate, formats.money, formats)

    rows: list[tuple[str, str, str, str, str]] = [
        (words("line.rules_mqls"), leads(rules.old.mqls), "", leads(rules.new.mqls), ""),
        (words("line.rules_worked"), leads(rules.old.worked), "", leads(rules.new.worked), ""),
        (words("line.rules_sql"), *share(rules.old.sql_rate), *share(rules.new.sql_rate)),
        (words("line.rules_won"), *share(rules.old.won_rate), *share(rules.new.won_rate)),
        (words("line.rules_revenue"), *money(rules.old.revenue), *money(rules.new.revenue)),
        (words("line.rules_value"), *money(rules.old.value), *money(rules.new.value)),
    ]
    if rules.old.hours is not None and rules.new.hours is not None:
        rows.insert(2, (words("line.rules_hours"), leads(rules.old.hours), "", leads(rules.new.hours), ""))
    heads = columns(
        words, "line", "rules_measure", "rules_old:n", "rules_interval:n", "rules_new:n", "rules_interval:n"
    )
    caption = words(
        "line.rules_caption",
        since=formats.moment(rules.since),
        until=formats.moment(rules.until),
        weeks=str(rules.weeks),
    )
    return make_table(caption, heads, rows, stacks=True, name="rules")


def _between(estimate: Estimate, shown: Callable[[float | None], str], formats: Formats) -> str:
    if not has_interval(estimate):
        return formats.words("common.blank")
    return formats.interval(shown(estimate.low), shown(estimate.high))


def gain_sentence(rules: RulesReport, words: Words, formats: Formats) -> str:
    """Say what the line would have brought over the old rule, how sure that is, and whose leads differ."""
    return words(
        "line.gain" if rules.gain.value >= 0 else "line.loss",
        gain=formats.money(abs(rules.gain.value)),
        interval=_between(rules.gain, formats.money, formats),
        p=formats.round_percent(round(rules.probability, 2)),
        both=formats.number(rules.both, 1),
        only_old=formats.number(rules.only_old, 1),
        only_new=formats.number(rules.only_new, 1),
    )


def gaps_table(rules: RulesReport, words: Words, formats: Formats) -> Table | None:
    """Show what sets the leads gained apart from the leads lost; None where nothing does."""
    if not rules.gaps:
        return None
    rows = [(signal, formats.number(gained, 1), formats.number(lost, 1)) for signal, gained, lost in rules.gaps]
    heads = columns(words, "line", "gaps_signal", "gaps_gained:n", "gaps_lost:n")
    return make_table(words("line.gaps_caption"), heads, rows, stacks=True, name="gained_and_lost")


def equivalents_table(equivalents: Sequence[EquivalentRow], words: Words, formats: Formats) -> Table | None:
    """Show at what chance and score a lead of each segment's mean amount meets the line; None without segments."""
    if not equivalents:
        return None

    def mark(found: MarkRow | None) -> str:
        if found is None:
            return words("common.blank")
        p = formats.percent(found.p_won)
        if found.score > 100:
            return words("line.eq_beyond", p=p)
        return words("line.eq_mark", p=p, score=formats.number(max(found.score, 0.0)))

    rows = [
        (
            words("line.eq_all") if row.segment == ALL_LEADS else row.segment,
            formats.number(row.leads),
            formats.number(row.mqls),
            formats.money(row.mean_amount),
            *(mark(found) for found in (row.b, row.a, row.c)),
        )
        for row in equivalents
    ]
    heads = columns(words, "line", "eq_segment", "eq_leads:n", "eq_mqls:n", "eq_amount:n", "eq_b:n", "eq_a:n", "eq_c:n")
    return make_table(words("line.eq_caption"), heads, rows, stacks=True, name="segments_of_line")
