"""The page on which a key is traded for the board."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pages.words import Language, load_words

__all__ = ["login_policy", "render_login"]

_FOLDER = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def _style() -> str:
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "board.css"))


@lru_cache(maxsize=1)
def login_policy() -> str:
    """Return the content security policy of the page: its own style, a form that is sent here, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'"


def render_login(language: Language, *, was_wrong: bool) -> str:
    """Return the page.

    Parameters
    ----------
    language
        Of the reader.
    was_wrong
        The key that was given is none, or may not see the board.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("board_login.html")
    return template.render(t=load_words(language), style=_style(), was_wrong=was_wrong)
