"""What the command line shows: progress on the error stream, results on standard output."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from crm.progress import Step

__all__ = ["TerminalProgress", "print_entry", "print_error", "print_json", "print_paragraph", "print_table"]

LABEL = 10


class _PlainStep:
    def __init__(self) -> None:
        self.text = ""

    def advance(self, amount: int = 1) -> None:
        del amount

    def note(self, text: str) -> None:
        self.text = text


class _BarStep(_PlainStep):
    def __init__(self, bar: Progress, task: Any) -> None:
        super().__init__()
        self._bar, self._task = bar, task

    def advance(self, amount: int = 1) -> None:
        self._bar.advance(self._task, amount)


class TerminalProgress:
    """A moving bar on a terminal, one plain line a step otherwise; both end with what came of the step."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, markup=False)

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Generator[Step]:
        """Show one piece of work."""
        if self._quiet:
            yield _PlainStep()
            return
        started = time.monotonic()
        if self._console.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(24),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self._console, transient=True) as bar:
                step = _BarStep(bar, bar.add_task(label, total=total))
                yield step
        else:
            step = _PlainStep()
            yield step
        seconds = time.monotonic() - started
        line = Text.assemble(f"  {label:<34} {step.text or 'done'}  ", (f"({seconds:.1f} s)", "dim"))
        self._console.print(line, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_paragraph(text: str) -> None:
    """Print plain text on standard output."""
    click.echo(text)


def print_entry(label: str, text: str) -> None:
    """Print a label and what it stands for, on a terminal wrapped at its width under itself."""
    click.echo(_wrapped(f"{label:<{LABEL}}{text}", sys.stdout, " " * LABEL))


def print_error(message: str) -> None:
    """Print what went wrong on the error stream, on a terminal wrapped at its width."""
    click.echo("\n".join(_wrapped(line, sys.stderr, "    ") for line in message.splitlines()), err=True)


def _wrapped(line: str, stream: IO[str], indent: str) -> str:
    if not stream.isatty():
        return line  # what a program reads stays one line
    width = shutil.get_terminal_size().columns - 1
    return textwrap.fill(
        line,
        max(width, 2 * LABEL),
        subsequent_indent=indent,
        drop_whitespace=True,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; columns whose name ends in a space are right-aligned numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name.strip(), justify="right" if name.endswith(" ") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(file=sys.stdout, highlight=False, markup=False)  # brackets are the user's own text
    if not console.is_terminal:
        console.width = 140
    console.print(table)
