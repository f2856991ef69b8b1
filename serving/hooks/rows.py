"""Rows of the contract that a sender of its own posts, typed column by column."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from crm.personal import personal_name_reason
from crm.tables import TABLES, Column, TableSchema
from serving.bodies import OptionalMoment
from serving.hooks.work import Row
from serving.problems import FieldError, json_pointer

__all__ = ["POSTED_TABLES", "typed_rows"]

POSTED_TABLES = ("touches", "leads", "stages", "hand_offs", "opportunities")
MAX_ID = 200
MAX_TEXT = 1_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOMENT: TypeAdapter[datetime | None] = TypeAdapter(OptionalMoment)


class _WrongError(ValueError):
    """What is wrong with one value."""


def typed_rows(
    table: str, rows: Sequence[Any], allowed_personal: Sequence[str] = ()
) -> tuple[list[Row], list[FieldError]]:
    """Return rows with their values typed, and everything that is wrong with them, pointers relative to the rows.

    Rows of ``leads`` may have attributes besides the contract's columns: texts, numbers, true or false. Columns whose
    name says that they hold personal data are refused.

    Parameters
    ----------
    table
        One of :data:`POSTED_TABLES`.
    rows
        Parsed JSON.
    allowed_personal
        Columns that only look personal, as ``[columns] allow_personal`` has them.

    Examples
    --------
    >>> rows, wrong = typed_rows("stages", [{"lead_id": "L1", "stage": "won", "entered_at": "2026-05-01"}])
    >>> [(one.field, one.message[:23]) for one in wrong]
    [('/0/stage', 'must be one of mql, acc'), ('/0/entered_at', 'must be a date and time')]
    """
    found: list[Row] = []
    wrong: list[FieldError] = []
    for number, raw in enumerate(rows):
        if not isinstance(raw, dict):
            wrong.append(FieldError(json_pointer(number), "must be an object"))
            continue
        row, errors = _typed_row(TABLES[table], raw, allowed_personal)
        found.append(row)
        wrong += [FieldError(f"/{number}{error.field}", error.message) for error in errors]
    return found, wrong


def _typed_row(schema: TableSchema, raw: Mapping[str, Any], allowed: Sequence[str]) -> tuple[Row, list[FieldError]]:
    row: dict[str, Any] = {}
    wrong: list[FieldError] = []
    for column in schema.columns:
        try:
            row[column.name] = _typed(column, raw.get(column.name))
        except _WrongError as error:
            wrong.append(FieldError(json_pointer(column.name), str(error)))
    for name in raw.keys() - row.keys() - set(schema.column_names):
        reason = _wrong_attribute(name, raw[name], allowed) if schema.open_columns else "is no column of this table"
        if reason:
            wrong.append(FieldError(json_pointer(name), reason))
        else:
            row[name] = raw[name]
    return row, wrong


def _typed(column: Column, value: Any) -> Any:
    if value is None:
        if column.required:
            raise _WrongError("is required")
        return None
    if column.type == "time":
        return _moment(value)
    if column.type == "number":
        return _number(value)
    if column.type == "boolean":
        return _boolean(value)
    return _text(column, value)


def _moment(value: Any) -> datetime:
    try:
        moment = _MOMENT.validate_python(value, strict=True)
    except ValidationError as error:
        messages = (str(item.get("ctx", {}).get("error", "")) for item in error.errors(include_url=False))
        raise _WrongError(next(filter(None, messages), "must be a date and time")) from None
    assert moment is not None  # noqa: S101 - None was answered before
    return moment.astimezone(UTC)


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _WrongError("must be a finite number")
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("must be true or false")
    return value


def _text(column: Column, value: Any) -> str:
    is_id = column.name.endswith("_id")
    if is_id and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # ids of many CRMs are numbers
    most = MAX_ID if is_id else MAX_TEXT
    if not isinstance(value, str):
        raise _WrongError("must be text")
    if _CONTROL.search(value) or len(value) > most or (column.required and not value.strip()):
        raise _WrongError(f"must be 1 to {most:,} characters, without control characters")
    if column.choices and value.strip().lower() not in column.choices:
        raise _WrongError(f"must be one of {', '.join(column.choices)}")
    return value


def _wrong_attribute(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Say what is wrong with an attribute of a lead; empty for nothing."""
    reason = None if name in allowed else personal_name_reason(name)
    if reason is not None:
        return f"is not taken: {reason}"
    if isinstance(value, dict | list):
        return "must be text, a number, true, false or null"
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"must have at most {MAX_TEXT:,} characters"
    return "must be a finite number" if isinstance(value, float) and not math.isfinite(value) else ""
