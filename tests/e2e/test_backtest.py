"""``kizashi backtest`` as a person or a scheduler calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from crm.config import load_workspace
from models.registry import EXPERIMENT, open_store
from tests.e2e.command import WORKSPACE_FILE, kizashi

METHODS = {"kizashi", "random", "recency", "old_rule", "odoo", "logistic", "lightgbm"}


@pytest.mark.slow
def test_json_files_and_the_run_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "kizashi.toml").write_text(WORKSPACE_FILE, encoding="utf-8")
    ran = kizashi("backtest", "--origins", "1", "--json", "--out", "files", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    (origin,) = found["origins"]
    assert set(found["methods"]) >= METHODS
    assert origin["as_of"] < origin["until"] < found["observed_until"]
    for outcome in ("sql", "won"):
        measures = found["pooled"][outcome]["measures"]
        assert set(measures) >= METHODS
        auc = measures["kizashi"]["auc"]
        assert 0.5 < auc["low"] <= auc["value"] <= auc["high"] <= 1
        assert measures["random"].get("log_loss") is None
        assert set(found["pooled"][outcome]["kizashi_less"]) == set(found["methods"]) - {"kizashi"}
    assert "captured_revenue" in found["pooled"]["won"]["measures"]["odoo"]

    document = json.loads((tmp_path / "files" / "backtest.json").read_text(encoding="utf-8"))
    assert {"run_id": found["run_id"], **document} == found
    text = (tmp_path / "files" / "backtest.csv").read_text(encoding="utf-8-sig")
    rows = {
        (row["outcome"], row["measure"]): row
        for row in csv.DictReader(text.splitlines())
        if (row["origin"], row["method"]) == ("all", "kizashi")
    }
    with open_store(load_workspace(tmp_path)) as client:
        run = client.get_run(found["run_id"])
        kept = {item.path for item in client.list_artifacts(found["run_id"])}
        assert client.get_experiment_by_name(EXPERIMENT).experiment_id == run.info.experiment_id
    assert run.data.tags["kind"] == "backtest"
    assert kept == {"backtest.csv", "backtest.json"}
    value = found["pooled"]["won"]["measures"]["kizashi"]["auc"]["value"]
    assert run.data.metrics["backtest.won.auc"] == pytest.approx(value)
    assert float(rows["won", "auc"]["value"]) == pytest.approx(value)
    assert "backtest.odoo.won.log_loss" in run.data.metrics


def test_too_many_origins_are_wrong_usage(tmp_path: Path) -> None:
    ran = kizashi("backtest", "--origins", "0", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")


def test_without_a_workspace_it_says_what_to_do(tmp_path: Path) -> None:
    ran = kizashi("backtest", cwd=tmp_path)
    assert ran.code == 1
    assert "To go on:" in ran.err
