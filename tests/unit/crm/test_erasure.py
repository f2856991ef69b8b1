"""Erasure: after it no file of the workspace holds the lead, and nothing brings it back."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from crm.audit import note_promotion
from crm.config import Workspace
from crm.config_retention import RetentionConfig
from crm.erasure import Asker, erase_lead, erase_listed, note_objection, plan_erasure
from crm.erasure_files import clean_pages
from crm.errors import ErasureError
from crm.intake import take_in
from crm.known import to_micros
from crm.lead_files import unfinished_of
from crm.lead_hashes import lead_hash, left_out_leads, note_seen, objected, tombstoned
from crm.mirror import mirror_path, open_mirror, write_mirror
from crm.personal import hash_id
from crm.progress import Silent
from crm.pull_places import Place, first_place, note_place
from crm.retention import apply_retention
from crm.scores import append_scores, read_scores
from crm.state import State, open_state, state_secret
from crm.state_tables import (
    AUDIT,
    CURRENT_SCORES,
    DEAD_LETTERS,
    HOOK_EVENTS,
    LEDGER,
    METADATA,
    OBJECTIONS,
    OUTBOX,
    SHADOW_SCORES,
    TOLD,
    TOLD_QUARANTINE,
    TOMBSTONES,
)
from crm.told import Teller
from crm.workspace_teller import workspace_teller
from tests.histories import NOW, START, MemorySource, arrow_of, config_of
from tests.postgres import own_postgres

GONE, TWIN, KEPT = "lead-4711", "lead-4712", "lead-47110"
NAMES = (GONE, TWIN)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    with ExitStack() as stack:
        serve = {"state_url": stack.enter_context(own_postgres())} if request.param == "postgresql" else {}
        yield Workspace(folder=tmp_path, config=config_of(serve=serve))


@pytest.fixture
def state(workspace: Workspace) -> Iterator[State]:
    opened = open_state(workspace)
    yield opened
    opened.close()


def filled(table: sa.Table, **values: Any) -> dict[str, Any]:
    """Make a row: what is not given and must be there is filled in by its type."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in values:
            row[column.name] = values[column.name]
        elif column.name == "seq" and table is not SHADOW_SCORES and table.primary_key.columns.keys() == ["seq"]:
            continue
        elif not column.nullable:
            kind = column.type.python_type
            row[column.name] = {str: f"{column.name}-{values.get('lead_id', '')}"[:40], bool: True}.get(kind, 1)
    return row


def fill(state: State, workspace: Workspace) -> None:
    """Put each lead into every table that can hold one, and name the erased one in others' texts."""
    secret = state_secret(workspace)
    with state.writing() as connection:
        for table in METADATA.sorted_tables:
            if "lead_id" in table.c:
                # Each row gets a key of its own, which names its lead.
                keys = [column.name for column in table.primary_key if column.type.python_type is str]
                rows = [filled(table, **dict.fromkeys(keys, one) | {"lead_id": one}) for one in (*NAMES, KEPT)]
                connection.execute(sa.insert(table), rows)
        merges = TOLD["lead_merges"]
        connection.execute(sa.insert(merges).values(filled(merges, from_lead_id=TWIN, into_lead_id=GONE)))
        for one in (GONE, KEPT):
            hook = {"leads": lead_hash(secret, one), "next_try_us": 5}
            body = json.dumps({"kind": "event", "content": {"objectId": one}})
            answer = {"status": 200, "answer": json.dumps({"score": 7, "lead": one}), "event_id": f"c-{len(one)}"}
            for values in ({"event_id": f"e-{len(one)}", "body": body}, answer):
                connection.execute(sa.insert(HOOK_EVENTS).values(filled(HOOK_EVENTS, **hook, **values)))
            content = json.dumps({"lead_id": one, "kind": None})
            connection.execute(
                sa.insert(TOLD_QUARANTINE).values(filled(TOLD_QUARANTINE, key=f"{one}|x", content=content))
            )
        connection.execute(
            sa.update(DEAD_LETTERS).where(DEAD_LETTERS.c.lead_id == KEPT).values(message=f"{GONE} is locked")
        )
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.lead_id == KEPT).values(last_error=f"no {GONE}"))


