"""Access tokens of an issuer (OAuth client credentials): the service checks them and issues none.

Every check is RFC 9068's for a resource server: signature by a public key of the issuer with an allowed algorithm,
``iss``, ``aud``, ``exp`` and ``nbf``. Keys that are shared secrets are not taken from a JWKS, and a token that names
none of its keys has it fetched again at most once a minute.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from crm.api_keys import SCOPES
from crm.config_serve import JwtConfig
from serving.callers import Caller
from serving.watch import describe_failure

__all__ = ["TokenIssuer", "jwks_reader"]

MAX_TOKEN = 8_192
MAX_JWKS_BYTES = 500_000
FRESH_SECONDS = 600.0
"""So old may the keys be before they are fetched again."""
AGAIN_SECONDS = 60.0
"""No sooner are they fetched for a token that names an unknown key, or after a failure."""
OLDEST_SECONDS = 86_400.0
"""Keys that could not be fetched again for a day are not trusted any more."""
FETCH_SECONDS = 5.0
LEEWAY_SECONDS = 60
_PUBLIC = ("RSA", "EC", "OKP")

logger = logging.getLogger("kizashi.access")


class TokenIssuer:
    """One issuer whose tokens are accepted.

    Parameters
    ----------
    config
        ``[serve.jwt]``.
    read_jwks
        Reads the issuer's key set; see :func:`jwks_reader`.
    """

    def __init__(self, config: JwtConfig, read_jwks: Callable[[], bytes]) -> None:
        self._config = config
        self._read_jwks = read_jwks
        self._keys: tuple[Key, ...] = ()
        self._read_at = self._tried_at = float("-inf")
        self._lock = threading.Lock()
        # Headers that issuers add besides (x5t, ...) are harmless; 'crit' is still refused.
        self._registry = JWSRegistry(algorithms=config.algorithms, strict_check_header=False)

    def caller_of(self, shown: bytes, now: datetime) -> Caller | None:
        """Return who shows this token; None when it is not one of this issuer for this service, now.

        Parameters
        ----------
        shown
            The token.
        now
            The clock. Timezone-aware.
        """
        if len(shown) > MAX_TOKEN:
            return None
        try:
            key = self._key_of(shown)
            if key is None:
                return None
            token = jwt.decode(shown, key, algorithms=self._config.algorithms, registry=self._registry)
            self._claims(now).validate(token.claims)
        except (JoseError, ValueError, TypeError, KeyError):
            return None
        return Caller(_name_of(token.claims), self._scopes(token.claims))

    def _claims(self, now: datetime) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._config.issuer},
            aud={"essential": True, "value": self._config.audience},
            exp={"essential": True},
        )

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        given = claims.get(self._config.scope_claim)
        words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        return frozenset(word for word in words if isinstance(word, str)) & frozenset(SCOPES)

    def _key_of(self, shown: bytes) -> Key | None:
        """Return the key that the token's header names, if it may be used with the token's algorithm."""
        header: object = json.loads(urlsafe_b64decode(shown.split(b".")[0]))
        if not isinstance(header, dict) or header.get("alg") not in self._config.algorithms:
            return None
        kid = header.get("kid")
        self._refresh(FRESH_SECONDS)
        key = self._named(kid)
        if key is None:
            self._refresh(AGAIN_SECONDS)
            key = self._named(kid)
        is_for_it = key is not None and key.get("alg") in (None, header["alg"])
        return key if is_for_it else None

    def _named(self, kid: object) -> Key | None:
        keys = [key for key in self._keys if key.kid == kid] if kid is not None else list(self._keys)
        return keys[0] if len(keys) == 1 else None

    def _refresh(self, seconds: float) -> None:
        """Fetch the key set when it is older than this, unless that was just tried; the old one serves until then."""
        with self._lock:
            now = time.monotonic()
            if now - self._read_at < seconds or now - self._tried_at < AGAIN_SECONDS:
                return
            self._tried_at = now
            try:
                self._keys = _public_keys(self._read_jwks())
                self._read_at = now
            except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, JoseError) as error:
                logger.error("the issuer's keys cannot be read: %s", describe_failure(error))
                if now - self._read_at > OLDEST_SECONDS:
                    self._keys = ()


def jwks_reader(config: JwtConfig, folder: Path) -> Callable[[], bytes]:
    """Return what reads an issuer's key set: its https address, or a file of the workspace's ``folder``."""
    if not config.jwks.startswith("https://"):
        path = folder / config.jwks
        return path.read_bytes

    def fetch() -> bytes:
        with httpx.stream("GET", config.jwks, timeout=FETCH_SECONDS, follow_redirects=False) as answer:
            answer.raise_for_status()
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_JWKS_BYTES:
                    raise ValueError("the key set is too large")
        return body

    return fetch


def _public_keys(text: bytes) -> tuple[Key, ...]:
    content: object = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("the key set is no object")
    usable = [
        one
        for one in content["keys"]
        if isinstance(one, dict) and one.get("kty") in _PUBLIC and one.get("use", "sig") == "sig"
    ]
    return tuple(KeySet.import_key_set({"keys": usable}).keys)


def _name_of(claims: Mapping[str, Any]) -> str:
    """Return what audit and log call the client: a hash, since some issuers name clients after people."""
    client = next((str(claims[name]) for name in ("client_id", "azp", "appid", "sub") if claims.get(name)), "")
    return "jwt:" + hashlib.sha256(f"{claims['iss']}\x1f{client}".encode()).hexdigest()[:16]
