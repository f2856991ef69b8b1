"""Rows that are told, as the tables for training have them: typed, trimmed, checked one by one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from crm.known import to_micros
from crm.parsing import BLANKS
from crm.personal import EMAIL, looks_personal, personal_name_reason
from crm.state_tables import micros_name
from crm.tables import Column, TableSchema

__all__ = [
    "ID_COLUMNS",
    "OWN",
    "PERSONAL_ID",
    "held_name",
    "made_touch_id",
    "reason_against",
    "typed_row",
    "without_personal",
]

Row = dict[str, Any]
DAY_US = 86_400_000_000
ID_COLUMNS = ("lead_id", "account_id", "from_lead_id", "into_lead_id")
OWN = frozenset(("arrived_us", "origin"))
PERSONAL_ID = "an id is personal data"
_QUERY = re.compile(r"[?#].*\Z", re.DOTALL)


def typed_row(schema: TableSchema, raw: Mapping[str, Any], now_us: int) -> Row:
    """Return a row with the columns of its table, times in microseconds, recorded now where it does not say when.

    ``is_recorded_given`` tells whether it does; rows of ``leads`` have their other values under ``attributes``.
    """
    row: Row = {held_name(column): _value(column, raw) for column in schema.columns}
    row["is_recorded_given"] = row.get("recorded_us") is not None
    if "recorded_us" in row and row["recorded_us"] is None:
        row["recorded_us"] = now_us
    if schema.open_columns:
        declared = {*schema.column_names, *map(held_name, schema.columns), *OWN}
        row["attributes"] = {name: value for name, value in raw.items() if name not in declared}
    return row


def without_personal(attributes: Mapping[str, Any], allowed: Collection[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Part attributes from those that name a person, by their name or their value; these are not to be kept.

    Examples
    --------
    >>> without_personal({"industry": "retail", "email": "taro@example.com", "note": "ask taro@example.com"}, ())
    ({'industry': 'retail'}, ('email', 'note'))
    """
    personal = tuple(name for name, value in attributes.items() if name not in allowed and _is_personal(name, value))
    return {name: value for name, value in attributes.items() if name not in personal}, personal


def _is_personal(name: str, value: object) -> bool:
    return _has_personal_name(name) or (isinstance(value, str) and "@" in value and bool(_ADDRESS.search(value)))


_ADDRESS = re.compile(EMAIL)


@lru_cache(maxsize=4_096)
def _has_personal_name(name: str) -> bool:
    return personal_name_reason(name) is not None


def reason_against(schema: TableSchema, row: Row, now_us: int, *, takes_any_id: bool) -> str:
    """Say why a typed row cannot be used; empty when it can."""
    wrong = next(filter(None, (_wrong(column, row[held_name(column)], now_us) for column in schema.columns)), "")
    if wrong:
        return wrong
    if not takes_any_id:
        ids = [str(row[name]) for name in ID_COLUMNS if row.get(name) is not None]
        if any("@" in one or one.startswith("+") for one in ids) and looks_personal(ids):
            return PERSONAL_ID
    return _contradiction(schema, row)


def held_name(column: Column) -> str:
    """Return the name of a column in the state."""
    return micros_name(column.name) if column.type == "time" else column.name


def _value(column: Column, raw: Mapping[str, Any]) -> Any:
    """Return a value as the tables for training have it."""
    value = raw.get(held_name(column), raw.get(column.name))
    if isinstance(value, datetime):
        return to_micros(value)
    if isinstance(value, str):
        if column.name == "content_id":
            value = _QUERY.sub("", value)
        value = value.strip(BLANKS) or None
    if isinstance(value, str) and column.choices:
        return value.lower()
    if isinstance(value, str) and column.name == "currency":
        return value.upper()
    return column.default if value is None and column.default else value


def _wrong(column: Column, value: Any, now_us: int) -> str:
    """Say what is wrong with a value by itself; empty when nothing is."""
    if value is None:
        return f"{column.name} is missing" if column.required else ""
    if column.choices and value not in column.choices:
        return f"{column.name} is none of {', '.join(column.choices)}"
    if column.type == "time" and not 0 <= value <= now_us + DAY_US:
        return f"{column.name} lies {'before 1970' if value < 0 else 'in the future'}"
    return ""


def _contradiction(schema: TableSchema, row: Row) -> str:
    """Say which values of a row cannot be together; empty when all can."""
    clock = micros_name(schema.clock) if schema.clock else None
    if clock not in (None, "recorded_us") and row["recorded_us"] < row[clock] - DAY_US:
        return f"recorded_at lies over a day before {schema.clock}"
    if schema.name == "lead_merges" and row["from_lead_id"] == row["into_lead_id"]:
        return "a lead cannot be merged into itself"
    if schema.name == "opportunities" and row["lead_id"] is None and row["account_id"] is None:
        return "neither lead_id nor account_id"
    return ""


def made_touch_id(row: Row) -> str:
    """Return an id that follows from a touch's content, so that a touch that is told again is known again."""
    names = ("lead_id", "happened_us", "kind", "actor", "content_id", "campaign_id", "channel", "value")
    text = json.dumps([row.get(name) for name in names], ensure_ascii=False)
    return "made-" + hashlib.sha256(text.encode()).hexdigest()[:32]
