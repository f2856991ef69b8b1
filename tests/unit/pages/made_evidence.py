"""The evidence of a report as a company of middle size would get it."""

from __future__ import annotations

from pages.estimate import Estimate
from pages.report_evidence import (
    BacktestRun,
    CensoredRow,
    Curve,
    CurveBin,
    CutOffRow,
    Evidence,
    HandOffReport,
    LeakRow,
    LevelRow,
    LevelState,
    MonthCount,
    MonthRow,
    OriginRow,
    Pooled,
    ReliabilityReport,
    RevenueReport,
    RevenueTenth,
    SegmentRow,
)

SHORT = (0.0002, 0.0001, 0.0003, 0.0), (0.0005, 0.0001, 0.0003, 0.21)
RATIO, PULLED = Estimate(1.48, 0.99, 2.13), Estimate(1.2, 0.9, 1.5)
AUC, LOSS = Estimate(0.81, 0.78, 0.84), Estimate(0.0512, 0.0455, 0.057)
OUTCOMES = ("sql", "won")


def make_evidence(group: str = "enterprise") -> Evidence:
    """Return every section filled; ``group`` is what a segment and a level of an attribute are called."""
    bins = tuple(CurveBin(float(at), "", 0.1, at - 4.0, at - 4.5, at - 3.5) for at in range(10))
    levels = (CurveBin(0.0, group, 0.6, 1.2, 0.9, 1.4), CurveBin(1.0, "~missing", 0.4, -0.8, -1.0, -0.7))
    return Evidence(
        months=tuple(
            MonthRow(f"2026-0{at}", 900, 400, {name: MonthCount(900 - 90 * at, 30, 40) for name in OUTCOMES})
            for at in range(1, 10)
        ),
        reliability=tuple(
            ReliabilityReport(
                name, (0.001, 0.01, 0.1), (0.0, 0.012, 0.09), (0.0, 0.008, 0.07), (0.003, 0.013, 0.13), *rest
            )
            for name, rest in zip(OUTCOMES, SHORT, strict=True)
        ),
        levels=tuple(
            LevelRow(name, kind, what, 300, 21, 14.2, RATIO, PULLED, kind == "age")
            for name in OUTCOMES
            for kind, what in (("segment", group), ("source", "~other"), ("age", "7-30"), ("month", "2026-01"))
        ),
        segments=tuple(
            SegmentRow(name, kind, what, 300, 21, AUC, 0.2, 0.25, Estimate(0.4, 0.3, 0.5), kind == "segment")
            for name in OUTCOMES
            for kind, what in (("segment", group), ("age", "90-"))
        ),
        curves=(
            Curve(
                "visit_count_30d",
                {"en": "visits in the last 30 days", "ja": "直近30日間のサイト訪問"},
                {"en": "times", "ja": "回"},
                is_level=False,
                is_exact=False,
                mean_points=2.1,
                bins=bins,
                missing=CurveBin(float("nan"), "", 0.05, -3.0, -3.1, -2.9),
            ),
            Curve(group, {"en": group, "ja": group}, {}, True, False, 1.1, levels),
        ),
        leaks=(LeakRow("L3", "not_run", ""), LeakRow("L5", "passed", "no signal tells the outcome alone")),
        origins=tuple(
            OriginRow(name, start, method, 900, 40, AUC, LOSS, Estimate(1.04, 0.9, 1.2))
            for name in OUTCOMES
            for start in ("2026-01-19", "2026-04-06")
            for method in ("kizashi", "logistic")
        ),
        pooled=tuple(
            Pooled(name, method, auc, LOSS, auc, gain, gain, gain)
            for name in OUTCOMES
            for method, auc, gain in (
                ("kizashi", AUC, None),
                ("logistic", AUC, Estimate(0.01, -0.01, 0.03)),
                ("base_rate", None, None),
            )
        ),
        backtest=BacktestRun("9f2c", "backtest 2026-09-28", "2026-02-01", {"won": {"kizashi": {"auc": AUC}}}),
        censored=(
            CensoredRow(
                "won",
                900,
                310,
                *(dict.fromkeys(("auc", "brier", "observed_over_expected"), AUC) for _ in range(2)),
                followed=0.6,
            ),
        ),
        revenue=RevenueReport(
            14_760,
            203,
            2,
            3.6e8,
            3.9e8,
            Estimate(1.08, 0.9, 1.27),
            Estimate(0.52, 0.4, 0.6),
            tuple(RevenueTenth(at, 1_476, 9e4 / at, Estimate(9.5e4 / at, 7e4 / at, 1.2e5 / at)) for at in range(1, 11)),
            Estimate(4.4e7, 3.1e7, 5.9e7),
            6_218,
            Estimate(-612.0, -1_900.0, 880.0),
        ),
        hand_offs=HandOffReport(
            2_139,
            353,
            151,
            False,
            "",
            "",
            (0.91, 1.08, 0.12),
            (1.02, 0.95, 0.9),
            0.68,
            95.0,
            60.0,
            tuple(
                CutOffRow(width, 410, 380, *(Estimate(at, at - 0.1, at + 0.1) for at in (0.61, 0.09, 0.15, 0.02)))
                for width in (20.0, 10.0, 40.0)
            ),
        ),
        level_states=(LevelState("sql", 1.12, 6, "earned"), LevelState("won", 1.0, 2, None)),
        has_old_rule=True,
        line_values=tuple((step * 6_000.0, 212.0 * 0.5**step, 9e6 * 0.6**step) for step in range(12)),
    )
