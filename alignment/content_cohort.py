"""The people that content is judged by: one landmark each, what they used before it, and what came after it.

The landmark is the hand-off, or for those never handed off a common age. What is used from then on does not count, and
neither does anyone who was an SQL by then, so that nobody is a user because an early sale left no time to be one, or a
late one much. Whoever was not observed for the whole horizon after it is left out.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from alignment.content_use import UNUSED_KINDS
from alignment.item_effects import Uses
from alignment.people import People, scores_before
from alignment.periods import DAY_US
from crm.known import attributes_known, moments_table
from crm.store import counting

__all__ = ["Cohort", "content_cohort", "horizon_days"]

Floats = NDArray[np.float64]
LOOK_DAYS = (3.0, 90.0)
RECENT_DAYS = 7.0
MOST_LEVELS = 12
FEWEST_OF_LEVEL = 0.005
PERIODS = 5
HOUR_US = DAY_US // 24

_KEEP_TOUCHES = """
CREATE TEMP TABLE board_touches AS SELECT p.person, t.content_id, t.kind, t.happened_us
FROM touches t JOIN board_leads p ON p.lead_id = t.lead_id
WHERE t.actor = 'lead' AND NOT list_contains($unused, t.kind) AND t.recorded_us <= $known
"""
_SEEN = """
SELECT c.place, c.created_us, c.landmark_us, t.content_id, t.kind, t.happened_us
FROM board_touches t JOIN board_cohort c ON c.person = t.person
"""
_AGES = f"""
SELECT floor(greatest(happened_us - created_us, 0) / {DAY_US}) AS age, count(*) AS touches
FROM ({_SEEN}) WHERE NOT isfinite(landmark_us) GROUP BY age ORDER BY age
"""
_ACTIVITY = f"""
SELECT place, count(*) AS touches, min(landmark_us - happened_us) / {DAY_US} AS gap,
    count(*) FILTER (happened_us >= landmark_us - {RECENT_DAYS * DAY_US}) AS recent,
    count(DISTINCT happened_us // {DAY_US}) AS active,
    count(*) FILTER (happened_us < created_us - {DAY_US / 100}) AS before
FROM ({_SEEN}) WHERE happened_us < landmark_us GROUP BY place
"""
_USES = f"""
SELECT place, content_id IS NOT NULL AS is_item, coalesce(content_id, kind) AS name,
    count(DISTINCT happened_us // {HOUR_US})::DOUBLE AS uses
FROM ({_SEEN}) WHERE happened_us < landmark_us GROUP BY ALL ORDER BY place, is_item, name
"""


@dataclass(frozen=True)
class Cohort:
    """One entry a person that was undecided at its landmark and observed for the whole horizon after it.

    Parameters
    ----------
    person
        Rows of ``people.frame``.
    landmark_us
        Microseconds since 1970 UTC.
    uses
        Who used what before the landmark, each hour once.
    covariates
        What else was known then, shape (n, k).
    outcome
        The outcome came within the horizon.
    groups
        Account of each; -1 for none.
    """

    person: NDArray[np.int64]
    landmark_us: Floats
    uses: Uses
    covariates: Floats
    outcome: NDArray[np.bool_]
    groups: NDArray[np.int64]


def horizon_days(people: People, outcome: Literal["sql", "won"]) -> float:
    """Return the days after the landmark in which an outcome counts: twice the SQL horizon, or that and the won one."""
    config = people.config.outcome
    return 2.0 * config.sql_horizon_days if outcome == "sql" else config.sql_horizon_days + config.won_horizon_days


def content_cohort(people: People, outcome: Literal["sql", "won"]) -> Cohort:
    """Gather the people, what they used before their landmark, and what became of them.

    Parameters
    ----------
    people
        Who, and as of when.
    outcome
        ``sql`` or ``won``.
    """
    frame = people.frame
    handed = _hand_offs(frame).to_numpy(dtype="float64")
    values: dict[str, Any] = {"unused": list(UNUSED_KINDS), "known": people.until_us}
    with people.tables.backend.con.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("board_leads", _leads(people))
        with counting(connection):
            connection.execute(_KEEP_TOUCHES, values)
            everyone = np.arange(len(frame))
            connection.register("board_cohort", _placed(people, everyone, np.nan_to_num(handed, nan=np.inf)))
            look = _look_days(_rows(connection, _AGES))
            landmark = np.where(np.isnan(handed), frame["created_us"] + look * DAY_US, handed)
            end = landmark + horizon_days(people, outcome) * DAY_US
            decided = frame[["sql_us", "won_us"]].min(axis=1).to_numpy(dtype="float64")
            rows = np.flatnonzero(
                (end <= people.until_us) & ~(decided < landmark) & (frame["created_us"].to_numpy() >= people.from_us)
            )
            connection.unregister("board_cohort")
            connection.register("board_cohort", _placed(people, rows, landmark[rows]))
            activity = _rows(connection, _ACTIVITY).set_index("place").reindex(np.arange(len(rows)))
            uses = _uses(_rows(connection, _USES), len(rows))
    chosen = frame.iloc[rows]
    covariates = [
        _timing(chosen, landmark[rows], ~np.isnan(handed[rows]), activity.astype("float64")),
        _attributes(people, chosen, landmark[rows]),
        _score(people, chosen, landmark[rows]),
    ]
    accounts = pd.factorize(chosen["account_id"])[0].astype(np.int64)
    came = chosen[f"{outcome}_us"].to_numpy(dtype="float64") < end[rows]
    return Cohort(rows, landmark[rows], uses, np.hstack(covariates), came, accounts)


def _hand_offs(frame: pd.DataFrame) -> pd.Series:
    """Return the first hand-off; where the data has none, the acceptance or the MQL stands in."""
    for name in ("handed_off_us", "accepted_entered_us", "mql_us"):
        if frame[name].notna().any():
            return frame[name]
    return frame["handed_off_us"]


def _leads(people: People) -> pa.Table:
    """Return the person of every lead, a row of ``people.frame``."""
    persons = pd.DataFrame({"person_id": people.frame["person_id"], "person": np.arange(len(people.frame))})
    leads = people.person_of.merge(persons, on="person_id")
    return pa.table({"lead_id": pa.array(leads["lead_id"], pa.string()), "person": pa.array(leads["person"])})


def _rows(connection: Any, query: str) -> pd.DataFrame:
    return connection.sql(query).to_arrow_table().to_pandas()


def _placed(people: People, rows: NDArray[np.int64], landmark_us: Floats) -> pa.Table:
    """Return the chosen persons with their places among them and their moments."""
    return pa.table(
        {
            "person": pa.array(rows, pa.int64()),
            "place": pa.array(np.arange(len(rows)), pa.int64()),
            "created_us": pa.array(people.frame["created_us"].to_numpy()[rows], pa.float64()),
            "landmark_us": pa.array(landmark_us, pa.float64()),
        }
    )


def _look_days(ages: pd.DataFrame) -> float:
    """Return the age by which half of the touches of people never handed off have happened, in whole days."""
    if ages.empty:
        return LOOK_DAYS[0]
    counts = np.cumsum(ages["touches"].to_numpy())
    age = float(ages["age"].iloc[int(np.searchsorted(counts, counts[-1] / 2.0))])
    return float(np.clip(age + 1.0, *LOOK_DAYS))


def _timing(chosen: pd.DataFrame, landmark_us: Floats, is_handed: NDArray[np.bool_], activity: pd.DataFrame) -> Floats:
    """Return what every CRM tells: age, activity, recency and calendar."""
    created = chosen["created_us"].to_numpy() / DAY_US
    handed = is_handed.astype(np.float64)
    age = np.log1p(np.maximum(landmark_us / DAY_US - created, 0.0))
    longest = activity["gap"].max() if len(activity) else 0.0
    known = activity.assign(gap=activity["gap"].fillna(longest)).fillna(0.0)
    logs = {name: np.log1p(known[name].to_numpy(dtype="float64")) for name in known.columns}
    touches = logs["touches"]
    columns = [handed, age, age**2, handed * age, handed * age**2, handed * touches, touches * age]
    columns += [logs[name] for name in ("gap", "recent", "active", "before")]
    return np.column_stack([*columns, *_periods(created)])


def _periods(created: Floats) -> list[Floats]:
    """Return when each was created, and in which fifth of all."""
    if not len(created):
        return [created]
    bounds = np.quantile(created, np.arange(1, PERIODS) / PERIODS)
    period = np.searchsorted(bounds, created, side="right")
    return [created, *((period == number).astype(np.float64) for number in range(1, PERIODS))]


def _attributes(people: People, chosen: pd.DataFrame, landmark_us: Floats) -> Floats:
    """Return the source, and the attributes as known at the landmark."""
    columns = _code(chosen["source"].reset_index(drop=True))
    if people.tables.used_attributes and len(chosen):
        moments = pa.table(
            {
                "row_id": pa.array(np.arange(len(chosen)), pa.int64()),
                "lead_id": pa.array(chosen["person_id"], pa.string()),
                "as_of_us": pa.array(landmark_us.astype(np.int64), pa.int64()),
            }
        )
        query = attributes_known(people.tables, moments_table(people.tables, moments))
        known = query.to_pyarrow().sort_by("row_id").to_pandas()
        for attribute in people.tables.used_attributes:
            columns += _code(known[attribute.name]) if attribute.name in known else []
    return np.column_stack(columns) if columns else np.empty((len(chosen), 0))


def _code(values: pd.Series) -> list[Floats]:
    """Code an attribute: its frequent values, the missing one included, as indicators; numbers as logarithms."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        missing = values.isna().to_numpy()
        numbers = pd.Series(np.sign(values) * np.log1p(values.abs()))
        return [numbers.fillna(numbers.mean()).to_numpy(dtype="float64"), missing.astype(np.float64)]
    text = values.astype("string").fillna("")
    counts = text.value_counts()
    levels = counts[counts >= max(FEWEST_OF_LEVEL * len(text), 2)].sort_index().sort_values(kind="stable")
    return [(text == level).to_numpy(dtype="float64") for level in levels.index[-MOST_LEVELS:]]


def _score(people: People, chosen: pd.DataFrame, landmark_us: Floats) -> Floats:
    """Return the newest score before the landmark, where anyone has one."""
    known = scores_before(people.scores, chosen["person_id"], pd.Series(landmark_us))["p_sql"].to_numpy()
    missing = np.isnan(known)
    if missing.all():
        return np.empty((len(chosen), 0))
    chance = np.clip(np.where(missing, 0.5, known), 1e-4, 1.0 - 1e-4)
    value = np.log(chance / (1.0 - chance))
    value = np.where(missing, value[~missing].mean(), value)
    return np.column_stack([value, value**2, missing])


def _uses(rows: pd.DataFrame, people: int) -> Uses:
    """Return who used what; a touch that shows no item describes the person under its kind."""
    rows = rows.dropna(subset=["name"])
    names = rows[["is_item", "name"]].drop_duplicates().sort_values(["is_item", "name"], ascending=[False, True])
    names = names.assign(column=np.arange(len(names)))
    joined = rows.merge(names, on=["is_item", "name"])
    return Uses(
        joined["place"].to_numpy(dtype=np.int64),
        joined["column"].to_numpy(dtype=np.int64),
        joined["uses"].to_numpy(dtype=np.float64),
        people,
        tuple(names["name"].astype(str)),
        names["is_item"].to_numpy(dtype=bool),
    )
