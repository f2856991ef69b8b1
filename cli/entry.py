"""What the installed command calls."""

from __future__ import annotations

import os

__all__ = ["run"]


def run() -> None:
    """Run the command ``kizashi``, with what libraries read from the environment when they are first imported.

    Threads that wait for each other sleep instead of spinning: beside other work, training was five times slower else.
    In a bento the command has the part that works there.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from crm.packed import packed_at

    if packed_at() is None:
        from cli.main import main  # loads the libraries
    else:
        from cli.packed_commands import main

    main(prog_name="kizashi")
