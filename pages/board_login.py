"""The page on which a key is traded for the board."""

from __future__ import annotations

from functools import lru_cache

from pages.templating import board_style, policy_digest, templates
from pages.words import Language, load_words

__all__ = ["login_policy", "render_login"]


@lru_cache(maxsize=1)
def login_policy() -> str:
    """Return the content security policy of the page: its own style, a form that is sent here, and nothing else."""
    return f"default-src 'none'; style-src {policy_digest(board_style())}; base-uri 'none'; form-action 'self'"


def render_login(language: Language, *, was_wrong: bool) -> str:
    """Return the page.

    Parameters
    ----------
    language
        Of the reader.
    was_wrong
        The key that was given is none, or may not see the board.
    """
    template = templates().get_template("board_login.html")
    return template.render(t=load_words(language), style=board_style(), was_wrong=was_wrong)
