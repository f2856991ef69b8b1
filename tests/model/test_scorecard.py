"""The card of a trained version on the simulator: near to the model, right in its size, and equal to its SQL."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from crm.config import load_workspace
from crm.known import to_micros
from crm.outcomes import leads_at_risk
from crm.progress import Silent
from crm.workspace_tables import open_tables
from features.build import build_features
from models.exact_points import ExactPoints
from models.registry import load_model
from models.scorecard import Scorecard
from models.scoring import points_per_logit, score_matrix
from tests.histories import moments_of
from tests.model.conftest import KEY, NOW, Trained, train_in
from training.scorecard_files import write_scorecard
from training.scorecard_run import MadeScorecard, make_scorecard

WORKSPACE = """
[source]
url = "demo://?leads=4000&seed=7"
[snapshots]
creation = true
random_per_lead = 1
[value]
margin = 0.8
touch_cost = 60
capacity_per_week = 20
"""


pytestmark = pytest.mark.slow  # one training of 4,000 leads


@pytest.fixture(scope="module")
def of_4000(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIZASHI_SIGNING_KEY", KEY)
        return train_in(tmp_path_factory.mktemp("scorecard"), WORKSPACE)


@pytest.fixture(scope="module")
def made(of_4000: Trained) -> MadeScorecard:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIZASHI_SIGNING_KEY", KEY)
        return make_scorecard(
            of_4000.workspace,
            alias=of_4000.result.model_version,
            points_per_doubling=5.0,
            max_rows=60,
            now=NOW,
            progress=Silent(),
        )


def test_card_and_model_rank_unseen_leads_alike(made: MadeScorecard) -> None:
    found = made.agreement.metrics
    assert made.agreement.is_unseen
    assert made.agreement.leads > 1000
    assert found["spearman"].value > 0.6
    assert found["overlap_at_10"].value > 0.35
    assert found["auc_difference"].value > -0.06
    assert found["log_loss_difference"].value < 0.01
    assert found["spearman"].low < found["spearman"].value < found["spearman"].high


def test_the_card_is_judged_on_every_lead_that_the_model_was_judged_on(made: MadeScorecard, of_4000: Trained) -> None:
    judged = of_4000.result.judged[made.card.outcome]
    assert made.agreement.leads == len(judged.happened)
    assert made.agreement.outcomes == int(judged.happened.sum())
    # Not quite the same: what is served holds the chance of a win at that of an SQL, the endpoint is judged before.
    assert made.agreement.metrics["model_auc"].value == pytest.approx(judged.metrics["auc"].value, abs=2e-3)


def test_the_line_in_points_takes_about_as_many_leads(made: MadeScorecard) -> None:
    risk = made.at_risk
    cutoffs = made.card.cutoffs
    assert list(cutoffs) == sorted(cutoffs, reverse=True)
    for cutoff, by_card, by_line in zip(cutoffs, risk.by_card, risk.by_line, strict=True):
        assert by_card == int((risk.points >= cutoff).sum())
        beside = [int((risk.points >= cutoff + step).sum()) for step in (-1, 1)]
        assert abs(by_card - by_line) <= min(abs(count - by_line) for count in beside)


def test_the_sql_gives_the_points_of_the_scorer_at_risk(made: MadeScorecard, of_4000: Trained, tmp_path: Path) -> None:
    files = {path.name for path in write_scorecard(made, tmp_path)}
    assert files == {path.name for path in tmp_path.iterdir()}
    card = Scorecard.from_json(json.loads((tmp_path / "scorecard.json").read_text())["scorecard"])
    as_of = of_4000.result.line.set_as_of
    sql = (tmp_path / "scorecard.sql").read_text().replace("CAST(:as_of", f"CAST('{as_of.isoformat()}'")
    with open_tables(of_4000.workspace, NOW, Silent()) as tables:
        by_select = dict(tables.backend.raw_sql(sql).fetchall())  # type: ignore[attr-defined]
        ids = leads_at_risk(tables, as_of)["lead_id"].astype(str).tolist()
        moments = moments_of((lead, to_micros(as_of)) for lead in ids)
        points = card.points(build_features(tables, moments, card.features))
    assert len(ids) > 2000
    assert [int(by_select[lead]) for lead in ids] == points.tolist()
    assert sorted(points.tolist()) == sorted(made.at_risk.points.tolist())


def test_the_exact_table_and_the_trees_are_the_served_score(made: MadeScorecard, of_4000: Trained) -> None:
    bundle = of_4000.result.bundle
    matrix = of_4000.result.data.matrix[::50]
    table = ExactPoints.from_json(json.loads(json.dumps(made.exact.to_json())))
    added = table.base + table.points(matrix).sum(axis=1)
    endpoint = bundle.score_endpoint
    for member, weight in zip(endpoint.members, endpoint.weights, strict=True):
        if member.name == "shallow":
            trees = np.asarray(member.booster.predict(matrix, pred_contrib=True))[:, :-1]  # type: ignore[union-attr]
            added += points_per_logit() * endpoint.scale * weight * trees.sum(axis=1)
    served = score_matrix(bundle, of_4000.result.line, matrix).score_unclipped
    assert added == pytest.approx(served, abs=1e-6)


def test_the_files_say_the_same(made: MadeScorecard, tmp_path: Path) -> None:
    write_scorecard(made, tmp_path)
    with (tmp_path / "scorecard.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["points"]) for row in rows] == [row.points for row in made.card.rows]
    english, japanese = ((tmp_path / name).read_text() for name in ("scorecard.md", "scorecard.ja.md"))
    for row in rows:
        assert f"| {row['points']} |" in english
        assert f"| {row['points']} |" in japanese
    assert f"{made.card.mql_points} points or more" in english
    assert f"{made.card.mql_points}点以上" in japanese


def test_without_out_of_fold_rows_the_comparison_says_so(of_4000: Trained, tmp_path: Path) -> None:
    """The workspace of a colleague has the registry, but not the scores table."""
    from training.scorecard_run import _served

    with open_tables(of_4000.workspace, NOW, Silent()):
        data = of_4000.result.data
        model = load_model(of_4000.workspace, alias=of_4000.result.model_version)
        (tmp_path / "kizashi.toml").write_text(WORKSPACE, encoding="utf-8")
        served, is_unseen = _served(load_workspace(tmp_path), data, model, data.matrix)
    assert not is_unseen
    assert np.isfinite(served).all()
