"""What the command line shows of an MQL line: its words, its segments, other capacities, and the old rule beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cli.output import print_entry, print_paragraph, print_table
from models.capacity_grid import GridRow
from models.gain import Comparison
from models.intervals import Interval
from models.line import Line
from models.line_terms import ALL_LEADS, Equivalent, Mark
from training.crossed import CrossedLead, SignalGap, largest_gaps

__all__ = ["show_crossed", "show_grid", "show_line", "show_rules"]

OFF_AT_ZERO = "the line is at 0, where hysteresis and band have no width: both are off"
NOT_APPLIED = (
    "'decision' in scores and answers follows the line alone; whoever carries decisions out has to apply these terms"
)
SHOWN_LEADS = 3
SHOWN_REASONS = 3


def show_line(drawn: Line, *, in_full: bool = False) -> None:
    """Print a line in words; what it means for segments where there are some, or in full for all leads alone too."""
    currency = drawn.currency
    above = f"a lead is an MQL when its expected value is above {_money(drawn.threshold)} {currency}"
    if drawn.equivalent_p_won is not None:
        above += f"; at the mean amount that is a chance to win of {drawn.equivalent_p_won:.1%}"
    weekly = "without a limit" if drawn.capacity_per_week is None else f"on {drawn.capacity_per_week:g} a week"
    print_paragraph("The MQL line")
    print_entry("  Line", above)
    print_entry(
        "  Flow",
        f"{drawn.crossings_per_week:.1f} leads a week cross it, by the last {drawn.weeks} weeks; "
        f"sales can start {weekly}",
    )
    what = "chance to win" if drawn.basis == "as_run" else "what working the lead adds to its chance to win"
    print_entry(
        "  Value",
        f"{what} x amount x {drawn.margin:.0%} margin, less {_money(drawn.touch_cost)} {currency} for working the lead",
    )
    if drawn.gain is not None:
        print_entry(
            "  Gain",
            f"{_signed(drawn.gain.value)} {currency} a week over the old rule at the same capacity, 90% interval "
            f"{_signed(drawn.gain.low)} to {_signed(drawn.gain.high)}, on the weeks from {drawn.gain.since} to "
            f"{drawn.gain.until} that neither the models nor the line had seen",
        )
    _show_terms(drawn)
    print_entry("  At risk", f"{drawn.leads_at_risk:,} leads on {drawn.set_as_of:%Y-%m-%d}")
    if len(drawn.equivalents) > (0 if in_full else 1):
        print_paragraph("")
        _show_equivalents(drawn.equivalents, currency)


def _show_terms(drawn: Line) -> None:
    """Print what decisions with a memory add; nothing where they add nothing."""
    if drawn.hysteresis > 0:
        enter, leave = (drawn.threshold * (1 + side * drawn.hysteresis) for side in (1, -1))
        print_entry(
            "  Stays", f"a lead enters above {_money(enter)} and leaves at or below {_money(leave)} {drawn.currency}"
        )
    if drawn.band is not None:
        low, high = (drawn.threshold * (1 + side * drawn.band.width) for side in (-1, 1))
        print_entry(
            "  Band",
            f"from {_money(low)} to {_money(high)} {drawn.currency}, {drawn.band.share:.0%} of the leads get the "
            "other decision, by a draw",
        )
    if drawn.hysteresis > 0 or drawn.band is not None:
        print_entry("  Note", OFF_AT_ZERO if drawn.threshold == 0 else NOT_APPLIED)


def _show_equivalents(found: Sequence[Equivalent], currency: str) -> None:
    rows = [
        (
            "all leads" if one.segment == ALL_LEADS else one.segment,
            f"{one.leads:,}",
            f"{one.mqls:,}",
            "" if one.mean_amount is None else _money(one.mean_amount),
            *_mark(one.b),
            *_mark(one.a),
        )
        for one in found
    ]
    columns = (
        "segment",
        "at risk ",
        "MQLs ",
        f"amount {currency} ",
        "MQL from p(won) ",
        "score ",
        "A from p(won) ",
        "score ",
    )
    print_table("Where a lead of the segment's mean amount meets the line", columns, rows)


def _mark(found: Mark | None) -> tuple[str, str]:
    if found is None:
        return "-", "-"
    return f"{found.p_won:.1%}", f"{found.score:.0f}" if found.score <= 100 else "over 100"


def show_rules(found: Comparison, gaps: Sequence[SignalGap], currency: str) -> None:
    """Print old rule and new line side by side, and what sets the leads of one apart from those of the other."""

    def shown(name: str, write: Callable[[float], str]) -> tuple[str, str]:
        return tuple(_with_interval(getattr(side, name), write) for side in (found.old, found.new))  # pyright: ignore[reportReturnType] - two sides

    rows: list[tuple[str, str, str]] = [
        ("MQLs", f"{found.old.mqls:.1f}", f"{found.new.mqls:.1f}"),
        ("  of them worked", f"{found.old.worked:.1f}", f"{found.new.worked:.1f}"),
    ]
    if found.old.hours is not None and found.new.hours is not None:
        rows.append(("hours of sales", f"{found.old.hours:.1f}", f"{found.new.hours:.1f}"))
    rows += [
        ("worked MQL to SQL", *shown("sql_rate", "{:.1%}".format)),
        ("worked MQL to won", *shown("won_rate", "{:.1%}".format)),
        (f"revenue won, {currency}", *shown("revenue", "{:,.0f}".format)),
        (f"value, {currency}", *shown("value", "{:,.0f}".format)),
    ]
    print_paragraph("")
    print_table(
        f"A week, at the same capacity, on the {found.weeks} unseen weeks from {found.since} to {found.until} "
        "(90% interval)",
        ("", "old rule ", "new line "),
        rows,
    )
    print_entry(
        "Leads",
        f"a week, {found.both:.1f} are worked under both, {found.only_new:.1f} gained, {found.only_old:.1f} lost",
    )
    largest = largest_gaps(gaps, "en")
    if largest:
        print_paragraph("")
        gap_rows = [(words, f"{gained:+.1f}", f"{lost:+.1f}") for words, gained, lost in largest]
        print_table("What sets them apart, mean points", ("signal", "gained ", "lost "), gap_rows)


def _with_interval(found: Interval, write: Callable[[float], str]) -> str:
    if found.value != found.value:
        return "-"
    if found.low != found.low:
        return write(found.value)
    return f"{write(found.value)} ({write(found.low)} to {write(found.high)})"


def show_crossed(leads: Sequence[CrossedLead], currency: str) -> None:
    """Print the leads gained and lost that were valued highest, with reasons."""
    for side, word in (("new", "gained"), ("old", "lost")):
        mine = [lead for lead in leads if lead.rule == side]
        rows: list[tuple[str, ...]] = []
        for lead in mine[:SHOWN_LEADS]:
            outcome = "won" if lead.won else "SQL" if lead.sql else ""
            fixed = (lead.lead_id, lead.as_of[:10], f"{lead.expected_value:,.0f}", f"{lead.score:.0f}", outcome)
            reasons = lead.reasons[:SHOWN_REASONS] or ("nothing that stands out",)
            rows += [(*(fixed if n == 0 else ("",) * len(fixed)), text) for n, text in enumerate(reasons)]
        if rows:
            print_paragraph("")
            title = f"Leads {word}, the highest values of {len(mine):,}"
            print_table(title, ("lead", "crossed on", f"value {currency} ", "score ", "became", "reasons"), rows)


def show_grid(rows: Sequence[GridRow], line: Line) -> None:
    """Print the line at several capacities."""
    has_hours = any(row.hours is not None for row in rows)
    has_gain = any(row.comparison is not None for row in rows)
    table: list[tuple[str, ...]] = []
    for row in rows:
        cells = [
            ("no limit" if row.capacity is None else f"{row.capacity:g}") + (" *" if _is_chosen(row, line) else ""),
            _money(max(row.price, 0.0)),
            f"{row.crossings:.1f}",
            f"{row.value:,.0f}",
        ]
        cells += [f"{row.hours:.1f}" if row.hours is not None else ""] if has_hours else []
        if has_gain:
            found = row.comparison
            cells += (
                ["", ""]
                if found is None
                else [f"{found.new.value.value:,.0f}", _with_interval(found.gain, "{:+,.0f}".format)]
            )
        table.append(tuple(cells))
    columns = ["capacity ", f"line {line.currency} ", "leads a week ", f"expected value {line.currency} "]
    columns += ["hours "] if has_hours else []
    columns += [f"value on unseen weeks {line.currency} ", "gain over the old rule (90% interval) "] if has_gain else []
    print_paragraph("")
    print_table("The line at other capacities, a week (* this line)", columns, table)


def _is_chosen(row: GridRow, line: Line) -> bool:
    return row.capacity == line.capacity_per_week


def _signed(amount: float) -> str:
    return f"{amount:+,.0f}"


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if abs(amount) >= 100 or amount == int(amount) else f"{amount:,.2f}"
