"""API keys: made once, shown once, kept as digests, each for what its caller does and no more."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from crm.audit import AuditRow, write_audit
from crm.errors import ApiKeyError
from crm.known import to_micros
from crm.state import State
from crm.state_tables import API_KEYS

__all__ = [
    "ADMIN",
    "SCOPES",
    "ApiKey",
    "MadeKey",
    "create_key",
    "list_keys",
    "matching_key",
    "read_keys",
    "revoke_keys",
    "rotate_key",
]

ADMIN = "admin"
SCOPES = (
    "score",  # ask for scores
    "ingest",  # tell the service of leads and of what they do
    "read",  # the line, the model, the ledger, the queue
    "replay",  # ask for scores as of a moment in the past
    "erase",  # erase a lead, or note its objection
    "metrics",
    "hooks",  # send webhooks with a key in place of a signature
    "board",
    "board:rows",
    "board:owners",
    ADMIN,  # all of them
)
"""What a key may be allowed to do."""

PREFIX = "kzs"
MAX_LIVE = 2
"""Live keys of one name: the one in use and the one that is taking its place."""
SECRET_BYTES = 32
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_NO_DIGEST = "0" * 64


@dataclass(frozen=True)
class ApiKey:
    """One key as it is kept: without the secret.

    Parameters
    ----------
    key_id
        The middle part of the key, which logs and the audit name.
    name
        Who uses it.
    sha256
        Digest of the whole key, hex.
    scopes
        What it may do.
    created_us, expires_us, revoked_us
        Microseconds since 1970 UTC; None for never.
    """

    key_id: str
    name: str
    sha256: str
    scopes: tuple[str, ...]
    created_us: int
    expires_us: int | None
    revoked_us: int | None

    def is_live(self, now_us: int) -> bool:
        """Tell whether it opens anything at a moment (microseconds since 1970 UTC)."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


@dataclass(frozen=True)
class MadeKey:
    """A new key; ``secret`` is the whole text that the caller shows, and is known here and nowhere else."""

    key: ApiKey
    secret: str


def create_key(
    state: State, name: str, scopes: Collection[str], *, now: datetime, lifetime: timedelta | None = None
) -> MadeKey:
    """Make the first key of a name.

    Parameters
    ----------
    state
        Where its digest is kept.
    name
        Who will use it: small letters, digits, ``_ . -``.
    scopes
        What it may do, of :data:`SCOPES`.
    now
        The clock. Timezone-aware.
    lifetime
        How long it lives; for ever unless given.

    Raises
    ------
    ApiKeyError
        When the name or a scope is none, or the name has a live key.
    """
    _check(name, scopes)
    with state.writing() as connection:
        live = _live_of(connection, name, to_micros(now))
        if live:
            raise ApiKeyError(
                found=f"a live key '{live[0].key_id}' of the name '{name}'",
                expected="a name without one",
                fix=f"replace it with 'kizashi keys rotate {name}', or choose another name",
            )
        return _add(connection, name, tuple(one for one in SCOPES if one in scopes), now, lifetime)


def rotate_key(
    state: State, name: str, *, now: datetime, overlap: timedelta, lifetime: timedelta | None = None
) -> MadeKey:
    """Make a second key of a name, with the scopes of the first, which goes on for ``overlap`` and then expires.

    Parameters
    ----------
    state
        Where digests are kept.
    name
        Whose key is replaced.
    now
        The clock. Timezone-aware.
    overlap
        How long both are accepted, so that callers change over without a gap.
    lifetime
        How long the new one lives; for ever unless given.

    Raises
    ------
    ApiKeyError
        When the name has no live key, or two of them already.
    """
    now_us = to_micros(now)
    with state.writing() as connection:
        live = _live_of(connection, name, now_us)
        if not live:
            raise _no_such(name)
        if len(live) >= MAX_LIVE:
            raise ApiKeyError(
                found=f"two live keys of the name '{name}': {live[0].key_id} and the newer {live[1].key_id}",
                expected="one, so that a second can take its place",
                fix=f"end the older one with 'kizashi keys revoke {live[0].key_id}', then rotate",
            )
        end = now_us + to_span(overlap)
        old = live[0]
        connection.execute(
            sa.update(API_KEYS)
            .where(API_KEYS.c.key_id == old.key_id)
            .values(expires_us=end if old.expires_us is None else min(end, old.expires_us))
        )
        return _add(connection, name, old.scopes, now, lifetime)


