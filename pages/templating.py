"""The templates of all pages, and the digests by which a page's policy names its own style and script."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["board_script", "board_style", "policy_digest", "templates"]

_FOLDER = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def templates() -> Environment:
    """Return the templates: all that is put in is escaped, and a name that is missing is an error."""
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def board_style() -> str:
    """Return the style of the board and of its login."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", "board.css"))


@lru_cache(maxsize=1)
def board_script() -> str:
    """Return the script of the board."""
    return (_FOLDER / "board.js").read_text(encoding="utf-8")


def policy_digest(text: str) -> str:
    """Return how a content security policy names a style or script.

    Examples
    --------
    >>> policy_digest("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
