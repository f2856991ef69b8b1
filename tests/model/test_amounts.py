"""Amounts of the simulator's wins: the interval holds as many of those to come as it says."""

from __future__ import annotations

import numpy as np
import pytest

from crm.config import SourceConfig, WorkspaceConfig, load_workspace
from crm.progress import Silent
from crm.simulator_difficulty import DIFFICULTY
from crm.workspace_tables import open_tables
from models.intervals import jeffreys
from tests.model.conftest import DEMO, NOW
from training.judge import judge_amount
from training.learn import amount_of, priced_wins
from training.prepare import TrainingData, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = tmp_path_factory.mktemp("amounts")
    (folder / "kizashi.toml").write_text(DEMO.replace("leads=2500&seed=3", "leads=8000&seed=5"), encoding="utf-8")
    workspace = load_workspace(folder)
    return prepare(open_tables(workspace, NOW, Silent()), workspace.config, None, Silent())


CONFIG = WorkspaceConfig(source=SourceConfig(url="demo://"))


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 0.8])
def test_wins_to_come_lie_inside_as_often_as_they_should(data: TrainingData, level: float) -> None:
    """One win a lead, of accounts that the model has not seen; allowed is what as many wins can differ by chance."""
    rows = priced_wins(data)
    past, later = np.split(rows, [int(0.6 * len(rows))])
    later = later[~np.isin(data.snapshots.group[later], data.snapshots.group[past])]
    model = amount_of(data, CONFIG, np.arange(past[-1] + 1))
    assert model.method == "two_part"
    _, one_each = np.unique(data.snapshots.lead[later], return_index=True)
    low, high = model.interval(data.matrix[later[one_each]], level)
    won = data.won.amount[later[one_each]]
    held = int(((low <= won) & (won <= high)).sum())
    assert len(won) > 60
    ends = jeffreys(held, len(won), 0.998)
    assert ends[0] < level < ends[1]


@pytest.mark.slow
def test_what_is_said_of_unseen_wins_is_near_the_truth(data: TrainingData) -> None:
    model = amount_of(data, CONFIG)
    assert model.lost_deals > 100
    assert not model.reads_engagement
    judged = judge_amount(data, model)
    assert judged is not None
    assert judged.coverage.low < 0.8 < judged.coverage.high
    assert judged.predicted_over_actual.low < 1.0 < judged.predicted_over_actual.high
    assert judged.normalised_gini.low > 0.1
    assert judged.rescaling == model.rescaling == pytest.approx(1.0, abs=0.1)
    # No model knows amounts better than the simulator's own noise; features explain a good part of the rest.
    assert 0.9 * DIFFICULTY.amount_log_sd**2 < model.residual_variance < 1.6 * DIFFICULTY.amount_log_sd**2
