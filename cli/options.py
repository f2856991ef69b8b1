"""What every command shares: the workspace, a moment, JSON, and how errors leave."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from cli.output import print_error
from crm.config import Workspace, load_workspace
from crm.errors import KizashiError
from crm.packed import load_packed, packed_at, state_folder

__all__ = ["ATTENTION", "DONE", "REFUSED", "as_of_option", "command_options", "parse_moment"]

DONE, REFUSED, ATTENTION = 0, 1, 3


def command_options(function: Callable[..., int]) -> Callable[..., None]:
    """Add ``--workspace``, ``--json`` and ``--debug``, and turn the function's answer into the exit code."""

    @click.option(
        "--workspace",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        help="Folder with kizashi.toml.  [default: .]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def run(*args: Any, debug: bool, **kwargs: Any) -> None:
        try:
            code = function(*args, **kwargs)
        except KizashiError as error:
            code = _fail(str(error), debug)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            code = _fail(
                f"Found an error that nobody foresaw ({type(error).__name__}: {error}); expected none. "
                "To go on: run the command again with --debug and report what it prints.",
                debug,
            )
        sys.exit(code)

    return run


def _fail(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print_error(message)
    return REFUSED


def as_of_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--as-of T``: what was recorded later does not exist."""
    return click.option(
        "--as-of",
        "as_of",
        metavar="T",
        help="Moment (ISO 8601; workspace time zone when it names none). Nothing recorded later exists.",
    )(function)


def parse_moment(
    text: str | None, workspace: Workspace, *, not_after: datetime | None = None, option: str = "--as-of"
) -> datetime | None:
    """Read the moment of an option; a usage error (exit 2) when it is no moment, or one after ``not_after``."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(workspace.config.workspace.timezone))
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the latter for year 1 in a zone east of UTC
        raise click.BadParameter(
            f"'{text}' is no moment; expected, for example, 2026-07-01 or 2026-07-01T09:00+09:00", param_hint=option
        ) from error
    if not_after is not None and moment > not_after:
        raise click.BadParameter(f"'{text}' lies in the future, of which nothing is known", param_hint=option)
    return moment


def open_workspace(folder: Path) -> Workspace:
    """Read the workspace file of a folder; in a bento the packed one, for the state there or at its usual place."""
    packed = packed_at()
    if packed is None:
        return load_workspace(folder)
    return load_packed(packed, state_folder(packed, os.environ) if folder == Path() else folder, os.environ)
