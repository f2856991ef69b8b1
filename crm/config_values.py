"""What the keys of the workspace file may hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from crm.expressions import parse_expression
from crm.tables import TABLES

__all__ = [
    "Capacity",
    "Currency",
    "Days",
    "Flag",
    "Moment",
    "Points",
    "Predicate",
    "Real",
    "RuleName",
    "Section",
    "Select",
    "TableName",
    "Whole",
    "Zone",
    "in_zone",
]


class Section(BaseModel):
    """A table of the file: frozen, and without any key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone; expected an IANA name such as 'Asia/Tokyo'") from error
    return name


def _check_currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError(f"{code!r} is no currency; expected three capital letters such as 'JPY'")
    return code


def _check_select(sql: str) -> str:
    head = re.sub(r"(--[^\n]*\n|/\*.*?\*/|\s)*", "", sql, count=1, flags=re.DOTALL)[:6].upper()
    if not head.startswith(("SELECT", "WITH", "FROM", "(")):
        raise ValueError(f"expected one SELECT, found a text that starts with {sql.strip()[:20]!r}")
    if "${" in sql:
        raise ValueError("variables are not allowed in SQL; use them in [source] url")
    return sql


def in_zone(value: object, zone: str) -> object:
    """Give a date (its 00:00) or a date-time the zone where it has none; anything else is left to the validator.

    Examples
    --------
    >>> in_zone(date(2026, 1, 31), "Asia/Tokyo").isoformat()
    '2026-01-31T00:00:00+09:00'
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - it gets its zone below
    if not isinstance(value, datetime) or value.tzinfo:
        return value
    try:
        return value.replace(tzinfo=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        return value.replace(tzinfo=UTC)  # the zone itself is refused elsewhere


def _to_moment(value: object) -> object:
    value = in_zone(value, "UTC")
    if value is not None and not isinstance(value, datetime):
        raise ValueError("expected a date such as 2026-01-31 or a date-time")
    return value


def _check_table(name: str) -> str:
    if name not in TABLES:
        close = get_close_matches(name, TABLES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(TABLES)}"
        raise ValueError(f"unknown table; {hint}")
    return name


def _check_capacity(value: object) -> object:
    """Refuse what is no capacity, in one sentence; a union of types would say two for one mistake."""
    teams: list[object] = list(value.values()) if isinstance(value, dict) else [value]
    if value is not None and not (teams and all(_is_above_zero(number) for number in teams)):
        raise ValueError("expected a number above 0, or a table with such a number for each team")
    return value


def _check_rule_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w -]{0,38}\w|\w", name):
        raise ValueError(
            "a name has 1 to 40 letters, digits, blanks, - and _, and begins and ends with one of the first"
        )
    return name


def _check_predicate(sql: str) -> str:
    parse_expression(sql)
    return sql


def _is_above_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


Zone = Annotated[str, AfterValidator(_check_zone)]
Currency = Annotated[str, AfterValidator(_check_currency)]
Select = Annotated[str, AfterValidator(_check_select)]
TableName = Annotated[str, AfterValidator(_check_table)]
RuleName = Annotated[str, AfterValidator(_check_rule_name)]
Predicate = Annotated[str, AfterValidator(_check_predicate)]
Moment = Annotated[datetime, BeforeValidator(_to_moment)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Positive = Annotated[float, Field(gt=0)]
Points = Annotated[Real, Field(ge=-1e9, le=1e9)]
Days = Annotated[Real, Field(gt=0, le=3650)]
Capacity = Annotated[Positive | Mapping[str, Positive] | None, BeforeValidator(_check_capacity)]
