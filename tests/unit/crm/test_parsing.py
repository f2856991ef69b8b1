"""How raw values become times, numbers, yes or no: dates, zones, daylight saving, text of every kind."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.errors import TableError
from tests.histories import START, raw_tables_of

TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = "America/New_York"
MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)


def parsed(
    table: str,
    column: str,
    values: list[Any] | pa.Array,
    kind: pa.DataType | None = None,
    zone: str = "UTC",
    **others: list[Any],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Take one column in, in a table whose other columns are good; return its clean rows and the reasons."""
    count = len(values)
    good: dict[str, list[Any]] = {
        "leads": {"lead_id": [f"L{n}" for n in range(count)], "created_at": [START] * count},
        "touches": {"lead_id": ["L0"] * count, "happened_at": [START] * count, "kind": ["visit"] * count},
        "stages": {"lead_id": ["L0"] * count, "stage": ["mql"] * count, "entered_at": [START] * count},
        "opportunities": {"opportunity_id": [f"o{n}" for n in range(count)], "lead_id": ["L0"] * count,
                          "created_at": [START] * count, "currency": ["USD"] * count},
        "campaigns": {"campaign_id": [f"c{n}" for n in range(count)]},
        "lead_changes": {"lead_id": ["L0"] * count, "field": [f"f{n}" for n in range(count)],
                         "recorded_at": [START] * count},
    }[table]  # fmt: skip
    columns = {**good, **others, column: values if isinstance(values, pa.Array) else pa.array(values, kind)}
    leads = pa.table({"lead_id": ["L0"], "created_at": [START]})
    raw = {"leads": leads, table: pa.table(columns)}
    with raw_tables_of(raw, source={"timezone": zone}) as tables:
        rows = tables.table(table).to_pyarrow().to_pylist()
        return rows, tables.quarantine().column("reason").to_pylist()


def moment_of(table: str, column: str, value: Any, kind: pa.DataType | None = None, zone: str = "UTC") -> datetime:
    rows, reasons = parsed(table, column, [value], kind, zone)
    assert not reasons
    return rows[0][column].astimezone(UTC)


class TestDates:
    day = date(2024, 3, 5)

    @pytest.mark.parametrize("value", [date(2024, 3, 5), "2024-03-05", "2024/3/5", " 2024-03-05\u3000"])
    def test_a_cause_stands_at_midnight_and_is_recorded_the_next(self, value: object) -> None:
        rows, _ = parsed("touches", "happened_at", [value])
        assert rows[0]["happened_at"] == MIDNIGHT
        assert rows[0]["recorded_at"] == MIDNIGHT + timedelta(days=1)

    @pytest.mark.parametrize("value", [date(2024, 3, 5), "2024-03-05"])
    def test_an_outcome_stands_at_the_next_midnight_and_is_recorded_then(self, value: object) -> None:
        rows, _ = parsed("stages", "entered_at", [value])
        assert rows[0]["entered_at"] == rows[0]["recorded_at"] == MIDNIGHT + timedelta(days=1)

    def test_a_recording_day_is_over_before_it_counts(self) -> None:
        assert moment_of("touches", "recorded_at", self.day) == MIDNIGHT + timedelta(days=1)
        assert moment_of("lead_changes", "recorded_at", "2024-03-05") == MIDNIGHT + timedelta(days=1)

    def test_midnight_is_that_of_the_source(self) -> None:
        assert moment_of("touches", "happened_at", self.day, zone="Asia/Tokyo") == datetime(2024, 3, 4, 15, tzinfo=UTC)
        assert moment_of("stages", "entered_at", self.day, zone="Asia/Tokyo") == datetime(2024, 3, 5, 15, tzinfo=UTC)

    def test_the_next_midnight_is_23_hours_away_when_clocks_go_forward(self) -> None:
        rows, _ = parsed("touches", "happened_at", [date(2024, 3, 10)], zone=NEW_YORK)
        assert rows[0]["recorded_at"] - rows[0]["happened_at"] == timedelta(hours=23)

    def test_a_midnight_that_the_clocks_skip_is_the_first_moment_of_its_day(self) -> None:
        zone = "America/Santiago"  # 2024-09-08 begins at 01:00 there
        assert moment_of("touches", "happened_at", date(2024, 9, 8), zone=zone) == datetime(2024, 9, 8, 4, tzinfo=UTC)

    def test_one_column_may_mix_days_and_times(self) -> None:
        rows, _ = parsed("stages", "entered_at", ["2024-03-05", "2024-03-05 10:00"])
        assert sorted(row["entered_at"] for row in rows) == [
            MIDNIGHT + timedelta(hours=10),
            MIDNIGHT + timedelta(days=1),
        ]

    @pytest.mark.parametrize("value", ["2024-02-30", "2024-13-01", "05.03.2024", "03/05/2024", "2024年3月5日"])
    def test_what_is_no_day_is_quarantined_with_what_it_said(self, value: str) -> None:
        _, reasons = parsed("touches", "happened_at", [value, "2024-03-05"])
        assert reasons == [f"happened_at is no time: {value}"]

    def test_a_day_beyond_any_calendar_is_quarantined(self) -> None:
        days = pa.array([2**31 - 3, 19_000], pa.int32()).cast(pa.date32())
        _, reasons = parsed("touches", "happened_at", days)
        assert len(reasons) == 1
        assert reasons[0].startswith("happened_at is no time: ")


