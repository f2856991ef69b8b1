"""The model for MLflow's own tools: ``mlflow.pyfunc.load_model`` calls :func:`_load_pyfunc`.

A convenience for others. Our command line and service verify a version's files first and never come this way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from crm.errors import BundleError
from models.bundle import DOCUMENT, file_hashes, parse_bundle
from models.scoring import score_matrix

__all__ = ["PyfuncModel"]


class PyfuncModel:
    """Scores frames whose columns are the model's features."""

    def __init__(self, folder: Path) -> None:
        import json

        contents = {name: (folder / name).read_bytes() for name in file_hashes(folder)}
        fingerprint = str(json.loads(contents[DOCUMENT])["fingerprint"])
        self.bundle, self.line = parse_bundle(contents, fingerprint=fingerprint)

    def predict(self, frame: pd.DataFrame, params: dict[str, object] | None = None) -> pd.DataFrame:
        """Return score, p_sql, p_won, expected_revenue and expected_value for each row."""
        del params
        missing = [name for name in self.bundle.features.names if name not in frame.columns]
        if missing:
            raise BundleError(
                found=f"a frame without the column {missing[0]!r}",
                expected="every feature of the model's signature",
                fix="compute the features with kizashi",
            )
        matrix = frame[list(self.bundle.features.names)].to_numpy(dtype=np.float64)
        scores = score_matrix(self.bundle, self.line, matrix)
        names = ("score", "p_sql", "p_won", "expected_revenue", "expected_value")
        return pd.DataFrame({name: getattr(scores, name) for name in names})


def _load_pyfunc(path: str) -> PyfuncModel:  # pyright: ignore[reportUnusedFunction] - MLflow looks for this name
    return PyfuncModel(Path(path))
