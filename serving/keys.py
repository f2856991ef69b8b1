"""The key that callers show. Only its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from crm.errors import KizashiError

__all__ = ["KEY_VARIABLE", "KeyMissingError", "holds_key", "key_digest"]

KEY_VARIABLE = "KIZASHI_API_KEY"
MIN_KEY = 32


class KeyMissingError(KizashiError):
    """The service was started without a usable key."""


def key_digest(environ: Mapping[str, str]) -> bytes:
    """Return the SHA-256 of the key in the environment.

    Parameters
    ----------
    environ
        Where ``KIZASHI_API_KEY`` is looked up.

    Raises
    ------
    KeyMissingError
        When there is none, or one that is short or no header can carry.

    Examples
    --------
    >>> try:
    ...     key_digest({})
    ... except KeyMissingError as error:
    ...     print(error.fix)
    set it, for example with: export KIZASHI_API_KEY=$(openssl rand -hex 32)
    """
    key = environ.get(KEY_VARIABLE, "")
    if re.fullmatch(rf"[\x21-\x7e]{{{MIN_KEY},}}", key):
        return hashlib.sha256(key.encode()).digest()
    if not key:
        found = f"no {KEY_VARIABLE} in the environment"
    elif len(key) < MIN_KEY:
        found = f"a {KEY_VARIABLE} of {len(key)} characters"
    else:
        found = f"a {KEY_VARIABLE} with spaces or characters beyond ASCII"
    raise KeyMissingError(
        found=found,
        expected=f"a random key of at least {MIN_KEY} characters without spaces",
        fix=f"set it, for example with: export {KEY_VARIABLE}=$(openssl rand -hex 32)",
    )


def holds_key(shown: bytes, digest: bytes) -> bool:
    """Compare a shown key with the kept digest, in a time that tells nothing about either.

    Examples
    --------
    >>> digest = key_digest({"KIZASHI_API_KEY": "k" * 32})
    >>> holds_key(b"k" * 32, digest), holds_key(b"K" * 32, digest)
    (True, False)
    """
    return hmac.compare_digest(hashlib.sha256(shown).digest(), digest)
