"""``python -m cli`` is the command ``kizashi`` where that is not installed, as in a bento."""

from __future__ import annotations

from cli.entry import run

if __name__ == "__main__":
    run()