def fill_files(workspace: Workspace) -> None:
    root = workspace.folder / ".kizashi"
    leads = [GONE, KEPT, TWIN]
    rows = {"lead_id": leads, "as_of": [START] * 3, "model_version": ["1"] * 3, "line_version": ["1"] * 3}
    append_scores(workspace, pa.table(rows), "batch", NOW)
    contents = [json.dumps({"lead_id": one}) for one in leads]
    pq.write_table(pa.table({"key": leads, "content": contents}), workspace.tables_folder / "quarantine.parquet")
    (root / "gain").mkdir()
    moments = pa.table({"lead_id": leads, "as_of_us": pa.array([1, 2, 3], pa.int64())})
    pq.write_table(moments, workspace.gain_path("7"))
    (root / "migrations").mkdir()
    (root / "migrations" / "a.csv").write_text(f"lead_id,why\n{GONE},up\n{KEPT},down\n", encoding="utf-8-sig")
    with sqlite3.connect(mirror_path(workspace)) as mirror:
        mirror.execute("CREATE TABLE touches (touch_id TEXT, lead_id TEXT)")
        mirror.executemany("INSERT INTO touches VALUES (?, ?)", [(f"t-{one}", one) for one in leads])
        mirror.execute("CREATE TABLE lead_merges (from_lead_id TEXT, into_lead_id TEXT)")
        mirror.execute("INSERT INTO lead_merges VALUES (?, ?)", (TWIN, GONE))
    mirror.close()
    note_seen(workspace, "7", [GONE, KEPT, GONE])
    note_seen(workspace, "10", [TWIN])
    note_seen(workspace, "9", [KEPT])


def files_naming(folder: Path, lead: str) -> list[str]:
    """Grep the bytes of every file, and the text of every Parquet file, which is compressed."""
    found: list[str] = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
            if lead.encode() in content.replace(KEPT.encode(), b""):
                found.append(str(path.relative_to(folder)))
    return found


def count(state: State, table: sa.Table, lead: str) -> int:
    with state.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).where(table.c.lead_id == lead)).scalar_one()


