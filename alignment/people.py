"""Everyone the board speaks of: the way through the funnel, and what people are grouped by.

Made once a run; funnel, SLA, content, campaigns and signs read it.
"""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportReturnType=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment.periods import DAY_US
from crm.config import WorkspaceConfig
from crm.journeys import journeys, persons_of
from crm.known import from_micros, to_micros
from crm.outcomes import Observation, newest_moment, observation
from crm.rules import excluded_at, segments_of
from crm.store import Tables
from models.line import Line

__all__ = ["BANDS", "NO_BAND", "People", "gather_people", "grade_of", "scores_before", "settle_span"]

BANDS = ("A", "B", "C", "D")
NO_BAND = "none"
"""Band of whoever was not scored in time, or where there is no line."""
SCORED = ("expected_value", "p_sql")
OLDEST_SCORE_DAYS = 90.0


@dataclass(frozen=True)
class People:
    """Who the board speaks of, as of one moment.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    seen
        The span in which outcomes were recorded.
    frame
        One row a person: what :func:`crm.journeys.journeys` tells, and ``campaign_id`` and ``campaign_us`` (of the
        first touch that has a campaign), ``value`` and ``band`` (expected value and grade by the newest score before
        the MQL, else NaN and :data:`NO_BAND`), ``is_above_line`` (None where not scored).
    segments
        Shape (n, segments): whether a person belonged to each segment of the workspace file at creation.
    person_of
        Table lead_id, person_id of all leads created by then.
    line
        The MQL line in force; None where no model was trained.
    scores
        Scores by person: as_of_us, p_sql, expected_value, and ``is_issued`` (told at the time, not found afterwards).
    now_us
        The clock, microseconds since 1970 UTC: what has been registered by then, and is overdue now. The end of the
        observed span where an earlier moment was asked for.
    """

    tables: Tables
    config: WorkspaceConfig
    seen: Observation
    frame: pd.DataFrame
    segments: dict[str, np.ndarray]
    person_of: pd.DataFrame
    line: Line | None
    scores: pd.DataFrame
    now_us: int

    @property
    def until_us(self) -> int:
        """Last moment at which outcomes were recorded, microseconds since 1970 UTC."""
        return to_micros(self.seen.observed_until)

    @property
    def from_us(self) -> float:
        """Before it outcomes were not recorded; minus infinity where they always were."""
        return -np.inf if self.seen.observed_from is None else float(to_micros(self.seen.observed_from))


def settle_span(tables: Tables, config: WorkspaceConfig, as_of: datetime | None) -> Observation:
    """Settle the observed span of a board; ``as_of`` None stands for the newest moment that the data knows."""
    outcome = config.outcome
    moment = as_of or outcome.observed_until or tables.observed_until_recorded or newest_moment(tables)
    if moment is None:
        moment = from_micros(0) + timedelta(days=1)
    return observation(tables, outcome, moment)


def gather_people(
    tables: Tables,
    config: WorkspaceConfig,
    seen: Observation,
    scores: pa.Table,
    line: Line | None,
    *,
    now: datetime | None = None,
) -> People:
    """Put together everyone that the board speaks of.

    Leads that a rule of ``[exclude]`` met at their creation are left out.

    Parameters
    ----------
    tables
        The workspace's tables.
    config
        The workspace file.
    seen
        The observed span; nothing recorded after its ``observed_until`` counts.
    scores
        Every score issued (:func:`crm.scores.read_scores`).
    line
        The MQL line in force.
    now
        The clock; None where an earlier moment was asked for.
    """
    until = seen.observed_until
    frame = journeys(tables, until)
    moments = pa.table(
        {
            "row_id": pa.array(np.arange(len(frame)), pa.int64()),
            "lead_id": pa.array(frame["person_id"], pa.string()),
            "as_of_us": pa.array(frame["created_us"].astype("int64") + 1, pa.int64()),
        }
    )
    keeps = np.array([rule is None for rule in excluded_at(tables, moments)], dtype=bool)
    segments = segments_of(tables, config, moments)
    frame = frame[keeps].reset_index(drop=True)
    person_of = persons_of(tables, to_micros(until))
    frame = frame.join(_first_campaign(tables, to_micros(until), frame, person_of))
    known = _scores_of(scores, person_of, to_micros(until))
    decided = frame["mql_us"].fillna(frame["handed_off_us"])
    value = scores_before(known, frame["person_id"], decided)["expected_value"].to_numpy()
    frame["value"], frame["band"] = value, grade_of(value, line)
    above = None if line is None else value > line.threshold
    frame["is_above_line"] = None if above is None else pd.Series(above, dtype=object).where(np.isfinite(value), None)
    members = {name: segments.member[keeps, place] for place, name in enumerate(segments.names)}
    clock = max(to_micros(until), to_micros(now)) if now is not None else to_micros(until)
    return People(tables, config, seen, frame, members, person_of, line, known, clock)


