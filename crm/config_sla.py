"""``[sla]``, ``[dispositions]`` and ``[signs]``: what marketing and sales owe each other, and when to worry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from crm.config_values import Real, RuleName, Section, Whole, Zone

__all__ = [
    "DispositionsConfig",
    "HoursConfig",
    "Owed",
    "SignConfig",
    "SignsConfig",
    "SlaConfig",
    "Terms",
]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Hours = Annotated[Real, Field(gt=0, le=24 * 365)]
Share = Annotated[Real, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=80)]


def _to_clock(value: object) -> object:
    """Read 09:00, and 24:00 as the end of the day."""
    if value == "24:00":
        return time.max
    if isinstance(value, str):
        try:
            return time.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value!r} is no time of day; expected one such as '09:00'") from None
    return value


def _check_country(code: str) -> str:
    import holidays  # takes a while to load; files without a country do not need it

    if code not in holidays.list_supported_countries():
        raise ValueError(
            f"{code!r} has no known holidays; expected an ISO 3166 code such as 'JP', or closed_on instead"
        )
    return code


Clock = Annotated[time, BeforeValidator(_to_clock)]
Country = Annotated[str, AfterValidator(_check_country)]


class HoursConfig(Section):
    """When people are at work: ``[sla.hours]``, and ``[sla.hours_of_team.NAME]`` for a team with hours of its own.

    Attributes
    ----------
    timezone
        Zone of these hours; the workspace's unless given.
    days
        Days of the week.
    opens
        Time of day at which they begin, ``09:00``.
    closes
        Time of day at which they end, ``18:00``; ``24:00`` is the end of the day.
    country
        ISO 3166 code: its public holidays are no working days.
    subdivision
        State or region of it, where holidays differ.
    closed_on
        Further days off, as dates.
    """

    timezone: Zone | None = None
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = ("mon", "tue", "wed", "thu", "fri")
    opens: Clock = time(9)
    closes: Clock = time(18)
    country: Country | None = None
    subdivision: str | None = None
    closed_on: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _known_subdivision(self) -> Self:
        if self.subdivision is not None:
            import holidays  # as above

            known = holidays.list_supported_countries().get(self.country or "", [])
            if self.subdivision not in known:
                choices = f"expected one of {', '.join(known)}" if known else "the country has none, or is not given"
                raise ValueError(f"subdivision: {self.subdivision!r} is not known; {choices}")
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.opens >= self.closes:
            raise ValueError("closes: does not lie after opens; hours past midnight are two teams'")
        return self


class Terms(Section):
    """What sales owes a hand-off: ``[sla]`` itself for all, ``[sla.band.A]`` (to D) for a grade of its own.

    Attributes
    ----------
    accept_hours
        Business hours until it is accepted or given back.
    first_contact_hours
        Business hours until the first contact.
    attempts
        Contacts that are tried before it is given up.
    attempts_hours
        Business hours in which they are.
    disposition_hours
        Business hours until what became of it is written down.
    """

    accept_hours: Hours = 9.0
    first_contact_hours: Hours = 18.0
    attempts: Annotated[Whole, Field(ge=1, le=50)] = 3
    attempts_hours: Hours = 90.0
    disposition_hours: Hours = 180.0


class TermsOfBand(Section):
    """``[sla.band.A]``: the terms that differ for hand-offs of a grade, A to D; the others are those of ``[sla]``.

    Attributes
    ----------
    accept_hours, first_contact_hours, attempts, attempts_hours, disposition_hours
        As in ``[sla]``.
    """

    accept_hours: Hours | None = None
    first_contact_hours: Hours | None = None
    attempts: Annotated[Whole, Field(ge=1, le=50)] | None = None
    attempts_hours: Hours | None = None
    disposition_hours: Hours | None = None


class Owed(Section):
    """``[sla.marketing]``: what marketing hands over a week, as a mean over the weeks of a quarter.

    Attributes
    ----------
    mqls_per_week
        MQLs.
    value_per_week
        Their expected value by the newest score before each, workspace currency.
    above_line_share
        Share of them above the MQL line.
    """

    mqls_per_week: Annotated[Real, Field(gt=0)] | None = None
    value_per_week: Annotated[Real, Field(gt=0)] | None = None
    above_line_share: Share | None = None


class SlaConfig(Terms):
    """``[sla]``: the agreement of marketing and sales on hand-off and follow-up.

    Attributes
    ----------
    parties
        Who signs, a name and a team each.
    effective_on
        From when on it holds; hand-offs before that day are measured by it, and are no breaches.
    segments
        Hand-offs of these segments alone; all where none is named.
    target_share
        Share of hand-offs that meet each term.
    contact_kinds
        Kinds of touches by sales that are a contact; any touch by sales where none is named.
    hours
        When sales is at work.
    hours_of_team
        Teams whose hours differ.
    band
        Grades whose terms differ.
    marketing
        What marketing owes.
    """

    parties: tuple[Name, ...] = ()
    effective_on: date | None = None
    segments: tuple[RuleName, ...] = ()
    target_share: Share = 0.9
    contact_kinds: tuple[Name, ...] = ()
    hours: HoursConfig = HoursConfig()
    hours_of_team: Mapping[Name, HoursConfig] = Field(default_factory=dict)
    band: Mapping[Literal["A", "B", "C", "D"], TermsOfBand] = Field(default_factory=dict)
    marketing: Owed = Owed()

    def terms_of(self, band: str) -> Terms:
        """Return the terms of a grade."""
        own = self.band.get(band)  # pyright: ignore[reportArgumentType] - any text may be asked for
        given = {} if own is None else own.model_dump(exclude_none=True)
        return Terms(**{**{name: getattr(self, name) for name in Terms.model_fields}, **given})


class DispositionsConfig(Section):
    """``[dispositions]``: what sales may write down of a hand-off, and why.

    Attributes
    ----------
    accepted
        Dispositions that keep it: sales goes on, or it became an SQL.
    rejected
        Dispositions that give it back or end it.
    reasons
        Reasons of a rejection; any where none is listed.
    """

    accepted: tuple[Name, ...] = ("accepted", "qualified", "working", "meeting_booked", "sql")
    rejected: tuple[Name, ...] = ("rejected", "disqualified", "recycled", "unreachable", "duplicate", "nurture")
    reasons: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if both := set(self.accepted) & set(self.rejected):
            raise ValueError(f"rejected: {min(both)!r} is also listed as accepted; a disposition is one or the other")
        return self


class SignConfig(Section):
    """Above which measure a sign is to be watched, and above which the teams are misaligned.

    Attributes
    ----------
    watch, misaligned
        Shares, as the definition of each measure says.
    """

    watch: Share
    misaligned: Share

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.watch > self.misaligned:
            raise ValueError("misaligned: lies below watch")
        return self


def _levels(watch: float, misaligned: float) -> SignConfig:
    return SignConfig(watch=watch, misaligned=misaligned)


class SignsConfig(Section):
    """``[signs]``: the levels of each measure behind the three signs; each a table of ``watch`` and ``misaligned``.

    Attributes
    ----------
    conversion_fall
        Fall of MQL to SQL, or to won, of mature cohorts while MQLs rise, as a share of what it was.
    volume_rise
        Rise of MQLs from which on a fall of their conversion counts, as a share.
    below_line
        Share of MQLs below the MQL line.
    count_targets
        Share of marketing's expectations that speak of MQLs alone.
    unused_content
        Share of marketing's items, out for at least the won horizon, that no won deal has used.
    sales_content
        Share of the uses after a hand-off that are of items made by sales.
    duplicate_topics
        Share of the items made by sales whose topic and stage marketing has an item for.
    no_disposition
        Share of hand-offs, due for one, without a disposition or outcome.
    late_contact
        Share of hand-offs without a first contact in time.
    diverging_expectations
        Share of campaigns for which a team registered nothing, or the two differ by more than a factor of two.
    differing_fields
        Share of the fields filled by both teams in which they disagree.
    """

    conversion_fall: SignConfig = _levels(0.05, 0.15)
    volume_rise: Share = 0.05
    below_line: SignConfig = _levels(0.25, 0.5)
    count_targets: SignConfig = _levels(0.25, 0.5)
    unused_content: SignConfig = _levels(0.3, 0.5)
    sales_content: SignConfig = _levels(0.4, 0.6)
    duplicate_topics: SignConfig = _levels(0.3, 0.6)
    no_disposition: SignConfig = _levels(0.1, 0.3)
    late_contact: SignConfig = _levels(0.1, 0.3)
    diverging_expectations: SignConfig = _levels(0.2, 0.5)
    differing_fields: SignConfig = _levels(0.1, 0.25)
