"""The boosted members: stumps, which are exactly a points table, and a shallow conservative LightGBM."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.feature import Direction
from models.logistic import LogisticMember
from models.step_functions import FlatSteps, StepFunction
from models.tree_tables import TreeTables, tabulate

__all__ = [
    "BoosterPlan",
    "FreeMember",
    "ShallowMember",
    "StumpsMember",
    "TreeKind",
    "booster_parameters",
    "stumps_from_booster",
]

Matrix = NDArray[np.float64]
TreeKind = Literal["stumps", "shallow", "free"]
"""Trees of one split; of up to eight leaves, held back; of up to 24 leaves that follow the data where it leads."""

PIECE = 2_048
"""Rows whose lookups are made at a time, so that few arrays of rows by thresholds lie in memory."""
MANY_ROWS = 30_000
"""Rows from which on trees take larger steps: the same fit in a third of the time."""

COMMON: Mapping[str, Any] = {
    "objective": "binary",
    "metric": "binary_logloss",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # on two shared cores OpenMP's waiting made two threads up to 70 times slower than one
    "seed": 1,
    "verbosity": -1,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 63,
    "feature_pre_filter": False,  # rows in LightGBM's form are shared by trees with other smallest leaves
}


@dataclass(frozen=True)
class BoosterPlan:
    """Which booster to grow.

    Parameters
    ----------
    kind
        Which trees.
    directions
        Monotone sign a feature, or None to leave all of them to the data.
    rows
        Rows of training data, which set the smallest leaf.
    """

    kind: TreeKind
    directions: tuple[Direction, ...] | None
    rows: int


def booster_parameters(plan: BoosterPlan, kept: float = 1.0) -> dict[str, Any]:
    """Return LightGBM's parameters for a plan (methods 6 and 7).

    Parameters
    ----------
    plan
        What to grow.
    kept
        Share of the rows that trees are grown on, where the others were left out and the kept ones weigh more: a leaf
        of so many rows holds fewer of them.
    """
    parameters = dict(COMMON)
    if plan.kind == "stumps":
        parameters |= {
            "num_leaves": 2,
            "learning_rate": 0.07 if plan.rows < MANY_ROWS else 0.2,
            "min_data_in_leaf": 20,
            "lambda_l2": 5.0,
            "feature_fraction": 0.5,
        }
    elif plan.kind == "free":
        parameters |= {
            "num_leaves": 24,
            "learning_rate": 0.05 if plan.rows < MANY_ROWS else 0.12,
            "min_data_in_leaf": 20,
            "min_sum_hessian_in_leaf": 1.0,
            "lambda_l2": 2.0,
            "feature_fraction": 0.5,
        }
    else:
        parameters |= {
            "num_leaves": 8,
            "max_depth": 4,
            "learning_rate": 0.05 if plan.rows < MANY_ROWS else 0.12,
            "min_data_in_leaf": max(30, round(plan.rows * kept) // 400),
            "min_sum_hessian_in_leaf": 3.0,
            "lambda_l2": 10.0,
            "feature_fraction": 0.5,
            "path_smooth": 10.0,
        }
    if plan.directions is not None:
        parameters |= {"monotone_constraints": list(plan.directions), "monotone_constraints_method": "intermediate"}
    return parameters


@dataclass(frozen=True)
class StumpsMember:
    """Boosted stumps as one lookup a feature: a points table that scores exactly as the trees do.

    Parameters
    ----------
    steps
        Lookup by feature number, each centred on its training mean.
    constant
        Sum of the training means, in logit.
    features
        Number of features in a row.
    rounds
        Trees that cross-validation chose.
    offset
        What the trees were grown upon, added to them; None for nothing.
    """

    steps: Mapping[int, StepFunction]
    constant: float
    features: int
    rounds: int
    offset: LogisticMember | None = None

    name = "stumps"

    def split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return each feature's part of the logit, shape (n, n_features), and the base, shape (n,)."""
        return _add_offset(self.offset, matrix, *self.own_split(matrix))

    def own_split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return what :meth:`split` returns, without what the trees were grown upon."""
        parts = np.zeros((matrix.shape[0], self.features))
        for start in range(0, len(matrix), PIECE):
            parts[start : start + PIECE, self._flat.features] = self._flat(matrix[start : start + PIECE])
        return parts, np.full(matrix.shape[0], self.constant)

    @cached_property
    def _flat(self) -> FlatSteps:
        return FlatSteps(self.steps)

    def own_logit(self, matrix: Matrix) -> Matrix:
        """Return the logit without what the trees were grown upon, shape (n,)."""
        found = np.full(matrix.shape[0], self.constant)
        for number, step in self.steps.items():
            found += step(matrix[:, number])
        return found

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        return self.own_logit(matrix) + (0.0 if self.offset is None else self.offset.logit(matrix))

    def to_json(self) -> dict[str, Any]:
        """Return the member as plain JSON."""
        steps = {
            str(number): {
                "thresholds": step.thresholds.tolist(),
                "values": step.values.tolist(),
                "missing": step.missing,
            }
            for number, step in self.steps.items()
        }
        return {
            "member": self.name,
            "constant": self.constant,
            "features": self.features,
            "rounds": self.rounds,
            "steps": steps,
            "offset": None if self.offset is None else self.offset.to_json(),
        }

    @classmethod
    def from_json(
        cls,
        item: Mapping[str, Any],
        read_offset: Callable[[Mapping[str, Any]], LogisticMember] = LogisticMember.from_json,
    ) -> Self:
        """Read what :meth:`to_json` wrote; ``read_offset`` reads what the trees were grown upon."""
        steps = {
            int(number): StepFunction(
                np.asarray(step["thresholds"], dtype=np.float64),
                np.asarray(step["values"], dtype=np.float64),
                float(step["missing"]),
            )
            for number, step in item["steps"].items()
        }
        offset = None if item["offset"] is None else read_offset(item["offset"])
        return cls(steps, float(item["constant"]), int(item["features"]), int(item["rounds"]), offset)


def _add_offset(offset: LogisticMember | None, matrix: Matrix, parts: Matrix, base: Matrix) -> tuple[Matrix, Matrix]:
    if offset is None:
        return parts, base
    return parts + offset.contributions(matrix), base + offset.base


def stumps_from_booster(
    booster: lgb.Booster, rounds: int, matrix: Matrix, offset: LogisticMember | None
) -> StumpsMember:
    """Turn boosted stumps into lookups, centred on the training matrix.

    Parameters
    ----------
    booster
        Trees of at most two leaves.
    rounds
        How many of them to use.
    matrix
        Training rows, shape (n, n_features), which set the centre of each lookup.
    offset
        What the trees were grown upon.
    """
    splits: dict[int, list[tuple[float, float, float, float]]] = {}
    constant = 0.0
    for tree in booster.dump_model(num_iteration=rounds)["tree_info"]:
        root = tree["tree_structure"]
        if "split_feature" not in root:
            constant += float(root["leaf_value"])
            continue
        left, right = float(root["left_child"]["leaf_value"]), float(root["right_child"]["leaf_value"])
        threshold = float(root["threshold"])
        # Without missing values in training LightGBM reads NaN as 0.
        goes_left = bool(root["default_left"]) if root["missing_type"] == "NaN" else threshold >= 0
        splits.setdefault(int(root["split_feature"]), []).append((threshold, left, right, left if goes_left else right))
    steps: dict[int, StepFunction] = {}
    for number, found in splits.items():
        step = _add_up(found)
        mean = float(step(matrix[:, number]).mean())
        steps[number] = StepFunction(step.thresholds, step.values - mean, step.missing - mean)
        constant += mean
    return StumpsMember(steps, constant, matrix.shape[1], rounds, offset)


def _add_up(splits: Sequence[tuple[float, float, float, float]]) -> StepFunction:
    thresholds = np.unique([threshold for threshold, *_ in splits])
    values = np.zeros(len(thresholds) + 1)
    missing = 0.0
    for threshold, left, right, at_missing in splits:
        position = int(np.searchsorted(thresholds, threshold))
        values[: position + 1] += left
        values[position + 1 :] += right
        missing += at_missing
    return StepFunction(thresholds, values, missing)


@dataclass(frozen=True)
class ShallowMember:
    """A shallow LightGBM; its logit splits by TreeSHAP.

    Parameters
    ----------
    text
        LightGBM's own text format, which holds numbers only.
    features
        Number of features in a row.
    rounds
        Trees that cross-validation chose.
    offset
        What the trees were grown upon, added to them; None for nothing.
    """

    text: str
    features: int
    rounds: int
    offset: LogisticMember | None = None

    name = "shallow"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_booster", lgb.Booster(model_str=self.text))

    @property
    def booster(self) -> lgb.Booster:
        """The trees."""
        return self._booster  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

    def split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return each feature's part of the logit, shape (n, n_features), and the base, shape (n,)."""
        return _add_offset(self.offset, matrix, *self.own_split(matrix))

    def own_split(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        """Return what :meth:`split` returns, without what the trees were grown upon."""
        if self._tables is not None:
            return self._tables.split(matrix), np.full(matrix.shape[0], self._tables.base)
        parts = np.asarray(self.booster.predict(matrix, pred_contrib=True, num_threads=1))
        return parts[:, :-1], parts[:, -1]

    @cached_property
    def _tables(self) -> TreeTables | None:
        """The trees by table, where they are small enough."""
        return tabulate(self.booster)

    def own_logit(self, matrix: Matrix) -> Matrix:
        """Return the logit without what the trees were grown upon, shape (n,)."""
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=1))

    def logit(self, matrix: Matrix) -> Matrix:
        """Return the logit, shape (n,)."""
        return self.own_logit(matrix) + (0.0 if self.offset is None else self.offset.logit(matrix))


class FreeMember(ShallowMember):
    """A LightGBM with room for interactions and without monotone signs, for plenty of outcomes."""

    name = "free"
