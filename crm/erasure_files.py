"""Erasing leads from the files of a workspace: Parquet, CSV, the mirror of the source, pages of the state's file."""

# pyarrow publishes no types.
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
from __future__ import annotations

import csv
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa
from markupsafe import escape
from sqlalchemy.exc import SQLAlchemyError

from crm.config import Workspace
from crm.lead_files import unfinished_of
from crm.mirror import mirror_path
from crm.mirror_leads import counts_of, delete_leads, lead_tables, leads_in
from crm.naming import LEAD_COLUMNS, Naming, leads_of_row
from crm.state import State

__all__ = ["clean_pages", "erase_files", "erase_mirror", "leads_in_files", "mirror_merges", "still_naming"]

_CONTENT = "content"
"""Column of the quarantine with a row of the contract as JSON."""
_NO_LEADS = ("seen",)
"""Folders of keyed hashes alone."""
MAX_TEXT_BYTES = 200_000_000
EMPTYING_SECONDS, EMPTYING_PAUSE = 2.0, 0.05
SHORTEST = 4
"""Shorter ids are in every file by chance: their pages are not looked for."""
_IN_USE = "the state's log was in use; run the command again to see its old pages emptied"


def erase_files(workspace: Workspace, ids: Sequence[str], *, dry_run: bool) -> dict[str, int]:
    """Take leads out of every Parquet and CSV file that kizashi wrote beside the workspace; rows by file or folder.

    Each file is written anew and put in the old one's place at once; a page of the board that names one of them is
    deleted. In the kept weeks, whose rows stand beside those of a model, the row stays and its lead is emptied.

    Parameters
    ----------
    workspace
        Whose files.
    ids
        Of the leads.
    dry_run
        Count and change nothing.
    """
    root = workspace.folder / ".kizashi"
    counts: dict[str, int] = {}
    for path in _files(root):
        if path.suffix == ".parquet":
            count = _erase_parquet(path, ids, dry_run=dry_run)
        elif path.suffix == ".csv":
            count = _erase_csv(path, ids, dry_run=dry_run)
        elif path.suffix == ".html" and path.is_relative_to(workspace.board_folder):
            count = _erase_page(path, ids, dry_run=dry_run)
        else:
            continue
        if count:
            name = path.relative_to(root).parts
            place = "/".join(name[:2]) if len(name) > 2 else "/".join(name)
            counts[place] = counts.get(place, 0) + count
    return counts


def leads_in_files(workspace: Workspace) -> set[str]:
    """Return the ids of all leads in the copy of the source and in the files that kizashi wrote."""
    found: set[str] = set()
    path = mirror_path(workspace)
    if path.is_file():
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            found.update(leads_in(connection))
    for path in _files(workspace.folder / ".kizashi"):
        if path.suffix == ".parquet":
            names = pq.read_schema(path).names
            table = pq.read_table(path, columns=[name for name in (*LEAD_COLUMNS, _CONTENT) if name in names])
            for name in table.column_names:
                values = table.column(name).cast(pa.string()).unique().to_pylist()
                found.update(*map(leads_of_row, values)) if name == _CONTENT else found.update(filter(None, values))
        elif path.suffix == ".csv":
            header, rows = _csv_rows(path.read_bytes())
            cells = (row[at] for row in rows for at in _lead_cells(header, row))
            found.update(form for cell in cells for form in (cell, cell.removeprefix("'")))
    return found


def still_naming(workspace: Workspace, ids: Sequence[str]) -> list[str]:
    """Return the other files that name one of the leads, such as pages of reports: they are to be made anew."""
    root, naming = workspace.folder / ".kizashi", Naming(ids)
    others = (path for path in _files(root) if path.suffix not in (".parquet", ".csv", ".db", ".db-wal", ".db-shm"))
    found = (path for path in others if naming.is_in_bytes(_text_bytes(path)))
    return sorted(str(path.relative_to(workspace.folder)) for path in found)


def _text_bytes(path: Path) -> bytes:
    """Return what a file holds; nothing of a large one, or of one that another process has just put in its place."""
    try:
        return path.read_bytes() if path.stat().st_size <= MAX_TEXT_BYTES else b""
    except FileNotFoundError:
        return b""


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        if path.is_file() and path.relative_to(root).parts[0] not in _NO_LEADS:
            yield path


def _erase_page(path: Path, ids: Sequence[str], *, dry_run: bool) -> int:
    """Delete a page of the board that has a row of one of the leads, whose id heads it: it is made anew every night."""
    content = path.read_bytes()
    if not any(f">{escape(lead)}</th>".encode() in content for lead in ids):
        return 0
    if not dry_run:
        path.unlink()
    return 1


def _erase_parquet(path: Path, ids: Sequence[str], *, dry_run: bool) -> int:
    names = pq.read_schema(path).names
    if not set(names) & {*LEAD_COLUMNS, _CONTENT}:
        return 0
    table = pq.read_table(path)
    gone = _rows_of(table, ids)
    count = int(pc.sum(gone).as_py() or 0)
    if not count or dry_run:
        return count
    if path.parent.name == "gain":
        kept = pc.if_else(gone, "", table.column("lead_id"))
        table = table.set_column(table.schema.get_field_index("lead_id"), table.schema.field("lead_id"), kept)
    else:
        table = table.filter(pc.invert(gone))
    unfinished = unfinished_of(path)
    pq.write_table(table, unfinished)
    unfinished.replace(path)
    return count


