"""``kizashi serve``: the HTTP service of one workspace, on this machine alone unless told otherwise."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping

import click

from cli.output import TerminalProgress
from crm.config import Workspace
from serving.keys import KEY_VARIABLE, key_digest

__all__ = ["serve"]

_EXAMPLE = '{"lead": {"lead_id": "L1", "created_at": "2026-11-01T09:00:00+09:00"}, "touches": []}'


def serve(workspace: Workspace, *, host: str, port: int, environ: Mapping[str, str] = os.environ) -> int:
    """Serve a workspace's champion until the process is told to stop.

    Parameters
    ----------
    workspace
        The workspace.
    host, port
        Where to listen. Beyond this machine a proxy must add TLS: the key travels with every request.
    environ
        Where ``KIZASHI_API_KEY`` is looked up.

    Returns
    -------
    int
        0 once it was told to stop.

    Raises
    ------
    KizashiError
        When nobody may ask, there is no champion, or the address is taken.
    """
    digest = key_digest(environ)
    from serving.runtime import Settings  # loads the scoring code, which takes a second
    from serving.server import run_server

    key = f"${KEY_VARIABLE}" if digest else "KEY"
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def say_how() -> None:
        if not _is_loopback(host):
            click.echo(
                f"{url} is open to other machines: put TLS in front, the key travels with every request.",
                err=True,
            )
        click.echo(
            f"Ready. Try: curl -sS {url}/v1/score -H 'Content-Type: application/json' "
            f"-H \"Authorization: Bearer {key}\" -d '{_EXAMPLE}'"
        )

    # Where the log is one JSON object a line, nothing else may stand between.
    progress = TerminalProgress(quiet=workspace.config.serve.log == "json")
    try:
        run_server(Settings(workspace, digest), host=host, port=port, when_ready=say_how, progress=progress)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
