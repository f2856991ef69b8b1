"""What the installed command calls."""

from __future__ import annotations

import os

__all__ = ["run"]


def run() -> None:
    """Run the command ``kizashi``, with what libraries read from the environment when they are first imported.

    Threads that wait for each other sleep instead of spinning: beside other work, training was five times slower else.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from cli.main import main  # loads the libraries

    main(prog_name="kizashi")
