"""Leads that were posted are scored as `kizashi score` scores them, with everything that may happen to a history."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm.config import Workspace
from tests.service.running import KEY, WORKSPACE_FILE, environment, serving

LEADS = 1_000
SCORED = ("score", "score_unclipped", "p_sql", "p_won", "expected_revenue", "expected_value", "percentile")
KINDS = (
    "visit",
    "form_submit",
    "download",
    "email_open",
    "email_click",
    "event_attend",
    "meeting",
    "never_seen_before",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Served:
    folder: Path
    client: httpx.Client

    def post(self, path: str, name: str, rows: list[Row]) -> None:
        for start in range(0, len(rows), 500):
            answer = self.client.post(path, json={name: rows[start : start + 500]})
            assert answer.status_code == 200, answer.text
            assert answer.json()["quarantined"] == []


@pytest.fixture(scope="module")
def served(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("posted") / "workspace"
    shutil.copytree(workspace.folder, folder, ignore=shutil.ignore_patterns(".kizashi"))
    text = WORKSPACE_FILE.replace("max_batch = 12", "max_batch = 1000").replace(
        "max_body_bytes = 60000", "max_body_bytes = 9000000"
    )
    (folder / "kizashi.toml").write_text(text, encoding="utf-8")
    with (
        serving(folder, folder.parent / "log.txt") as server,
        httpx.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=60) as client,
    ):
        yield Served(folder, client)


class Histories:
    """Random leads: accounts shared and none, attributes that change, rows recorded late, repeated, out of order."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.random, self.now = random.Random(seed), now
        self.leads: list[Row] = []
        self.later: list[Row] = []
        self.touches: list[Row] = []
        self.stages: list[Row] = []
        for number in range(LEADS):
            self._add(number)
        self.random.shuffle(self.touches)
        self.touches += self.random.sample(self.touches, 50)

    def _add(self, number: int) -> None:
        draw = self.random
        created = self.now - timedelta(days=draw.uniform(0.01, 200))
        lead: Row = {"lead_id": f"posted-{number}", "created_at": created.isoformat()}
        if draw.random() < 0.8:
            lead["account_id"] = f"posted-account-{number // 4}"
        if draw.random() < 0.9:
            lead |= {
                "source": draw.choice(["paid_search", "webinar", "a friend", None]),
                "industry": draw.choice(["software", "retail", " never seen ", None]),
                "job_level": draw.choice(["vp", "director", "staff"]),
                "employees": draw.choice([10, 250, 3244.5, 100_000, None]),
                "is_partner": draw.random() < 0.5,
            }
        if draw.random() < 0.5:
            lead["recorded_at"] = (created + timedelta(hours=1)).isoformat()
        self.leads.append(lead)
        if draw.random() < 0.3:
            self.later.append(
                {**lead, "industry": draw.choice(["software", None]), "employees": draw.choice([77, None])}
            )
        for _ in range(draw.randrange(40)):
            self._add_touch(str(lead["lead_id"]), created)
        for stage in ("mql", "recycled"):
            if draw.random() < 0.2:
                entered = created + (self.now - created) * draw.random()
                self.stages.append({"lead_id": lead["lead_id"], "stage": stage, "entered_at": entered.isoformat()})

    def _add_touch(self, lead_id: str, created: datetime) -> None:
        draw = self.random
        happened = created + (self.now - created) * draw.random()
        touch: Row = {
            "lead_id": lead_id,
            "kind": draw.choice(KINDS),
            "happened_at": happened.isoformat(),
            "actor": draw.choice(["lead", "lead", "lead", "sales", "bot", None]),
            "content_id": draw.choice(["/pricing", "/guide?email=a@b.example", "/guide#top", None]),
            "value": draw.choice([None, 1.5, 3]),
        }
        if draw.random() < 0.7:
            late = timedelta(hours=draw.uniform(-1, 48))
            touch["recorded_at"] = min(happened + late, self.now).isoformat()
        self.touches.append(touch)


@pytest.mark.slow
def test_posted_leads_score_as_the_command_scores_them(served: Served, tmp_path: Path) -> None:
    drawn = Histories(5, datetime.now(UTC) - timedelta(minutes=1))
    served.post("/v1/touches", "touches", drawn.touches[:300])  # of leads that are not known yet
    served.post("/v1/leads", "leads", drawn.leads)
    served.post("/v1/stages", "stages", drawn.stages)
    served.post("/v1/touches", "touches", drawn.touches)
    served.post("/v1/leads", "leads", drawn.later)
    ids = [lead["lead_id"] for lead in drawn.leads]
    batch = served.client.post("/v1/score/batch", json={"lead_ids": ids}).json()
    assert batch["unknown"] == []
    single = [served.client.post("/v1/score", json={"lead_id": one}).json() for one in ids[:100]]
    for answers in (batch["answers"], single):
        check(served.folder, answers, tmp_path)


def check(folder: Path, answers: list[Row], tmp_path: Path) -> None:
    asked, out = tmp_path / "asked.csv", tmp_path / "scores.json"
    with asked.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["lead_id", "as_of"])
        writer.writerows((answer["lead_id"], answer["as_of"]) for answer in answers)
    command = [sys.executable, "-c", "from cli.entry import run; run()", "score", "--workspace", str(folder)]
    with out.open("w") as stream:
        subprocess.run([*command, "--leads", str(asked), "--json"], env=environment(), stdout=stream, check=True)
    scored = json.loads(out.read_text())
    assert scored["rejected"] == 0
    expected = {row["lead_id"]: row for row in scored["scores"]}
    assert len(expected) == len(answers)
    for answer in answers:
        by_command = expected[answer["lead_id"]]
        for name in SCORED:
            assert answer[name] == pytest.approx(by_command[name], rel=1e-9, abs=1e-9), (answer["lead_id"], name)
        assert answer["reasons"] == by_command["reasons"]
        assert answer["is_mql"] == by_command["is_mql"]
