"""How well each endpoint is predicted."""

from __future__ import annotations

from models.metrics import calibration_bins, deciles, gains
from pages.report_data import CalibrationBin, DecileRow, EndpointReport
from training.report.parts import ReportParts, estimate_of

__all__ = ["endpoint_report"]


def endpoint_report(parts: ReportParts, outcome: str) -> EndpointReport:
    """Return the quality of one endpoint, ``sql`` or ``won``, on unseen leads."""
    data, judged = parts.data, parts.judged[outcome]
    labels, fitted = (data.sql, parts.learned.sql) if outcome == "sql" else (data.won, parts.learned.won)
    endpoint = fitted.endpoint
    members = {
        member.name: (weight, loss)
        for member, weight, loss in zip(endpoint.members, endpoint.weights, judged.member_losses, strict=True)
    }
    return EndpointReport(
        outcome=outcome,
        horizon_days=labels.horizon_days,
        train_rows=int(labels.is_mature.sum()),
        train_outcomes=data.outcomes(labels),
        test_rows=len(judged.happened),
        test_outcomes=int(judged.happened.sum()),
        metrics={name: estimate_of(i) for name, i in judged.metrics.items()},
        base=judged.base,
        age_log_loss=judged.age_log_loss,
        calibration=tuple(
            CalibrationBin(b.predicted, b.observed, b.low, b.high, b.leads)
            for b in calibration_bins(judged.probability, judged.happened)
        ),
        deciles=tuple(
            DecileRow(d.decile, d.leads, d.outcomes, d.rate, d.lift)
            for d in deciles(judged.probability, judged.happened)
        ),
        gains=gains(judged.probability, judged.happened),
        members=members,
        calibrator=endpoint.calibrator.kind,
        folds=tuple(fold.sentence for fold in parts.learned.folds[outcome]),
        same_as_sql=outcome == "won" and parts.learned.won_is_sql,
    )
