"""What a model must beat, each on the same rows: from chance and the old rule to Odoo and plain learners.

A baseline learns from the training rows of an origin and ranks the test rows. Where it claims to know a probability, it
gives one; the others are judged on their order alone.
"""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from crm.store import Tables
from features.build import build_features
from features.feature import Feature
from features.lead_features import LeadAge, StageAge
from features.spec import FeatureSet
from features.touch_times import Recency
from models.odoo_bayes import Categories, Field, fit_odoo_bayes

__all__ = ["Asked", "Baseline", "Past", "Said", "ask", "baselines_of", "plain_logistic", "quantile_codes"]

Matrix = NDArray[np.float64]
PENALTIES = tuple(10.0 ** np.arange(-4.0, 3.0))
SEARCH_ROWS = 20_000
QUANTILES = (0.2, 0.4, 0.6, 0.8)
FLAML_SECONDS = 60.0
NEVER = 1e9


@dataclass(frozen=True)
class Past:
    """Training rows of one endpoint whose labels are mature, in time order.

    Parameters
    ----------
    matrix
        Features, shape (n, n_features), NaN where missing.
    happened
        Labels, shape (n,), of both kinds.
    seed
        Of whatever is drawn.
    """

    matrix: Matrix
    happened: NDArray[np.bool_]
    seed: int


@dataclass(frozen=True)
class Asked:
    """Test rows.

    Parameters
    ----------
    matrix
        The same features, shape (n, n_features).
    age, silence, mql
        Days since creation, since the last touch, and since the lead became an MQL of the old rule, as known at the
        row's moment, shape (n,); NaN where never.
    """

    matrix: Matrix
    age: Matrix
    silence: Matrix
    mql: Matrix


@dataclass(frozen=True)
class Said:
    """What a method says of the test rows: more is better; a probability where it claims one, else None."""

    score: Matrix
    probability: Matrix | None = None


Baseline = Callable[[Past, Asked], Said]


def ask(tables: Tables, moments: pa.Table, features: FeatureSet) -> Asked:
    """Compute what the test rows knew at their moments: the model's features, and what the plain rules go by."""
    rules: list[Feature] = [LeadAge()]
    if tables.has("touches"):
        rules.append(Recency("any"))
    if tables.has("stages"):
        rules.append(StageAge("mql"))
    found = build_features(tables, moments, FeatureSet(tuple(rules)))
    by_kind = {type(rule): found[:, number] for number, rule in enumerate(rules)}
    never = np.full(moments.num_rows, np.nan)
    return Asked(
        build_features(tables, moments, features),
        by_kind[LeadAge],
        by_kind.get(Recency, never),
        by_kind.get(StageAge, never),
    )


def baselines_of(tables: Tables) -> Mapping[str, Baseline]:
    """Return the baselines that a workspace can have, by name.

    ``old_rule`` needs leads in the stage mql, ``flaml`` the extra of that name; both are left out otherwise.
    """
    found: dict[str, Baseline] = {"random": _random, "recency": _recency}
    if tables.has("stages") and _has_mqls(tables):
        found["old_rule"] = _old_rule
    found |= {"odoo": _odoo, "logistic": _logistic, "lightgbm": _lightgbm}
    if _flaml_is_there():
        found["flaml"] = _flaml
    return found


def _has_mqls(tables: Tables) -> bool:
    stages = tables.table("stages").select("stage").to_pyarrow().column("stage")
    return "mql" in stages.unique().to_pylist()


def _random(past: Past, asked: Asked) -> Said:
    return Said(np.random.default_rng(past.seed).random(len(asked.age)))


def _recency(past: Past, asked: Asked) -> Said:
    """Call whoever did something last; leads that never did anything come last, the youngest first."""
    del past
    return Said(np.where(np.isnan(asked.silence), -NEVER - asked.age, -asked.silence))


def _old_rule(past: Past, asked: Asked) -> Said:
    """Call the MQLs, the newest first; all others are alike."""
    del past
    return Said(np.where(np.isnan(asked.mql), -NEVER, -asked.mql))


