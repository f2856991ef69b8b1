"""``kizashi align`` and ``kizashi expect``: what a person, a scheduler and a meeting get of them."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.command import CUTOFF, kizashi
from tests.e2e.conftest import Trained
from tests.e2e.test_command_line import assert_one_paragraph, rows_of

SLA = """
[sla]
parties = ["Aoi Tanaka, marketing", "Sam Jones, sales"]
[sla.hours]
country = "JP"
"""
CAMPAIGNS = """
[workspace]
timezone = "Asia/Tokyo"
[source]
url = "dir:."
[source.tables]
leads = "SELECT * FROM 'leads.csv'"
campaigns = "SELECT * FROM 'campaigns.csv'"
"""


def served(folder: Path) -> dict[str, bytes]:
    board = folder / ".kizashi" / "board"
    return {str(path.relative_to(board)): path.read_bytes() for path in board.rglob("*") if path.is_file()}


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """Three leads and two campaigns, and nothing else: no touches, no stages, no hand-offs."""
    (tmp_path / "kizashi.toml").write_text(CAMPAIGNS, encoding="utf-8")
    (tmp_path / "leads.csv").write_text("lead_id,created_at\nL1,2025-01-01\nL2,2025-01-02\nL3,2025-03-02\n")
    (tmp_path / "campaigns.csv").write_text(
        "campaign_id,name,starts_on\nbegun,Begun,2025-01-01\nlater,Later,2099-01-01\n"
    )
    return tmp_path


class TestBoard:
    def test_one_run_writes_the_folder_and_what_the_service_shows(self, copied: Path, tmp_path: Path) -> None:
        out, digest = tmp_path / "out", tmp_path / "meeting" / "week.md"
        ran = kizashi("align", "--out", out, "--digest", digest, cwd=copied)
        assert ran.code == 0, ran.err
        assert "Board: " in ran.out
        for sign in ("MQLs", "content", "Hand-offs"):
            assert sign.lower() in ran.out.lower()
        page = (out / "board.html").read_text(encoding="utf-8")
        assert len(page.encode()) < 1_000_000
        assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
        assert '<html lang="ja"' in (out / "board.ja.html").read_text(encoding="utf-8")
        linked = set(re.findall(r'href="rows/([^"]+)"', page))
        assert linked
        assert linked <= {path.name for path in (out / "rows").iterdir()}
        assert "# " in digest.read_text(encoding="utf-8")
        assert {"board.en.html", "board.ja.html", "owners/board.en.html"} <= served(copied).keys()
        owners = {row["owner"] for row in rows_of(out / "rows" / "hand_offs.csv")} - {""}
        named = {
            row["owner"]
            for row in csv.DictReader(io.StringIO(served(copied)["owners/rows/hand_offs.csv"].decode("utf-8-sig")))
        }
        assert owners
        assert not owners & named

    def test_a_past_moment_is_shown_and_the_service_keeps_its_board(self, copied: Path, tmp_path: Path) -> None:
        assert kizashi("align", "--json", cwd=copied).code == 0
        before = served(copied)
        ran = kizashi("align", "--json", "--as-of", "2025-06-30", "--out", tmp_path / "past", cwd=copied)
        assert ran.code == 0, ran.err
        assert "2025-06-01" < ran.json["as_of"] < "2025-06-30T15:00"
        assert served(copied) == before
        created = [row["created_at"] for row in rows_of(tmp_path / "past" / "rows" / "leads.csv")]
        assert created
        assert max(created) <= "2025-07-01"

    def test_files_that_are_not_ours_are_left_alone(self, trained: Trained, tmp_path: Path) -> None:
        mine = tmp_path / "out" / "rows" / "mine.csv"
        mine.parent.mkdir(parents=True)
        mine.write_text("a\n1\n", encoding="utf-8")
        ran = kizashi("align", "--as-of", CUTOFF, "--out", tmp_path / "out", cwd=trained.folder)
        assert ran.code == 1
        assert_one_paragraph(ran)
        assert "mine.csv" in ran.err
        assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["mine.csv"]

    def test_before_any_hand_off_it_says_what_it_lacks(self, trained: Trained, tmp_path: Path) -> None:
        ran = kizashi("align", "--as-of", "2023-01-02", "--json", "--out", tmp_path, cwd=trained.folder)
        assert ran.code == 0, ran.err
        assert ran.json["people"] >= 0
        assert (tmp_path / "board.html").stat().st_size > 10_000

    def test_leads_alone_are_a_board_that_says_what_would_tell_more(self, alone: Path) -> None:
        ran = kizashi("align", "--out", alone / "out", cwd=alone)
        assert ran.code == 0, ran.err
        assert "not known without" in ran.out
        assert "hand_offs" in ran.out
        assert "hand_offs" in (alone / "out" / "board.html").read_text(encoding="utf-8")


class TestBreaches:
    def test_what_is_overdue_ends_with_3_and_is_listed_longest_first(self, trained: Trained) -> None:
        ran = kizashi("align", "--breaches", "--as-of", CUTOFF, cwd=trained.folder)
        assert ran.code == 3, ran.err
        breaches = ran.json["breaches"]
        overdue = [one["overdue_business_hours"] for one in breaches]
        assert overdue == sorted(overdue, reverse=True)
        assert overdue[-1] >= 0
        now = datetime.fromisoformat(ran.json["as_of"])
        for one in breaches:
            assert datetime.fromisoformat(one["handed_off_at"]) < datetime.fromisoformat(one["due_at"]) <= now

    def test_nothing_overdue_ends_with_0(self, alone: Path) -> None:
        ran = kizashi("align", "--breaches", cwd=alone)
        assert (ran.code, ran.json["breaches"]) == (0, [])

    def test_nothing_is_written_with_it(self, alone: Path) -> None:
        ran = kizashi("align", "--breaches", "--out", alone / "out", cwd=alone)
        assert ran.code == 2
        assert "--breaches writes nothing" in ran.err
        assert not (alone / "out").exists()


class TestDocuments:
    def test_an_sla_to_sign_needs_no_data_and_changes_its_version_with_a_term(self, alone: Path) -> None:
        file = alone / "kizashi.toml"
        (alone / "leads.csv").unlink()
        versions = []
        for terms in (SLA, SLA, SLA.replace("[sla.hours]", "accept_hours = 4\n[sla.hours]")):
            file.write_text(CAMPAIGNS + terms, encoding="utf-8")
            ran = kizashi("align", "--sla", "sla.md", cwd=alone)
            assert ran.code == 0, ran.err
            text = (alone / "sla.md").read_text(encoding="utf-8")
            assert "Aoi Tanaka, marketing" in text
            versions.append(re.search(r"[Vv]ersion:? `?([0-9a-f]{6,})", text))
        assert all(versions)
        one, two, three = (found[1] for found in versions if found)
        assert one == two != three
        assert kizashi("align", "--sla", "sla.html", "--language", "ja", cwd=alone).code == 0
        assert '<html lang="ja"' in (alone / "sla.html").read_text(encoding="utf-8")

    def test_an_ending_that_says_nothing_is_refused(self, alone: Path) -> None:
        ran = kizashi("align", "--digest", "week.pdf", cwd=alone)
        assert ran.code == 2
        assert "neither .md nor .html" in ran.err


class TestExpect:
    def test_before_the_start_it_is_kept_and_stands_on_the_board(self, alone: Path) -> None:
        ran = kizashi("expect", "later", "--team", "sales", "--won", "4", "--revenue", "120000", "--json", cwd=alone)
        assert ran.code == 0, ran.err
        assert ran.json["counts"] is True
        listed = kizashi("expect", "--list", "--json", cwd=alone).json["expectations"]
        assert [(one["campaign_id"], one["team"], one["won"], one["revenue"]) for one in listed] == [
            ("later", "sales", 4.0, 120000.0)
        ]
        assert "later" in kizashi("expect", "--list", cwd=alone).out

    def test_after_the_start_it_is_refused_and_kept_on_request(self, alone: Path) -> None:
        refused = kizashi("expect", "begun", "--team", "marketing", "--mqls", "9", cwd=alone)
        assert refused.code == 1
        assert_one_paragraph(refused)
        assert kizashi("expect", "--list", "--json", cwd=alone).json["expectations"] == []
        kept = kizashi("expect", "begun", "--team", "marketing", "--mqls", "9", "--late", cwd=alone)
        assert kept.code == 0
        assert "does not count" in kept.out

    @pytest.mark.parametrize(
        ("args", "code", "said"),
        [
            (("nothing", "--team", "sales", "--won", "1"), 1, "no campaign 'nothing'"),
            (("later", "--team", "sales"), 1, "without a number"),
            (("later", "--won", "1"), 2, "--team"),
            (("later", "--team", "finance", "--won", "1"), 2, "finance"),
            (("later", "--team", "sales", "--won", "-1"), 2, "-1"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, alone: Path, args: tuple[str, ...], code: int, said: str) -> None:
        ran = kizashi("expect", *args, cwd=alone)
        assert ran.code == code
        assert said in ran.err
