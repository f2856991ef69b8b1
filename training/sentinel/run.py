"""All checks of the sentinel, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crm.config import Workspace, WorkspaceConfig
from crm.errors import LeakError
from crm.outcomes import Observation
from crm.progress import Progress
from crm.store import Tables
from training.leaks import Suspect
from training.prepare import TrainingData
from training.sentinel.actors import check_actors
from training.sentinel.clocks import check_creation, check_recording
from training.sentinel.columns import check_columns
from training.sentinel.facts import Facts, gather_facts
from training.sentinel.identity import check_identity, check_persons
from training.sentinel.names import check_names
from training.sentinel.replay import check_replay
from training.sentinel.signals import check_signals
from training.sentinel.touches import check_touches
from training.sentinel.trial import take_trial
from training.sentinel.trials import check_trials
from training.sentinel.verdict import LeakVerdict, SentinelReport, Trace

__all__ = ["Subject", "refuse_traces", "run_sentinel", "table_verdicts", "traces_of"]


@dataclass(frozen=True)
class Subject:
    """What the sentinel is set upon.

    Parameters
    ----------
    tables, config
        The workspace.
    facts
        As :func:`training.sentinel.facts.gather_facts` gives them.
    data
        Labelled snapshots; None where training is refused, when what needs them is not computable.
    suspects
        Of :func:`training.leaks.find_suspects`.
    workspace
        Whose issued scores are computed again; None to leave them out.
    """

    tables: Tables
    config: WorkspaceConfig
    facts: Facts
    data: TrainingData | None
    suspects: Sequence[Suspect]
    workspace: Workspace | None = None


def run_sentinel(subject: Subject, progress: Progress) -> SentinelReport:
    """Ask every question of a workspace, and report in order of the checks."""
    tables, facts, data = subject.tables, subject.facts, subject.data
    with progress.step("Looking for leaks in tables"):
        found = [
            check_signals(facts, subject.suspects),
            check_names(facts, tables.attributes, subject.config.columns.known_at_creation),
            *_table_checks(tables, facts),
        ]
    with progress.step("Trying a small model"):
        trial = take_trial(data) if data is not None else "there are too few outcomes to train on"
        found += check_trials(tables, data, trial)
    with progress.step("Computing again"):
        found.append(check_replay(tables, data, subject.workspace))
    return SentinelReport(tuple(sorted(found, key=lambda verdict: int(verdict.check[1:]))))


def _table_checks(tables: Tables, facts: Facts) -> tuple[LeakVerdict, ...]:
    return (
        check_identity(facts),
        check_touches(facts),
        check_actors(facts),
        check_creation(facts),
        check_columns(facts),
        check_recording(tables, facts),
        check_persons(facts),
    )


def table_verdicts(
    tables: Tables, config: WorkspaceConfig, seen: Observation, suspects: Sequence[Suspect]
) -> tuple[LeakVerdict, ...]:
    """Ask what the tables alone can answer, without a model: every training run does."""
    facts = gather_facts(tables, seen)
    names = check_names(facts, tables.attributes, config.columns.known_at_creation)
    return (check_signals(facts, suspects), names, *_table_checks(tables, facts))


def traces_of(verdicts: Sequence[LeakVerdict]) -> tuple[Trace, ...]:
    """Return the traces for which training is refused: certain, and in the model's sight."""
    return SentinelReport(tuple(verdicts)).refusing


def refuse_traces(traces: Sequence[Trace]) -> None:
    """Raise ``LeakError`` when there is any trace."""
    if not traces:
        return
    raise LeakError(
        found="; ".join(f"{trace.what}: {trace.why}" for trace in traces),
        expected="rows and values that were there before sales worked the lead",
        fix=" ".join(dict.fromkeys(trace.todo for trace in traces)).rstrip("."),
    )
