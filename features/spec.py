"""The list of features of one model, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crm.errors import BundleError
from features.feature import FRESHNESS, Feature, Language
from features.known import KnownLead
from features.known_leads import KnownLeads
from features.known_touches import Cell, Cells
from features.lead_features import (
    AccountLeads,
    AttributeIs,
    AttributeMissing,
    AttributeNumber,
    AttributeOther,
    LeadAge,
    StageAge,
)
from features.phrases import Phrases
from features.touch_features import ActiveDaysIn, CountIn, DistinctIn, Scope, SessionsIn, TouchFeature, ValueIn
from features.touch_times import DecayedSum, Recency, Velocity

__all__ = ["SPEC_VERSION", "FeatureSet", "feature_from_json"]

SPEC_VERSION = 1
"""Raised whenever any feature's meaning changes, so that no old model is fed new numbers."""

_KINDS_OF_FEATURE: Mapping[str, type[Feature]] = {
    cls.__name__: cls
    for cls in (
        AccountLeads,
        ActiveDaysIn,
        AttributeIs,
        AttributeMissing,
        AttributeNumber,
        AttributeOther,
        CountIn,
        DecayedSum,
        DistinctIn,
        LeadAge,
        Recency,
        SessionsIn,
        StageAge,
        ValueIn,
        Velocity,
    )
}


class _Plan(NamedTuple):
    """What the features of one scope ask of touches.

    Parameters
    ----------
    scope
        Whose touches.
    cells
        The cells of its features.
    numbers, first
        Features that are one cell each, and their cells.
    composed
        Features of several cells: number, feature and cells.
    """

    scope: Scope
    cells: Cells
    numbers: NDArray[np.int64]
    first: NDArray[np.int64]
    composed: list[tuple[int, TouchFeature, slice]]


def _plan(scope: Scope, features: Sequence[Feature], kinds: Mapping[str, int]) -> _Plan:
    cells: list[Cell] = []
    plain: list[tuple[int, int]] = []
    composed: list[tuple[int, TouchFeature, slice]] = []
    for number, feature in enumerate(features):
        if not isinstance(feature, TouchFeature) or feature.scope != scope or not feature.cells:
            continue
        if len(feature.cells) == 1:
            plain.append((number, len(cells)))
        else:
            composed.append((number, feature, slice(len(cells), len(cells) + len(feature.cells))))
        cells += feature.cells
    numbers, first = np.array(plain, dtype=np.int64).reshape(-1, 2).T
    return _Plan(scope, Cells(cells, kinds), numbers, first, composed)


