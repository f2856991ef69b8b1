"""What ``/metrics`` shows of the state: read when it is asked for, by few queries."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from prometheus_client import Counter

from crm.known import to_micros
from crm.sending import backlogs
from crm.state_tables import CURRENT_SCORES, HOOK_EVENTS, RESCORE_QUEUE, TOLD_QUARANTINE
from serving.runtime import Runtime
from serving.watch import Watch

__all__ = ["watch_state"]

SECOND_US = 1_000_000


def watch_state(runtime: Runtime, watch: Watch) -> None:
    """Have the state, the model and the outbox shown, and count issued scores by grade."""
    issued = Counter("kizashi_scores", "Scores issued.", ["grade", "decision"], registry=watch.registry)

    def count(answers: Sequence[Mapping[str, Any]]) -> None:
        for named, number in Tally((answer["grade"], answer["decision"]) for answer in answers).items():
            issued.labels(*named).inc(number)

    runtime.on_issued.append(count)
    crms: dict[str, tuple[str, Callable[[Runtime], Mapping[str, float]]]] = {
        "kizashi_outbox_entries": ("Scores that a CRM is still to be told.", _waiting),
        "kizashi_outbox_age_seconds": ("Age of the oldest of them.", _ages),
        "kizashi_dead_letters": ("Scores that a CRM refuses for good.", _dead),
    }
    for name, (words, by_crm) in crms.items():
        watch.gauge(name, words, partial(by_crm, runtime), label="crm")
    numbers: dict[str, tuple[str, Callable[[Runtime], float]]] = {
        "kizashi_model_age_seconds": ("Since the end of the model's training data.", _model_age),
        "kizashi_registry_away": ("1 while MLflow's store cannot be read.", _is_away),
        "kizashi_quarantined_rows": ("Posted or pulled rows that cannot be used.", _quarantined),
        "kizashi_rescore_queue_entries": ("Leads and accounts to score again.", _queued),
        "kizashi_state_log_bytes": ("SQLite's log; it grows while somebody reads for long.", _log_size),
        "kizashi_webhooks_waiting": ("Webhooks still to be worked on.", _webhooks),
    }
    for name, (words, number) in numbers.items():
        watch.gauge(name, words, partial(number, runtime))
    watch.gauge("kizashi_leads", "Leads by newest decision.", partial(_leads, runtime), label="decision")


def _waiting(runtime: Runtime) -> Mapping[str, float]:
    with runtime.state.reading() as connection:
        return {one.crm: float(one.waiting) for one in backlogs(connection, tuple(runtime.crms))}


def _dead(runtime: Runtime) -> Mapping[str, float]:
    with runtime.state.reading() as connection:
        return {one.crm: float(one.dead) for one in backlogs(connection, tuple(runtime.crms))}


def _ages(runtime: Runtime) -> Mapping[str, float]:
    now_us = to_micros(datetime.now(UTC))
    with runtime.state.reading() as connection:
        found = backlogs(connection, tuple(runtime.crms))
    return {one.crm: 0.0 if one.oldest_us is None else (now_us - one.oldest_us) / SECOND_US for one in found}


def _model_age(runtime: Runtime) -> float:
    until = datetime.fromisoformat(runtime.live.scorer.model.bundle.trained_until)
    return (datetime.now(UTC) - until).total_seconds()


def _is_away(runtime: Runtime) -> float:
    return float(runtime.champions.is_away)


def _quarantined(runtime: Runtime) -> float:
    return _rows(runtime, TOLD_QUARANTINE)


def _queued(runtime: Runtime) -> float:
    return _rows(runtime, RESCORE_QUEUE)


def _log_size(runtime: Runtime) -> float:
    path = runtime.settings.workspace.state_path
    log = path.with_name(f"{path.name}-wal")
    return float(log.stat().st_size) if runtime.state.is_sqlite and log.exists() else 0.0


def _rows(runtime: Runtime, table: sa.Table) -> float:
    with runtime.state.reading() as connection:
        return float(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _webhooks(runtime: Runtime) -> float:
    query = sa.select(sa.func.count()).select_from(HOOK_EVENTS).where(HOOK_EVENTS.c.next_try_us.is_not(None))
    with runtime.state.reading() as connection:
        return float(connection.execute(query).scalar_one())


def _leads(runtime: Runtime) -> Mapping[str, float]:
    query = sa.select(CURRENT_SCORES.c.decision, sa.func.count()).group_by(CURRENT_SCORES.c.decision)
    with runtime.state.reading() as connection:
        return {str(decision): float(count) for decision, count in connection.execute(query)}
