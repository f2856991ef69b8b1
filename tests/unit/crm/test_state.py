"""The state: its form by migrations, transactions that hold, files that only their owner reads."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from crm.config import Workspace, load_workspace
from crm.errors import StateError
from crm.state import State, has_state, hold_alone, open_state, state_secret
from crm.state_tables import METADATA, TOLD
from tests.postgres import own_postgres

ROW = {"lead_id": "a", "created_us": 1, "recorded_us": 1, "arrived_us": 1, "origin": "posted"}


def workspace_at(folder: Path, serve: str = "") -> Workspace:
    (folder / "kizashi.toml").write_text(f'[source]\nurl = "state:"\n[serve]\n{serve}', encoding="utf-8")
    return load_workspace(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    with ExitStack() as stack:
        serve = ""
        if request.param == "postgresql":
            serve = f'state_url = "{stack.enter_context(own_postgres())}"'
        opened = open_state(workspace_at(tmp_path, serve))
        stack.callback(opened.close)
        yield opened


def test_migrations_make_the_tables_that_the_code_describes(state: State) -> None:
    with state.reading() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert found == []


def test_a_transaction_is_kept_whole_or_not_at_all(state: State) -> None:
    def write_and_fail() -> None:
        with state.writing() as connection:
            connection.execute(sa.insert(TOLD["leads"]), [ROW])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with state.reading() as connection:
        assert connection.execute(sa.select(TOLD["leads"])).all() == []
    with state.writing() as connection:
        connection.execute(sa.insert(TOLD["leads"]), [ROW])
    with state.reading() as connection:
        assert len(connection.execute(sa.select(TOLD["leads"])).all()) == 1


def test_a_reader_sees_one_picture(state: State) -> None:
    count = sa.select(sa.func.count()).select_from(TOLD["leads"])
    with state.reading() as connection:
        assert connection.execute(count).scalar_one() == 0
        with state.writing() as other:
            other.execute(sa.insert(TOLD["leads"]), [ROW])
        assert connection.execute(count).scalar_one() == 0
    with state.reading() as connection:
        assert connection.execute(count).scalar_one() == 1


def test_a_state_that_is_open_is_opened_once_more(state: State, tmp_path: Path) -> None:
    again = open_state(load_workspace(tmp_path))
    with again.reading() as connection:
        assert connection.execute(sa.select(TOLD["leads"])).all() == []
    again.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    assert not has_state(workspace)
    first = open_state(workspace)
    with first.writing() as connection:
        connection.execute(sa.insert(TOLD["leads"]), [ROW])
    first.close()
    assert has_state(workspace)
    second = open_state(workspace)
    with second.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(TOLD["leads"])).scalar() == 1
    second.close()


def test_only_the_owner_reads_the_files(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    open_state(workspace).close()
    secret = state_secret(workspace)
    assert state_secret(workspace) == secret
    assert len(secret) == 64
    for name in ("state.db", "secret"):
        assert stat.S_IMODE((tmp_path / ".kizashi" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize(("serve", "synchronous"), [("", 1), ('durability = "power"', 2)])
def test_how_durable_a_commit_is_follows_the_workspace_file(tmp_path: Path, serve: str, synchronous: int) -> None:
    opened = open_state(workspace_at(tmp_path, serve))
    with opened.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == synchronous
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    opened.close()


def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    workspace.state_path.parent.mkdir()
    workspace.state_path.write_bytes(b"not a database, but somebody's notes" * 99)
    with pytest.raises(StateError, match="a state that cannot be opened"):
        open_state(workspace)
    assert workspace.state_path.read_bytes().startswith(b"not a database")


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path, 'state_url = "postgresql://app:hunter22@127.0.0.1:9/none"')
    with pytest.raises(StateError) as caught:
        open_state(workspace)
    assert "hunter22" not in str(caught.value)


def test_one_process_serves_a_file(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    with hold_alone(workspace), pytest.raises(StateError, match="another process"):
        hold_alone(workspace)
    hold_alone(workspace).close()


def test_a_reader_beside_a_writer_does_not_wait(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    state = open_state(workspace)
    with state.writing() as connection:
        connection.execute(sa.insert(TOLD["leads"]), [ROW])
        with sqlite3.connect(workspace.state_path, timeout=0) as reader:
            assert reader.execute("SELECT count(*) FROM leads").fetchone() == (0,)
    state.close()


@pytest.mark.parametrize("checkpoints_at_commits", [True, False])
def test_the_log_is_begun_anew_by_the_commit_after_a_checkpoint(
    tmp_path: Path, *, checkpoints_at_commits: bool
) -> None:
    workspace = workspace_at(tmp_path)
    log = workspace.state_path.with_name("state.db-wal")
    with closing(open_state(workspace, checkpoints_at_commits=checkpoints_at_commits)) as state:

        def write_much() -> int:
            for _ in range(30):
                with state.writing() as connection:
                    row = {**ROW, "lead_id": uuid4().hex, "source": "x" * 400_000}
                    connection.execute(sa.insert(TOLD["leads"]), [row])
            return log.stat().st_size

        first = write_much()
        assert (first < 5_000_000) == checkpoints_at_commits
        if not checkpoints_at_commits:
            with state.reading() as reader:
                reader.execute(sa.select(TOLD["leads"].c.lead_id)).first()
                assert state.checkpoint()
                assert write_much() > 1.5 * first, "what is being read stays in the log"
            before = log.stat().st_size
            assert state.checkpoint()
            assert write_much() == before


def test_checkpoints_beside_a_writer_keep_the_log_short(tmp_path: Path) -> None:
    workspace = workspace_at(tmp_path)
    log, is_done, written = workspace.state_path.with_name("state.db-wal"), threading.Event(), 0
    with closing(open_state(workspace, checkpoints_at_commits=False)) as state:

        def write() -> None:
            nonlocal written
            while not is_done.is_set():
                with state.writing() as connection:
                    row = {**ROW, "lead_id": uuid4().hex, "source": "x" * 100_000}
                    connection.execute(sa.insert(TOLD["leads"]), [row])
                written += 1
                is_done.wait(0.004)

        writer = threading.Thread(target=write)
        writer.start()
        results, sizes = [], []
        while written < 400:
            is_done.wait(0.05)
            results.append(state.checkpoint())
            sizes.append(log.stat().st_size)
        is_done.set()
        writer.join()
        with state.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(TOLD["leads"])).scalar_one() == written
    assert any(results)
    assert max(sizes) < written * 100_000 / 2
