"""Which caller a key or a token stands for: keys of the state, the key of the environment, tokens of an issuer.

The keys of the state are read again every two seconds, so a key that is revoked is refused within five. While the state
cannot be read the keys known last go on for a minute; then nobody is let in.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256

import anyio.to_thread
from anyio import CapacityLimiter

from crm.api_keys import ADMIN, ApiKey, matching_key
from crm.known import to_micros
from serving.callers import Caller
from serving.tokens import TokenIssuer
from serving.watch import describe_failure

__all__ = ["ENVIRONMENT", "Access", "AccessDownError"]

logger = logging.getLogger("kizashi.access")

REFRESH_SECONDS = 2.0
WAIT_FROM_SECONDS = 4.0
"""Keys older than this are waited for; younger ones are used while they are read anew."""
WAIT_SECONDS = 1.0
STALE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
ENVIRONMENT = "environment"
"""Name, in audit and log, of the key in ``KIZASHI_API_KEY``."""


class AccessDownError(Exception):
    """The keys were not readable for too long."""


class Access:
    """Looks callers up.

    Parameters
    ----------
    read_keys
        Reads the keys of the state; called in a thread of its own.
    environment_sha256
        Digest of the key in the environment, which may do everything; None without one.
    issuer
        Whose tokens are accepted; None for nobody's.
    """

    def __init__(
        self,
        read_keys: Callable[[], Sequence[ApiKey]],
        environment_sha256: bytes | None,
        issuer: TokenIssuer | None = None,
    ) -> None:
        self._read_keys = read_keys
        self._environment = environment_sha256
        self._issuer = issuer
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def caller_of(self, shown: bytes, now: datetime) -> Caller | None:
        """Return who shows this key or token; None when nobody is known by it, or not any more.

        Raises
        ------
        AccessDownError
            When the keys of the state were not readable for a minute.
        """
        if self._environment is not None and hmac.compare_digest(sha256(shown).digest(), self._environment):
            return Caller(ENVIRONMENT, frozenset({ADMIN}))
        if self._issuer is not None and shown.count(b".") == 2 and shown.startswith(b"ey"):
            return await anyio.to_thread.run_sync(self._issuer.caller_of, shown, now, limiter=_threads())
        await self._refresh(REFRESH_SECONDS, WAIT_FROM_SECONDS)
        found = matching_key(shown, self._keys)
        if found is None and shown.startswith(b"kzs_"):  # perhaps one that was made just now
            await self._refresh(PAUSE_SECONDS, PAUSE_SECONDS)
            found = matching_key(shown, self._keys)
        if found is None or not found.is_live(to_micros(now)):
            return None
        return Caller(found.key_id, frozenset(found.scopes))

    async def caller_of_session(self, key_id: str, now: datetime) -> Caller | None:
        """Return who a session belongs to, by the key that was traded for it; None once that key is over.

        Raises
        ------
        AccessDownError
            When the keys of the state were not readable for a minute.
        """
        if self._environment is not None and hmac.compare_digest(key_id, self.session_id(ENVIRONMENT)):
            return Caller(ENVIRONMENT, frozenset({ADMIN}))
        await self._refresh(REFRESH_SECONDS, WAIT_FROM_SECONDS)
        found = self._keys.get(key_id)
        return Caller(key_id, frozenset(found.scopes)) if found and found.is_live(to_micros(now)) else None

    def session_id(self, key_id: str) -> str:
        """Return under which id a session remembers its key: the environment's by its digest, and it ends with that."""
        return f"{ENVIRONMENT}:{(self._environment or b'').hex()[:32]}" if key_id == ENVIRONMENT else key_id

    def key_id_of(self, shown: bytes) -> str:
        """Return the id of a key that is over, so that the audit can tell whose it was; ``unknown`` for any other."""
        found = matching_key(shown, self._keys)
        return found.key_id if found else "unknown"

    async def _refresh(self, refresh_from: float, wait_from: float) -> None:
        """Read keys anew that are older than this many seconds, and wait for them if they are older than that.

        Requests that come together share one reading.
        """
        age = time.monotonic() - self._read_at
        if age < refresh_from:
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        if age >= wait_from:
            await asyncio.wait({self._reading}, timeout=WAIT_SECONDS)
        if time.monotonic() - self._read_at > STALE_SECONDS:
            raise AccessDownError

    async def _read(self) -> None:
        try:
            keys = await anyio.to_thread.run_sync(self._read_keys, limiter=_threads())
        except Exception as error:  # whatever the database says; STALE_SECONDS bounds how long it is borne
            logger.error("the keys cannot be read: %s", describe_failure(error))
            await asyncio.sleep(PAUSE_SECONDS)  # no more than one attempt a second
            return
        self._keys = {key.key_id: key for key in keys}
        self._read_at = time.monotonic()


_limiters: dict[int, CapacityLimiter] = {}


def _threads() -> CapacityLimiter:
    """Return threads apart from those that score: a state or an issuer that hangs must not stop answers."""
    loop = id(asyncio.get_running_loop())
    if loop not in _limiters:
        _limiters.clear()  # of loops that are over
        _limiters[loop] = CapacityLimiter(4)
    return _limiters[loop]