@dataclass(frozen=True)
class FeatureSet:
    """The features of one model, in order.

    Examples
    --------
    >>> features = FeatureSet((LeadAge(), CountIn("visit", ("visit",), window_days=7)))
    >>> features.names
    ('lead_age_days', 'visit_count_7d')
    >>> FeatureSet.from_json(features.to_json()) == features
    True
    """

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.features]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"Two features are called {double[0]!r}; names must tell them apart.")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def signals(self) -> tuple[str, ...]:
        """What the features tell about, each once, in order of first mention."""
        return tuple(dict.fromkeys(feature.signal for feature in self.features))

    @cached_property
    def signal_of(self) -> NDArray[np.int64]:
        """Position in :attr:`signals` of each feature's signal, shape (n_features,)."""
        position = {signal: number for number, signal in enumerate(self.signals)}
        return np.array([position[feature.signal] for feature in self.features], dtype=np.int64)

    @cached_property
    def by_signal(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of the features signal by signal, and where in them each signal begins."""
        order = np.argsort(self.signal_of, kind="stable")
        return order, np.searchsorted(self.signal_of[order], np.arange(len(self.signals)))

    @cached_property
    def is_fit(self) -> NDArray[np.bool_]:
        """Features that speak of who the lead is, shape (n_features,)."""
        return np.array([feature.group == "fit" for feature in self.features], dtype=bool)

    @cached_property
    def fit_engagement_freshness(self) -> tuple[NDArray[np.int64], ...]:
        """Numbers of the features of either group without freshness, and of those of freshness."""
        is_fresh = np.array([feature.signal == FRESHNESS for feature in self.features], dtype=bool)
        groups = (self.is_fit & ~is_fresh, ~self.is_fit & ~is_fresh, is_fresh)
        return tuple(np.flatnonzero(group) for group in groups)

    def speak(self, matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which values have words, shape of ``matrix``, (n, n_features)."""
        return np.where(self._is_flag, matrix == 1.0, self._is_never_silent | ~np.isnan(matrix))

    def as_said(self, values: NDArray[np.float64], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Round what words round: ages from a day on to whole days, so that their words are made once and kept.

        Parameters
        ----------
        values
            Values of features, any shape.
        numbers
            Of which feature each is, same shape.
        """
        return np.where(self._is_days[numbers] & (values >= 1), np.rint(values), values)

    @cached_property
    def _is_days(self) -> NDArray[np.bool_]:
        return np.array([feature.shape == "days" for feature in self.features], dtype=bool)

    @cached_property
    def _is_flag(self) -> NDArray[np.bool_]:
        return np.array([feature.silent == "off" for feature in self.features], dtype=bool)

    @cached_property
    def _is_never_silent(self) -> NDArray[np.bool_]:
        return np.array([feature.silent == "never" for feature in self.features], dtype=bool)

    @cached_property
    def phrases(self) -> Mapping[Language, Phrases]:
        """Words of the features by value, in each language."""
        return {"en": Phrases(self.features, "en"), "ja": Phrases(self.features, "ja")}

    @cached_property
    def attributes(self) -> frozenset[str]:
        """Names of the attributes that any feature reads."""
        return frozenset(str(getattr(f, "attribute", "")) for f in self.features) - {""}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the version of the spec and every feature, as hex."""
        text = json.dumps([SPEC_VERSION, self.to_json()], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def rows(self, leads: Sequence[KnownLead], as_of_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute the features of leads in memory, shape (n, n_features).

        Parameters
        ----------
        leads
            The leads; what was not known at a lead's moment is put aside here.
        as_of_us
            Moment of each, microseconds since 1970 UTC, shape (n,).
        """
        found = np.empty((len(self.features), len(leads)))
        if leads:
            known = KnownLeads(leads, as_of_us, self._kinds)
            for plan in self._plans:
                cells = (known.touches if plan.scope == "own" else known.account_touches).cells(plan.cells)
                found[plan.numbers] = cells[plan.first]
                for number, feature, part in plan.composed:
                    found[number] = feature.from_cells(cells[part])
            for number, feature in self._unplanned:
                found[number] = feature.values(known)
        return np.ascontiguousarray(found.T)

    @cached_property
    def _kinds(self) -> Mapping[str, int]:
        """Number each kind of touch that a feature tells apart."""
        pools = [feature.pool for feature in self.features if isinstance(feature, TouchFeature)]
        return {kind: number for number, kind in enumerate(dict.fromkeys(kind for p in pools for kind in p.kinds))}

    @cached_property
    def _plans(self) -> list[_Plan]:
        """Lay out what is asked of own and of account touches: what many features read is computed at once."""
        return [_plan(scope, self.features, self._kinds) for scope in self._scopes]

    @cached_property
    def _scopes(self) -> list[Scope]:
        return sorted({f.scope for f in self.features if isinstance(f, TouchFeature) and f.cells})

    @cached_property
    def _unplanned(self) -> list[tuple[int, Feature]]:
        numbered = enumerate(self.features)
        return [(number, f) for number, f in numbered if not (isinstance(f, TouchFeature) and f.cells)]

    def row(self, lead: KnownLead, as_of_us: int) -> NDArray[np.float64]:
        """Compute the features of one lead, shape (n_features,), as :meth:`rows` does."""
        return self.rows((lead,), np.array([as_of_us], dtype=np.int64))[0]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the list as plain JSON."""
        return [feature.to_json() for feature in self.features]

    @classmethod
    def from_json(cls, items: Sequence[Mapping[str, Any]]) -> FeatureSet:
        """Read what :meth:`to_json` wrote; ``BundleError`` for a kind of feature that this version does not have."""
        return cls(tuple(feature_from_json(item) for item in items))


def feature_from_json(item: Mapping[str, Any]) -> Feature:
    """Read one feature from JSON."""
    kind = _KINDS_OF_FEATURE.get(str(item.get("feature")))
    if kind is None:
        raise BundleError(
            found=f"a feature of kind {item.get('feature')!r}",
            expected=f"one of {', '.join(sorted(_KINDS_OF_FEATURE))}",
            fix="score with the version of kizashi that trained this model, or train again",
        )
    fields = {
        key: tuple(value) if isinstance(value, list) else value for key, value in item.items() if key != "feature"
    }
    return kind(**fields)
