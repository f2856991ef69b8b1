"""The MQL definition to be replaced: when it made a lead an MQL, and how many points it gave.

Points are a step function of time: a touch adds its points when it is first known and takes them back when it leaves
the window, an attribute changes them when a change of it is recorded. Crossings and points at a moment are both read
off these steps, so each is as known then and neither depends on what was recorded later.
"""

# pandas-stubs types a column of a frame as all that it may be.
# Ibis types a column as its widest class, which knows neither arithmetic nor the methods of its own kind, and declares
# what every backend has on the backends only. pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportCallIssue=false

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crm.config import WorkspaceConfig
from crm.config_old_rule import OldRuleConfig
from crm.expressions import Expression
from crm.known import merge_paths, to_micros
from crm.lead_columns import column_problems, lead_columns, rows_known
from crm.parsing import quote
from crm.rules import excluded_at
from crm.store import Tables

__all__ = ["first_crossings", "has_old_rule", "old_points", "old_rule_notes", "old_rule_problems"]

DAY_US = 86_400_000_000
# Points are summed as whole millionths: ten times 0.1 are 1, in whatever order touches come and go.
PER_POINT = 1_000_000
DEFAULT_STAGE = "mql"


def has_old_rule(tables: Tables, config: WorkspaceConfig) -> bool:
    """Tell whether there is an old rule: one that the workspace file defines, or its stage in the data."""
    rule = config.old_rule
    if rule.form != "stage":
        return True
    if not tables.has("stages"):
        return False
    stages = tables.table("stages")
    return int(stages.filter(stages["stage"] == (rule.stage or DEFAULT_STAGE)).count().to_pyarrow().as_py()) > 0


def first_crossings(tables: Tables, config: WorkspaceConfig, since: datetime, until: datetime) -> pd.DataFrame:
    """List the leads that the old rule first made MQLs in a span.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    since, until
        The span, its end left out: what crossed before ``since`` is not listed again, what is recorded from ``until``
        on changes nothing.

    Returns
    -------
    DataFrame
        ``lead_id`` and ``at_us``: the first moment (microseconds since 1970 UTC, not before the lead's creation) at
        which the rule was met by what was known then. Leads that ``[exclude]`` left out at that moment are not listed.
    """
    rule = config.old_rule
    if rule.form == "stage":
        reached = _stage_moments(tables, rule.stage or DEFAULT_STAGE)
    else:
        steps = _steps(tables, rule)
        reached = steps[steps["points"] >= (1.0 if rule.threshold is None else rule.threshold)]
    first = reached.groupby("lead_id", as_index=False)["at_us"].min()
    inside = first[(first["at_us"] >= to_micros(since)) & (first["at_us"] < to_micros(until))]
    inside = inside.sort_values(["at_us", "lead_id"]).reset_index(drop=True)
    rules = excluded_at(tables, _moments(inside))
    return inside[pd.isna(rules)].astype({"at_us": "int64"}).reset_index(drop=True)


def old_points(tables: Tables, config: WorkspaceConfig, moments: pa.Table) -> NDArray[np.float64]:
    """Return the points that the old rule gave each moment's lead, by what was known then.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    moments
        ``row_id`` (0, 1, 2, ...), ``lead_id``, ``as_of_us``.

    Returns
    -------
    ndarray
        Shape (n,), points; NaN before the lead's creation, where an expression has no value, and everywhere when the
        rule counts no points (a stage, or an expression that is true or false).
    """
    rule, count = config.old_rule, moments.num_rows
    points = np.full(count, np.nan)
    if count == 0 or rule.threshold is None:
        return points
    asked = pd.DataFrame(
        {
            "row": np.arange(count),
            "lead_id": pd.Series(moments.column("lead_id").to_pylist(), dtype=object),
            "as_of_us": moments.column("as_of_us").to_numpy(),
        }
    )
    found = pd.merge_asof(
        asked.sort_values("as_of_us", kind="stable"),
        _steps(tables, rule).sort_values("at_us", kind="stable"),
        left_on="as_of_us",
        right_on="at_us",
        by="lead_id",
    )
    points[found["row"].to_numpy()] = found["points"].to_numpy(dtype=np.float64)
    return points