class TestTimes:
    @pytest.mark.parametrize(
        "value",
        [
            "2024-03-05T10:00:00Z",
            "2024-03-05 10:00:00+00:00",
            "2024-03-05T19:00:00+09:00",
            "2024/3/5 10:00:00 UTC",
            datetime(2024, 3, 5, 19, tzinfo=TOKYO),
            datetime(2024, 3, 5, 5, tzinfo=timezone(timedelta(hours=-5))),
        ],
    )
    def test_a_zone_in_the_value_rules(self, value: object) -> None:
        assert moment_of("touches", "happened_at", value, zone=NEW_YORK) == datetime(2024, 3, 5, 10, tzinfo=UTC)

    @pytest.mark.parametrize("value", ["2024-03-05T10:00:00", "2024-03-05 10:00", datetime(2024, 3, 5, 10)])  # noqa: DTZ001
    def test_without_one_it_is_the_source_that_rules(self, value: object) -> None:
        assert moment_of("touches", "happened_at", value, zone="Asia/Tokyo") == datetime(2024, 3, 5, 1, tzinfo=UTC)

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_every_unit_of_arrow_is_read(self, unit: str) -> None:
        value = datetime(2024, 3, 5, 10)  # noqa: DTZ001
        assert moment_of("touches", "happened_at", value, pa.timestamp(unit)) == datetime(2024, 3, 5, 10, tzinfo=UTC)

    def test_an_hour_that_the_clocks_skip_comes_after_the_gap(self) -> None:
        value = "2024-03-10 02:30:00"
        assert moment_of("touches", "happened_at", value, zone=NEW_YORK) == datetime(2024, 3, 10, 7, 30, tzinfo=UTC)

    def test_an_hour_that_comes_twice_is_the_later_one(self) -> None:
        value = "2024-11-03 01:30:00"
        assert moment_of("touches", "happened_at", value, zone=NEW_YORK) == datetime(2024, 11, 3, 6, 30, tzinfo=UTC)

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(
        st.lists(st.datetimes(datetime(1971, 1, 1), datetime(2025, 1, 1)), min_size=5, max_size=40),  # noqa: DTZ001
        st.sampled_from(("Asia/Tokyo", "UTC", "Asia/Kathmandu", NEW_YORK)),
        st.booleans(),
    )
    def test_local_times_mean_what_python_says(self, values: list[datetime], zone: str, is_text: bool) -> None:
        raw = [value.isoformat(" ") for value in values] if is_text else values
        rows, _ = parsed("leads", "created_at", raw, zone=zone)
        for value, row in zip(values, rows, strict=True):
            local = value.replace(tzinfo=ZoneInfo(zone))
            exists = local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == value
            if exists and local.utcoffset() == local.replace(fold=1).utcoffset():
                assert row["created_at"] == local

    @pytest.mark.parametrize("value", ["now", "today", "epoch", "infinity", "-infinity", "1709632800", "soon", "10:00"])
    def test_words_and_bare_numbers_are_no_times(self, value: str) -> None:
        _, reasons = parsed("touches", "happened_at", [value])
        assert reasons == [f"happened_at is no time: {value}"]

    def test_a_column_of_numbers_is_refused_as_a_whole(self) -> None:
        with pytest.raises(TableError, match=r"as a number \(BIGINT\).*to_timestamp\(happened_at\) AS happened_at"):
            parsed("touches", "happened_at", [1709632800])

    @pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.timestamp("us"), pa.date32()])
    def test_a_missing_required_time_is_quarantined(self, kind: pa.DataType) -> None:
        assert parsed("touches", "happened_at", [None], kind)[1] == ["happened_at is missing"]

    def test_microseconds_since_1970_stand_beside_each_time(self) -> None:
        rows, _ = parsed("touches", "happened_at", ["1970-01-01T00:00:01.000002Z"])
        assert rows[0]["happened_us"] == rows[0]["recorded_us"] == 1_000_002


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "number"), [("12.5", 12.5), (" 7 ", 7.0), ("1e3", 1000.0), (3, 3.0), (True, 1.0), ("", None)]
    )
    def test_numbers_come_as_text_or_not(self, value: object, number: float | None) -> None:
        rows, reasons = parsed("touches", "value", [value])
        assert (rows[0]["value"], reasons) == (number, [])

    @pytest.mark.parametrize("value", [float("nan"), "nan", "NaN", None])
    def test_nan_is_missing(self, value: object) -> None:
        rows, reasons = parsed("touches", "value", [value], pa.string() if isinstance(value, str) else pa.float64())
        assert (rows[0]["value"], reasons) == (None, [])

    @pytest.mark.parametrize("value", [float("inf"), "-inf", "1,234", "12 €", "three"])
    def test_what_is_no_number_is_quarantined(self, value: object) -> None:
        _, reasons = parsed("touches", "value", [value])
        assert reasons == [f"value is no number: {value}"]

    @pytest.mark.parametrize("value", [date(2024, 1, 1), [1.0], {"a": 1}])
    def test_a_column_of_another_kind_is_quarantined(self, value: object) -> None:
        _, reasons = parsed("touches", "value", [value])
        assert reasons[0].startswith("value is no number: ")


