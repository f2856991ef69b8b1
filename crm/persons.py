"""Which leads are one person, as far as merges recorded by a moment tell."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm.known import merge_paths
from crm.store import Tables

__all__ = ["merged_persons", "person_numbers", "shared_by_persons"]


def merged_persons(tables: Tables, known_us: int) -> dict[str, str]:
    """Return for every lead of a merge recorded by a moment (microseconds) the one lead that stands for the person.

    A merge joins two leads, also by way of a third.
    """
    leader: dict[str, str] = {}

    def find(lead: str) -> str:
        while (above := leader.get(lead, lead)) != lead:
            lead = above
        return lead

    for row in merge_paths(tables).to_pylist():
        one, two = find(row["from_lead_id"]), find(row["into_lead_id"])
        if row["merged_us"] <= known_us and one != two:
            leader[one] = two
            leader.setdefault(two, two)
    return {lead: find(lead) for lead in leader}


def person_numbers(tables: Tables, lead_ids: Sequence[str], known_us: int) -> NDArray[np.int64]:
    """Give each row the number of its person, shape (n,)."""
    person = merged_persons(tables, known_us)
    names = pd.Series([person.get(lead, lead) for lead in lead_ids], dtype=object)
    return pd.factorize(names)[0].astype(np.int64)


def shared_by_persons(rows: pd.DataFrame, tables: Tables, known_us: int) -> pd.DataFrame:
    """Return rows of leads and, below them, the same rows for every other lead of the same person.

    Parameters
    ----------
    rows
        With a column ``lead_id``.
    tables
        The workspace's tables.
    known_us
        Merges recorded by then count, microseconds since 1970 UTC.
    """
    person = merged_persons(tables, known_us)
    if not person:
        return rows
    of_lead = pd.DataFrame({"lead_id": list(person), "person": list(person.values())}, dtype=object)
    pairs = of_lead.merge(of_lead.rename(columns={"lead_id": "other_id"}), on="person")
    pairs = pairs.loc[pairs["lead_id"] != pairs["other_id"], ["lead_id", "other_id"]]
    shared = rows.astype({"lead_id": object}).merge(pairs, on="lead_id").assign(lead_id=lambda frame: frame["other_id"])
    return pd.concat([rows, shared[list(rows.columns)]], ignore_index=True) if len(shared) else rows
