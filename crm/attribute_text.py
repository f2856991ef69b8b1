"""Values of attributes as ``lead_changes`` has them, which is text, and back.

The way back is that of the tables for training (:func:`crm.known.typed_change`), which DuckDB goes; a test holds the
two to one another.
"""

from __future__ import annotations

import math
import re
from typing import Literal

__all__ = ["attribute_number", "attribute_text", "attribute_value"]

_NUMBER = re.compile(r"[+-]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][+-]?[0-9]+)?")


def attribute_text(value: object) -> str | None:
    """Return a value as text; true is 1 and false 0, so that they are numbers wherever they are read.

    Examples
    --------
    >>> attribute_text(True), attribute_text(12.50), attribute_text(200.0), attribute_text(" ACME "), attribute_text("")
    ('1', '12.5', '200', 'ACME', None)
    """
    if value is None or isinstance(value, bool):
        return None if value is None else str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value).strip() or None


def attribute_number(text: str | None) -> float | None:
    """Return the number that a text stands for; None where it stands for none, or for one that is not finite.

    Examples
    --------
    >>> attribute_number("1e3"), attribute_number(" 7 "), attribute_number("many"), attribute_number("inf")
    (1000.0, 7.0, None, None)
    """
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    try:
        number = float(text)
    except ValueError:  # an underscore that stands between no two digits
        return None
    return number if math.isfinite(number) else None


_FLAGS = {"true": True, "t": True, "1": True, "yes": True, "y": True} | dict.fromkeys(
    ("false", "f", "0", "no", "n"), False
)


def attribute_value(text: str | None, kind: Literal["number", "text", "boolean"]) -> str | float | bool | None:
    """Return what a value of ``lead_changes`` means for an attribute of a type; None where it is none of that type.

    Examples
    --------
    >>> attribute_value("12", "number"), attribute_value("Yes", "boolean"), attribute_value("12", "text")
    (12.0, True, '12')
    """
    if text is None or kind == "text":
        return text
    return attribute_number(text) if kind == "number" else _FLAGS.get(text.lower())
