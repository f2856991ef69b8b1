"""Small workspaces in memory, and drawn histories of leads, for the tests of crm and features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from crm.config import WorkspaceConfig
from crm.intake import take_in
from crm.progress import Silent
from crm.store import Tables
from crm.tables import TABLES

Row = dict[str, Any]
Rows = Mapping[str, Sequence[Row]]

START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARROW = {
    "text": pa.string(),
    "time": pa.timestamp("us", "UTC"),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
}
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class MemorySource:
    """A source whose tables lie in memory."""

    raw: Mapping[str, pa.Table]
    known_at_creation: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(self.raw)

    def read(self, table: str) -> pa.Table:
        return self.raw[table]


def config_of(**sections: Mapping[str, Any]) -> WorkspaceConfig:
    """Make a workspace file's model; the source is never opened."""
    source = {"url": "dir:unused", "tables": {"leads": "SELECT 1"}} | dict(sections.pop("source", {}))
    return WorkspaceConfig.model_validate({"source": source, **sections})


def arrow_of(name: str, rows: Sequence[Row], types: Mapping[str, pa.DataType] = {}) -> pa.Table:
    """Make a raw table of rows, typed as the contract has it, with every column that any row names."""
    columns = dict.fromkeys(column for row in rows for column in row) or dict.fromkeys(
        column.name for column in TABLES[name].columns if column.required
    )
    declared = {column.name: ARROW[column.type] for column in TABLES[name].columns}
    return pa.table(
        {
            column: pa.array([row.get(column) for row in rows], types.get(column, declared.get(column)))
            for column in columns
        }
    )


def tables_of(rows: Rows, *, now: datetime = NOW, **sections: Mapping[str, Any]) -> Tables:
    """Take rows of Python values in."""
    source = MemorySource({name: arrow_of(name, table) for name, table in rows.items()})
    return take_in(source, config_of(**sections), now=now, progress=Silent())


def raw_tables_of(raw: Mapping[str, pa.Table], *, now: datetime = NOW, **sections: Mapping[str, Any]) -> Tables:
    """Take raw tables in as they are."""
    return take_in(MemorySource(raw), config_of(**sections), now=now, progress=Silent())


def moments_of(pairs: Iterable[tuple[str, int]]) -> pa.Table:
    """Make the table of moments that the batch computation wants."""
    pairs = list(pairs)
    return pa.table(
        {
            "row_id": pa.array(range(len(pairs)), pa.int64()),
            "lead_id": pa.array([lead for lead, _ in pairs], pa.string()),
            "as_of_us": pa.array([moment for _, moment in pairs], pa.int64()),
        }
    )


# Drawn histories: what to draw from.
LEVELS = ("Software", "Retail", "日本語", "")
KINDS = ("visit", "download", "email_open", "webinar", "rare thing")
ACTORS = ("lead", "lead", "lead", "lead", "sales", "system", "bot", None)
CONTENT = ("paper", "paper?utm=1", "?only=query", "guide#top", "", None)
CHANGED = {
    "industry": ("Software", "Retail", "Farming", "", None),
    "employees": ("10", "250.5", "not told", "nan", "inf", "", None),
    "newsletter": ("true", "false", "perhaps", None),
    "plan": ("gold", "silver", None),
    "seats": ("3", "70", None),
}
COLUMNS = {"columns": {"known_at_creation": ("industry", "employees", "newsletter", "region")}}
# Steps between events: they make ties, session gaps and window borders common.
STEPS = (
    timedelta(0),
    MICROSECOND,
    timedelta(minutes=7),
    timedelta(minutes=30),
    timedelta(minutes=30) + MICROSECOND,
    timedelta(hours=5),
    DAY - MICROSECOND,
    DAY,
    7 * DAY,
    7 * DAY + MICROSECOND,
    30 * DAY,
    90 * DAY,
)
LAGS = (None, timedelta(0), MICROSECOND, timedelta(hours=1), DAY, 45 * DAY, -timedelta(hours=3))
MOMENTS = st.sampled_from(sorted({START + number * 9 * DAY + step for number in range(4) for step in STEPS}))


