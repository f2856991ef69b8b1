import math

import pytest

from pages.formats import Formats
from pages.words import load_words

YEN, YEN_JA = Formats(load_words("en"), "JPY"), Formats(load_words("ja"), "JPY")
DOLLAR, DOLLAR_JA = Formats(load_words("en"), "USD"), Formats(load_words("ja"), "USD")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "0%"),
        (0.000042, "0.0042%"),
        (0.0042, "0.42%"),
        (0.00999, "1.0%"),
        (0.0996, "10%"),
        (0.5, "50%"),
        (1.0, "100%"),
    ],
)
def test_a_share_keeps_two_digits_however_rare(share: float, expected: str) -> None:
    assert YEN.percent(share) == expected


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_no_number_is_said_in_words(value: float | None) -> None:
    for write in (YEN.number, YEN.percent, YEN.money, YEN.times, YEN.percentage_points, YEN.count):
        assert write(value) == "not available"
    assert YEN_JA.money(value) == "データなし"


def test_money_has_its_currency() -> None:
    assert (YEN.money(54_300), YEN_JA.money(54_300)) == ("¥54,300", "54,300円")
    assert (DOLLAR.money(12.5), DOLLAR.money(60.0), DOLLAR_JA.money(1_234.5)) == (
        "$12.50",
        "$60",
        "1,234ドル",
    )
    assert DOLLAR.money(-0.001) == "$0"
    assert Formats(load_words("en"), "CHF").money(5) == "CHF 5"
    assert Formats(load_words("ja"), "CHF").money(5) == "5 CHF"


def test_charts_write_large_amounts_as_their_readers_do() -> None:
    amounts = (9_999, 50_000, 1_250_000, 123_400_000)
    assert [YEN.compact_money(amount) for amount in amounts] == ["¥9,999", "¥50k", "¥1.25M", "¥123M"]
    assert [YEN_JA.compact_money(amount) for amount in amounts] == ["9,999円", "5万円", "125万円", "1.23億円"]
    assert YEN.compact_money(-50_000) == "−¥50k"


def test_dates_follow_the_language() -> None:
    assert YEN.moment("2026-09-28T09:05:00+09:00") == "28 Sep 2026, 09:05"
    assert YEN_JA.moment("2026-09-28T09:05:00+09:00") == "2026年9月28日 09:05"
    assert (YEN.moment("2026-09-28"), YEN_JA.moment("2026-09-28")) == ("28 Sep 2026", "2026年9月28日")
    assert (YEN.short_date("2026-09-28"), YEN_JA.short_date("2026-09-28")) == ("28 Sep", "9月28日")
    assert (YEN.moment("position 40"), YEN.moment(None)) == ("position 40", "not available")
