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
    numbered = sorted(enumerate(features.features), key=lambda item: item[1].reads)
    for _, items in groupby(numbered, key=lambda item: item[1].reads):
        group = list(items)
        source = known.relation(group[0][1].reads)
        for start in range(0, len(group), SLICE):
            part = group[start : start + SLICE]
            _fill(matrix, source, [number for number, _ in part], [feature for _, feature in part])
    return matrix


def _fill(matrix: NDArray[np.float64], source: ir.Table, numbers: Sequence[int], features: Sequence[Feature]) -> None:
    columns = {f"f{number}": feature.column(source) for number, feature in zip(numbers, features, strict=True)}
    if features[0].reads == "attributes":
        answer = source.select(row_id=source.row_id, **columns)
    else:
        answer = source.group_by("row_id").aggregate(**columns)
    table = answer.to_pyarrow()
    rows = table.column("row_id").to_numpy()
    for number, feature in zip(numbers, features, strict=True):
        matrix[:, number] = np.nan if feature.empty is None else feature.empty
        matrix[rows, number] = table.column(f"f{number}").to_numpy(zero_copy_only=False)
