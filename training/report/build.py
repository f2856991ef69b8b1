"""The model report of a run, put together from its sections."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from features.feature import Language
from models.scoring import LoadedModel
from pages.report_data import ExcludedRow, ModelReport, TableRow
from pages.report_evidence import Evidence
from training.report.amounts import amount_report
from training.report.endpoints import endpoint_report
from training.report.line import line_report
from training.report.notes import absent_tables, quarantine_reasons, run_notes
from training.report.parts import ReportParts, data_digest
from training.report.signals import example_leads, signal_rows
from training.versions import code_commit, library_versions

__all__ = ["build_report"]


def build_report(
    parts: ReportParts, version: str, run_id: str, language: Language = "en", evidence: Evidence | None = None
) -> ModelReport:
    """Gather the numbers of a report.

    Parameters
    ----------
    parts
        The finished run.
    version, run_id
        In the registry and in MLflow.
    language
        Of the signals and of the example reasons.
    evidence
        As :func:`training.report.evidence.gather_evidence` gives it, the same for every language; None to leave the
        sections out that it fills.
    """
    data, config = parts.data, parts.workspace.config
    zone = ZoneInfo(config.workspace.timezone)

    def local(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(zone).isoformat(timespec="minutes")

    model = LoadedModel(version, parts.bundle, parts.drawn[0])
    return ModelReport(
        workspace=config.workspace.name,
        model_version=version,
        run_id=run_id,
        trained_at=local(parts.now) or "",
        cutoff=local(data.seen.as_of) or "",
        observed_from=local(data.seen.observed_from),
        observed_until=local(data.seen.observed_until) or "",
        timezone=config.workspace.timezone,
        currency=config.workspace.currency,
        leads=len(np.unique(data.snapshots.lead)),
        accounts=len(np.unique(data.snapshots.group)),
        snapshots=len(data.snapshots.as_of_us),
        features=len(data.features.features),
        score_outcome=parts.bundle.score_outcome,
        tables=tuple(
            TableRow(name, c.read, c.kept, c.identical, c.quarantined) for name, c in parts.tables.counts.items()
        ),
        quarantine_reasons=quarantine_reasons(parts.tables),
        refused_columns=tuple((a.name, a.refused) for a in parts.tables.attributes if a.refused),
        dropped_features=data.dropped,
        excluded=tuple(ExcludedRow(e.rule, e.leads, e.sql, e.columns_of_today) for e in data.excluded),
        notes=run_notes(parts),
        not_computed=absent_tables(parts.tables),
        endpoints=tuple(endpoint_report(parts, outcome) for outcome in ("sql", "won")),
        amount=amount_report(parts),
        line=line_report(parts),
        signals=signal_rows(parts, model, language),
        examples=example_leads(parts, model, language),
        git_commit=code_commit(),
        kizashi_version=library_versions()["kizashi"],
        data_digest=data_digest(data),
        evidence=evidence or Evidence(),
    )