def revoke_keys(state: State, name_or_id: str, *, now: datetime) -> list[ApiKey]:
    """End the key of this id, or every live key of this name, and return them.

    Raises
    ------
    ApiKeyError
        When there is no live one.
    """
    now_us = to_micros(now)
    with state.writing() as connection:
        found = [
            key
            for key in read_keys(connection)
            if name_or_id in (key.key_id, key.name) and key.is_live(now_us)
        ]  # fmt: skip
        if not found:
            raise _no_such(name_or_id)
        for key in found:
            connection.execute(sa.update(API_KEYS).where(API_KEYS.c.key_id == key.key_id).values(revoked_us=now_us))
            write_audit(connection, AuditRow(now, "cli", "key_revoked", detail=_detail(key)))
    return found


def list_keys(state: State) -> list[ApiKey]:
    """Return every key that was ever made, the oldest first."""
    with state.reading() as connection:
        return read_keys(connection)


def read_keys(connection: sa.Connection) -> list[ApiKey]:
    """Return every key that was ever made, the oldest first."""
    rows = connection.execute(sa.select(API_KEYS).order_by(API_KEYS.c.created_us, API_KEYS.c.key_id))
    return [
        ApiKey(
            row.key_id,
            row.name,
            row.sha256,
            tuple(str(row.scopes).split()),
            row.created_us,
            row.expires_us,
            row.revoked_us,
        )
        for row in rows
    ]


def matching_key(shown: bytes, keys: Sequence[ApiKey] | dict[str, ApiKey]) -> ApiKey | None:
    """Return the key whose secret was shown, live or not; None when there is none.

    Only the id is looked up, which is no secret; the digest is compared in a time that tells nothing.

    Parameters
    ----------
    shown
        What the caller sent.
    keys
        The keys, or the keys by id.
    """
    by_id = keys if isinstance(keys, dict) else {key.key_id: key for key in keys}
    prefix, _, rest = shown.partition(b"_")
    key_id, _, _ = rest.partition(b"_")
    found = by_id.get(key_id.decode("ascii", "replace")) if prefix == PREFIX.encode() else None
    digest = hashlib.sha256(shown).hexdigest()
    is_equal = hmac.compare_digest(digest, found.sha256 if found else _NO_DIGEST)
    return found if is_equal else None


def to_span(span: timedelta) -> int:
    """Return a duration as whole microseconds."""
    return span // timedelta(microseconds=1)


def _check(name: str, scopes: Collection[str]) -> None:
    if not _NAME.fullmatch(name):
        raise ApiKeyError(
            found=f"the name {name[:80]!r}",
            expected="up to 64 small letters, digits, '_', '.' and '-'",
            fix="name the program that will use the key, for example hubspot",
        )
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ApiKeyError(
            found=f"the scope '{unknown[0]}'" if unknown else "no scope",
            expected=f"one or several of {', '.join(SCOPES)}",
            fix="give the least that the caller needs, with --scope",
        )


def _no_such(name: str) -> ApiKeyError:
    return ApiKeyError(
        found=f"no live key {name[:80]!r}",
        expected="the id or the name of one",
        fix="'kizashi keys list' shows them, 'kizashi keys create' makes one",
    )


def _live_of(connection: sa.Connection, name: str, now_us: int) -> list[ApiKey]:
    if connection.dialect.name == "postgresql":  # SQLite lets one writer in at a time anyway
        connection.exec_driver_sql("LOCK TABLE api_keys IN EXCLUSIVE MODE")
    return [key for key in read_keys(connection) if key.name == name and key.is_live(now_us)]


def _add(
    connection: sa.Connection, name: str, scopes: tuple[str, ...], now: datetime, lifetime: timedelta | None
) -> MadeKey:
    key_id = secrets.token_hex(5)
    secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    now_us = to_micros(now)
    expires_us = None if lifetime is None else now_us + to_span(lifetime)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = ApiKey(key_id, name, digest, scopes, now_us, expires_us, None)
    connection.execute(
        sa.insert(API_KEYS).values(
            key_id=key_id,
            name=name,
            sha256=digest,
            scopes=" ".join(scopes),
            created_us=now_us,
            expires_us=expires_us,
        )
    )
    write_audit(connection, AuditRow(now, "cli", "key_created", detail=_detail(key)))
    return MadeKey(key, secret)


def _detail(key: ApiKey) -> dict[str, Any]:
    return {"key_id": key.key_id, "name": key.name, "scopes": list(key.scopes), "expires_us": key.expires_us}