def test_after_erasure_no_file_holds_the_lead_or_its_twin(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    fill_files(workspace)
    assert len(files_naming(workspace.folder, GONE)) >= 5 + state.is_sqlite
    receipt = erase_lead(state, workspace, GONE, now=NOW, asker=Asker("key-1", "request-1"))
    assert receipt.leads == NAMES
    assert [files_naming(workspace.folder, lead) for lead in NAMES] == [[], []]
    log = Path(f"{workspace.state_path}-wal")
    assert not log.exists() or log.stat().st_size == 0
    assert receipt.remaining == ()
    assert receipt.model_versions == ("7", "10")
    assert any(note.startswith("Versions 7, 10 had learned") for note in receipt.notes)
    for table in (*TOLD.values(), LEDGER, SHADOW_SCORES, CURRENT_SCORES, OUTBOX, DEAD_LETTERS):
        if "lead_id" in table.c:
            assert (count(state, table, GONE), count(state, table, KEPT)) == (0, 1)
    assert receipt.removed["state/ledger"] == 2
    assert receipt.removed["mirror/touches"] == 2
    assert receipt.removed["tables/scores"] == 2
    assert receipt.removed["gain/7.parquet"] == 2
    assert receipt.removed["migrations/a.csv"] == 1


def test_others_keep_what_is_theirs(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    fill_files(workspace)
    erase_lead(state, workspace, GONE, now=NOW)
    assert read_scores(workspace).column("lead_id").to_pylist() == [KEPT]
    moments = pq.read_table(workspace.gain_path("7"))
    assert moments.column("lead_id").to_pylist() == ["", KEPT, ""]  # rows stand beside those of the bundle
    with state.reading() as connection:
        hooks = {row.event_id: row for row in connection.execute(sa.select(HOOK_EVENTS))}
        letter = connection.execute(sa.select(DEAD_LETTERS)).one()
        box = connection.execute(sa.select(OUTBOX)).one()
        quarantined = connection.execute(sa.select(TOLD_QUARANTINE.c.key)).scalars().all()
    assert set(hooks) == {f"e-{len(GONE)}", f"e-{len(KEPT)}", f"c-{len(KEPT)}"}
    assert hooks[f"e-{len(GONE)}"].body is None
    assert hooks[f"e-{len(GONE)}"].next_try_us is None
    assert KEPT in hooks[f"e-{len(KEPT)}"].body
    assert (letter.lead_id, letter.message, box.last_error) == (KEPT, "", None)
    assert quarantined == [f"{KEPT}|x"]


def test_what_waits_to_be_told_outlives_an_erasure_whose_id_is_a_number(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    payload = json.dumps({"score": 1.0, "model_version": "1", "grade": "A"})
    with state.writing() as connection:
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.lead_id == KEPT).values(payload=payload))
    erase_lead(state, workspace, "1", now=NOW)
    with state.reading() as connection:
        found = connection.execute(sa.select(OUTBOX.c.payload).where(OUTBOX.c.lead_id == KEPT)).scalar_one()
    assert found == payload


def test_a_plan_changes_nothing_and_counts_the_same(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    fill_files(workspace)
    before = {path: path.read_bytes() for path in workspace.folder.rglob("*.parquet")}
    plan = plan_erasure(state, workspace, GONE, now=NOW)
    assert before == {path: path.read_bytes() for path in workspace.folder.rglob("*.parquet")}
    done = erase_lead(state, workspace, GONE, now=NOW)
    assert (plan.dry_run, done.dry_run) == (True, False)
    assert plan.removed == done.removed
    with state.reading() as connection:
        assert len(connection.execute(sa.select(TOMBSTONES)).all()) == 2


def test_an_erasure_can_be_asked_again_and_is_audited_by_hashes(state: State, workspace: Workspace) -> None:
    for _ in range(2):
        receipt = erase_lead(state, workspace, f" {GONE}　", now=NOW, asker=Asker("key-1", "request-1"))
    assert (receipt.lead_id, receipt.removed) == (GONE, {})
    secret = state_secret(workspace)
    with state.reading() as connection:
        rows = connection.execute(sa.select(AUDIT)).all()
        assert len(connection.execute(sa.select(TOMBSTONES)).all()) == 1
        assert tombstoned(connection, secret, [GONE, KEPT]) == {GONE}
        assert tombstoned(connection, secret, [GONE, *map(str, range(1_000))]) == {GONE}
        assert tombstoned(connection, secret, []) == set()
    assert [(row.action, row.key_id, row.lead_hash) for row in rows] == [
        ("erasure", "key-1", lead_hash(secret, GONE))
    ] * 2


@pytest.mark.parametrize("workspace", ["sqlite"], indirect=True)
def test_old_copies_in_moved_pages_are_gone_too(state: State, workspace: Workspace) -> None:
    """Rows that were moved between pages leave copies in free space, which secure_delete does not reach."""
    leads = [f"lead-{number * 7919 % 20_011:07d}" for number in range(6_000)]
    scores = [filled(CURRENT_SCORES, lead_id=lead) for lead in leads]
    with state.writing() as connection:
        for start in range(0, len(scores), 50):
            connection.execute(sa.insert(CURRENT_SCORES), scores[start : start + 50])
            connection.execute(sa.delete(CURRENT_SCORES).where(CURRENT_SCORES.c.lead_id.in_(leads[start : start + 9])))
    for lead in leads[20:4_000:800]:
        erase_lead(state, workspace, lead, now=NOW)
        assert files_naming(workspace.folder, lead) == []


@pytest.mark.parametrize("workspace", ["sqlite"], indirect=True)
def test_a_checkpoint_of_the_service_is_waited_for(state: State, workspace: Workspace) -> None:
    is_done = threading.Event()

    def write_and_checkpoint() -> None:
        number = 0
        while not is_done.is_set():
            with state.writing() as connection:
                connection.execute(sa.insert(CURRENT_SCORES), [filled(CURRENT_SCORES, lead_id=f"other-{number}")])
            state.checkpoint()
            number += 1
            is_done.wait(0.001)

    service = threading.Thread(target=write_and_checkpoint)
    service.start()
    try:
        for number in range(30):
            assert clean_pages(state, workspace.state_path, [f"lead-{number}"]) is None
    finally:
        is_done.set()
        service.join()


def test_merges_that_only_the_source_knows_can_be_given(state: State, workspace: Workspace) -> None:
    receipt = erase_lead(state, workspace, "a", now=NOW, merges=[("b", "a"), ("c", "b"), ("x", "y")])
    assert receipt.leads == ("a", "b", "c")


def test_a_copy_of_the_source_that_is_open_is_replaced_and_not_changed(state: State, workspace: Workspace) -> None:
    fill_files(workspace)
    opened = open_mirror(workspace)
    assert opened is not None
    receipt = erase_lead(state, workspace, GONE, now=NOW)
    assert receipt.removed["mirror/touches"] == 2
    assert len(opened.execute("SELECT * FROM touches").fetchall()) == 3
    opened.close()
    again = open_mirror(workspace)
    assert again is not None
    assert [row["lead_id"] for row in again.execute("SELECT * FROM touches")] == [KEPT]
    again.close()
    assert [path.name for path in mirror_path(workspace).parent.glob("history.*")] == ["history.db"]


def test_files_that_cannot_be_rewritten_row_by_row_are_named(state: State, workspace: Workspace) -> None:
    folder = workspace.folder / ".kizashi"
    folder.mkdir(exist_ok=True)
    (folder / "notes.txt").write_text(f"about {GONE}")
    (folder / "other.txt").write_text(f"about {KEPT}")
    receipt = erase_lead(state, workspace, GONE, now=NOW)
    assert receipt.remaining == (".kizashi/notes.txt",)
    assert any("made anew" in note for note in receipt.notes)


def test_pages_and_rows_of_the_board_lose_the_lead(state: State, workspace: Workspace) -> None:
    board = workspace.board_folder
    (board / "owners" / "rows").mkdir(parents=True)
    (board / "owners" / "board.en.html").write_text(f'<th scope="row" class="text">{GONE}</th><td>7</td>')
    (board / "board.ja.html").write_text(f'<th scope="row" class="text">{KEPT}</th>')
    (board / "owners" / "rows" / "leads.csv").write_text(f"lead_id,revenue\r\n{GONE},1\r\n{KEPT},2\r\n", "utf-8-sig")
    dry = plan_erasure(state, workspace, GONE, now=NOW)
    assert (board / "owners" / "board.en.html").exists()
    receipt = erase_lead(state, workspace, GONE, now=NOW)
    assert receipt.removed == dry.removed
    assert receipt.removed["board/owners"] == 2
    assert not (board / "owners" / "board.en.html").exists()
    assert (board / "board.ja.html").exists()
    assert f"\n{GONE}," not in (board / "owners" / "rows" / "leads.csv").read_text("utf-8-sig")
    assert receipt.remaining == ()


@pytest.mark.parametrize("lead", ["", "  ", "x" * 201, "a\nb"])
def test_what_is_no_id_is_refused(state: State, workspace: Workspace, lead: str) -> None:
    with pytest.raises(ErasureError, match="one lead"):
        erase_lead(state, workspace, lead, now=NOW)


def test_with_hashed_ids_both_forms_are_erased(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZASHI_ID_KEY", "k")
    workspace = Workspace(folder=tmp_path, config=config_of(workspace={"hash_ids": True}))
    state = open_state(workspace)
    receipt = erase_lead(state, workspace, GONE, now=NOW)
    state.close()
    assert set(receipt.leads) == {GONE, hash_id(GONE, "k")}
    erased = left_out_leads(workspace, with_objections=False)
    assert erased is not None
    assert erased([hash_id(GONE, "k"), KEPT]) == {hash_id(GONE, "k")}


@pytest.mark.parametrize("workspace", ["sqlite"], indirect=True)
def test_the_locks_of_a_running_service_outlive_an_erasure(state: State, workspace: Workspace) -> None:
    """A process that opens the state's file itself gives its locks up, and whoever comes next deletes the log."""
    asked = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "print(c.execute('SELECT count(*) FROM leads').fetchone()[0]); c.close()"
    )

    def seen_by_others() -> int:
        command = [sys.executable, "-c", asked, str(workspace.state_path)]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    leads = TOLD["leads"]
    with state.reading():  # the service has more than one connection
        erase_lead(state, workspace, GONE, now=NOW)
        for number in range(3):
            with state.writing() as connection:
                connection.execute(sa.insert(leads).values(filled(leads, lead_id=f"new-{number}")))
            assert seen_by_others() == number + 1


def test_an_id_that_is_a_number_takes_nothing_of_others_along(state: State, workspace: Workspace) -> None:
    secret = state_secret(workspace)
    both = [{"lead_id": "7", "value": 8}, {"lead_id": "8", "value": 7, "kind": "7"}]
    body = json.dumps({"kind": "rows", "content": {"table": "touches", "rows": both}})
    leads = " ".join(lead_hash(secret, one) for one in ("7", "8"))
    with state.writing() as connection:
        hook = filled(HOOK_EVENTS, event_id="e", body=body, leads=leads, next_try_us=5)
        connection.execute(sa.insert(HOOK_EVENTS).values(hook))
        place = Place(NOW, None, "touches", "2026-01-01 7")
        note_place(connection, "odoo", place)
        for one in both:
            content = json.dumps({**one, "share": 61.7})
            connection.execute(sa.insert(TOLD_QUARANTINE).values(filled(TOLD_QUARANTINE, key="7", content=content)))
    folder = workspace.folder / ".kizashi" / "migrations"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("lead_id,score\n7,61.7\n8,7\n", encoding="utf-8")
    workspace.tables_folder.mkdir()
    pq.write_table(
        pa.table({"key": ["7", "8"], "content": [json.dumps(one) for one in both]}),
        workspace.tables_folder / "quarantine.parquet",
    )
    erase_lead(state, workspace, "7", now=NOW)
    with state.reading() as connection:
        (kept,) = connection.execute(sa.select(HOOK_EVENTS)).all()
        (row,) = connection.execute(sa.select(TOLD_QUARANTINE)).all()
        again = first_place(connection, "odoo", NOW)
    assert json.loads(kept.body)["content"]["rows"] == both[1:]
    assert (kept.leads, kept.next_try_us) == (lead_hash(secret, "8"), 5)
    assert json.loads(row.content)["lead_id"] == "8"
    assert (folder / "a.csv").read_text(encoding="utf-8").split() == ["lead_id,score", "8,7"]
    assert pq.read_table(workspace.tables_folder / "quarantine.parquet").column("key").to_pylist() == ["8"]
    assert again == Place(NOW, None, "touches", None, is_resumed=True)


# --- beside other work -----------------------------------------------------------------------------------------------


def test_erasures_at_the_same_time_do_not_undo_one_another(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    fill_files(workspace)
    ids = [f"lead-9{number}" for number in range(6)]
    rows = {"lead_id": ids, "as_of": [START] * 6, "model_version": ["1"] * 6, "line_version": ["1"] * 6}
    append_scores(workspace, pa.table(rows), "batch", NOW)
    with sqlite3.connect(mirror_path(workspace)) as mirror:
        mirror.executemany("INSERT INTO touches VALUES ('t', ?)", [(one,) for one in ids])
    mirror.close()
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(erase_lead, state, workspace, one, now=NOW) for one in (*ids, *ids)]
    assert all(one.result().lead_id in ids for one in done)
    assert [one for one in ids if files_naming(workspace.folder, one)] == []
    with state.reading() as connection:
        assert len(tombstoned(connection, state_secret(workspace), ids)) == 6


def test_what_was_begun_before_an_erasure_waits_or_is_undone(state: State, workspace: Workspace) -> None:
    teller = workspace_teller(workspace)
    row = {"lead_id": GONE, "created_at": START, "recorded_at": START}
    with ThreadPoolExecutor(1) as pool:
        with state.writing() as connection:
            teller.tell(connection, "leads", [row], "posted", to_micros(NOW))
            erasing = pool.submit(erase_lead, state, workspace, GONE, now=NOW)
            with pytest.raises(TimeoutError):
                erasing.result(timeout=0.5)
            teller.tell(connection, "lead_changes", [row | {"field": "a", "value": "b"}], "posted", to_micros(NOW))
        erasing.result()
    assert [name for name, table in TOLD.items() if "lead_id" in table.c and count(state, table, GONE)] == []


def test_a_command_that_was_begun_before_an_erasure_writes_nothing_of_the_lead(
    state: State, workspace: Workspace
) -> None:
    rows = [{"lead_id": one, "created_at": START, "recorded_at": START} for one in (GONE, KEPT)]
    source = MemorySource({"leads": arrow_of("leads", rows)})
    with take_in(source, workspace.config, now=NOW, progress=Silent()) as taken:
        erase_lead(state, workspace, GONE, now=NOW)
        write_mirror(workspace, taken, Silent())
    scores = {"as_of": [START] * 2, "model_version": ["1"] * 2, "line_version": ["1"] * 2}
    append_scores(workspace, pa.table({"lead_id": [GONE, KEPT], **scores}), "batch", NOW)
    assert files_naming(workspace.folder, GONE) == []
    assert read_scores(workspace).column("lead_id").to_pylist() == [KEPT]
    with closing(sqlite3.connect(mirror_path(workspace))) as mirror:
        assert mirror.execute("SELECT lead_id FROM leads").fetchall() == [(KEPT,)]


def test_what_another_machine_erased_is_taken_out_of_the_files_here(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    fill_files(workspace)
    secret = state_secret(workspace)
    assert erase_listed(workspace, {lead_hash(secret, "somebody-else")}) == 0
    assert erase_listed(workspace, {lead_hash(secret, one) for one in NAMES}) == 2
    assert [one for one in files_naming(workspace.folder, GONE) if "state.db" not in one] == []
    assert read_scores(workspace).column("lead_id").to_pylist() == [KEPT]


def test_a_lead_that_only_a_csv_names_is_taken_out_as_well(workspace: Workspace) -> None:
    folder = workspace.folder / ".kizashi" / "migrations"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(f"lead_id,why\n{GONE},up\n'=1+1,up\n{KEPT},down\n", encoding="utf-8-sig")
    secret = state_secret(workspace)
    assert erase_listed(workspace, {lead_hash(secret, one) for one in (GONE, "=1+1")}) == 2
    assert (folder / "a.csv").read_text(encoding="utf-8-sig").split() == ["lead_id,why", f"{KEPT},down"]


def test_what_a_process_left_half_written_is_deleted(state: State, workspace: Workspace) -> None:
    folder = workspace.tables_folder / "scores"
    folder.mkdir(parents=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = unfinished_of(folder / "a.parquet")
    left = mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{ended.pid}."))
    left.write_text(GONE)
    elsewhere = [folder / f"{name}.parquet.0123456789ab-{ended.pid}.unfinished" for name in ("old", "new")]
    for path in elsewhere:
        path.write_text(GONE)
    os.utime(elsewhere[0], (1, 1))
    ours = unfinished_of(folder / "b.parquet")
    ours.write_text("being written")
    erase_lead(state, workspace, GONE, now=NOW)
    assert (left.exists(), ours.exists()) == (False, True)
    assert [path.exists() for path in elsewhere] == [False, True], "another machine may be writing the newer one"


# --- objections ------------------------------------------------------------------------------------------------------


def test_a_lead_that_objects_is_not_scored_and_keeps_its_data(state: State, workspace: Workspace) -> None:
    fill(state, workspace)
    receipt = note_objection(state, workspace, GONE, now=NOW)
    waiting = ("current_scores", "rescore_queue", "outbox", "dead_letters")
    assert receipt.removed == {f"state/{name}": 2 for name in waiting}
    assert (count(state, LEDGER, GONE), count(state, TOLD["touches"], GONE)) == (1, 1)
    with state.reading() as connection:
        assert objected(connection, state_secret(workspace), [*NAMES, KEPT]) == set(NAMES)
        assert tombstoned(connection, state_secret(workspace), NAMES) == set()
        assert len(connection.execute(sa.select(OBJECTIONS)).all()) == 2
    training = left_out_leads(workspace, with_objections=True)
    assert training is not None
    assert training([GONE, KEPT]) == {GONE}
    assert left_out_leads(workspace, with_objections=False) is None


# --- being told ------------------------------------------------------------------------------------------------------


def test_what_is_told_of_an_erased_lead_is_kept_nowhere(state: State, workspace: Workspace) -> None:
    erase_lead(state, workspace, GONE, now=NOW)
    secret = state_secret(workspace)
    teller = Teller(workspace.config, erased=lambda connection, ids: tombstoned(connection, secret, ids))
    touch = {"lead_id": GONE, "happened_at": START, "kind": "visit"}
    rows = [touch, {**touch, "lead_id": KEPT}, {**touch, "happened_at": NOW + timedelta(days=99)}]
    with state.writing() as connection:
        told = teller.tell(connection, "touches", rows, "posted", to_micros(NOW))
    assert (told.stored, told.erased, told.quarantined) == (1, (0, 2), ())
    state.close()
    assert files_naming(workspace.folder, GONE) == []


# --- taking in -------------------------------------------------------------------------------------------------------


def test_no_table_and_no_quarantine_takes_an_erased_lead_in() -> None:
    leads = [{"lead_id": one, "created_at": START} for one in (GONE, KEPT)]
    touches = [
        {"touch_id": f"t{n}", "lead_id": one, "happened_at": START, "kind": "visit"}
        for n, one in enumerate((GONE, KEPT))
    ]
    bad = [{"touch_id": "t9", "lead_id": GONE, "happened_at": NOW + timedelta(days=99), "kind": "visit"}]
    merges = [{"from_lead_id": GONE, "into_lead_id": KEPT, "recorded_at": START}]
    raw = {
        "leads": arrow_of("leads", leads),
        "touches": arrow_of("touches", touches + bad),
        "lead_merges": arrow_of("lead_merges", merges),
    }

    def erased(ids: Any) -> set[str]:
        return {GONE} & set(ids)

    with take_in(MemorySource(raw), config_of(), now=NOW, progress=Silent(), erased=erased) as tables:
        found = {name: tables.table(name).to_pyarrow().to_pylist() for name in raw}
        assert GONE not in (str(found) + str(tables.quarantine().to_pylist())).replace(KEPT, "")
        assert {name: len(rows) for name, rows in found.items()} == {"leads": 1, "touches": 1, "lead_merges": 0}
        assert "4 rows of leads that were erased, or that object, were left out." in tables.notes
        for counted in tables.counts.values():
            assert counted.read == counted.kept + counted.identical + counted.quarantined


# --- what the service answers with -----------------------------------------------------------------------------------


def test_a_promotion_is_audited_once(state: State) -> None:
    with state.writing() as connection:
        noted = [
            note_promotion(connection, *versions, NOW) for versions in (("1", "a"), ("1", "a"), ("2", "a"), ("1", "a"))
        ]
        actions = connection.execute(sa.select(AUDIT.c.action)).scalars().all()
    assert noted == [True, False, True, True]
    assert actions == ["promotion_seen"] * 3


# --- retention -------------------------------------------------------------------------------------------------------


def test_what_is_old_goes_and_the_rest_stays(state: State) -> None:
    day = timedelta(days=1)
    old, new = to_micros(NOW - 31 * day), to_micros(NOW - 29 * day)
    touches = TOLD["touches"]
    with state.writing() as connection:
        for number, moment in enumerate((old, new)):
            name = f"l{number}"
            connection.execute(sa.insert(LEDGER).values(filled(LEDGER, lead_id=name, issued_us=moment)))
            shadow = filled(SHADOW_SCORES, seq=number + 1, lead_id=name)
            connection.execute(sa.insert(SHADOW_SCORES).values(shadow))
            connection.execute(sa.insert(touches).values(filled(touches, touch_id=name, happened_us=moment)))
            for event, waiting in ((f"done-{name}", None), (f"open-{name}", 5)):
                row = filled(HOOK_EVENTS, event_id=event, received_us=moment)
                connection.execute(sa.insert(HOOK_EVENTS).values({**row, "next_try_us": waiting}))
            connection.execute(sa.insert(AUDIT).values(filled(AUDIT, at_us=moment)))
    config = RetentionConfig(ledger_days=30, touches_days=30, hook_events_days=30)
    assert apply_retention(state, config, NOW) == {"ledger": 1, "touches": 1, "hook_events": 1}
    assert apply_retention(state, config, NOW) == {}
    with state.reading() as connection:
        assert connection.execute(sa.select(SHADOW_SCORES.c.lead_id)).scalars().all() == ["l1"]
        assert set(connection.execute(sa.select(HOOK_EVENTS.c.event_id)).scalars()) == {"open-l0", "done-l1", "open-l1"}
        assert len(connection.execute(sa.select(AUDIT)).all()) == 2
