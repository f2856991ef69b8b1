"""Opening the service's state: SQLite in WAL mode beside the workspace, or PostgreSQL by URL.

What is committed survives the end of the process at any moment. Whether it survives a loss of power as well is a
setting of SQLite (``[serve] durability``): by default the transactions since its last checkpoint may be lost then,
those of a few seconds or since the longest read began, whole ones and never halves; ``"power"`` waits for the disk at
every commit.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from crm.config import Workspace, mask_secrets
from crm.errors import StateError

__all__ = ["State", "has_state", "hold_alone", "open_state", "state_secret"]

BUSY_MS = 30_000
CHECKPOINT_TRIES = 20
CHECKPOINT_PAGES = 1_000
_WRITING = 724_181
"""Number of PostgreSQL's lock that transactions which write share, and that one which writes alone has for itself."""
_ALONE = sa.text(f"SELECT pg_advisory_xact_lock({_WRITING})")
_BESIDE_OTHERS = sa.text(f"SELECT pg_advisory_xact_lock_shared({_WRITING})")
SECRET_VARIABLE = "KIZASHI_SECRET"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class State:
    """An opened state.

    Parameters
    ----------
    engine
        Its database; transactions that write are begun with :meth:`writing`.
    is_sqlite
        One file that one process serves, rather than a server for many.
    """

    engine: sa.Engine
    is_sqlite: bool

    @contextmanager
    def writing(self, *, alone: bool = False) -> Generator[sa.Connection]:
        """Run a transaction that is committed at the end, and undone as a whole when an exception leaves it.

        Parameters
        ----------
        alone
            No other transaction of this method is under way meanwhile; with SQLite that is always so. For wishes that
            no other may miss: one that looked for tombstones before an erasure would write the lead down after it.
        """
        with self.engine.connect() as connection:
            if self.is_sqlite:
                # Taken at once: a transaction that first reads and then writes would fail beside another writer.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(_ALONE if alone else _BESIDE_OTHERS)
            with connection.begin() if not connection.in_transaction() else _committing(connection):
                yield connection

    @contextmanager
    def reading(self) -> Generator[sa.Connection]:
        """Read one picture, whatever is committed meanwhile; nothing is written."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()

    def checkpoint(self) -> bool:
        """Write SQLite's log into its file, waiting for the disk while others read and commit.

        Returns
        -------
        bool
            Whether nothing is left in the log, so that the next commit begins it anew unless somebody reads from it.
            Others commit meanwhile; each try leaves less to the next, until one falls between two commits. PostgreSQL
            sees to its own log.
        """
        if not self.is_sqlite:
            return True
        with self.engine.connect() as connection:
            before = None
            for _ in range(CHECKPOINT_TRIES):
                busy, pages, written = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
                if busy == 0 and pages == written and before is not None and pages <= before:
                    return True
                before = pages if busy == 0 and pages == written else None
        return False

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _committing(connection: sa.Connection) -> Generator[None]:
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def has_state(workspace: Workspace) -> bool:
    """Tell whether a workspace has a state; opening one that it has not would make it."""
    return workspace.config.serve.state_url is not None or workspace.state_path.is_file()


def open_state(workspace: Workspace, *, checkpoints_at_commits: bool = True) -> State:
    """Open a workspace's state, made or brought up to date on the way.

    Parameters
    ----------
    workspace
        Whose state.
    checkpoints_at_commits
        Whether a commit that finds SQLite's log long writes it into the file, and waits for the disk. False for who
        calls :meth:`State.checkpoint` every few seconds instead.

    Raises
    ------
    StateError
        When it cannot be opened or is of a newer version.
    """
    url = workspace.config.serve.state_url
    is_sqlite = not url
    try:
        if is_sqlite:
            path = workspace.state_path
            path.parent.mkdir(parents=True, exist_ok=True)
            engine = _sqlite_engine(
                path,
                is_durable=workspace.config.serve.durability == "power",
                checkpoint_pages=CHECKPOINT_PAGES if checkpoints_at_commits else 0,
            )
        else:
            engine = sa.create_engine(_driver_url(url), pool_pre_ping=True, pool_size=8, max_overflow=8)
        _migrate(engine)
    except (SQLAlchemyError, OSError) as error:
        raise StateError(
            found=f"a state that cannot be opened ({mask_secrets(_first_line(error), workspace.secrets)})",
            expected="a file that can be written, or a PostgreSQL that answers",
            fix="look at .kizashi/state.db and the free space, or at [serve] state_url",
        ) from error
    return State(engine, is_sqlite)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _driver_url(url: str) -> str:
    """Name the driver that is installed with the extra ``postgres``."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def _sqlite_engine(path: Path, *, is_durable: bool, checkpoint_pages: int) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False, "cached_statements": 256},
        pool_size=8,
        max_overflow=16,
    )

    def prepare(connection: Any, record: object) -> None:
        del record
        connection.isolation_level = None  # transactions begin where the code says, not where sqlite3 guesses
        for pragma in (
            "journal_mode = WAL",
            f"synchronous = {'FULL' if is_durable else 'NORMAL'}",
            f"busy_timeout = {BUSY_MS}",
            f"wal_autocheckpoint = {checkpoint_pages}",
            "secure_delete = ON",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            "mmap_size = 268435456",
        ):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", prepare)
    if not path.exists():
        path.touch(mode=0o600)
    return engine


def _migrate(engine: sa.Engine) -> None:
    """Bring the tables to this version's form, under a lock where several processes may start at once."""
    from alembic import command  # half a second, and only whoever opens a state needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files("crm").joinpath("migrations")))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_lock(724180)"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
            connection.commit()
        finally:
            if engine.dialect.name == "postgresql":
                # The lock is the connection's, which goes back to a pool: the next to open the state would wait.
                connection.rollback()
                connection.execute(sa.text("SELECT pg_advisory_unlock(724180)"))
                connection.commit()


def state_secret(workspace: Workspace) -> bytes:
    """Return the workspace's secret, from which hashes of ids and of inputs are made; made on first use.

    ``KIZASHI_SECRET`` in the environment, else the file ``.kizashi/secret``, which only its owner can read. Who loses
    it loses the list of erased leads: keep it with the state's backups.
    """
    given = os.environ.get(SECRET_VARIABLE, "")
    if given:
        return given.encode()
    path = workspace.folder / ".kizashi" / "secret"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{secrets.token_hex(8)}")
        made.touch(mode=0o600)
        made.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(made, path)  # whoever is first wins, and everybody reads the same
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_bytes().strip()


def hold_alone(workspace: Workspace) -> IO[bytes]:
    """Make sure that one process serves a state that is a file, as long as what is returned stays open.

    The lock ends with the process, however that ends.

    Raises
    ------
    StateError
        When another process serves it.
    """
    path = workspace.folder / ".kizashi" / "serve.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StateError(
            found="another process that serves this workspace",
            expected="one process for a state in SQLite",
            fix="stop the other, or give [serve] state_url a PostgreSQL, which serves many",
        ) from error
    return lock
