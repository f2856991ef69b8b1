"""Made-up CRMs that kizashi was not built on: public generators of scikit-learn, and two of our own, as tables.

Each has leads, touches in their first week, and outcomes within 30 days. Their base rate and the mix of their leads
move with time. None of them shares code with the product's own simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.datasets import make_classification, make_friedman1

__all__ = ["CRMS", "CUT", "Crm", "write_crm"]

Matrix = NDArray[np.float64]
START, CUT = pd.Timestamp("2024-01-01"), pd.Timestamp("2025-02-01")
SPAN_DAYS, TEST_DAYS, HORIZON_DAYS, WATCHED_DAYS = 397.0, 120.0, 30.0, 7.0

CONFIG = """
[workspace]
timezone = "UTC"
[source]
url = "dir:."
timezone = "UTC"
[source.tables]
leads = "FROM 'leads.csv'"
touches = "FROM 'touches.csv'"
stages = "FROM 'stages.csv'"
[columns]
known_at_creation = [{columns}]
[outcome]
sql_horizon_days = 23
won_horizon_days = 23
observed_until = 2025-02-01
[snapshots]
after_days = [7]
[value]
default_amount = 1000
"""


@dataclass(frozen=True)
class Crm:
    """A made-up CRM.

    Parameters
    ----------
    attributes
        One row a lead, in order of creation.
    touches
        By kind, how many each lead made in its first week.
    probability
        Of an outcome in the 23 days after that.
    """

    attributes: pd.DataFrame
    touches: Mapping[str, NDArray[np.int64]]
    probability: Matrix


def _when(count: int) -> Matrix:
    """Return how far through the history each lead is created, 0 to 1, rising."""
    return np.linspace(0.0, 1.0, count)


def _at_rate(score: Matrix, rate: float, *, spread: float = 1.2, drift: float = -0.4) -> Matrix:
    """Turn a score into probabilities of a mean rate, whose odds drift through the history."""
    z = spread * (score - score.mean()) / score.std() + drift * (_when(len(score)) - 0.5)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(z + middle).mean() < rate else (low, middle)
    return expit(z + low)


def _levels(column: Matrix, names: str) -> list[str]:
    """Cut a number into as many levels as there are names, in an order that is not its own."""
    places = (rankdata(column) / (len(column) + 1) * len(names)).astype(np.int64)
    return [names[(place * 5 + 2) % len(names)] for place in places]


def _counts(column: Matrix) -> NDArray[np.int64]:
    """Turn a number into a skewed count of the same order, half of them nought."""
    share = rankdata(column) / (len(column) + 1)
    return np.floor(np.where(share < 0.5, 0.0, -np.log(2 - 2 * share) * 3 + 1)).astype(np.int64)


def clusters(seed: int) -> Crm:
    """Give 6,000 leads whose outcomes lie in clusters of twelve features, so that interactions matter."""
    x, y = make_classification(
        6000, 12, n_informative=6, n_redundant=2, n_clusters_per_class=4, weights=[0.86], flip_y=0.08,
        class_sep=0.9, random_state=seed,
    )  # fmt: skip
    attributes = pd.DataFrame({f"a{j}": x[:, j] for j in range(6)})
    attributes["plan"], attributes["region"] = _levels(x[:, 6], "abcdefg"), _levels(x[:, 7], "uvwxyz123")
    touches = {kind: _counts(x[:, 8 + j]) for j, kind in enumerate(("visit", "download", "webinar", "chat"))}
    return Crm(attributes, touches, np.where(y == 1, 0.95, 0.02))


def friedman(seed: int) -> Crm:
    """Give 20,000 leads by Friedman's function of five features, a product among them, beside five of noise."""
    x, y = make_friedman1(20_000, 10, noise=1.0, random_state=seed)
    attributes = pd.DataFrame({f"a{j}": x[:, j] for j in (1, 2, 3, 5, 6, 7)})
    touches = {kind: _counts(x[:, j]) for kind, j in (("visit", 0), ("download", 4), ("chat", 8))}
    return Crm(attributes, touches, _at_rate(y, 0.16))