def quantile_codes(past: Matrix, asked: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Cut each column at the quintiles of its training values.

    Returns
    -------
    past, asked
        Number of the bin, shape of the matrices; -1 where missing.
    levels
        How many bins each column has: fewer than five where many values are equal.
    """
    codes = [np.full(matrix.shape, -1, dtype=np.int64) for matrix in (past, asked)]
    levels: list[int] = []
    for number in range(past.shape[1]):
        present = past[~np.isnan(past[:, number]), number]
        edges = np.unique(np.quantile(present, QUANTILES, method="lower")) if present.size else np.zeros(0)
        levels.append(len(edges) + 1)
        for matrix, code in zip((past, asked), codes, strict=True):
            column = matrix[:, number]
            code[:, number] = np.where(np.isnan(column), -1, np.searchsorted(edges, column, side="left"))
    return codes[0], codes[1], levels


def _odoo(past: Past, asked: Asked) -> Said:
    """Odoo's rule on features cut at their quintiles.

    Teams and stages come with a hand-off, and these leads have none yet: all are in the first stage, without a team.
    """
    known, wanted, levels = quantile_codes(past.matrix, asked.matrix)
    fields = [Field(str(number), count) for number, count in enumerate(levels)]
    model = fit_odoo_bayes(Categories.in_first_stage(known), past.happened, fields, stages=1, won_stages=())
    probability = model.percent(Categories.in_first_stage(wanted)) / 100.0
    return Said(probability, probability)


def _logistic(past: Past, asked: Asked) -> Said:
    """Plain L2 logistic regression: means for what is missing, flags, standardised, C by later log-loss."""
    with warnings.catch_warnings():
        # Columns that repeat each other are badly conditioned under a weak penalty; its log-loss tells whether it is
        # chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        probability = plain_logistic(past.matrix, past.happened, asked.matrix, _penalty(past))
    return Said(probability, probability)


def plain_logistic(past: Matrix, happened: NDArray[np.bool_], asked: Matrix, penalty: float = 1.0) -> Matrix:
    """Return what plain L2 logistic regression says of rows, shape (n_asked,), learned from labels of both kinds.

    Parameters
    ----------
    past, happened
        Training rows in features, NaN where missing, and their labels.
    asked
        Rows to predict, in the same features.
    penalty
        C of scikit-learn; 1 is its default.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        columns = _columns().fit(past)
        model = _regression(penalty).fit(columns.transform(past), happened)
        return np.asarray(model.predict_proba(columns.transform(asked))[:, 1])


def _columns() -> Pipeline:
    return make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), StandardScaler())


def _regression(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, solver="newton-cholesky", max_iter=100)


def _penalty(past: Past) -> float:
    """Choose C by four splits in time order, on evenly spaced rows where rows are many; 1 where no split can tell.

    From a strong penalty on it is loosened until the log-loss rises.
    """
    rows = np.arange(len(past.happened))
    rows = rows[:: max(-(-len(rows) // SEARCH_ROWS), 1)]
    matrix, happened = past.matrix[rows], past.happened[rows]
    splits = list(TimeSeriesSplit(4).split(rows)) if len(rows) > 8 else []
    prepared = [
        (columns.transform(matrix[train]), happened[train], columns.transform(matrix[test]), happened[test])
        for train, test in splits
        if 0 < happened[train].sum() < len(train)
        for columns in [_columns().fit(matrix[train])]
    ]
    if not prepared:
        return 1.0
    labels = np.concatenate([truth for *_, truth in prepared])
    best, chosen = np.inf, 1.0
    for penalty in PENALTIES:
        said = [_regression(penalty).fit(x, y).predict_proba(later)[:, 1] for x, y, later, _ in prepared]
        loss = float(log_loss(labels, np.concatenate(said), labels=[False, True]))
        if loss > best:
            break
        best, chosen = loss, penalty
    return chosen


def _lightgbm(past: Past, asked: Asked) -> Said:
    """LightGBM as it comes: 100 rounds of 31 leaves."""
    parameters = {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 1}
    booster = lgb.train(parameters, lgb.Dataset(past.matrix, past.happened.astype(np.float64)))
    probability = np.asarray(booster.predict(asked.matrix, num_threads=1))
    return Said(probability, probability)


def _flaml_is_there() -> bool:
    """Look for FLAML with its learners: without them the package has no AutoML."""
    return importlib.util.find_spec("flaml") is not None and hasattr(importlib.import_module("flaml"), "AutoML")


def _flaml(past: Past, asked: Asked) -> Said:
    """Let FLAML search for a minute among LightGBM, forests and L1 logistic regression, by log-loss on later rows."""
    search: Any = importlib.import_module("flaml").AutoML()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its members warn of their own affairs
        search.fit(
            past.matrix,
            past.happened.astype(np.int64),
            task="classification",
            metric="log_loss",
            time_budget=FLAML_SECONDS,
            estimator_list=["lgbm", "rf", "extra_tree", "lrl1"],
            split_type="time",
            n_jobs=1,
            seed=1,
            verbose=0,
        )
        probability = np.asarray(search.predict_proba(asked.matrix)[:, 1], dtype=np.float64)
    return Said(probability, probability)
