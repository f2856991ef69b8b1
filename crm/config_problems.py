"""Mistakes in the workspace file, each said in one line with its place."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

__all__ = ["describe_problems"]

_SECRETS = ("url", "secret", "token", "sha256", "client_id")
"""Ends of keys whose values are never shown: they hold passwords, or what somebody took for the place of one."""

_WANTED = {
    "missing": "this key is required and missing",
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "mapping_type": "expected a table",
    "tuple_type": "expected a list",
    "string_type": "expected a text",
    "bool_type": "expected true or false",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "finite_number": "expected a finite number",
}


def describe_problems(error: ValidationError, text: str, model: type[BaseModel]) -> list[str]:
    """Say each mistake in one line, in order of lines.

    Parameters
    ----------
    error
        What pydantic found.
    text
        The file, in which the lines are looked up.
    model
        The whole file's model, whose keys are suggested.
    """
    return sorted((_problem(dict(item), text, model) for item in error.errors(include_url=False)), key=_by_line)


def _problem(item: dict[str, Any], text: str, model: type[BaseModel]) -> str:
    parts = (str(part) for part in item["loc"])
    place = tuple(part for part in parts if part != "[key]" and not part.startswith(("function-", "constrained-")))
    if not place:  # what is said of the whole file begins with its place
        place = tuple(str(item["msg"]).removeprefix("Value error, ").partition(": ")[0].split("."))
        item = {**item, "msg": str(item["msg"]).partition(": ")[2], "input": None}
    name = ".".join(place)
    line = _line_of(place, text)
    where = f"line {line}, {name}" if line else name
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggestion(place, model)}"
    message = _WANTED.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
    message = message[0].lower() + message[1:].replace("Input should", "should")
    message = message.replace("input should be", "expected")
    shown = repr(item["input"]) if isinstance(item["input"], str | int | float) else ""
    is_said = shown in message or "did you mean" in message or place[-1].endswith(_SECRETS)
    return f"{where}: {message}" if is_said or len(shown) > 40 else f"{where}: {message}, found {shown}"


def _by_line(problem: str) -> tuple[int, str]:
    number = re.match(r"line (\d+)", problem)
    return (int(number[1]), "") if number else (0, "")


def _suggestion(place: tuple[str, ...], model: type[BaseModel]) -> str:
    section: Any = model
    for part in place[:-1]:
        field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
        section = field.annotation if field else None
    names = list(section.model_fields) if hasattr(section, "model_fields") else []
    close = get_close_matches(place[-1], names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(names)}" if names else ""


def _line_of(place: tuple[str, ...], text: str) -> int | None:
    """Find the line of a key; TOML parsers keep no positions, and a place without a line is half an answer."""
    section: tuple[str, ...] = ()
    best: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            shorter = min(len(place), len(section))
            if place[:shorter] == section[:shorter] and (best is None or len(section) <= len(place)):
                best = number
            continue
        key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
        if key:
            full = (*section, *(part.strip("\"'") for part in key[1].split(".")))
            if place[: len(full)] == full:
                return number
    return best
