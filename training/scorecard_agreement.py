"""How far the integer scorecard agrees with the served model, and how well both predict what they had not seen."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import expit

from features.lead_features import LeadAge
from features.touch_times import Recency
from models.intervals import Interval, cluster_bootstrap
from models.metrics import Judgement
from training.prepare import TrainingData
from training.scorecard import CardFit
from training.scorecard_trees import DAY_EDGES

__all__ = ["Agreement", "compare", "overlap", "served_out_of_fold", "spearman"]

Matrix = NDArray[np.float64]
TOP = 0.1


@dataclass(frozen=True)
class Agreement:
    """The card beside the served model.

    Parameters
    ----------
    leads, outcomes
        Unseen rows, one a lead, and how many had the outcome.
    is_unseen
        The served model had not seen the rows either. False where it left no out-of-fold rows: then it is compared as
        it stands, and its own numbers flatter it.
    metrics
        Named numbers with 90% intervals by account: ``spearman``, ``overlap_at_10`` (share of the model's best tenth
        that the card has in its own), ``auc``, ``auc_alike`` and ``log_loss`` of ``card`` and of ``model``, and the
        differences card minus model. ``auc_alike`` compares leads of the same coarse age and last touch alone.
    """

    leads: int
    outcomes: int
    is_unseen: bool
    metrics: Mapping[str, Interval]


def served_out_of_fold(scores: pa.Table, data: TrainingData, model_version: str, outcome: str) -> Matrix:
    """Return the probability that a version gave each snapshot out of fold, shape (n,); NaN where it gave none.

    Parameters
    ----------
    scores
        The scores table.
    data
        Prepared data, whose snapshots are looked up by lead and moment.
    model_version
        The served version.
    outcome
        ``sql`` or ``won``.
    """
    frame = scores.select(["lead_id", "as_of", "model_version", f"p_{outcome}", "origin"]).to_pandas()
    frame = frame[(frame["origin"] == "out_of_fold") & (frame["model_version"] == model_version)]
    as_of_us = (frame["as_of"] - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(microseconds=1)
    given = pd.DataFrame(
        {"lead_id": frame["lead_id"].astype(str), "as_of_us": as_of_us.astype("int64"), "p": frame[f"p_{outcome}"]}
    ).drop_duplicates(["lead_id", "as_of_us"], keep="last")
    wanted = data.snapshots.moments.select(["lead_id", "as_of_us"]).to_pandas().astype({"lead_id": str})
    return wanted.merge(given, on=["lead_id", "as_of_us"], how="left")["p"].to_numpy(dtype=np.float64)


def compare(
    data: TrainingData, fit: CardFit, happened: NDArray[np.bool_], served: Matrix, *, is_unseen: bool
) -> Agreement:
    """Measure card and model on the same unseen rows, one a lead.

    Parameters
    ----------
    data
        Prepared data.
    fit
        The card with its out-of-fold rows.
    happened
        Labels of all snapshots, shape (n_snapshots,).
    served
        Probabilities by the served model, shape (n_snapshots,); NaN where there is none.
    is_unseen
        Whether ``served`` is out of fold.
    """
    keep = data.snapshots.is_judged[fit.rows] & ~np.isnan(served[fit.rows])
    rows = fit.rows[keep]
    card, model, y = expit(fit.logit[keep]), served[rows], happened[rows]
    stratum = _ages(data)[rows]
    judged = {"card": Judgement(card, y, stratum), "model": Judgement(model, y, stratum)}
    ranks = _Ranks(card), _Ranks(model)

    def measure(weights: Matrix) -> Mapping[str, float]:
        found = {
            "spearman": _weighted_correlation(ranks[0](weights), ranks[1](weights), weights),
            "overlap_at_10": overlap(ranks[0].top(weights, TOP), ranks[1].top(weights, TOP), weights),
        }
        each = {name: judgement.measure(weights) for name, judgement in judged.items()}
        for name, key in (("auc", "auc"), ("auc_alike", "auc_same_age"), ("log_loss", "log_loss")):
            found |= {f"{who}_{name}": numbers[key] for who, numbers in each.items()}
            found[f"{name}_difference"] = each["card"][key] - each["model"][key]
        return found

    metrics = cluster_bootstrap(measure, data.snapshots.group[rows], seed=1) if len(rows) else {}
    return Agreement(len(rows), int(y.sum()), is_unseen, metrics)


def spearman(left: Matrix, right: Matrix, weights: Matrix | None = None) -> float:
    """Return the rank correlation of two columns, shape (n,), ties at their middle rank.

    Examples
    --------
    >>> round(spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])), 6)
    1.0
    """
    each = np.ones(len(left)) if weights is None else weights
    return _weighted_correlation(_Ranks(left)(each), _Ranks(right)(each), each)


def overlap(left: Matrix, right: Matrix, weights: Matrix) -> float:
    """Return the share of the leads that ``right`` takes that ``left`` takes too.

    Parameters
    ----------
    left, right
        Share of each lead that is taken, 0 to 1, shape (n,): between for leads that tie at the border.
    weights
        Shape (n,).
    """
    taken = float((weights * right).sum())
    return float((weights * left * right).sum()) / taken if taken > 0 else float("nan")


class _Ranks:
    """A column sorted once, ranked under any weights."""

    def __init__(self, column: Matrix) -> None:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        self.run = np.empty(len(column), dtype=np.int64)
        self.run[order] = np.cumsum(np.append(False, ordered[1:] != ordered[:-1])) if len(column) else []

    def __call__(self, weights: Matrix) -> Matrix:
        """Return middle ranks: the weight below and half of the weight that ties."""
        size = np.bincount(self.run, weights)
        return (np.cumsum(size) - size / 2)[self.run]

    def top(self, weights: Matrix, share: float) -> Matrix:
        """Return how much of each lead the best ``share`` takes; ties at the border are taken in part."""
        size = np.bincount(self.run, weights)
        above = size[::-1].cumsum()[::-1] - size
        room = share * float(weights.sum()) - above
        part = np.divide(room, size, out=np.zeros_like(size), where=size > 0)
        return np.clip(part, 0.0, 1.0)[self.run]


def _weighted_correlation(left: Matrix, right: Matrix, weights: Matrix) -> float:
    total = float(weights.sum())
    x, y = (column - float((weights * column).sum()) / total for column in (left, right))
    spread = float((weights * x * x).sum() * (weights * y * y).sum())
    return float((weights * x * y).sum()) / math.sqrt(spread) if spread > 0 else float("nan")


def _ages(data: TrainingData) -> NDArray[np.int64]:
    """Return a stratum of each snapshot: leads of the same coarse age whose last touch is about as long ago."""
    stratum = np.zeros(len(data.snapshots.as_of_us), dtype=np.int64)
    for feature in (LeadAge(), Recency("any")):
        if feature.name in data.features.names:
            column = data.matrix[:, data.features.names.index(feature.name)]
            stratum = stratum * (len(DAY_EDGES) + 2) + np.searchsorted(DAY_EDGES, column, side="left")
    return stratum