def scores_before(scores: pd.DataFrame, person_id: pd.Series, moment_us: pd.Series) -> pd.DataFrame:
    """Return each person's newest score before a moment.

    Parameters
    ----------
    scores
        ``People.scores``, in order of as_of_us.
    person_id, moment_us
        Whose score, and before when (microseconds since 1970 UTC; NaN for none), shape (n,).

    Returns
    -------
    DataFrame
        expected_value (workspace currency) and p_sql, n rows; NaN without a score of the last
        :data:`OLDEST_SCORE_DAYS` days.
    """
    asked = pd.DataFrame(
        {"person_id": person_id.to_numpy(), "at_us": moment_us.to_numpy(), "row": range(len(person_id))}
    )
    asked = asked.dropna(subset=["at_us"]).astype({"at_us": "int64", "person_id": object}).sort_values("at_us")
    found = pd.DataFrame(np.nan, index=pd.RangeIndex(len(person_id)), columns=list(SCORED))
    # What the teams saw at the time goes before what training found afterwards for the same time.
    for is_issued in (False, True):
        mine = scores[scores["is_issued"] == is_issued]
        if not (len(asked) and len(mine)):
            continue
        joined = pd.merge_asof(
            asked,
            mine.rename(columns={"as_of_us": "at_us"}),
            on="at_us",
            by="person_id",
            direction="backward",
            tolerance=round(OLDEST_SCORE_DAYS * DAY_US),
        ).dropna(subset=["expected_value"])
        found.loc[joined["row"].to_numpy(), list(SCORED)] = joined[list(SCORED)].to_numpy(dtype="float64")
    return found


def _scores_of(scores: pa.Table, person_of: pd.DataFrame, until_us: int) -> pd.DataFrame:
    """Return scores by person in order of the moment from which they speak.

    A score that was issued is known from its issue on. Those that training found for the past, out of fold, speak of
    the moment that they were found for, whenever that was.
    """
    frame = scores.select(["lead_id", "as_of", "issued_at", "origin", *SCORED]).to_pandas()
    as_of, issued = (frame[name].astype("datetime64[us, UTC]").astype("int64") for name in ("as_of", "issued_at"))
    frame["is_issued"] = frame["origin"] != "out_of_fold"
    frame["as_of_us"] = np.where(frame["is_issued"], np.maximum(as_of, issued), as_of)
    frame = frame.assign(issued_us=issued)[frame["as_of_us"] <= until_us].merge(person_of, on="lead_id")
    frame = frame.sort_values(["as_of_us", "issued_us"], kind="stable")
    frame = frame.drop_duplicates(["person_id", "as_of_us", "is_issued"], keep="last")
    return frame[["person_id", "as_of_us", "is_issued", *SCORED]].astype({"person_id": object}).reset_index(drop=True)


def grade_of(value: np.ndarray, line: Line | None) -> np.ndarray:
    """Return the grade of each expected value by a line, shape (n,); :data:`NO_BAND` where either is none."""
    bands = np.full(len(value), NO_BAND, dtype=object)
    if line is not None:
        known = np.isfinite(value)
        bands[known] = line.grades(value[known])
    return bands


def _first_campaign(tables: Tables, known: int, frame: pd.DataFrame, person_of: pd.DataFrame) -> pd.DataFrame:
    """Return the campaign of each person's first touch that has one, and when that was."""
    if not tables.has("touches"):
        nothing = pd.Series([None] * len(frame), index=frame.index, dtype=object)
        return pd.DataFrame({"campaign_id": nothing, "campaign_us": nothing.astype("float64")})
    touches = tables.table("touches")
    touches = touches.filter(
        touches.campaign_id.notnull(),
        touches.actor == "lead",
        touches.recorded_us <= known,
        touches.happened_us < known,
    )
    first = touches.group_by("lead_id").aggregate(
        campaign_id=touches.campaign_id.argmin(touches.happened_us), campaign_us=touches.happened_us.min()
    )
    rows = first.to_pyarrow().to_pandas().merge(person_of, on="lead_id").sort_values("campaign_us", kind="stable")
    by_person = rows.drop_duplicates("person_id").set_index("person_id")
    return pd.DataFrame(
        {
            "campaign_id": frame["person_id"].map(by_person["campaign_id"]),
            "campaign_us": frame["person_id"].map(by_person["campaign_us"]).astype("float64"),
        }
    )
