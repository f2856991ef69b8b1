"""What is known of many leads in memory, each at its own moment: the in-memory twin of ``features.known.KnownTables``.

What several features read is computed when it is first asked for, and kept. One lead is the case n = 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.known import DAY_US, Attribute, KnownLead
from features.known_touches import EVERY_KIND, Cell, Cells, KnownTouches

__all__ = ["KnownLeads", "Texts"]

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]
_LAST = Cells([Cell("recency", 0, EVERY_KIND)], {})


class Texts(NamedTuple):
    """Values of a text attribute, by number.

    Parameters
    ----------
    codes
        Number of each lead's text, shape (n,).
    numbers
        Number by text; a missing text has one too.
    """

    codes: Positions
    numbers: dict[str | None, int]

    def is_text(self, text: str | None) -> Numbers:
        """Return 1 for leads with this very text (None: a missing one) and 0 for others, shape (n,)."""
        number = self.numbers.get(text)
        if number is None:  # so most often, of the many levels of a lead's attributes
            return np.zeros(len(self.codes))
        return (self.codes == number).astype(np.float64)


class KnownLeads:
    """n leads in memory, each at its own moment.

    Parameters
    ----------
    leads
        The leads, at least one; what was not known at a lead's moment is put aside here.
    as_of_us
        Moment of each, microseconds since 1970 UTC, shape (n,).
    kinds
        Number of each kind of touch that is told apart, from 0 on.
    """

    def __init__(self, leads: Sequence[KnownLead], as_of_us: Positions, kinds: Mapping[str, int]) -> None:
        self._leads, self.as_of_us, self.kinds = leads, as_of_us, kinds
        self._attributes: dict[str, list[Attribute]] = {}
        self._texts: dict[str, Texts] = {}
        self._moments: list[int] = as_of_us.tolist()

    @cached_property
    def touches(self) -> KnownTouches:
        """The leads' own touches."""
        return KnownTouches([lead.touches for lead in self._leads], self.as_of_us, self.kinds)

    @cached_property
    def account_touches(self) -> KnownTouches:
        """Touches of the accounts' other leads."""
        return KnownTouches([lead.account_touches for lead in self._leads], self.as_of_us, self.kinds)

    @cached_property
    def age_days(self) -> Numbers:
        """Days since each lead was created, shape (n,)."""
        return (self.as_of_us - np.array([lead.created_us for lead in self._leads], dtype=np.int64)) / DAY_US

    @cached_property
    def account_leads(self) -> Numbers:
        """Number of each account's other leads, shape (n,); NaN where the account is not known."""
        spans = [lead.account_spans for lead in self._leads]
        sizes = [0 if span is None else span[0].size for span in spans]
        at = np.repeat(self.as_of_us, sizes)
        since, until = (np.concatenate([_NONE, *(span[end] for span in spans if span is not None)]) for end in (0, 1))
        owner = np.repeat(np.arange(len(spans)), sizes)[(since <= at) & (at < until)]
        found = np.bincount(owner, minlength=len(spans)).astype(np.float64)
        found[[span is None for span in spans]] = np.nan
        return found

    def stage_age_days(self, stage: Literal["mql", "recycled"]) -> Numbers:
        """Return the days since each lead last entered a stage, shape (n,); NaN if never."""
        entries = [lead.mql if stage == "mql" else lead.recycled for lead in self._leads]
        if not any(part.happened_us.size for part in entries):
            return np.full(len(entries), np.nan)
        return KnownTouches(entries, self.as_of_us).cells(_LAST)[0]

    def attribute(self, name: str) -> list[Attribute]:
        """Return an attribute of each lead as known at its moment, length n."""
        found = self._attributes.get(name)
        if found is None:
            pairs = zip(self._leads, self._moments, strict=True)
            found = self._attributes[name] = [lead.attribute(name, moment) for lead, moment in pairs]
        return found

    def texts(self, name: str) -> Texts:
        """Return an attribute of each lead as text; yes and no as ``true`` and ``false``."""
        found = self._texts.get(name)
        if found is None:
            numbers: dict[str | None, int] = {}
            codes = [numbers.setdefault(_text(value), len(numbers)) for value in self.attribute(name)]
            found = self._texts[name] = Texts(np.array(codes, dtype=np.int64), numbers)
        return found


_NONE: Positions = np.array([], dtype=np.int64)


def _text(value: Attribute) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
