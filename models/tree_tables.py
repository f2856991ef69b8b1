"""Small trees as tables of their exact Shapley values.

What a tree adds to a prediction, and how that splits over its features, hangs on nothing but the answers to the tree's
questions. A tree of up to eight leaves asks at most seven, so that the split (TreeSHAP: Lundberg et al. 2018, with the
training rows at each node as weights of what is not known) can be computed once for each of the 128 sets of answers. A
lead is then looked up: LightGBM takes some ten times as long to walk its trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_QUESTIONS", "TreeTables", "tabulate"]

Matrix = NDArray[np.float64]
Positions = NDArray[np.int64]
MOST_QUESTIONS = 7
PLACES = 8
"""Questions a tree in the arrays: one byte of answers."""
PIECE = 2_048
"""Rows that are worked on at a time, so that few arrays of rows by questions lie in memory."""


@dataclass(frozen=True, eq=False)
class TreeTables:
    """All trees of a member, by table.

    Parameters
    ----------
    base
        Sum of the trees' expected values.
    asked, thresholds, goes_left
        Shape (n_trees * 8,): which feature each question asks, ``x <= threshold`` answers yes, and what a missing value
        answers. Places that no question takes answer no.
    features
        Features that any tree asks, rising.
    first
        Where among the tables those of each feature begin.
    tree, start
        Shape (n_tables,): tree of each table, and where in ``values`` it begins.
    values
        The tables, one after the other: a tree's part of one feature by the byte of answers.
    """

    base: float
    asked: Positions
    thresholds: Matrix
    goes_left: NDArray[np.bool_]
    features: Positions
    first: Positions
    tree: Positions
    start: Positions
    values: Matrix

    def split(self, matrix: Matrix) -> Matrix:
        """Return each feature's part of the trees' sum less :attr:`base`, shape (n, n_features)."""
        parts = np.zeros(matrix.shape)
        if self.features.size:
            for begin in range(0, len(matrix), PIECE):
                rows = matrix[begin : begin + PIECE]
                index = self._answers(rows)[:, self.tree] + self.start
                parts[begin : begin + PIECE, self.features] = np.add.reduceat(self.values[index], self.first, axis=1)
        return parts

    def _answers(self, matrix: Matrix) -> NDArray[np.uint8]:
        """Return a byte of answers a row and tree, shape (n, n_trees)."""
        answers = matrix[:, self.asked] <= self.thresholds
        answers |= np.isnan(matrix)[:, self.asked] & self.goes_left
        return np.packbits(answers.reshape(len(matrix), -1, PLACES), axis=2, bitorder="little")[:, :, 0]


@dataclass(frozen=True)
class _Node:
    """A question of a tree with the trees behind its answers, or a leaf; ``place`` is the question's in the tree."""

    count: float
    value: float = 0.0
    place: int = -1
    feature: int = -1
    threshold: float = 0.0
    goes_left: bool = False
    children: tuple[_Node, ...] = ()

    def questions(self) -> list[_Node]:
        """Return the questions of the tree in order of their places."""
        if not self.children:
            return []
        return sorted(
            [self, *(node for child in self.children for node in child.questions())], key=lambda node: node.place
        )


def tabulate(booster: lgb.Booster) -> TreeTables | None:
    """Return the tables of a booster's trees; None when one of them asks more than :data:`MOST_QUESTIONS`."""
    trees = booster.dump_model()["tree_info"]
    if any(int(tree["num_leaves"]) > MOST_QUESTIONS + 1 for tree in trees):
        return None
    base = 0.0
    asked: list[_Node] = []
    tables: list[tuple[int, int, Matrix]] = []
    for tree in trees:
        root = _read(tree["tree_structure"])
        questions = root.questions()
        base += _expected(root)
        if questions:
            tables += [(feature, len(asked) // PLACES, table) for feature, table in _shapley(root, questions).items()]
            asked += [*questions, *[_NOTHING] * (PLACES - len(questions))]
    return _laid_out(base, asked, sorted(tables, key=lambda table: table[0]))


_NOTHING = _Node(0.0, feature=0, threshold=-np.inf)


def _laid_out(base: float, asked: Sequence[_Node], tables: Sequence[tuple[int, int, Matrix]]) -> TreeTables:
    features, first = np.unique(np.array([feature for feature, *_ in tables], dtype=np.int64), return_index=True)
    sizes = [len(table) for *_, table in tables]
    return TreeTables(
        base,
        np.array([node.feature for node in asked], dtype=np.int64),
        np.array([node.threshold for node in asked]),
        np.array([node.goes_left for node in asked], dtype=bool),
        features,
        first,
        np.array([tree for _, tree, _ in tables], dtype=np.int64),
        np.cumsum([0, *sizes[:-1]], dtype=np.int64)[: len(sizes)],
        np.concatenate([np.empty(0), *(table for *_, table in tables)]),
    )


def _read(node: Mapping[str, Any]) -> _Node:
    if "split_feature" not in node:
        return _Node(float(node.get("leaf_count", 1.0)), value=float(node["leaf_value"]))
    threshold = float(node["threshold"])
    return _Node(
        float(node["internal_count"]),
        place=int(node["split_index"]),
        feature=int(node["split_feature"]),
        threshold=threshold,
        # Without missing values in training LightGBM reads NaN as 0.
        goes_left=bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0,
        children=(_read(node["left_child"]), _read(node["right_child"])),
    )


def _expected(node: _Node) -> float:
    if not node.children:
        return node.value
    return sum(child.count / node.count * _expected(child) for child in node.children)


def _shapley(root: _Node, questions: Sequence[_Node]) -> dict[int, Matrix]:
    """Return each feature's part of one tree by the byte of answers, shape (2^questions,)."""
    features = sorted({node.feature for node in questions})
    sets = np.arange(2 ** len(features))
    is_known = {feature: (sets >> number & 1).astype(bool)[:, None] for number, feature in enumerate(features)}
    answers = np.arange(2 ** len(questions))
    is_yes = [(answers >> number & 1).astype(bool) for number in range(len(questions))]

    def given(node: _Node) -> Matrix:
        """Return what a tree says when the features of each set are known, by the answers."""
        if not node.children:
            return np.full((1, 1), node.value)
        left, right = (given(child) for child in node.children)
        share = node.children[0].count / node.count
        open_ = share * left + (1.0 - share) * right
        return np.where(is_known[node.feature], np.where(is_yes[node.place], left, right), open_)

    said = np.broadcast_to(given(root), (len(sets), len(answers)))
    return dict(zip(features, _weights(len(features)) @ said, strict=True))


def _weights(count: int) -> Matrix:
    """Return the weight of each set of features in each feature's Shapley value, shape (count, 2^count)."""
    sets = np.arange(2**count)
    size = np.array([bin(number).count("1") for number in sets])
    weights = np.zeros((count, 2**count))
    for feature in range(count):
        has = (sets >> feature & 1).astype(bool)
        others = size - has
        share = np.array([factorial(s) * factorial(count - s - 1) / factorial(count) for s in others])
        weights[feature] = np.where(has, share, -share)
    return weights
