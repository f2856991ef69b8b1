"""The board as files: pages in both languages and the rows behind them, for a folder of one's own and for the service.

The service reads ``.kizashi/board/``: ``board.en.html`` and ``board.ja.html`` with ``rows/``, where owners are numbers,
and the same under ``owners/``, where they have their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import pandas as pd

from alignment.board.page import Findings, board_context, board_page
from alignment.board_rows import called
from crm.config import Workspace
from crm.errors import WorkspaceError
from crm.lead_files import placing_leads
from pages.board import board_tables, render_board
from pages.report_tables import write_tables
from pages.safe_csv import write_frame
from pages.words import Language

__all__ = ["LeadsErasedError", "write_board", "write_served_board"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
OWNERS = "owners"
LIST = ".written-by-kizashi"
"""Names of the files that were written into a folder of rows, so that the next board deletes no others."""


class LeadsErasedError(Exception):
    """Leads that the board names were erased while it was made: it is to be made anew."""


Rows = Mapping[str, pd.DataFrame]


def write_board(found: Findings, rows: Rows, folder: Path, language: Language, *, names_owners: bool) -> list[Path]:
    """Write the board for a folder of one's own: ``board.html``, the other language beside it, and ``rows/``.

    Parameters
    ----------
    found
        What was found.
    rows
        The rows behind it (:func:`alignment.board_rows.board_rows`).
    folder
        Where; made if it is not there. Rows of an earlier board are deleted, and nothing else.
    language
        Of ``board.html`` and of texts in the rows.
    names_owners
        Owners are called by their names.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    WorkspaceError
        When ``rows`` is there and holds what is not an earlier board's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check_rows(folder / "rows")
    other: Language = "ja" if language == "en" else "en"
    names = {language: "board.html", other: f"board.{other}.html"}
    languages: tuple[tuple[Language, Language], ...] = ((language, other), (other, language))
    written = [
        _write_page(found, folder / names[one], one, ("rows/", names[two]), names_owners=names_owners)
        for one, two in languages
    ]
    return [*written, *_write_rows(found, rows, folder / "rows", language, names_owners=names_owners)]


def write_served_board(found: Findings, rows: Rows, workspace: Workspace) -> None:
    """Write the board where the service finds it, all of it at once; parameters as in :func:`write_board`.

    Raises
    ------
    LeadsErasedError
        When leads that it names were erased since the tables were read.
    """
    target = workspace.board_folder
    target.parent.mkdir(parents=True, exist_ok=True)
    language = workspace.config.workspace.language
    with TemporaryDirectory(prefix="board-", dir=target.parent) as name:
        fresh = Path(name) / "board"
        for folder, names_owners in ((fresh, False), (fresh / OWNERS, True)):
            folder.mkdir(parents=True)
            for one in LANGUAGES:
                other = next(two for two in LANGUAGES if two != one)
                places = ("board/rows/", f"board?lang={other}")
                _write_page(found, folder / f"board.{one}.html", one, places, names_owners=names_owners)
            _write_rows(found, rows, folder / "rows", language, names_owners=names_owners)
        with placing_leads(workspace) as erased:
            if erased is not None and erased(found.reports.people.person_of["lead_id"].tolist()):
                raise LeadsErasedError
            if target.exists():
                target.rename(Path(name) / "old")
            fresh.rename(target)


def _write_page(
    found: Findings, path: Path, language: Language, places: tuple[str, str], *, names_owners: bool
) -> Path:
    context = board_context(found, language, names_owners=names_owners)
    page = board_page(found, context)
    path.write_text(render_board(page, language, rows_at=places[0], other_language=places[1]), encoding="utf-8")
    return path


def _write_rows(found: Findings, rows: Rows, folder: Path, language: Language, *, names_owners: bool) -> list[Path]:
    context = board_context(found, language, names_owners=names_owners)
    for name in _earlier(folder):
        (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    written = list(write_tables(board_tables(board_page(found, context)), folder))
    for name, frame in rows.items():
        path = folder / f"{name}.csv"
        write_frame(path, called(frame, context))
        written.append(path)
    (folder / LIST).write_text("".join(f"{path.name}\n" for path in written), encoding="utf-8")
    return written


def _earlier(folder: Path) -> list[str]:
    """Return the names of the files that an earlier board wrote into a folder of rows."""
    listed = folder / LIST
    names = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    return [name for name in names if Path(name).name == name and name.endswith(".csv")]


def _check_rows(folder: Path) -> None:
    """Refuse to write beside files that no board of ours has left there."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        found = f"'{folder}', which is no folder of its own"
    elif folder.is_dir() and (others := sorted({path.name for path in folder.iterdir()} - {LIST, *_earlier(folder)})):
        found = f"'{others[0]}' in '{folder}', which no board has left there"
    else:
        return
    raise WorkspaceError(found=found, expected="a place for rows alone", fix="name another folder with --out")
