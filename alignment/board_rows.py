"""The rows behind the board's numbers, as tables that become CSV files."""

# pandas-stubs types a column of a frame as all that it may be.
# pyright: reportOperatorIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alignment.board.context import BoardContext
from alignment.board.page import Findings
from alignment.campaigns import MEASURES
from alignment.content_use import MODELS
from crm.journeys import PASSED
from pages.safe_csv import Value

__all__ = ["LEAD_ROWS", "board_rows", "plain_rows"]

LEAD_ROWS = ("leads", "hand_offs", "content_credits")
"""Files whose rows name leads."""


def board_rows(found: Findings, context: BoardContext) -> Mapping[str, pd.DataFrame]:
    """Return the rows behind the numbers by name of their file.

    Parameters
    ----------
    found
        What was found.
    context
        Whose board: it says what owners are called.

    Returns
    -------
    Mapping of str to DataFrame
        Columns of text and numbers; moments as ISO 8601 texts in UTC, empty for none.
    """
    rows = {"leads": _leads(found, context)}
    if len(found.hand_offs):
        rows["hand_offs"] = _hand_offs(found, context)
    content, campaigns = found.reports.content, found.reports.campaigns
    if content is not None:
        described = [(i.content_id, i.title, i.made_by, i.kind, i.topic, i.stage, i.cost, i.persons) for i in content.items]
        names = ["content_id", "title", "made_by", "kind", "topic", "stage", "cost", "persons"]
        rows["content_items"] = pd.DataFrame(described, columns=names)
        rows["content_credits"] = _credits(found)
    if campaigns is not None:
        rows["campaigns"] = _campaigns(found)
        rows["expectations"] = _expectations(found)
    return rows


def _times(moments: pd.Series) -> pd.Series:
    known = moments.notna()
    texts = pd.Series("", index=moments.index, dtype=object)
    stamps = pd.to_datetime(moments[known].astype("int64"), unit="us", utc=True)
    texts[known] = stamps.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return texts


def _leads(found: Findings, context: BoardContext) -> pd.DataFrame:
    frame = found.reports.people.frame
    columns: dict[str, pd.Series] = {
        "lead_id": frame["person_id"],
        "leads": frame["leads"],
        "source": frame["source"],
        "campaign_id": frame["campaign_id"],
        "created_at": _times(frame["created_us"]),
        **{f"{stage}_at": _times(frame[f"{stage}_us"]) for stage in PASSED},
        "handed_off_at": _times(frame["handed_off_us"]),
        "team": frame["team"],
        "owner": frame["owner"].map(lambda name: context.owner(str(name)), na_action="ignore"),
        "path": frame["path"],
        "expected_value": frame["value"],
        "grade": frame["band"].where(frame["band"] != "none", None),
        "is_above_line": frame["is_above_line"],
        "wins": frame["wins"],
        "revenue": frame["revenue"],
    }
    for name, member in found.reports.people.segments.items():
        columns[f"segment_{name}"] = pd.Series(member, index=frame.index)
    return pd.DataFrame(columns)


def _hand_offs(found: Findings, context: BoardContext) -> pd.DataFrame:
    offs, sla = found.hand_offs, found.reports.sla
    moments = ("mql", "handed_off", "seen", "accepted", "contact", "disposed", "ended", "sql", "won")
    rows = pd.DataFrame(
        {
            "hand_off_id": offs["hand_off_id"],
            "lead_id": offs["person_id"],
            "team": offs["team"],
            "owner": [context.owner(str(name)) for name in offs["owner"]],
            "grade": offs["band"].where(offs["band"] != "none", None),
            "expected_value": offs["value"],
            **{f"{name}_at": _times(offs[f"{name}_us"]) for name in moments},
            "disposition": offs["disposition"],
            "reason": offs["reason"],
        }
    )
    if sla is None:
        return rows
    measured = pd.DataFrame({"hand_off_id": sla.hand_offs["hand_off_id"], "attempts": sla.hand_offs["attempts"]})
    for name, clock in sla.clocks.items():
        measured[f"{name}_hours"] = np.where(np.isfinite(clock.hours), clock.hours, np.nan)
        measured[f"{name}_watched_hours"] = clock.observed_hours
        measured[f"{name}_term_hours"] = clock.term_hours
        measured[f"{name}_due_at"] = _times(pd.Series(clock.due_us))
    return rows.merge(measured, on="hand_off_id", how="left")


def _credits(found: Findings) -> pd.DataFrame:
    content = found.reports.content
    if content is None:
        return pd.DataFrame()
    credits = content.use.credits
    names = found.reports.people.frame["person_id"].to_numpy()[credits["person"].to_numpy(dtype=np.int64)]
    return pd.DataFrame(
        {
            "lead_id": names,
            "content_id": credits["content_id"],
            **{model: credits[model] * credits["revenue"] for model in MODELS},
        }
    )


def _campaigns(found: Findings) -> pd.DataFrame:
    campaigns = found.reports.campaigns
    rows = [
        {
            "campaign_id": one.campaign_id,
            "name": one.name,
            "channel": one.channel,
            "starts_on": "" if one.starts_on is None else one.starts_on.isoformat(),
            "ends_on": "" if one.ends_on is None else one.ends_on.isoformat(),
            "cost": one.cost,
            "leads": one.leads,
            "maturity": one.maturity,
            **{name: one.so_far[name] for name in MEASURES},
            **{f"{name}_projected": one.projected[name] for name in MEASURES},
        }
        for one in (campaigns.campaigns if campaigns else ())
    ]
    return pd.DataFrame(rows)


def _expectations(found: Findings) -> pd.DataFrame:
    campaigns = found.reports.campaigns
    rows = [
        {
            "campaign_id": campaign.campaign_id,
            "team": one.team,
            "registered_us": float(one.registered_us),
            "is_locked": one.is_locked,
            **{name: one.values.get(name) for name in MEASURES},
        }
        for campaign in (campaigns.campaigns if campaigns else ())
        for one in campaign.expected
    ]
    frame = pd.DataFrame(rows, columns=["campaign_id", "team", "registered_us", "is_locked", *MEASURES])
    frame.insert(2, "registered_at", _times(frame["registered_us"]))
    return frame.drop(columns="registered_us")


def plain_rows(frame: pd.DataFrame) -> list[list[Value]]:
    """Return the rows of a frame as cells: numbers, texts, truths, and None for nothing."""
    columns: list[list[Value]] = []
    for name in frame.columns:
        values = frame[name].astype(object)
        columns.append([None if missing else _cell(value) for value, missing in zip(values, values.isna(), strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def _cell(value: object) -> Value:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(f"{float(value):.10g}")
        return int(number) if number.is_integer() and abs(number) < 1e15 else number
    return str(value)
