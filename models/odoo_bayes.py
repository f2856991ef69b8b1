"""The lead scoring rule of Odoo 18, a named peer: naive Bayes over categories, written anew from its description.

No numbers, no decay in time; correlated fields count twice, so it is over-confident. It is here to be compared with.
The rule in full: counts of won and lost leads by (team, field, value), 0.1 added to both once a value has been seen;
a score is the prior of the first stage times one ratio a field, in percent, two decimals, inside 0.01 to 99.99.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["Categories", "Field", "OdooBayes", "encode", "fit_odoo_bayes"]

Matrix = NDArray[np.float64]
Codes = NDArray[np.int64]
UNSET = -1
SMOOTHING = 0.1
TAG_LEADS = 50
LOWEST, HIGHEST = 0.01, 99.99
WON = 100.0


@dataclass(frozen=True)
class Field:
    """One column of categories.

    Parameters
    ----------
    name
        Of the field. Columns of one name are one field that may take several values at once, as tags are.
    levels
        How many values the column knows; its codes are 0 to ``levels - 1``.
    is_tag
        A value that fewer than 50 closed leads of a team had is ignored there.
    """

    name: str
    levels: int
    is_tag: bool = False


@dataclass(frozen=True)
class Categories:
    """Leads as codes; -1 stands for unset, or for a value that the fit had not seen.

    Parameters
    ----------
    values
        Code of each lead in each column, shape (n, n_fields).
    team
        Number of the sales team, shape (n,).
    stage
        Position of the stage in the pipeline, 0 the first, shape (n,).
    """

    values: Codes
    team: Codes
    stage: Codes

    @classmethod
    def in_first_stage(cls, values: Codes) -> Categories:
        """Return leads that no team has and that are all in the first stage, as before a hand-off."""
        return cls(values, np.full(len(values), UNSET), np.zeros(len(values), dtype=np.int64))


@dataclass(frozen=True)
class _Counts:
    """Won and lost by value of one table, smoothed; 0 where the table has no such value.

    ``stages`` has the shape (n_stages, 2), ``fields`` one (levels, 2) a column.
    """

    stages: Matrix
    fields: tuple[Matrix, ...]

    @property
    def is_empty(self) -> bool:
        """No closed lead was counted here."""
        return not self.stages.any() and not any(field.any() for field in self.fields)


@dataclass(frozen=True)
class OdooBayes:
    """Fitted frequencies.

    Parameters
    ----------
    fields
        The columns.
    won_stages
        Positions of the stages that mean won.
    teams
        Frequencies by team number.
    pool
        Those of all teams and of the leads without one, added up, each with its own smoothing. It scores leads whose
        team has no closed lead, or that have no team.
    """

    fields: tuple[Field, ...]
    won_stages: frozenset[int]
    teams: Mapping[int, _Counts]
    pool: _Counts

    def percent(self, leads: Categories) -> Matrix:
        """Return the probability to win in percent, shape (n,), for leads that are not lost.

        100 in a won stage, 0 without a stage, NaN where the first stage has no counts. The product over the fields is
        formed as a sum of logarithms, so that a hundred fields do not underflow.
        """
        found = np.full(len(leads.team), np.nan)
        for team in np.unique(leads.team):
            counts = self.teams.get(int(team), self.pool)
            rows = np.flatnonzero(leads.team == team)
            found[rows] = self._percent_of_table(counts, leads.values[rows], leads.stage[rows])
        found[leads.stage == UNSET] = 0.0
        found[np.isin(leads.stage, list(self.won_stages))] = WON
        return found

    def _percent_of_table(self, counts: _Counts, values: Codes, stage: Codes) -> Matrix:
        won_first, lost_first = counts.stages[0] if len(counts.stages) else (0.0, 0.0)
        if won_first == 0 or lost_first == 0:
            return np.full(len(stage), np.nan)
        odds = np.full(len(stage), np.log(won_first) - np.log(lost_first))
        odds += _ratios(counts.stages, counts.stages[0])[stage]
        totals: dict[str, Matrix] = {}
        for field, table in zip(self.fields, counts.fields, strict=True):
            totals[field.name] = totals.get(field.name, np.zeros(2)) + table.sum(axis=0)
        for number, (field, table) in enumerate(zip(self.fields, counts.fields, strict=True)):
            if table.any():
                odds += _ratios(table, totals[field.name])[values[:, number]]
        return np.clip(np.round(100.0 * expit(odds), 2), LOWEST, HIGHEST)


def _ratios(table: Matrix, totals: Matrix) -> Matrix:
    """Return the log of (won / all won) / (lost / all lost) by code; 0 for values not counted, and last for unset."""
    found = np.zeros(len(table) + 1)
    seen = np.flatnonzero(table[:, 0] > 0)
    won, lost = table[seen].T
    found[seen] = np.log(won / totals[0]) - np.log(lost / totals[1])
    return found


def fit_odoo_bayes(
    leads: Categories, won: NDArray[np.bool_], fields: Sequence[Field], *, stages: int, won_stages: Iterable[int]
) -> OdooBayes:
    """Count closed leads.

    Parameters
    ----------
    leads
        Closed leads.
    won
        Which of them were won, the others lost, shape (n,). A won lead counts in every stage, a lost one in the stage
        where it was lost and in those before.
    fields
        The columns of ``leads.values``.
    stages
        How many stages the pipeline has.
    won_stages
        Positions of those that mean won.

    Examples
    --------
    >>> leads = Categories.in_first_stage(np.array([[0], [0], [1], [1]]))
    >>> won = np.array([True, False, False, False])
    >>> model = fit_odoo_bayes(leads, won, [Field("source", 2)], stages=1, won_stages=())
    >>> model.percent(Categories.in_first_stage(np.array([[0], [1], [-1]]))).round(1).tolist()
    [48.6, 4.3, 26.2]
    """
    reached = np.where(won, stages - 1, leads.stage)
    by_team = {
        int(team): _count(leads.values, reached, won, leads.team == team, (tuple(fields), stages))
        for team in np.unique(leads.team)
    }
    pool = _Counts(
        np.sum([counts.stages for counts in by_team.values()], axis=0) if by_team else np.zeros((stages, 2)),
        tuple(
            np.sum([counts.fields[number] for counts in by_team.values()], axis=0)
            if by_team
            else np.zeros((field.levels, 2))
            for number, field in enumerate(fields)
        ),
    )
    teams = {team: counts for team, counts in by_team.items() if team != UNSET and not counts.is_empty}
    return OdooBayes(tuple(fields), frozenset(won_stages), teams, pool)


def _count(
    values: Codes,
    reached: Codes,
    won: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    shape: tuple[tuple[Field, ...], int],
) -> _Counts:
    fields, stages = shape
    parts = [chosen & won, chosen & ~won]
    # Whoever reached a stage passed those before it.
    ends = [np.bincount(reached[part & (reached != UNSET)], minlength=stages) for part in parts]
    passed = np.stack([np.cumsum(end[::-1])[::-1] for end in ends], axis=1).astype(np.float64)
    tables: list[Matrix] = []
    for number, field in enumerate(fields):
        column = values[:, number]
        table = np.stack(
            [np.bincount(column[part & (column != UNSET)], minlength=field.levels) for part in parts], axis=1
        ).astype(np.float64)
        tables.append(_smoothed(table, TAG_LEADS if field.is_tag else 0))
    return _Counts(_smoothed(passed, 0), tuple(tables))


def _smoothed(table: Matrix, fewest: int) -> Matrix:
    """Add 0.1 to both counts of what was seen; forget what too few leads had."""
    seen = table.sum(axis=1) > 0
    found = np.where(seen[:, None], table + SMOOTHING, 0.0)
    return np.where((found.sum(axis=1) < fewest)[:, None], 0.0, found)


def encode(column: Sequence[Hashable | None], levels: Sequence[Hashable]) -> Codes:
    """Turn values into codes, shape (n,): their position among ``levels``, -1 for None and for any other value.

    Odoo drops unset values, except of the states of e-mail and phone: there, name being unset as a level of its own.

    Examples
    --------
    >>> encode(["web", None, "fair", "web"], ["web", "mail"]).tolist()
    [0, -1, -1, 0]
    """
    position = {level: number for number, level in enumerate(levels)}
    return np.array([UNSET if value is None else position.get(value, UNSET) for value in column], dtype=np.int64)
