"""The file of leads to score: what is read from it, and what is refused."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from cli import lead_file
from cli.lead_file import read_lead_file
from crm.errors import LeadFileError

DEFAULT = datetime(2026, 7, 1, tzinfo=UTC)


def read(path: Path, timezone: str = "UTC") -> list[tuple[str, datetime]]:
    found = read_lead_file(path, default_as_of=DEFAULT, timezone=timezone)
    assert list(found.columns) == ["lead_id", "as_of_us"]
    return [
        (lead_id, pd.Timestamp(micros, unit="us", tz="UTC").to_pydatetime())
        for lead_id, micros in zip(found["lead_id"], found["as_of_us"], strict=True)
    ]


def write(folder: Path, content: str | bytes, name: str = "leads.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def refused(path: Path) -> str:
    with pytest.raises(LeadFileError) as caught:
        read(path)
    text = str(caught.value)
    assert text.endswith("To go on: correct the file and run again; nothing was written.")
    return text


class TestRead:
    def test_ids_stay_text_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        path = write(tmp_path, "lead_id\n007\n 1e3 \nNA\n007\n山田-1\n")
        assert read(path) == [(lead, DEFAULT) for lead in ("007", "1e3", "NA", "007", "山田-1")]

    def test_a_byte_order_mark_quotes_and_other_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path, '\ufeff"lead_id","note"\r\n"a,b","x\ny"\r\n')
        assert read(path) == [("a,b", DEFAULT)]

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("", DEFAULT),
            ("2026-06-01", datetime(2026, 5, 31, 15, tzinfo=UTC)),
            ("2026-06-01T09:00", datetime(2026, 6, 1, tzinfo=UTC)),
            ("2026-06-01T09:00Z", datetime(2026, 6, 1, 9, tzinfo=UTC)),
            (" 2026-06-01 09:00:00.123456+02:00 ", datetime(2026, 6, 1, 7, 0, 0, 123456, tzinfo=UTC)),
        ],
    )
    def test_moments_without_a_zone_are_of_the_workspace(self, tmp_path: Path, text: str, moment: datetime) -> None:
        assert read(write(tmp_path, f"lead_id,as_of\nL1,{text}\n"), "Asia/Tokyo") == [("L1", moment)]

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_parquet_times_of_any_unit(self, tmp_path: Path, unit: str) -> None:
        times = pd.Series([pd.Timestamp("2026-06-01 09:00", tz="UTC"), pd.NaT]).astype(f"datetime64[{unit}, UTC]")
        pd.DataFrame({"lead_id": ["L1", "L2"], "as_of": times}).to_parquet(tmp_path / "l.parquet")
        assert read(tmp_path / "l.parquet") == [("L1", datetime(2026, 6, 1, 9, tzinfo=UTC)), ("L2", DEFAULT)]

    def test_parquet_dates_text_and_whole_numbers(self, tmp_path: Path) -> None:
        frame = pd.DataFrame({"lead_id": [7, 8], "as_of": [date(2026, 6, 1), None]})
        frame.to_parquet(tmp_path / "l.parquet")
        assert read(tmp_path / "l.parquet") == [("7", datetime(2026, 6, 1, tzinfo=UTC)), ("8", DEFAULT)]


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", "which is empty"),
            ("lead_id\n", "without a row"),
            ("id,as_of\nL1,\n", "the columns id, as_of; expected a column lead_id"),
            ("lead_id,as_of\nL1,\nL2,1.6.2026\n", "as_of '1.6.2026' in row 2 of 'leads.csv'; expected ISO 8601"),
            ("lead_id,as_of\nL1,0001-01-01T00:00+09:00\n", "in row 1"),
            ("lead_id,as_of\nL1,9999-12-31T23:00-09:00\n", "in row 1"),
            ("lead_id,note\nL1,\n,x\n  ,x\n", "no lead_id in row 2 of 'leads.csv' (2 such rows)"),
            ('lead_id\n"L1\n', "cannot be read"),
            ("lead_id\nL1,2,3\nL2,3,4,5\n", "cannot be read"),
            ("lead_id,名前\nL1,山田\n".encode("cp932"), "iconv -f CP932 -t UTF-8"),
            (gzip.compress(b"lead_id\nL1\n", mtime=0), "is not UTF-8"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, content: str | bytes, words: str) -> None:
        assert words in refused(write(tmp_path, content))

    def test_text_named_parquet(self, tmp_path: Path) -> None:
        assert "cannot be read" in refused(write(tmp_path, "lead_id\nL1\n", "leads.parquet"))

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.csv")
        assert "no file" in refused(tmp_path / "nowhere.csv")
        for path in (tmp_path, tmp_path / "pipe.csv", Path("/dev/zero")):
            assert "no regular file" in refused(path)

    def test_a_file_beyond_the_limit_is_refused_unread(self, tmp_path: Path) -> None:
        path = write(tmp_path, "lead_id\n")
        with path.open("r+b") as file:
            file.truncate(lead_file.MAX_BYTES + 1)  # sparse: it takes no room
        assert "at most 2 GB; split it" in refused(path)
