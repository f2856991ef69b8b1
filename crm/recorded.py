"""Rows of the outcome tables as they were recorded by a moment, each in its newest version."""

# pandas-stubs types a column of a frame as all that it may be.
# pyarrow publishes no types.
# Ibis gives every column of a table the type Column, which has no operators.
# pyright: reportAttributeAccessIssue=false, reportUnknownParameterType=false, reportOperatorIssue=false

from __future__ import annotations

import pandas as pd

from crm.persons import shared_by_persons
from crm.store import Tables

__all__ = ["hand_offs_of_persons", "hand_offs_recorded", "newest_versions", "rows_recorded"]


def rows_recorded(tables: Tables, name: str, known_us: int) -> pd.DataFrame:
    """Return the rows of a table that were recorded by a moment in microseconds, all versions of them."""
    table = tables.table(name)
    return table.filter(table["recorded_us"] <= known_us).to_pyarrow().to_pandas()


def newest_versions(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the newest recorded version of each row, whole: a value that it has emptied stays empty."""
    return rows.sort_values("recorded_us", kind="stable").drop_duplicates(key, keep="last")


def hand_offs_recorded(tables: Tables, known_us: int) -> pd.DataFrame:
    """Return each hand-off recorded by a moment in microseconds, as it was known then.

    A hand-off whose time was corrected counts at its corrected time alone. Without the table there are none.
    """
    if not tables.has("hand_offs"):
        return pd.DataFrame(
            {
                "hand_off_id": pd.Series([], dtype=object),
                "lead_id": pd.Series([], dtype=object),
                "handed_off_us": pd.Series([], dtype="int64"),
            }
        )
    return newest_versions(rows_recorded(tables, "hand_offs", known_us), "hand_off_id").reset_index(drop=True)


def hand_offs_of_persons(tables: Tables, known_us: int) -> pd.DataFrame:
    """Return :func:`hand_offs_recorded`, those of a person for each of its leads, as outcomes are.

    A lead whose twin was handed off, and with whom it was merged by then, was not left alone.
    """
    return shared_by_persons(hand_offs_recorded(tables, known_us), tables, known_us)
