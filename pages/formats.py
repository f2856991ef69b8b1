"""Numbers, shares, money and dates as a reader of each language writes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pages.words import Words

__all__ = ["Formats", "Shown"]

_WHOLE_UNITS = frozenset({"JPY", "KRW", "VND", "CLP"})


class Shown(str):
    """A number, or both ends of an interval, as written for a reader, which remembers what was written.

    A table of the page and the CSV file beside it are made from the same cells, so they cannot differ.

    Examples
    --------
    >>> shown = Shown("3.1%", 0.031)
    >>> shown == "3.1%", shown.values
    (True, (0.031,))
    """

    values: tuple[float | None, ...]

    def __new__(cls, text: str, *values: float | None) -> Self:
        """Return the text; numbers that are none become None."""
        shown = super().__new__(cls, text)
        shown.values = tuple(None if v is None or not math.isfinite(v) else float(v) for v in values)
        return shown


@dataclass(frozen=True)
class Formats:
    """How numbers are written on one page.

    Parameters
    ----------
    words
        Texts of the reader's language.
    currency
        ISO 4217 code of the workspace.

    Examples
    --------
    >>> from pages.words import load_words
    >>> formats = Formats(load_words("en"), "JPY")
    >>> formats.money(-1234567.0), formats.compact_money(1234567.0)
    ('−¥1,234,567', '¥1.23M')
    >>> Formats(load_words("ja"), "JPY").compact_money(1234567.0)
    '123万円'
    >>> formats.percent(0.00421), formats.percent(0.031), formats.percent(0.42)
    ('0.42%', '3.1%', '42%')
    >>> formats.number(None)
    'not available'
    """

    words: Words
    currency: str

    def number(self, value: float | None, digits: int = 0) -> str:
        """Return a number with thousands separators; None and NaN are said to be unavailable."""
        if value is None or not math.isfinite(value):
            return Shown(self.words("common.none"), None)
        return Shown(_signed(f"{abs(value):,.{digits}f}", value), value)

    def count(self, value: float | None) -> str:
        """Return a number that is whole, or else with one decimal."""
        whole = value is None or not math.isfinite(value) or math.isclose(value, round(value), abs_tol=0.05)
        return self.number(value, 0 if whole else 1)

    def percent(self, share: float | None) -> str:
        """Return a share in percent with two significant digits, so that rare events keep their size."""
        if share is None or not math.isfinite(share):
            return Shown(self.words("common.none"), None)
        return Shown(self.words("common.percent", n=self.number(100 * share, _digits(abs(100 * share)))), share)

    def round_percent(self, share: float) -> str:
        """Return a round share in percent without final zeros, for ticks and headings."""
        return Shown(self.words("common.percent", n=_trimmed(f"{100 * share:.6f}")), share)

    def percentage_points(self, share: float | None) -> str:
        """Return a difference of shares in percentage points."""
        if share is None or not math.isfinite(share):
            return Shown(self.words("common.none"), None)
        return Shown(self.words("common.percentage_points", n=self.number(100 * share, 2)), share)

    def times(self, value: float | None) -> str:
        """Return a factor with one decimal, as in 3.4×."""
        if value is None or not math.isfinite(value):
            return Shown(self.words("common.none"), None)
        return Shown(self.words("common.times", n=self.number(value, 1 if abs(value) < 99.95 else 0)), value)

    def money(self, amount: float | None) -> str:
        """Return an amount in workspace currency, in full."""
        if amount is None or not math.isfinite(amount):
            return Shown(self.words("common.none"), None)
        has_cents = self.currency not in _WHOLE_UNITS and abs(amount) < 100 and round(amount, 2) != round(amount)
        cents = 2 if has_cents else 0
        return Shown(_signed(self._with_currency(f"{abs(amount):,.{cents}f}"), round(amount, cents)), amount)

    def compact_money(self, amount: float) -> str:
        """Return an amount in workspace currency with three significant digits, for charts."""
        size = abs(amount)
        for power, scale in self._scales():
            if size >= 10**power and size >= float(self.words("number.compact_from")):
                scaled = size / 10**power
                text = f"{scaled:,.{0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2}f}"
                return _signed(self._with_currency(_trimmed(text) + scale), amount)
        return self.money(amount if size >= 100 or size == int(size) else round(amount, 2))

    def interval(self, low: str, high: str) -> str:
        """Return two ends, already written, as an interval."""
        ends = (end.values[0] if isinstance(end, Shown) and end.values else None for end in (low, high))
        return Shown(self.words("common.interval", low=low, high=high), *ends)

    def moment(self, iso: str | None) -> str:
        """Return an ISO 8601 time as a date, with the time of day where it has one; other text stays."""
        if iso is None:
            return self.words("common.none")
        try:
            moment = datetime.fromisoformat(iso)
        except ValueError:
            return iso
        return self.words("date.moment" if len(iso) > 10 else "date.day", **self._date_parts(moment))

    def short_date(self, iso: str) -> str:
        """Return an ISO 8601 date as day and month, for charts."""
        return self.words("date.short", **self._date_parts(datetime.fromisoformat(iso)))

    def _date_parts(self, moment: datetime) -> dict[str, str]:
        month = self.words("date.months").split()[moment.month - 1]
        clock = {"hour": f"{moment:%H}", "minute": f"{moment:%M}"}
        return {"year": str(moment.year), "month": month, "day": str(moment.day), **clock}

    def _scales(self) -> list[tuple[int, str]]:
        powers = self.words("number.powers").split()
        return [(int(power), scale) for power, scale in zip(powers, self.words("number.scales").split(), strict=True)]

    def _with_currency(self, amount: str) -> str:
        key = f"currency.{self.currency}"
        if key in self.words.texts:
            return self.words(key, amount=amount)
        return self.words("currency.other", amount=amount, code=self.currency)


def _signed(text: str, value: float) -> str:
    return f"\u2212{text}" if value < 0 and any(digit in text for digit in "123456789") else text


def _digits(percent: float) -> int:
    if percent >= 9.95 or percent == 0:
        return 0
    if percent >= 0.995:
        return 1
    return min(6, 1 - math.floor(math.log10(percent)))


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
