"""The outbox: scores that a CRM does not have yet.

A score is queued in the transaction that writes its ledger row, so there is never one without the other. It leaves the
outbox in the transaction that notes what the CRM now shows (:func:`crm.sending.settle`). A process that dies between
the CRM's answer and that transaction leaves the entry where it was, and it is sent again: **at least once**, and since
every write sets a field to a value, twice is as good as once.

A lead has one entry a CRM. A newer score takes the place of an unsent one, *even when it is back at what the CRM was
last told*: the older one may be on its way at this moment, and taking the entry away would leave the CRM with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from crm.config_crm import CrmConfig
from crm.state_tables import DEAD_LETTERS, OUTBOX, PUSHED
from crm.upserts import insert_into

__all__ = ["COMPARED", "PAYLOAD", "Queued", "drop_dead_letters", "queue_scores"]

PAYLOAD = (
    "score",
    "grade",
    "is_mql",
    "decision",
    "p_sql",
    "p_won",
    "expected_value",
    "percentile",
    "reasons",
    "model_version",
    "line_version",
    "as_of",
)
"""What is kept of a score until it is sent."""

COMPARED = ("grade", "is_mql", "decision")
LEADS_A_LOOK = 4_000  # three lists of ids in one statement stay under SQLite's 32,766 parameters


@dataclass(frozen=True)
class Queued:
    """An entry of the outbox.

    Parameters
    ----------
    lead_id
        The record in the CRM.
    seq
        Number of the score in the ledger.
    payload
        What :data:`PAYLOAD` names.
    queued_us
        When it was queued, in microseconds since 1970.
    tries
        How often it was sent in vain.
    """

    lead_id: str
    seq: int
    payload: Mapping[str, Any]
    queued_us: int
    tries: int


@dataclass(frozen=True)
class _Held:
    """What the state knows of leads, by (CRM, lead)."""

    told: Mapping[tuple[str, str], Any]
    unsent: frozenset[tuple[str, str]]
    dead: frozenset[tuple[str, str]]


def queue_scores(
    connection: sa.Connection, crms: Mapping[str, CrmConfig], scores: Sequence[Mapping[str, Any]], *, now_us: int
) -> int:
    """Queue new scores for the CRMs that should hear of them.

    A score is left out where the CRM was told one less than ``change_threshold`` points away, with the same grade, MQL
    and decision, and nothing waits to be sent. Such a score also takes a refused one of the lead off the dead letters:
    the CRM shows what it should.

    Parameters
    ----------
    connection
        The transaction that writes the scores' ledger rows. On PostgreSQL, call it after the upsert of
        ``current_scores``, whose row locks keep two scores of one lead in order.
    crms
        Name to configuration.
    scores
        Rows with ``lead_id``, ``seq`` (of the ledger) and what :data:`PAYLOAD` names; ``as_of`` as a datetime or in
        ISO 8601.
    now_us
        Microseconds since 1970.

    Returns
    -------
    int
        Entries written.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for score in scores:
        held = newest.get(score["lead_id"])
        if held is None or score["seq"] > held["seq"]:
            newest[score["lead_id"]] = score
    leads = sorted(newest)  # in one order everywhere, so that two transactions cannot wait for each other
    written = 0
    for start in range(0, len(leads) if crms else 0, LEADS_A_LOOK):
        part = [newest[lead] for lead in leads[start : start + LEADS_A_LOOK]]
        written += _queue_part(connection, crms, part, now_us)
    return written


