"""The tables that kizashi reads, as typed schemas.

Every time is timezone-aware UTC once a table has been taken in (:mod:`crm.intake`). Two clocks run beside each other:
the table's own clock (``happened_at``, ``entered_at``, ...) tells when something was so, ``recorded_at`` when the
system knew it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["ACTORS", "ENDING_STAGES", "STAGES", "TABLES", "Column", "TableSchema"]

ColumnType = Literal["text", "time", "number", "boolean", "date"]

ACTORS = ("lead", "sales", "system", "bot")
STAGES = ("mql", "accepted", "sql", "opportunity", "closed_won", "closed_lost", "disqualified", "recycled")
ENDING_STAGES = ("accepted", "sql", "opportunity", "closed_won", "closed_lost", "disqualified")
"""Whatever ends the time in which marketing may still decide to hand a lead over."""


@dataclass(frozen=True)
class Column:
    """One column: its name, type and what it may hold.

    Parameters
    ----------
    name
        Name in the SELECT and in the clean table.
    type
        ``text``, ``time`` (UTC), ``number`` (float), ``boolean`` or ``date``.
    required
        A row without a value goes to quarantine.
    choices
        The closed set of values, empty when the set is open.
    default
        Value taken where none is given.
    """

    name: str
    type: ColumnType
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None


@dataclass(frozen=True)
class TableSchema:
    """One table of the contract.

    Parameters
    ----------
    name
        Key under ``[source.tables]``.
    columns
        Its columns; ``leads`` may have any others besides, the attributes.
    key
        Columns that make a row one row.
    clock
        The column that says when the row became true; ``recorded_at`` defaults to it plus the source's lag.
    moment
        Where a value with a date alone is placed: a ``cause`` at local 00:00 of its day (recorded the next 00:00), an
        ``outcome`` at the next 00:00, so that nothing is known before it can be.
    versions
        Rows are versions, told apart by ``recorded_at``; the newest recorded by then is what is known.
    open_columns
        Other columns are kept as attributes.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    clock: str | None = None
    moment: Literal["cause", "outcome"] = "cause"
    versions: bool = False
    open_columns: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the declared columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the declared column called ``name``; ``KeyError`` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _text(name: str, *, required: bool = False, choices: tuple[str, ...] = (), default: str | None = None) -> Column:
    return Column(name, "text", required=required, choices=choices, default=default)


def _time(name: str, *, required: bool = False) -> Column:
    return Column(name, "time", required=required)


def _number(name: str) -> Column:
    return Column(name, "number")


_RECORDED = _time("recorded_at")

_ALL = (
    TableSchema(
        "leads",
        (
            _text("lead_id", required=True),
            _time("created_at", required=True),
            _RECORDED,
            _text("account_id"),
            _text("source"),
        ),
        key=("lead_id",),
        clock="created_at",
        open_columns=True,
    ),
    TableSchema(
        "lead_changes",
        (
            _text("lead_id", required=True),
            _text("field", required=True),
            _text("value"),
            _time("recorded_at", required=True),
            _text("changed_by_team"),
        ),
        key=("lead_id", "field", "recorded_at"),
        clock="recorded_at",
    ),
    TableSchema(
        "lead_merges",
        (
            _text("from_lead_id", required=True),
            _text("into_lead_id", required=True),
            _time("recorded_at", required=True),
        ),
        key=("from_lead_id", "recorded_at"),
        clock="recorded_at",
    ),
    TableSchema(
        "touches",
        (
            _text("touch_id"),
            _text("lead_id", required=True),
            _time("happened_at", required=True),
            _RECORDED,
            _text("kind", required=True),
            _text("actor", choices=ACTORS, default="lead"),
            _text("content_id"),
            _text("campaign_id"),
            _text("channel"),
            _number("value"),
        ),
        key=("touch_id",),
        clock="happened_at",
    ),
    TableSchema(
        "stages",
        (
            _text("lead_id", required=True),
            _text("stage", required=True, choices=STAGES),
            _time("entered_at", required=True),
            _RECORDED,
            _text("reason"),
        ),
        key=("lead_id", "stage", "entered_at"),
        clock="entered_at",
        moment="outcome",
    ),
    TableSchema(
        "opportunities",
        (
            _text("opportunity_id", required=True),
            _text("lead_id"),
            _text("account_id"),
            _time("created_at", required=True),
            _time("closed_at"),
            Column("is_won", "boolean"),
            _number("amount"),
            _text("currency"),
            _RECORDED,
        ),
        key=("opportunity_id", "recorded_at"),
        clock="created_at",
        moment="outcome",
        versions=True,
    ),
    TableSchema(
        "hand_offs",
        (
            _text("hand_off_id", required=True),
            _text("lead_id", required=True),
            _time("handed_off_at", required=True),
            _text("owner"),
            _text("team"),
            _time("accepted_at"),
            _text("disposition"),
            _text("disposition_reason"),
            _RECORDED,
        ),
        key=("hand_off_id", "recorded_at"),
        clock="handed_off_at",
        moment="outcome",
        versions=True,
    ),
    TableSchema(
        "campaigns",
        (
            _text("campaign_id", required=True),
            _text("name"),
            _text("channel"),
            Column("starts_on", "date"),
            Column("ends_on", "date"),
            _number("cost"),
            _text("currency"),
        ),
        key=("campaign_id",),
    ),
    TableSchema(
        "expectations",
        (
            _text("campaign_id", required=True),
            _text("team", required=True),
            _time("registered_at", required=True),
            _number("mqls"),
            _number("sqls"),
            _number("won"),
            _number("revenue"),
        ),
        key=("campaign_id", "team", "registered_at"),
        clock="registered_at",
    ),
    TableSchema(
        "content",
        (
            _text("content_id", required=True),
            _text("title"),
            _text("made_by", choices=("marketing", "sales")),
            _text("kind"),
            _text("topic"),
            _text("stage"),
            _number("cost"),
            _time("published_at"),
        ),
        key=("content_id",),
    ),
    TableSchema(
        "fx_rates",
        (
            _text("currency", required=True),
            Column("on", "date", required=True),
            Column("rate", "number", required=True),
        ),
        key=("currency", "on"),
    ),
)

TABLES: Mapping[str, TableSchema] = MappingProxyType({schema.name: schema for schema in _ALL})