def _rows_of(table: pa.Table, ids: Sequence[str]) -> pa.ChunkedArray:
    """Return which rows belong to the leads, shape (n,), without nulls."""
    gone = pa.chunked_array([pa.repeat(False, table.num_rows)])
    for name in LEAD_COLUMNS:
        if name in table.column_names:
            gone = pc.or_(gone, pc.is_in(table.column(name).cast(pa.string()), pa.array(ids, pa.string())))
    if _CONTENT in table.column_names:
        wanted = set(ids)
        kept_as = table.column(_CONTENT).cast(pa.string()).to_pylist()
        told = pa.array([bool(leads_of_row(content) & wanted) for content in kept_as], pa.bool_())
        gone = pc.or_(gone, pa.chunked_array([told]))
    return gone


def _erase_csv(path: Path, ids: Sequence[str], *, dry_run: bool) -> int:
    content = path.read_bytes()
    header, rows = _csv_rows(content)
    wanted = {*ids, *(f"'{lead}" for lead in ids)}  # an id that a spreadsheet would run has an apostrophe in front
    kept = [header, *(row for row in rows if not any(row[at] in wanted for at in _lead_cells(header, row)))]
    if len(kept) == 1 + len(rows):
        return 0
    if not dry_run:
        made = StringIO(newline="")
        csv.writer(made).writerows(kept)
        unfinished = unfinished_of(path)
        marked = content.startswith(b"\xef\xbb\xbf")
        unfinished.write_bytes((b"\xef\xbb\xbf" if marked else b"") + made.getvalue().encode())
        unfinished.replace(path)
    return 1 + len(rows) - len(kept)


def _csv_rows(content: bytes) -> tuple[list[str], list[list[str]]]:
    header, *rows = list(csv.reader(StringIO(content.decode("utf-8-sig"), newline=""))) or [[]]
    return header, rows


def _lead_cells(header: Sequence[str], row: Sequence[str]) -> list[int]:
    """Return which cells of a row hold ids of leads."""
    return [number for number, name in enumerate(header) if name in LEAD_COLUMNS and number < len(row)]


def mirror_merges(workspace: Workspace) -> list[tuple[str, str]]:
    """Return the merges that the mirror knows of."""
    path = mirror_path(workspace)
    if not path.is_file():
        return []
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        if "lead_merges" not in lead_tables(connection):
            return []
        rows = connection.execute("SELECT DISTINCT from_lead_id, into_lead_id FROM lead_merges").fetchall()
    return [(str(one), str(other)) for one, other in rows]


def erase_mirror(workspace: Workspace, ids: Sequence[str], *, dry_run: bool) -> dict[str, int]:
    """Take leads out of the copy of the source; return the counts by table, none without a copy.

    A running service has the copy open as a file that never changes, so it is replaced as a whole.
    """
    path = mirror_path(workspace)
    if not path.is_file():
        return {}
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        found = {f"mirror/{name}": count for name, count in counts_of(connection, ids).items() if count}
        if found and not dry_run:
            _replace_mirror(connection, path, ids)
    return found


def _replace_mirror(connection: sqlite3.Connection, path: Path, ids: Sequence[str]) -> None:
    unfinished = unfinished_of(path)
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = OFF")
            delete_leads(copy, ids)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def clean_pages(state: State, path: Path, ids: Sequence[str]) -> str | None:
    """See to it that what was deleted is in no page of the state's file; return what stands in the way, or None.

    SQLite overwrites deleted rows, and its log is emptied here. Where rows were moved between pages before, an older
    copy can be left in the free space of a page: then the file is built anew.

    Parameters
    ----------
    state
        Whose file.
    path
        The file.
    ids
        Of the erased leads.
    """
    if not state.is_sqlite:
        return "PostgreSQL clears deleted rows from its pages at its next vacuum; its backups and logs are its own"
    try:
        with state.engine.connect() as connection:
            if not _is_emptied(connection):
                return _IN_USE
            is_clean = True
            if _holds(path, ids):
                connection.exec_driver_sql("PRAGMA temp_store = FILE")
                connection.exec_driver_sql("VACUUM")
                is_clean = _is_emptied(connection)
                connection.invalidate()  # of the setting
            return None if is_clean else _IN_USE
    except SQLAlchemyError:
        return "the state's file was in use and was not built anew; run the command again when the service rests"


def _is_emptied(connection: sa.Connection) -> bool:
    """Empty the log. SQLite waits for readers and writers by itself, but not for another who writes the log back."""
    until = time.monotonic() + EMPTYING_SECONDS
    while int(connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]) != 0:
        if time.monotonic() > until:
            return False
        time.sleep(EMPTYING_PAUSE)
    return True


# Run by a process of its own, on a path, and on ids in hex that it reads: everybody sees a process' command line.
_SEARCH = """
import mmap, sys
path, wanted = sys.argv[1], sys.stdin.read().split()
with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
    sys.exit(any(content.find(bytes.fromhex(one)) >= 0 for one in wanted))
"""


def _holds(path: Path, ids: Sequence[str]) -> bool:
    """Tell whether the bytes of an id are anywhere in the state's file, be it as a part of another id.

    Another process looks: a process that closes a file gives up its locks on it, those of SQLite as well, and the next
    process to close the state would take away the log under this one (sqlite.org/howtocorrupt.html, 2.2).
    """
    wanted = [lead.encode().hex() for lead in ids if len(lead.encode()) >= SHORTEST]
    if not wanted:
        return False
    command = [sys.executable, "-I", "-c", _SEARCH, str(path)]
    return subprocess.run(command, check=False, input=" ".join(wanted), text=True).returncode != 0  # noqa: S603 - our own text
