"""Tables in Markdown whose cells stay cells, whatever stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["markdown_cell", "markdown_table"]


def markdown_cell(text: str) -> str:
    r"""Return text that stays one cell of a Markdown table, and plain text, whatever a value is called.

    Examples
    --------
    >>> markdown_cell("a|b <img>")
    'a\\|b &lt;img>'
    """
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return plain.replace("<", "&lt;").replace("*", "\\*").replace("`", "\\`").replace("[", "\\[")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Return a table of cells that were escaped; the first ``left`` columns are text, the others numbers.

    Examples
    --------
    >>> print(markdown_table(["what", "n"], [("a", "1")]))
    | what | n |
    |---|---:|
    | a | 1 |
    """
    rule = "|".join(["---"] * left + ["---:"] * (len(header) - left))
    return "\n".join([f"| {' | '.join(header)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)])
