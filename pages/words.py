"""Every text of the pages, in the reader's language."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

__all__ = ["Language", "Words", "load_words"]

Language = Literal["en", "ja"]


@dataclass(frozen=True)
class Words:
    """Texts of one language under dotted keys.

    Parameters
    ----------
    language
        ``en`` or ``ja``.
    texts
        Dotted key to text with ``{placeholders}``.
    phrases
        Patterns of English sentences that other packages make, and their translation; ``{1}`` is the first
        group.

    Examples
    --------
    >>> words = load_words("en")
    >>> words("common.per_week", n="30")
    '30 a week'
    >>> words.known("member.stumps", "stumps")
    'Boosted stumps, monotone'
    >>> words.known("member.own_member", "own_member")
    'own member'
    """

    language: Language
    texts: Mapping[str, str]
    phrases: tuple[tuple[re.Pattern[str], str], ...] = ()

    def __call__(self, key: str, **values: str) -> str:
        """Return the text under ``key``, placeholders filled in; a sentence begins with a capital letter."""
        text = self.texts[key]
        filled = text.format_map(values)
        return filled[:1].upper() + filled[1:] if text.startswith("{") else filled

    def known(self, key: str, otherwise: str) -> str:
        """Return the text under ``key``, or ``otherwise`` in plain words when there is none."""
        return self.texts.get(key, otherwise.replace("_", " "))

    def phrase(self, text: str) -> str:
        """Translate a sentence that another package made in English; an unknown one stays as it is.

        Examples
        --------
        >>> load_words("ja").phrase("amount is negative")
        '金額が負'
        >>> load_words("ja").phrase("something new")
        'something new'
        """
        for pattern, translation in self.phrases:
            match = pattern.fullmatch(text)
            if match is not None:
                return translation.format(match[0], *match.groups())
        return text


@lru_cache(maxsize=4)
def load_words(language: Language) -> Words:
    """Read the texts of a language.

    Raises
    ------
    ValueError
        When there are no texts in that language.
    """
    if language not in ("en", "ja"):
        raise ValueError(f"Found language '{language}'; expected 'en' or 'ja'.")
    folder = Path(__file__).parent / "words"
    texts: dict[str, str] = {}
    for name in (f"{language}.toml", f"board_{language}.toml"):
        texts |= _flat(_read(folder / name), "")
    return Words(language, texts, _phrases(folder / f"phrases_{language}.toml"))


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _flat(tree: Mapping[str, Any], prefix: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, branch in tree.items():
        if isinstance(branch, dict):
            flat |= _flat(cast(dict[str, Any], branch), f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(branch)
    return flat


def _phrases(path: Path) -> tuple[tuple[re.Pattern[str], str], ...]:
    if not path.exists():
        return ()
    found = cast(list[dict[str, str]], _read(path)["phrases"])
    return tuple((re.compile(entry["pattern"]), entry["text"]) for entry in found)
