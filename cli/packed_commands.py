"""The command ``kizashi`` inside a bento: what works upon the state, without a source and a registry."""

from __future__ import annotations

import click

from cli.erase_command import erase
from cli.keys_command import keys
from cli.push_command import push
from cli.rescore_command import rescore

__all__ = ["MODULES", "main"]

MODULES = (
    "__init__",
    "__main__",
    "batch",
    "entry",
    "erase_command",
    "keys_command",
    "lead_file",
    "options",
    "output",
    "packed_commands",
    "push_command",
    "rescore_command",
    "scoring_commands",
)
"""Modules of ``cli`` that these commands need; a test holds the list to what they import."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Look after a packed service: its API keys, leads to be erased, CRMs to be told.

    Training, lines and reports are made where the workspace is. Exit codes: 0 done, 1 refused or failed, 2 wrong usage,
    3 a person should look.
    """


for command in (keys, erase, push, rescore):
    main.add_command(command)