def old_rule_problems(tables: Tables, config: WorkspaceConfig) -> list[str]:
    """Say which columns of ``[old_rule]`` do not exist, hold another kind of value, or have no history."""
    rule, columns = config.old_rule, lead_columns(tables)
    problems: list[str] = []
    if rule.expression is not None:
        found = column_problems(tables, columns, rule.expression.columns, takes_today=False)
        problems += [f"old_rule.sql: {problem}" for problem in found]
    for name in rule.attributes:
        found = column_problems(tables, columns, {name: "any"}, takes_today=False)
        if not found and columns[name].kind == "number":
            found = [f"column '{name}' holds numbers; points are given to texts and to true and false, use sql instead"]
        problems += [f"old_rule.attributes.{name}: {problem}" for problem in found]
    return problems


def old_rule_notes(tables: Tables, config: WorkspaceConfig) -> tuple[str, ...]:
    """Say which points of ``[old_rule]`` nobody can get, one sentence each."""
    rule, con = config.old_rule, tables.backend.con
    notes: list[str] = []
    kinds: set[str] = set()
    if tables.has("touches"):
        kinds = {row[0] for row in con.execute("SELECT DISTINCT kind FROM touches WHERE actor = 'lead'").fetchall()}
    notes += [
        f"[old_rule.touches] names '{name}', a kind that no touch of a lead has."
        for name in rule.touches
        if name not in kinds
    ]
    described = {str(row[0]) for row in con.execute("DESCRIBE leads").fetchall()}
    for name, points in rule.attributes.items():
        values: set[str] = set()
        if name in described:
            values |= {
                row[0] for row in con.execute(f"SELECT DISTINCT CAST({quote(name)} AS VARCHAR) FROM leads").fetchall()
            }
        if tables.has("lead_changes"):
            changes = con.execute("SELECT DISTINCT value FROM lead_changes WHERE field = ?", [name]).fetchall()
            values |= {row[0] for row in changes}
        notes += [
            f"[old_rule.attributes.{name}] names '{value}', a value that no lead has had."
            for value in points
            if value not in values
        ]
    return tuple(notes)


def _stage_moments(tables: Tables, stage: str) -> pd.DataFrame:
    """List when each entry into a stage was first known: lead_id, at_us."""
    if not tables.has("stages"):
        return pd.DataFrame({"lead_id": pd.Series([], dtype=object), "at_us": pd.Series([], dtype="int64")})
    stages = tables.table("stages")
    rows = (
        stages.filter(stages["stage"] == stage).select("lead_id", "entered_us", "recorded_us").to_pyarrow().to_pandas()
    )
    rows = rows.astype({"lead_id": object}).merge(_created(tables), on="lead_id")
    at_us = np.maximum.reduce([rows["entered_us"] + 1, rows["recorded_us"], rows["created_us"]])
    return rows[["lead_id"]].assign(at_us=at_us.astype(np.int64))


def _steps(tables: Tables, rule: OldRuleConfig) -> pd.DataFrame:
    """Return the points of every lead from its creation on: lead_id, at_us, points, the last holding from there on."""
    if rule.expression is not None:
        return _values_over_time(tables, rule.expression)
    created = _created(tables)
    parts = [created.rename(columns={"created_us": "at_us"}).assign(change=np.int64(0))]
    if rule.touches and tables.has("touches"):
        parts.append(_touch_changes(tables, rule, created))
    if rule.attributes:
        parts.append(_attribute_changes(tables, rule))
    changes = pd.concat(parts, ignore_index=True).groupby(["lead_id", "at_us"], as_index=False)["change"].sum()
    changes = changes.sort_values(["lead_id", "at_us"], kind="stable").astype({"lead_id": object})
    points = changes.groupby("lead_id")["change"].cumsum().to_numpy(dtype=np.int64) / PER_POINT
    return changes[["lead_id", "at_us"]].assign(points=points)


def _touch_changes(tables: Tables, rule: OldRuleConfig, created: pd.DataFrame) -> pd.DataFrame:
    """List what touches add when they are first known, and take back when they leave the window."""
    touches = tables.table("touches")
    touches = touches.filter(touches["actor"].isin(["lead"]) & touches["kind"].isin(list(rule.touches)))
    rows = touches.select("lead_id", "happened_us", "recorded_us", "kind").to_pyarrow().to_pandas()
    rows = rows.astype({"lead_id": object}).assign(merged_us=np.int64(0))
    merges = merge_paths(tables).to_pandas().astype({"from_lead_id": object, "into_lead_id": object})
    moved = rows.drop(columns="merged_us").merge(merges, left_on="lead_id", right_on="from_lead_id")
    moved = moved.drop(columns=["lead_id", "from_lead_id"]).rename(columns={"into_lead_id": "lead_id"})
    rows = pd.concat([rows, moved[list(rows.columns)]], ignore_index=True).merge(created, on="lead_id")
    gained = rows["kind"].map({kind: _micro(points) for kind, points in rule.touches.items()}).to_numpy(dtype=np.int64)
    known = np.maximum.reduce([rows[name] for name in ("recorded_us", "merged_us", "created_us")])
    start = np.maximum(rows["happened_us"] + 1, known).to_numpy(dtype=np.int64)
    begins = pd.DataFrame({"lead_id": rows["lead_id"], "at_us": start, "change": gained})
    if rule.window_days is None:
        return begins
    end = rows["happened_us"].to_numpy(dtype=np.int64) + round(rule.window_days * DAY_US) + 1
    counts = end > start  # a touch that was recorded after its window never gave points
    ends = pd.DataFrame({"lead_id": rows["lead_id"], "at_us": end, "change": -gained})
    return pd.concat([begins[counts], ends[counts]], ignore_index=True)


