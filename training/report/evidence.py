"""The evidence of a report: computed once, shown in every language."""

from __future__ import annotations

from pages.report_evidence import BacktestRun, Evidence
from training.report.calibration import level_rows, level_states, reliability_report
from training.report.censoring import censored_row
from training.report.curves import feature_curves
from training.report.hand_offs import hand_off_report
from training.report.leaks import leak_rows
from training.report.line import line_values
from training.report.maturity import month_rows
from training.report.origins import origin_tables
from training.report.parts import ReportParts
from training.report.revenue import revenue_report
from training.report.unseen import unseen_of
from training.report.weak_segments import segment_rows

__all__ = ["gather_evidence"]


def gather_evidence(parts: ReportParts, backtest: BacktestRun | None = None) -> Evidence:
    """Compute every section that asks more of a model than its headline.

    Parameters
    ----------
    parts
        The finished run.
    backtest
        The workspace's newest backtest, None without one.
    """
    unseen = unseen_of(parts)
    origins = [origin_tables(parts, one) for one in unseen]
    won = next((one for one in unseen if one.outcome == "won"), unseen[0] if parts.learned.won_is_sql else None)
    return Evidence(
        months=month_rows(parts),
        reliability=tuple(found for one in unseen if (found := reliability_report(one)) is not None),
        levels=tuple(row for one in unseen for row in level_rows(parts, one)),
        segments=tuple(row for one in unseen for row in segment_rows(parts, one)),
        curves=feature_curves(parts),
        leaks=leak_rows(parts.leaks),
        origins=tuple(row for rows, _ in origins for row in rows),
        pooled=tuple(row for _, rows in origins for row in rows),
        backtest=backtest,
        censored=tuple(found for one in unseen if (found := censored_row(parts, one)) is not None),
        revenue=revenue_report(parts, won),
        level_states=level_states(parts),
        hand_offs=hand_off_report(parts),
        has_old_rule=parts.rules is not None,
        line_values=line_values(parts),
    )