def campaigns(seed: int) -> Crm:
    """Give 5,000 leads of 350 campaigns that come and go, each with an effect of its own, and 200 cities of noise."""
    random = np.random.default_rng(seed)
    count = 5000
    home = random.uniform(-0.2, 1.0, 350)
    reach = np.abs(_when(count)[:, None] - home) < 0.2
    size = random.pareto(1.2, 350) + 0.2
    campaign = np.array([random.choice(350, p=row * size / (row * size).sum()) for row in reach])
    industry, employees = random.integers(0, 8, count), np.exp(random.normal(4, 1.5, count))
    score = random.normal(0, 0.8, 350)[campaign] + np.linspace(-0.8, 0.8, 8)[industry] + 0.3 * np.log(employees)
    visits = random.poisson(np.exp(0.5 * score - 0.3))
    attributes = pd.DataFrame(
        {
            "campaign": [f"c{c}" for c in campaign],
            "city": [f"t{c}" for c in random.integers(0, 200, count)],
            "industry": [f"i{i}" for i in industry],
            "employees": employees.round(),
        }
    )
    return Crm(attributes, {"visit": visits, "webinar": random.poisson(0.3, count)}, _at_rate(score, 0.09, spread=1.0))


def newcomers(seed: int) -> Crm:
    """Give 1,800 leads, about 150 outcomes before the cut, and a channel that only appears in the last months."""
    random = np.random.default_rng(seed)
    count = 1800
    is_new = random.uniform(size=count) < np.clip(_when(count) - 0.55, 0, 1) * 1.5
    channel = np.where(is_new, 4, random.integers(0, 4, count))
    intent, employees = random.normal(size=count), np.exp(random.normal(3.5, 1.0, count))
    visits, prices = random.poisson(np.exp(0.7 * intent)), random.poisson(np.exp(0.9 * intent - 1.2))
    score = intent + np.array([0.6, 0.0, -0.4, 0.2, -0.7])[channel] - 0.4 * np.abs(np.log(employees) - 4)
    attributes = pd.DataFrame({"channel": [f"h{c}" for c in channel], "employees": employees.round()})
    return Crm(attributes, {"visit": visits, "pricing_view": prices}, _at_rate(score, 0.11, drift=0.3))


CRMS: Mapping[str, Callable[[int], Crm]] = {
    "clusters": clusters,
    "friedman": friedman,
    "campaigns": campaigns,
    "newcomers": newcomers,
}


def write_crm(crm: Crm, seed: int, folder: Path) -> pd.DataFrame:
    """Write the tables and the workspace file; return lead_id, created_at and label of each lead.

    Parameters
    ----------
    crm
        What to write.
    seed
        Of the draws of outcomes and of their moments.
    folder
        Where to.
    """
    random = np.random.default_rng(seed + 1)
    count = len(crm.attributes)
    ids = np.array([f"L{number}" for number in range(count)])
    created = START + pd.to_timedelta((SPAN_DAYS + TEST_DAYS) * _when(count) // (1 / 1440) / 1440, unit="D")
    leads = crm.attributes.assign(lead_id=ids, created_at=created)
    leads.to_csv(folder / "leads.csv", index=False)
    touches: list[pd.DataFrame] = []
    for kind, counts in crm.touches.items():
        whose = np.repeat(np.arange(count), counts)
        at = created[whose] + pd.to_timedelta(random.uniform(0.001, WATCHED_DAYS - 0.01, len(whose)), unit="D")
        touches.append(pd.DataFrame({"lead_id": ids[whose], "kind": kind, "happened_at": at}))
    every = pd.concat(touches, ignore_index=True)
    every.assign(touch_id=np.arange(len(every)).astype(str)).to_csv(folder / "touches.csv", index=False)
    happened = random.uniform(size=count) < crm.probability
    wait = WATCHED_DAYS + random.uniform(0.1, HORIZON_DAYS - WATCHED_DAYS - 0.1, count)
    won = pd.DataFrame({"lead_id": ids, "stage": "closed_won", "entered_at": created + pd.to_timedelta(wait, unit="D")})
    won = won.assign(recorded_at=won["entered_at"])[happened]
    won.to_csv(folder / "stages.csv", index=False)
    columns = ", ".join(f'"{name}"' for name in crm.attributes.columns)
    (folder / "kizashi.toml").write_text(CONFIG.format(columns=columns), encoding="utf-8")
    return pd.DataFrame({"lead_id": ids, "created_at": created, "label": happened})
