"""Values of request bodies: ids, texts, moments and choices, each checked and described."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from crm.parsing import BLANKS
from crm.tables import ACTORS, STAGES

__all__ = [
    "EXAMPLE",
    "ID_PATTERN",
    "MAX_ID",
    "TEXT_PATTERN",
    "Actor",
    "Closed",
    "Id",
    "Moment",
    "OptionalId",
    "OptionalMoment",
    "OptionalText",
    "Stage",
    "is_id",
    "trimmed",
]

MAX_ID = 200
MAX_TEXT = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 9000

_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_UNSEEN = r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
"""What makes an id look like another one, or like another part of the line that it stands in."""
_CONTROL = re.compile(f"[{_CONTROLS}]")
_NOT_IN_IDS = re.compile(f"[{_CONTROLS}{_UNSEEN}]")
TEXT_PATTERN = f"^[^{_CONTROLS}]*$"
ID_PATTERN = f"^[^{_CONTROLS}{_UNSEEN}]*$"
_AS_TEXT: JsonDict = {"pattern": TEXT_PATTERN}
_AS_ID: JsonDict = {"pattern": ID_PATTERN}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d(:?\d\d)?)?")
EXAMPLE = "2026-11-05T09:30:00+09:00"


def trimmed(text: str) -> str:
    """Return a text without the blanks around it, as the tables for training have it.

    Examples
    --------
    >>> trimmed(" ACME　")
    'ACME'
    """
    return text.strip(BLANKS)


def _to_text(value: object) -> object:
    return trimmed(value) if isinstance(value, str) else value


def _to_optional_text(value: object) -> object:
    return (trimmed(value) or None) if isinstance(value, str) else value


def _to_choice(value: object) -> object:
    return trimmed(value).lower() or None if isinstance(value, str) else value


def _check_plain(text: str | None) -> str | None:
    if text is not None and _CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


def _check_id(text: str | None) -> str | None:
    if _check_plain(text) is not None and _NOT_IN_IDS.search(str(text)):
        raise ValueError("must not hold characters that cannot be seen")
    return text


def is_id(text: str) -> bool:
    r"""Tell whether a text may be an id.

    Examples
    --------
    >>> is_id("L1"), is_id("  "), is_id("L\u202e1"), is_id("L" * 201)
    (True, False, False, False)
    """
    return 0 < len(trimmed(text)) <= MAX_ID and not _NOT_IN_IDS.search(text)


def _check_choice(choices: tuple[str, ...]) -> Callable[[str | None], str | None]:
    def check(text: str | None) -> str | None:
        if text is not None and text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return check


def _to_moment(value: object) -> object:
    if not isinstance(value, str):
        return value  # null where that is allowed; anything else fails as no date-time
    if not _MOMENT.fullmatch(value):
        raise ValueError(f"must be a date and time such as {EXAMPLE}")
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(f"must be a date and time that exists, such as {EXAMPLE}") from None
    if moment.tzinfo is None:
        raise ValueError("has no offset from UTC; end it with Z, or with one such as +09:00")
    if moment.year > LAST_YEAR or moment.year < EPOCH.year - 1 or moment < EPOCH:
        raise ValueError("must lie after 1970")
    return moment


_AS_TIME = {"type": "string", "format": "date-time", "examples": [EXAMPLE]}
_AS_NULLABLE_TIME = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
    "examples": [EXAMPLE],
}

Moment = Annotated[datetime, BeforeValidator(_to_moment), WithJsonSchema(_AS_TIME)]
OptionalMoment = Annotated[datetime | None, BeforeValidator(_to_moment), WithJsonSchema(_AS_NULLABLE_TIME)]
Id = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID, json_schema_extra=_AS_ID),
    BeforeValidator(_to_text),
    AfterValidator(_check_id),
]
OptionalId = Annotated[
    Annotated[str, Field(max_length=MAX_ID, json_schema_extra=_AS_ID)] | None,
    BeforeValidator(_to_optional_text),
    AfterValidator(_check_id),
]
OptionalText = Annotated[
    Annotated[str, Field(max_length=MAX_TEXT, json_schema_extra=_AS_TEXT)] | None,
    BeforeValidator(_to_optional_text),
    AfterValidator(_check_plain),
]
Actor = Annotated[
    str | None,
    BeforeValidator(_to_choice),
    AfterValidator(_check_choice(ACTORS)),
    WithJsonSchema({"enum": [*ACTORS, None], "default": "lead"}),
]
Stage = Annotated[
    str,
    BeforeValidator(_to_choice),
    AfterValidator(_check_choice(STAGES)),
    WithJsonSchema({"enum": list(STAGES)}),
]


class Closed(BaseModel):
    """A body with no other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