class TestBooleansAndDates:
    @pytest.mark.parametrize(("value", "answer"), [("yes", True), ("F", False), (1, True), (False, False), ("", None)])
    def test_yes_or_no(self, value: object, answer: bool | None) -> None:
        rows, reasons = parsed("opportunities", "is_won", [value], closed_at=[START])
        assert (rows[-1]["is_won"], reasons) == (answer, [])

    def test_perhaps_is_quarantined(self) -> None:
        assert parsed("opportunities", "is_won", ["perhaps"])[1] == ["is_won is no yes or no: perhaps"]

    def test_days_of_campaigns(self) -> None:
        rows, _ = parsed("campaigns", "starts_on", ["2024-03-05"])
        assert rows[0]["starts_on"] == date(2024, 3, 5)
        assert parsed("campaigns", "starts_on", ["spring"])[1] == ["starts_on is no date: spring"]


class TestText:
    @pytest.mark.parametrize("blank", [" ", "\t", "\n", "\u3000", "\u00a0", ""])
    def test_blanks_around_are_cut_and_blanks_alone_are_missing(self, blank: str) -> None:
        rows, reasons = parsed("touches", "kind", [f"{blank}visit{blank}"])
        assert (rows[0]["kind"], reasons) == ("visit", [])
        assert parsed("touches", "kind", [blank])[1] == ["kind is missing"]

    def test_numbers_as_ids_are_text(self) -> None:
        rows, _ = parsed("leads", "lead_id", [7, 8])
        assert [row["lead_id"] for row in rows] == ["7", "8"]