def _attribute_changes(tables: Tables, rule: OldRuleConfig) -> pd.DataFrame:
    """List by how much each recorded change of an attribute changes the points, and what there is at creation."""
    columns = lead_columns(tables)
    moments = _moments_of_change(tables, tuple(rule.attributes))
    wanted = {name: columns[name].kind for name in rule.attributes}
    listed = ", ".join(f"CAST({quote(name)} AS VARCHAR) AS a{number}" for number, name in enumerate(wanted))
    with rows_known(tables, columns, wanted, moments) as relation:
        known = tables.backend.con.sql(f"SELECT {listed} FROM {relation} ORDER BY row_id").to_arrow_table()
    total = np.zeros(moments.num_rows, dtype=np.int64)
    for number, points in enumerate(rule.attributes.values()):
        by_value = {value: _micro(given) for value, given in points.items()}
        total += np.array([by_value.get(value, 0) for value in known.column(f"a{number}").to_pylist()], dtype=np.int64)
    frame = pd.DataFrame(
        {
            "lead_id": pd.Series(moments.column("lead_id").to_pylist(), dtype=object),
            "at_us": moments.column("as_of_us").to_numpy(),
            "total": total,
        }
    )
    before = frame.groupby("lead_id")["total"].shift(1, fill_value=0)
    return frame[["lead_id", "at_us"]].assign(change=frame["total"] - before)


def _values_over_time(tables: Tables, expression: Expression) -> pd.DataFrame:
    """Return the expression's value at creation and at each change of what it reads; true is 1, no value is NaN."""
    moments = _moments_of_change(tables, tuple(expression.columns))
    with rows_known(tables, lead_columns(tables), expression.columns, moments) as relation:
        found = tables.backend.con.sql(
            f"SELECT CAST({expression.sql} AS DOUBLE) AS points FROM {relation} ORDER BY row_id"
        ).to_arrow_table()
    return pd.DataFrame(
        {
            "lead_id": pd.Series(moments.column("lead_id").to_pylist(), dtype=object),
            "at_us": moments.column("as_of_us").to_numpy(),
            "points": found.column("points").to_pandas().to_numpy(dtype=np.float64),
        }
    )


def _moments_of_change(tables: Tables, fields: tuple[str, ...]) -> pa.Table:
    """List each lead's creation and the recordings of changes after it, in order: row_id, lead_id, as_of_us."""
    created = _created(tables)
    frame = created.rename(columns={"created_us": "at_us"})
    if tables.has("lead_changes"):
        changes = tables.table("lead_changes")
        changes = changes.filter(changes["field"].isin(list(fields))).select("lead_id", "recorded_us")
        later = changes.to_pyarrow().to_pandas().astype({"lead_id": object}).merge(created, on="lead_id")
        later = later[later["recorded_us"] > later["created_us"]].rename(columns={"recorded_us": "at_us"})
        frame = pd.concat([frame, later[["lead_id", "at_us"]]], ignore_index=True).drop_duplicates()
    return _moments(frame.sort_values(["lead_id", "at_us"], kind="stable"))


def _moments(frame: pd.DataFrame) -> pa.Table:
    return pa.table(
        {
            "row_id": pa.array(np.arange(len(frame)), pa.int64()),
            "lead_id": pa.array(frame["lead_id"].astype(str), pa.string()),
            "as_of_us": pa.array(frame["at_us"].to_numpy(dtype=np.int64), pa.int64()),
        }
    )


def _created(tables: Tables) -> pd.DataFrame:
    leads = tables.table("leads").select("lead_id", "created_us").to_pyarrow().to_pandas()
    return leads.astype({"lead_id": object, "created_us": "int64"})


def _micro(points: float) -> int:
    return round(points * PER_POINT)