@dataclass(frozen=True)
class History:
    """Rows of a drawn workspace, its leads, and the moments at which to look at them."""

    rows: Rows
    ids: tuple[str, ...]
    as_of: tuple[datetime, ...]

    def named(self, world: int) -> History:
        """Return the history with ids of its own, so that several may lie in one workspace."""
        places = ("lead_id", "account_id", "from_lead_id", "into_lead_id")
        rows = {
            name: [
                {key: f"{value}-{world}" if key in places and value else value for key, value in row.items()}
                for row in table
            ]
            for name, table in self.rows.items()
        }
        return replace(self, rows=rows, ids=tuple(f"{name}-{world}" for name in self.ids))


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw leads with accounts, attributes, changes, merges (chains too), touches recorded late, and stages."""
    pick = st.sampled_from
    ids = tuple(f"L{number}" for number in range(draw(st.integers(2, 5))))
    anyone = pick((*ids, *ids, "ghost", "ghoul"))
    lead = st.fixed_dictionaries(
        {
            "created_at": MOMENTS,
            "account_id": pick(("A", "A", "B", None)),
            "source": pick(("web", None)),
            "industry": pick((*LEVELS, None)),
            "employees": pick((None, 0.0, 10.0, -2.5, 1e7, float("nan"))),
            "newsletter": pick((None, True, False)),
            "region": pick(("east", "west", None)),
            "hidden": pick(("no", "history")),
        }
    )
    merge = st.fixed_dictionaries({"from_lead_id": anyone, "into_lead_id": anyone, "recorded_at": MOMENTS})
    touch = st.fixed_dictionaries(
        {
            "lead_id": anyone,
            "happened_at": MOMENTS,
            "lag": pick(LAGS),
            "kind": pick(KINDS),
            "actor": pick(ACTORS),
            "content_id": pick(CONTENT),
            "value": pick((None, 1.0, 2.5, -4.0, 1e6)),
        }
    )
    stages = pick(("mql", "recycled", "mql", "recycled", "sql"))
    stage = st.fixed_dictionaries({"lead_id": anyone, "stage": stages, "entered_at": MOMENTS, "lag": pick(LAGS)})
    rows = {
        "leads": [{"lead_id": name, **draw(lead)} for name in ids],
        "lead_changes": draw(st.lists(_changes(ids), min_size=2, max_size=8)),
        "lead_merges": draw(st.lists(merge, max_size=5)),
        "touches": [_recorded(row, "happened_at") for row in draw(st.lists(touch, min_size=6, max_size=18))],
        "stages": [_recorded(row, "entered_at") for row in draw(st.lists(stage, max_size=6))],
    }
    return History(rows, ids, tuple(sorted(draw(st.lists(MOMENTS, min_size=3, max_size=5, unique=True)))))


def several(size: int) -> st.SearchStrategy[list[History]]:
    """Draw histories that share no lead and no account: a workspace of many costs little more than one of one."""
    drawn = st.lists(histories(), min_size=size, max_size=size)
    return drawn.map(lambda found: [history.named(number) for number, history in enumerate(found)])


def together(many: Iterable[Rows]) -> dict[str, list[Row]]:
    """Put the rows of several workspaces into one."""
    rows: dict[str, list[Row]] = {}
    for one in many:
        for name, table in one.items():
            rows.setdefault(name, []).extend(table)
    return rows


def _changes(ids: tuple[str, ...]) -> st.SearchStrategy[Row]:
    return st.sampled_from(sorted(CHANGED)).flatmap(
        lambda name: st.fixed_dictionaries(
            {
                "lead_id": st.sampled_from(ids),
                "field": st.just(name),
                "value": st.sampled_from(CHANGED[name]),
                "recorded_at": MOMENTS,
            }
        )
    )


def _recorded(row: Row, clock: str) -> Row:
    lag = row.pop("lag")
    return {**row, "recorded_at": None if lag is None else row[clock] + lag}
