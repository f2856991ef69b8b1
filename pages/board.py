"""The board as one HTML file that asks nothing of anyone else, under a policy that lets it run its own script alone."""

from __future__ import annotations

from functools import lru_cache

from pages.board_parts import BoardPage
from pages.report_parts import Table
from pages.report_tables import find_tables
from pages.templating import board_script, board_style, policy_digest, templates
from pages.words import Language, load_words

__all__ = ["board_policy", "board_tables", "render_board"]


@lru_cache(maxsize=1)
def board_policy() -> str:
    """Return the content security policy of the page: its own style and script by their digests, and nothing else."""
    return (
        f"default-src 'none'; style-src {policy_digest(board_style())}; script-src {policy_digest(board_script())}; "
        "base-uri 'none'; form-action 'none'"
    )


def render_board(page: BoardPage, language: Language, *, rows_at: str, other_language: str) -> str:
    """Return the board.

    Parameters
    ----------
    page
        What stands on it.
    language
        Of the reader.
    rows_at
        What comes before the name of a CSV file in a link: ``rows/``.
    other_language
        Where the board in the other language is.

    Returns
    -------
    str
        The page, UTF-8 when written. All that came from data is escaped.
    """
    return (
        templates()
        .get_template("board.html")
        .render(
            t=load_words(language),
            page=page,
            rows_at=rows_at,
            other_language=other_language,
            policy=board_policy(),
            style=board_style(),
            script=board_script(),
        )
    )


def board_tables(page: BoardPage) -> tuple[Table, ...]:
    """Return the tables of the page that are CSV files too, in its order."""
    return tuple(find_tables([page.signs, list(page.sections)]))
