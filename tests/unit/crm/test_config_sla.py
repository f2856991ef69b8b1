"""``[sla]``, ``[dispositions]`` and ``[signs]``: what is taken, and what is refused with a word on what to write."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest

from crm.config_sla import DispositionsConfig, HoursConfig, SignConfig, SignsConfig, SlaConfig


def test_nothing_written_is_a_working_week() -> None:
    sla = SlaConfig()
    assert (sla.hours.opens, sla.hours.closes, sla.hours.days[0], sla.hours.days[-1]) == (
        time(9),
        time(18),
        "mon",
        "fri",
    )
    assert sla.terms_of("A") == sla.terms_of("")
    assert (sla.marketing.mqls_per_week, sla.parties) == (None, ())


def test_a_band_has_its_own_terms_and_the_others_of_all() -> None:
    sla = SlaConfig.model_validate({"accept_hours": 5, "band": {"A": {"first_contact_hours": 2}}})
    assert (sla.terms_of("A").first_contact_hours, sla.terms_of("A").accept_hours) == (2, 5)
    assert sla.terms_of("B").first_contact_hours == sla.first_contact_hours


def test_the_end_of_the_day_is_24() -> None:
    hours = HoursConfig.model_validate({"opens": "00:00", "closes": "24:00", "closed_on": ["2026-12-31"]})
    assert hours.closes == time.max
    assert hours.closed_on == (date(2026, 12, 31),)


def test_regions_of_a_country_are_known() -> None:
    assert HoursConfig.model_validate({"country": "DE", "subdivision": "BY"}).subdivision == "BY"


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (HoursConfig, {"opens": "9"}, "'9' is no time of day; expected one such as '09:00'|Input should be"),
        (HoursConfig, {"opens": "nine"}, "'nine' is no time of day; expected one such as '09:00'"),
        (HoursConfig, {"opens": "18:00", "closes": "09:00"}, "closes: does not lie after opens"),
        (HoursConfig, {"opens": "09:00", "closes": "09:00"}, "closes: does not lie after opens"),
        (HoursConfig, {"country": "XX"}, "'XX' has no known holidays; expected an ISO 3166 code"),
        (HoursConfig, {"country": "DE", "subdivision": "TOKYO"}, "subdivision: 'TOKYO' is not known; expected one of"),
        (HoursConfig, {"subdivision": "BY"}, "the country has none, or is not given"),
        (HoursConfig, {"days": []}, "at least 1 item"),
        (HoursConfig, {"days": ["monday"]}, "'mon'"),
        (SlaConfig, {"accept_hours": 0}, "greater than 0"),
        (SlaConfig, {"attempts": 0}, "greater than or equal to 1"),
        (SlaConfig, {"target_share": 90}, "less than or equal to 1"),
        (SlaConfig, {"band": {"E": {}}}, "'A', 'B', 'C' or 'D'"),
        (SlaConfig, {"first_contact_hour": 3}, "first_contact_hour"),
        (DispositionsConfig, {"accepted": ["x"], "rejected": ["x"]}, "'x' is also listed as accepted"),
        (SignConfig, {"watch": 0.5, "misaligned": 0.2}, "misaligned: lies below watch"),
        (SignsConfig, {"late_contact": {"watch": 0.5}}, "misaligned"),
    ],
)
def test_what_cannot_be_meant_is_refused(model: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model.model_validate(given)
