"""``kizashi keys``: who may ask the service for what."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from cli.options import DONE, command_options, open_workspace
from cli.output import print_json, print_paragraph, print_table
from crm.api_keys import SCOPES, ApiKey, MadeKey, create_key, list_keys, revoke_keys, rotate_key
from crm.known import from_micros, to_micros
from crm.state import State, open_state

__all__ = ["keys"]

_SPAN = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


class _Span(click.ParamType):
    """A duration such as 90d, 12h or 30m."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:  # fmt: skip
        if isinstance(value, timedelta):
            return value
        found = _SPAN.fullmatch(str(value).strip())
        if not found:
            self.fail(f"'{value}' is no duration; expected, for example, 90d, 12h or 30m", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


SPAN = _Span()


@click.group()
def keys() -> None:
    """Make, list, replace and end the API keys of the service.

    A key is shown once, when it is made; the state keeps its SHA-256. A running service follows within 5 seconds.
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, metavar="SCOPE", help=f"What it may do: {', '.join(SCOPES)}."
)
@click.option("--expires", type=SPAN, metavar="90d", help="How long it lives; for ever unless given.")
@command_options
def create(folder: Path, as_json: bool, name: str, scopes: tuple[str, ...], expires: timedelta | None) -> int:
    """Make a key for the program NAME and print it, once."""
    given = [scope for text in scopes for scope in re.split(r"[,\s]+", text) if scope]
    with _state_of(folder) as state:
        made = create_key(state, name, given, now=datetime.now(UTC), lifetime=expires)
    _show_made(made, as_json)
    return DONE


@keys.command()
@click.argument("name")
@click.option(
    "--overlap",
    type=SPAN,
    default="7d",
    show_default=True,
    metavar="7d",
    help="How long the old key is accepted beside the new one.",
)
@click.option("--expires", type=SPAN, metavar="90d", help="How long the new key lives; for ever unless given.")
@command_options
def rotate(folder: Path, as_json: bool, name: str, overlap: timedelta, expires: timedelta | None) -> int:
    """Make a second key for NAME with the same scopes; the old one expires after the overlap."""
    with _state_of(folder) as state:
        made = rotate_key(state, name, now=datetime.now(UTC), overlap=overlap, lifetime=expires)
    _show_made(made, as_json)
    return DONE


@keys.command()
@click.argument("key")
@command_options
def revoke(folder: Path, as_json: bool, key: str) -> int:
    """End the key with this id, or every key of this name."""
    now = datetime.now(UTC)
    with _state_of(folder) as state:
        ended = revoke_keys(state, key, now=now)
    if as_json:
        print_json({"revoked": [_described(one, to_micros(now)) for one in ended]})
    else:
        names = ", ".join(f"{one.key_id} ({one.name})" for one in ended)
        print_paragraph(f"Ended: {names}. A running service refuses it within 5 seconds.")
    return DONE


@keys.command(name="list")
@command_options
def list_(folder: Path, as_json: bool) -> int:
    """List the keys: who they are for and what they may do, never the keys themselves."""
    now_us = to_micros(datetime.now(UTC))
    with _state_of(folder) as state:
        found = [_described(key, now_us) for key in list_keys(state)]
    if as_json:
        print_json({"keys": found})
    elif found:
        columns = ("key_id", "name", "scopes", "created", "expires", "state")
        rows = [
            (
                one["key_id"],
                one["name"],
                " ".join(one["scopes"]),
                one["created"],
                one["expires"] or "never",
                one["state"],
            )
            for one in found
        ]
        print_table("API keys", columns, rows)
    else:
        print_paragraph("There are no keys. Make one with: kizashi keys create NAME --scope score")
    return DONE


@contextmanager
def _state_of(folder: Path) -> Generator[State]:
    state = open_state(open_workspace(folder))
    try:
        yield state
    finally:
        state.close()


def _described(key: ApiKey, now_us: int) -> dict[str, Any]:
    def shown(micros: int | None) -> str | None:
        return None if micros is None else f"{from_micros(micros):%Y-%m-%dT%H:%M:%SZ}"

    state = "live" if key.is_live(now_us) else "revoked" if key.revoked_us is not None else "expired"
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created": shown(key.created_us),
        "expires": shown(key.expires_us),
        "state": state,
    }


def _show_made(made: MadeKey, as_json: bool) -> None:
    if as_json:
        print_json({**_described(made.key, made.key.created_us), "key": made.secret})
        return
    # Only the key on standard output, so that it can be piped into a secret store.
    click.echo(made.secret)
    key = made.key
    until = "" if key.expires_us is None else f" until {from_micros(key.expires_us):%Y-%m-%d %H:%M} UTC"
    click.echo(
        f"Key {key.key_id} of {key.name} may {', '.join(key.scopes)}{until}. It is not shown again; "
        "callers send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
        err=True,
    )
