"""The command ``kizashi``."""

from __future__ import annotations

from importlib.metadata import version

import click

from cli.align_command import align
from cli.backtest_command import backtest
from cli.bento_command import bento
from cli.erase_command import erase
from cli.expect_command import expect
from cli.keys_command import keys
from cli.line_command import line
from cli.promotion_commands import promote, retrain, rollback
from cli.pull_command import pull
from cli.push_command import push
from cli.rescore_command import rescore
from cli.scorecard_command import scorecard
from cli.scoring_commands import score
from cli.setup_commands import demo, init, serve, ui
from cli.training_commands import check, train

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("kizashi"), prog_name="kizashi")
def main() -> None:
    """Lead scoring that learns which behaviour ends in revenue, and moves the MQL line to it.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 a person should look.
    """


for command in (
    init,
    demo,
    check,
    train,
    backtest,
    retrain,
    promote,
    rollback,
    line,
    score,
    rescore,
    scorecard,
    pull,
    push,
    serve,
    bento,
    keys,
    erase,
    align,
    expect,
    ui,
):
    main.add_command(command)
