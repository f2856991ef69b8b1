"""The key of the environment, which may do everything: for first steps and containers. The others are in the state."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from crm.errors import KizashiError

__all__ = ["KEY_VARIABLE", "KeyMissingError", "check_someone_may_ask", "key_digest"]

KEY_VARIABLE = "KIZASHI_API_KEY"
MIN_KEY = 32


class KeyMissingError(KizashiError):
    """The service was started without a usable key."""


def key_digest(environ: Mapping[str, str]) -> bytes | None:
    """Return the SHA-256 of the key in the environment, None when there is none.

    Parameters
    ----------
    environ
        Where ``KIZASHI_API_KEY`` is looked up.

    Raises
    ------
    KeyMissingError
        When it is short, or no header can carry it.

    Examples
    --------
    >>> try:
    ...     key_digest({"KIZASHI_API_KEY": "secret"})
    ... except KeyMissingError as error:
    ...     print(error.found)
    a KIZASHI_API_KEY of 6 characters
    """
    key = environ.get(KEY_VARIABLE, "")
    if not key:
        return None
    if re.fullmatch(rf"[\x21-\x7e]{{{MIN_KEY},}}", key):
        return hashlib.sha256(key.encode()).digest()
    is_short = len(key) < MIN_KEY
    raise KeyMissingError(
        found=f"a {KEY_VARIABLE} " + (f"of {len(key)} characters" if is_short else "with spaces or beyond ASCII"),
        expected=f"a random key of at least {MIN_KEY} characters without spaces",
        fix=f"set it, for example with: export {KEY_VARIABLE}=$(openssl rand -hex 32)",
    )


def check_someone_may_ask(*, has_environment_key: bool, has_live_key: bool, has_issuer: bool) -> None:
    """Refuse to start a service that would answer nobody.

    Raises
    ------
    KeyMissingError
        When there is no key and no issuer of tokens.
    """
    if not (has_environment_key or has_live_key or has_issuer):
        raise KeyMissingError(
            found=f"no live API key, no [serve.jwt] and no {KEY_VARIABLE} in the environment",
            expected="at least one caller who may ask",
            fix=(
                "make a key with 'kizashi keys create NAME --scope score', "
                f"or set one with: export {KEY_VARIABLE}=$(openssl rand -hex 32)"
            ),
        )
