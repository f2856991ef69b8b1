"""Features of many snapshots at once."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm.known import moments_table
from crm.store import Tables
from features.feature import Feature
from features.known import KnownTables
from features.spec import FeatureSet

__all__ = ["build_features"]

# Wide aggregates are planned in slices: DuckDB's planning time grows faster than the number of columns.
SLICE = 60


def build_features(tables: Tables, moments: pa.Table, features: FeatureSet) -> NDArray[np.float64]:
    """Compute every feature of every snapshot.

    Parameters
    ----------
    tables
        The workspace's tables.
    moments
        ``row_id`` (0, 1, 2, ...), ``lead_id``, ``as_of_us``.
    features
        What to compute.

    Returns
    -------
    NDArray[np.float64]
        Shape (n_moments, n_features), rows in order of ``row_id``; NaN where missing.
    """
    known = KnownTables(tables, moments_table(tables, moments))
    matrix = np.full((moments.num_rows, len(features.features)), np.nan)
    # The lead's own touches, which take longest, come first, so that both queries that run at a time end together.
    numbered = sorted(enumerate(features.features), key=lambda item: item[1].reads, reverse=True)
    slices = [
        group[start : start + SLICE]
        for group in (list(items) for _, items in groupby(numbered, key=lambda item: item[1].reads))
        for start in range(0, len(group), SLICE)
    ]

    def fill(at: int, answer: pa.Table) -> None:
        rows = answer.column("row_id").to_numpy()
        for number, feature in slices[at]:
            matrix[:, number] = np.nan if feature.empty is None else feature.empty
            matrix[rows, number] = answer.column(f"f{number}").to_numpy(zero_copy_only=False)

    tables.read_each([_query(known, part) for part in slices], fill)
    return matrix


def _query(known: KnownTables, part: Sequence[tuple[int, Feature]]) -> ir.Table:
    """Ask for numbered features that read the same relation: ``row_id`` and a column each."""
    source = known.relation(part[0][1].reads)
    columns = {f"f{number}": feature.column(source) for number, feature in part}
    if part[0][1].reads == "attributes":
        return source.select(row_id=source.row_id, **columns)
    return source.group_by("row_id").aggregate(**columns)
