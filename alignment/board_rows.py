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

__all__ = ["board_rows", "called"]


def board_rows(found: Findings) -> Mapping[str, pd.DataFrame]:
    """Return the rows behind the numbers by name of their file, owners under their names.

    Parameters
    ----------
    found
        What was found.

    Returns
    -------
    Mapping of str to DataFrame
        Columns of text and numbers; moments as ISO 8601 texts in UTC, empty for none.
    """
    rows = {"leads": _leads(found)}
    if len(found.hand_offs):
        rows["hand_offs"] = _hand_offs(found)
    content, campaigns = found.reports.content, found.reports.campaigns
    if content is not None:
        described = [
            (i.content_id, i.title, i.made_by, i.kind, i.topic, i.stage, i.cost, i.persons) for i in content.items
        ]
        names = ["content_id", "title", "made_by", "kind", "topic", "stage", "cost", "persons"]
        rows["content_items"] = pd.DataFrame(described, columns=names)
        rows["content_credits"] = _credits(found)
    if campaigns is not None:
        rows["campaigns"] = _campaigns(found)
        rows["expectations"] = _expectations(found)
    return rows


def called(frame: pd.DataFrame, context: BoardContext) -> pd.DataFrame:
    """Return rows with owners called as on a reader's board."""
    if "owner" not in frame:
        return frame
    return frame.assign(owner=frame["owner"].map(lambda name: context.owner(str(name)), na_action="ignore"))


def _times(moments: pd.Series) -> pd.Series:
    known = moments.notna().to_numpy()
    texts = np.full(len(moments), "", dtype=object)
    stamps = moments.to_numpy(dtype="float64")[known].astype("int64").astype("datetime64[us]")
    texts[known] = np.char.add(np.datetime_as_string(stamps, unit="s"), "Z")
    return pd.Series(texts, index=moments.index)


def _leads(found: Findings) -> pd.DataFrame:
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
        "owner": frame["owner"],
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


def _hand_offs(found: Findings) -> pd.DataFrame:
    offs, sla = found.hand_offs, found.reports.sla
    moments = ("mql", "handed_off", "seen", "accepted", "contact", "disposed", "ended", "sql", "won")
    rows = pd.DataFrame(
        {
            "hand_off_id": offs["hand_off_id"],
            "lead_id": offs["person_id"],
            "team": offs["team"],
            "owner": offs["owner"],
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
            "opportunity_id": credits["deal"],
            "content_id": credits["content_id"],
            "amount": credits["amount"],
            **{f"{model}_share": credits[model] for model in MODELS},
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
