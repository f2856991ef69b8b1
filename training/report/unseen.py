"""Unseen rows of an endpoint, one a lead, and the groups that a report tells apart."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crm.outcomes import Labels
from crm.rules import segments_of
from features.lead_features import AttributeIs, AttributeMissing, AttributeOther, LeadAge
from training.fit import FittedEndpoint
from training.report.maturity import months_of
from training.report.parts import ReportParts

__all__ = ["Group", "Unseen", "age_groups", "month_groups", "report_groups", "unseen_of"]

Matrix = NDArray[np.float64]
MIN_LEADS = 30
MAX_LEVELS = 8
MAX_GROUPS = 16
AGES = (1.0, 7.0, 30.0, 90.0)
"""Edges between the age groups, days."""


@dataclass(frozen=True)
class Unseen:
    """Rows of one endpoint that its models had not seen, one a lead, in fold order.

    Parameters
    ----------
    outcome
        ``sql`` or ``won``.
    fitted, labels
        The endpoint, and its labels of all rows.
    keep
        Which of the endpoint's out-of-fold rows they are, shape (n_out_of_fold,).
    rows
        Row numbers of the training data, shape (n,).
    probability, happened, account
        Shape (n,).
    """

    outcome: str
    fitted: FittedEndpoint
    labels: Labels
    keep: NDArray[np.bool_]
    rows: NDArray[np.int64]
    probability: Matrix
    happened: NDArray[np.bool_]
    account: NDArray[np.int64]


def unseen_of(parts: ReportParts) -> tuple[Unseen, ...]:
    """Return the unseen rows of each endpoint; wins that are SQLs are left out, as they are the same rows."""
    data, learned = parts.data, parts.learned
    both = (("sql", learned.sql, data.sql), ("won", learned.won, data.won))
    found: list[Unseen] = []
    for outcome, fitted, labels in both[: 1 if learned.won_is_sql else 2]:
        keep = data.snapshots.is_judged[fitted.rows]
        rows, judged = fitted.rows[keep], parts.judged[outcome]
        found.append(Unseen(outcome, fitted, labels, keep, rows, judged.probability, judged.happened, judged.group))
    return tuple(found)


@dataclass(frozen=True)
class Group:
    """Rows of the training data that belong together, ``member`` of shape (n,)."""

    kind: str
    name: str
    member: NDArray[np.bool_]


def report_groups(parts: ReportParts) -> tuple[Group, ...]:
    """Return the configured segments, each with its rest; without any, the levels of the attribute that has most.

    An attribute of more than eight levels would leave too few outcomes in each.
    """
    config, moments = parts.workspace.config, parts.data.snapshots.moments
    if config.segments:
        found = segments_of(parts.tables, config, moments)
        return tuple(Group("segment", name, found.member[:, at]) for at, name in enumerate(found.names))[:MAX_GROUPS]
    attributes = [(name, levels) for name, levels in _attributes(parts).items() if 2 <= len(levels) <= MAX_LEVELS]
    if not attributes:
        return ()
    name, levels = max(attributes, key=lambda item: (item[0] == "source", len(item[1])))
    return tuple(Group(name, level, member) for level, member in levels.items())


def _attributes(parts: ReportParts) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return the rows of each level of each attribute that is told by flags; the rest is a level of its own."""
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for number, feature in enumerate(parts.data.features.features):
        column = parts.data.matrix[:, number] == 1.0
        if isinstance(feature, AttributeIs):
            found.setdefault(feature.attribute, {})[feature.level] = column
        elif isinstance(feature, AttributeOther):
            found.setdefault(feature.attribute, {})["~other"] = column
        elif isinstance(feature, AttributeMissing):
            found.setdefault(feature.attribute, {})["~missing"] = column
    for levels in found.values():
        rest = ~np.any(list(levels.values()), axis=0)
        if rest.any() and "~other" not in levels:
            levels["~other"] = rest
    return found


def age_groups(parts: ReportParts) -> tuple[Group, ...]:
    """Return groups by age of the lead; none where all leads are scored at one age."""
    names = parts.data.features.names
    if LeadAge().name not in names:
        return ()
    age = parts.data.matrix[:, names.index(LeadAge().name)]
    number = np.searchsorted(AGES, age, side="right")
    edges = ["0", *(f"{edge:g}" for edge in AGES), ""]
    return tuple(Group("age", f"{low}-{high}", number == place) for place, (low, high) in enumerate(pairwise(edges)))


def month_groups(parts: ReportParts) -> tuple[Group, ...]:
    """Return groups by month of the moment."""
    months = months_of(parts)
    return tuple(Group("month", str(month), months == month) for month in np.unique(months))


def in_group(unseen: Unseen, groups: tuple[Group, ...]) -> Iterator[tuple[Group, NDArray[np.int64]]]:
    """Give each group of at least 30 unseen leads with their places among the unseen rows."""
    for group in groups:
        places = np.flatnonzero(group.member[unseen.rows])
        if len(places) >= MIN_LEADS:
            yield group, places
