"""Score leads that lie in memory: the time of each step from a lead's history to the bytes of its answer, on one core.

    python benchmarks/bench_features.py [WORKSPACE]      default: a demo of 3,000 leads, trained first (minutes)

WORKSPACE is a folder with a trained champion. The leads at risk at the end of its tables are gathered once, as a
service keeps them; then 1 lead and 1,000 leads (repeated where the workspace has fewer) are scored at ever other
moments, an hour apart, so that no age and few of the words come twice.

How to read it: milliseconds a request, the smallest and the median of the repeats; other work on the machine only
adds. "rows" is features from histories, "score_matrix" the model, "answers" records with reasons in words, "json" and
"orjson" their bytes. "first" is the first request of its size, which also numbers each lead's kinds and contents; that
for one lead lays out the model's tables, too. The peer of score_matrix is LightGBM's own TreeSHAP of the model's small
trees, without which no library would split a score.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before any library starts threads

import numpy as np
from numpy.typing import NDArray

from crm.config import Workspace, load_workspace
from crm.known import to_micros
from crm.outcomes import leads_at_risk, observation
from crm.progress import Silent
from features.history import known_leads
from features.known import KnownLead
from models.answers import answers
from models.boosted import ShallowMember
from models.registry import load_model
from models.scoring import LoadedModel, Scores, score_matrix
from training.train import open_tables, train

SIZES = ((1, 400), (1_000, 12))
"""Leads a request, and how often it is repeated."""
HOUR_US = 3_600_000_000
DEMO = '[source]\nurl = "demo://?leads=3000&seed=1"\n[value]\nmargin = 0.3\ntouch_cost = 150\n'
STEPS = ("rows", "score_matrix", "answers", "json", "orjson", "LightGBM TreeSHAP")


@dataclass
class Request:
    """One request: leads at a moment, and what each step made of them."""

    model: LoadedModel
    leads: list[KnownLead]
    ids: list[str]
    as_of_us: NDArray[np.int64]
    matrix: Any = None
    scores: Scores | None = None
    answered: list[dict[str, Any]] | None = None

    def rows(self) -> None:
        self.matrix = self.model.bundle.features.rows(self.leads, self.as_of_us)

    def score_matrix(self) -> None:
        self.scores = score_matrix(self.model.bundle, self.model.line, self.matrix)

    def answers(self) -> None:
        assert self.scores is not None
        self.answered = answers(self.model, self.scores, self.ids, self.as_of_us, "en")

    def json(self) -> None:
        json.dumps(self.answered, ensure_ascii=False).encode()

    def orjson(self) -> None:
        import orjson

        orjson.dumps(self.answered)

    def tree_shap(self) -> None:
        for endpoint in (self.model.bundle.sql, self.model.bundle.won):
            for member in endpoint.members:
                if isinstance(member, ShallowMember):
                    member.booster.predict(self.matrix, pred_contrib=True, num_threads=1)

    @property
    def steps(self) -> dict[str, Callable[[], None]]:
        found = (self.rows, self.score_matrix, self.answers, self.json, self.orjson)
        steps = dict(zip(STEPS[:-1], found, strict=True))
        if importlib.util.find_spec("orjson") is None:
            del steps["orjson"]
        return steps


def timed(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - started)


def measure(model: LoadedModel, leads: list[tuple[str, KnownLead]], moment_us: int, count: int, repeats: int) -> None:
    ids, known = ([lead[part] for lead in leads[:count]] for part in (0, 1))
    found: dict[str, list[float]] = {}
    for repeat in range(repeats + 1):
        request = Request(model, known, ids, np.full(count, moment_us + repeat * HOUR_US, dtype=np.int64))
        for name, step in request.steps.items():
            found.setdefault(name, []).append(timed(step))
    # Apart: what a service never runs must not push out of the caches what it does.
    found[STEPS[-1]] = [timed(request.tree_shap) for _ in range(repeats + 1)]
    print(f"\n{count:,} lead{'s' if count > 1 else ''}, ms{'smallest':>23}{'median':>10}{'first':>10}")
    for name, (first, *times) in found.items():
        print(f"  {name:<26}{min(times):>10.3f}{statistics.median(times):>10.3f}{first:>10.3f}")
    whole = [sum(times) for times in zip(*(found[name][1:] for name in STEPS[:3]), strict=True)]
    print(f"  {'rows to answers':<26}{min(whole):>10.3f}{statistics.median(whole):>10.3f}")
    print(f"  {count * 1e3 / statistics.median(whole):,.0f} leads a second")


def gather(workspace: Workspace, count: int) -> tuple[list[tuple[str, KnownLead]], int]:
    """Return leads at risk at the end of the tables, with their histories, and that end."""
    now = datetime.now(UTC)
    with open_tables(workspace, now, Silent()) as tables:
        until = observation(tables, workspace.config.outcome, now).observed_until
        ids = leads_at_risk(tables, until)["lead_id"].astype(str).tolist()[:count]
        found = known_leads(tables, ids)
    return [(lead_id, found[lead_id]) for lead_id in ids], to_micros(until)


def show(workspace: Workspace, version: str = "champion") -> None:
    model = load_model(workspace, alias=version)
    leads, moment_us = gather(workspace, SIZES[-1][0])
    own, others = (
        np.mean([0 if part is None else part.happened_us.size for part in parts])
        for parts in zip(*((lead.touches, lead.account_touches) for _, lead in leads), strict=True)
    )
    print(f"{len(leads):,} leads with {own:.0f} touches each, {others:.0f} of their accounts' other leads")
    print(f"{len(model.bundle.features.features)} features, {len(model.bundle.features.signals)} signals")
    while len(leads) < SIZES[-1][0]:
        leads += leads
    for count, repeats in SIZES:
        measure(model, leads, moment_us, count, repeats)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path, nargs="?")
    asked = parser.parse_args()
    if asked.workspace is not None:
        show(load_workspace(asked.workspace))
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kizashi.toml").write_text(DEMO)
        workspace = load_workspace(Path(folder))
        train(workspace, as_of=None, now=datetime.now(UTC), progress=Silent())
        show(workspace, "1")  # so small a company's first version need not become champion


if __name__ == "__main__":
    main()