def _queue_part(
    connection: sa.Connection, crms: Mapping[str, CrmConfig], scores: Sequence[Mapping[str, Any]], now_us: int
) -> int:
    held = _held(connection, list(crms), [score["lead_id"] for score in scores])
    payloads: dict[str, str] = {}
    entries: list[dict[str, Any]] = []
    mended: list[dict[str, Any]] = []
    for name, score in _asked_for(crms, scores):
        lead, key = score["lead_id"], (name, score["lead_id"])
        if key in held.unsent or _has_changed(score, held.told.get(key), crms[name].change_threshold):
            if lead not in payloads:
                payloads[lead] = _payload(score)
            entries.append(_entry(name, score, payloads[lead], now_us))
        elif key in held.dead:
            mended.append({"of_crm": name, "of_lead": lead, "of_seq": score["seq"]})
    if entries:
        _upsert(connection, entries)
    if mended:
        drop_dead_letters(connection, mended)
    return len(entries)


def _asked_for(
    crms: Mapping[str, CrmConfig], scores: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each score for each CRM that its lead may belong to."""
    for name in sorted(name for name, config in crms.items() if config.write_back):
        pattern = crms[name].lead_ids
        for score in scores:
            if pattern is None or re.search(pattern, score["lead_id"]):
                yield name, score


def _held(connection: sa.Connection, crms: Sequence[str], leads: Sequence[str]) -> _Held:
    """Look all three tables up in one statement: settling moves a lead between them, and must be seen whole or not."""
    nothing = [sa.null()] * 4

    def of(table: sa.Table, kind: str, *columns: Any) -> sa.Select[*tuple[Any, ...]]:
        chosen = sa.select(sa.literal(kind), table.c.crm, table.c.lead_id, *columns)
        return chosen.where(table.c.crm.in_(crms), table.c.lead_id.in_(leads))

    told = of(PUSHED, "told", PUSHED.c.score, *(PUSHED.c[name] for name in COMPARED))
    rows = connection.execute(
        sa.union_all(told, of(OUTBOX, "unsent", *nothing), of(DEAD_LETTERS, "dead", *nothing))
    ).all()
    return _Held(
        told={(row[1], row[2]): row[3:] for row in rows if row[0] == "told"},
        unsent=frozenset((row[1], row[2]) for row in rows if row[0] == "unsent"),
        dead=frozenset((row[1], row[2]) for row in rows if row[0] == "dead"),
    )


def _has_changed(score: Mapping[str, Any], told: Any, threshold: float) -> bool:
    if told is None or abs(score["score"] - told[0]) >= threshold:
        return True
    return any(score[name] != held for name, held in zip(COMPARED, told[1:], strict=True))


def _payload(score: Mapping[str, Any]) -> str:
    kept = {name: score[name] for name in PAYLOAD}
    if isinstance(kept["as_of"], datetime):
        kept["as_of"] = kept["as_of"].isoformat()
    return orjson.dumps(kept, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _entry(crm: str, score: Mapping[str, Any], payload: str, now_us: int) -> dict[str, Any]:
    return {
        "crm": crm,
        "lead_id": score["lead_id"],
        "seq": score["seq"],
        "payload": payload,
        "queued_us": now_us,
        "tries": 0,
        "next_try_us": now_us,
        "last_error": None,
    }


def _upsert(connection: sa.Connection, entries: list[dict[str, Any]]) -> None:
    insert = insert_into(connection, OUTBOX)
    new = {name: insert.excluded[name] for name in entries[0] if name not in ("crm", "lead_id")}
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[OUTBOX.c.crm, OUTBOX.c.lead_id],
            set_=new,
            where=OUTBOX.c.seq < insert.excluded.seq,
        ),
        entries,
    )


def drop_dead_letters(connection: sa.Connection, mended: list[dict[str, Any]]) -> None:
    """Take refused scores away that a newer one made good: rows of ``of_crm``, ``of_lead``, ``of_seq``."""
    connection.execute(
        sa.delete(DEAD_LETTERS).where(
            DEAD_LETTERS.c.crm == sa.bindparam("of_crm"),
            DEAD_LETTERS.c.lead_id == sa.bindparam("of_lead"),
            DEAD_LETTERS.c.ledger_seq <= sa.bindparam("of_seq"),
        ),
        mended,
    )
