"""A model report as a company of middle size would get it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pages.report_data import (
    AmountReport,
    CalibrationBin,
    DecileRow,
    EndpointReport,
    Estimate,
    LineReport,
    ModelReport,
    RuleRow,
    RulesReport,
    SignalRow,
    TableRow,
)
from pages.report_evidence import Evidence
from tests.unit.pages.made_evidence import make_evidence

SQL_LIFTS = (3.62, 1.94, 1.31, 0.98, 0.71, 0.54, 0.38, 0.27, 0.16, 0.09)
REASONS = [
    "pricing-page visits: 3 in total in the last 7 days (+6.1)",
    "last demo request 2 days ago (+4.8)",
    "employees: 500 to 999 (+2.2)",
    "no e-mail click in the last 60 days (-1.7)",
]
WON_LIFTS = (4.87, 1.95, 1.22, 0.73, 0.49, 0.49, 0.24, 0.00, 0.00, 0.00)


def _endpoint(
    outcome: str, days: float, leads: int, outcomes: int, lifts: tuple[float, ...], auc: Estimate
) -> EndpointReport:
    rate = outcomes / leads
    tenth = leads // 10
    counts = [round(rate * tenth * lift) for lift in lifts]
    deciles = tuple(
        DecileRow(place, tenth, count, count / tenth, lift)
        for place, (count, lift) in enumerate(zip(counts, lifts, strict=True), start=1)
    )
    spread = (0.12, 0.2, 0.3, 0.42, 0.55, 0.72, 0.95, 1.3, 1.95, 4.4)
    bins = []
    for factor, count in zip(spread, reversed(counts), strict=True):
        seen = count / tenth
        sd = (max(seen, 0.5 / tenth) / tenth) ** 0.5
        bins.append(CalibrationBin(rate * factor, seen, max(0.00002, seen - 1.5 * sd), seen + 1.9 * sd, tenth))
    found, gains = 0.0, [(0.0, 0.0)]
    for place, lift in enumerate(lifts, start=1):
        for part in range(1, 6):
            gains.append((place / 10 - 0.1 + part * 0.02, min(1.0, (found + lift * part / 5) / sum(lifts))))
        found += lift
    return EndpointReport(
        outcome=outcome,
        horizon_days=days,
        train_rows=48_213,
        train_outcomes=outcomes * 4,
        test_rows=leads,
        test_outcomes=outcomes,
        metrics={
            "auc": auc,
            "average_precision": Estimate(rate * 3.1, rate * 2.6, rate * 3.7),
            "log_loss": Estimate(rate * 4.1, rate * 3.8, rate * 4.4),
            "brier": Estimate(rate * 0.94, rate * 0.86, rate * 1.02),
            "ece": Estimate(rate * 0.11, rate * 0.05, rate * 0.19),
            "ece_null": Estimate(rate * 0.09),
            "observed_over_expected": Estimate(1.04, 0.93, 1.16),
            "calibration_slope": Estimate(0.97, 0.86, 1.09),
            "lift_at_10": Estimate(lifts[0], lifts[0] * 0.87, lifts[0] * 1.12),
        },
        base={"log_loss": rate * 4.9, "brier": rate * 0.975},
        calibration=tuple(bins),
        deciles=deciles,
        gains=tuple(gains),
        members={
            "logistic": (0.41, rate * 4.16),
            "stumps": (0.35, rate * 4.15),
            "shallow": (0.24, rate * 4.21),
        },
        calibrator="platt",
        folds=(
            "2025-11-03 to 2026-01-18: trained on 21,044 rows with 512 outcomes, tested on 5,213 with 121",
            "2026-01-19 to 2026-04-05: trained on 33,870 rows with 806 outcomes, tested on 5,213 with 140; "
            "the history is too short for a gap of one horizon between them",
        ),
    )


def make_report() -> ModelReport:
    """Return the report of a company that sells subscriptions, in yen."""
    price = 54_300.0
    curve = tuple((step * 6_000.0, 212.0 * 0.5 ** (step / 3.6)) for step in range(0, 61))
    values = tuple(-4_900.0 + 560.0 * 1.045**at + 9.0 * 1.12**at for at in range(101))
    weeks = ("08-03", "08-10", "08-17", "08-24", "08-31", "09-07", "09-14", "09-21")
    return ModelReport(
        workspace="Kizuna Cloud",
        model_version="7",
        run_id="5f0c7b1e9a7d4c55a2b1f6d2e8c90314",
        trained_at="2026-10-01T02:14:09+09:00",
        cutoff="2026-09-28T00:00:00+09:00",
        observed_from="2024-04-01T00:00:00+09:00",
        observed_until="2026-09-28T00:00:00+09:00",
        timezone="Asia/Tokyo",
        currency="JPY",
        leads=20_846,
        accounts=9_132,
        snapshots=61_370,
        features=148,
        score_outcome="won",
        tables=(
            TableRow("leads", 20_901, 20_846, 31, 24),
            TableRow("touches", 412_775, 410_022, 2_611, 142),
            TableRow("stages", 31_408, 31_400, 0, 8),
            TableRow("opportunities", 3_977, 3_971, 0, 6),
        ),
        quarantine_reasons=(
            ("touches", "unknown lead", 131),
            ("touches", "happened_at lies in the future", 11),
            ("leads", "duplicate key: the row before it with the same lead_id was kept", 24),
            ("stages", "entered_at is missing", 8),
            ("opportunities", "amount in USD without a rate to the workspace currency", 6),
        ),
        refused_columns=(
            ("work_email", "its name says e-mail, phone, name or address"),
            ("lost_reason", "fields of this name are filled in after the hand-off"),
        ),
        dropped_features=(
            ("chat_count_7d", "never varies in the training rows"),
            ("page_share_90d", "equals visit_share_90d in every training row"),
        ),
        notes=("[columns] names 'budget', which no table has.",),
        not_computed=(
            ("when leads left marketing, follow-up", "hand_offs"),
            ("which content helps a deal", "content"),
        ),
        endpoints=(
            _endpoint("sql", 30.0, 20_850, 1_296, SQL_LIFTS, Estimate(0.782, 0.769, 0.795)),
            _endpoint("won", 90.0, 14_760, 203, WON_LIFTS, Estimate(0.815, 0.786, 0.843)),
        ),
        amount=AmountReport(
            "two_part",
            812,
            774,
            1_842_000.0,
            1_180_000.0,
            0.71,
            Estimate(0.58, 0.49, 0.66),
            Estimate(0.794, 0.77, 0.817),
            Estimate(0.97, 0.92, 1.03),
            1.02,
            reads_engagement=False,
            lost_deals=1_204,
        ),
        line=LineReport(
            price=price,
            capacity=40.0,
            touch_cost=5_000.0,
            margin=0.62,
            weeks=8,
            crossings_per_week=38.6,
            leads_at_risk=6_218,
            mqls_now=311,
            equivalent_p_won=0.0519,
            curve=curve,
            weekly=tuple(
                (f"2026-{week}", float(n)) for week, n in zip(weeks, (35, 29, 41, 38, 44, 36, 47, 39), strict=True)
            ),
            values=values,
            grades={"A": 155, "B": 156, "C": 2_480, "D": 3_427},
            comparison=RulesReport(
                "2026-01-14",
                "2026-04-08",
                12,
                RuleRow(
                    52.3,
                    40.0,
                    Estimate(0.131, 0.095, 0.17),
                    Estimate(0.041, 0.021, 0.065),
                    Estimate(2_100_000.0, 900_000.0, 3_600_000.0),
                    Estimate(1_102_000.0, 358_000.0, 2_032_000.0),
                ),
                RuleRow(
                    38.6,
                    36.9,
                    Estimate(0.18, 0.13, 0.23),
                    Estimate(0.072, 0.045, 0.1),
                    Estimate(3_900_000.0, 2_200_000.0, 5_700_000.0),
                    Estimate(2_233_500.0, 1_179_500.0, 3_349_500.0),
                ),
                Estimate(1_131_500.0, -112_000.0, 2_420_000.0),
                0.93,
                11.4,
                28.6,
                25.5,
            ),
        ),
        signals=tuple(
            SignalRow(name, group, points, features)
            for name, group, points, features in (
                ("pricing-page visits", "engagement", 4.12, 6),
                ("demo requests", "engagement", 3.87, 4),
                ("employees", "fit", 3.05, 5),
                ("industry", "fit", 2.64, 9),
                ("webinars", "engagement", 1.98, 6),
                ("e-mail clicks", "engagement", 1.71, 6),
                ("touches by the account's others", "engagement", 1.44, 8),
                ("source", "fit", 1.21, 7),
                ("downloads", "engagement", 1.02, 6),
                ("age of the lead", "engagement", 0.94, 1),
                ("job title", "fit", 0.77, 6),
                ("visits", "engagement", 0.64, 6),
                ("region", "fit", 0.41, 11),
                ("e-mail opens", "engagement", 0.22, 6),
                ("leads of the account", "fit", 0.18, 1),
                ("chats", "engagement", 0.05, 6),
            )
        ),
        examples=tuple(
            {
                "lead_id": f"L-{20_100 + place}",
                "score": 96 - place * 9,
                "grade": "AABBCCCCDD"[place],
                "p_sql": 0.41 * 0.66**place,
                "p_won": 0.148 * 0.62**place,
                "expected_value": 164_300.0 * 0.62**place - 5_000.0,
                "reasons": REASONS[: 4 - place % 2],
            }
            for place in range(10)
        ),
        git_commit="a41c9e7d2f0b8e35",
        kizashi_version="0.1.0",
        data_digest="sha256:6d0f2c51b9a4e7780c3a",
        evidence=make_evidence(),
    )


@pytest.fixture
def report() -> ModelReport:
    return make_report()


@pytest.fixture
def single_outcome_report(report: ModelReport) -> ModelReport:
    """Wins and SQLs are one outcome; no capacity; dollars; nothing was refused, dropped or missing."""
    sql, won = report.endpoints
    return replace(
        report,
        currency="USD",
        score_outcome="sql",
        endpoints=(sql, replace(won, same_as_sql=True)),
        line=replace(report.line, capacity=None, price=-1.0, equivalent_p_won=None),
        quarantine_reasons=(),
        refused_columns=(),
        dropped_features=(),
        notes=(),
        not_computed=(),
        evidence=Evidence(),
    )
