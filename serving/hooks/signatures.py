"""Who sent a webhook: HubSpot's signatures, Standard Webhooks, and tokens in the address.

Nothing here reads the Host header, the clock or a configuration: what is compared is given. Every part of a signed
request has to be there exactly once, since a proxy may take the first of two headers and we the last.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

from crm.errors import KizashiError

__all__ = [
    "FUTURE",
    "MAX_AGE",
    "SignatureError",
    "SignedRequest",
    "check_hubspot_v2",
    "check_hubspot_v3",
    "check_standard",
    "hubspot_uri",
    "hubspot_v2_signature",
    "names_token",
]

MAX_AGE = timedelta(minutes=5)
"""A signed request that is older is refused (HubSpot's own bound, and that of Standard Webhooks)."""
FUTURE = timedelta(minutes=1)
"""What a sender's clock may run ahead of ours. HubSpot names no bound; without one, whoever has a request that was
signed for next week could keep it until then. A minute is more than clocks differ that are set over the network."""

_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
"""HubSpot's table: these escapes are decoded before it signs an address, all others stay."""
_ESCAPES = re.compile("|".join(_DECODED), re.IGNORECASE)
_MILLISECONDS = re.compile(r"\d{1,15}")
_SECONDS = re.compile(r"\d{1,11}")
_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,200}")


class SignatureError(KizashiError):
    """A webhook whose sender is not known; ``part`` says what does not hold."""

    def __init__(self, part: str, *, expected: str, fix: str) -> None:
        self.part = part
        super().__init__(found=part, expected=expected, fix=fix)


@dataclass(frozen=True)
class SignedRequest:
    """What a signature may cover.

    Parameters
    ----------
    method
        As it came, for example ``POST``.
    target
        Path and query as they came, escapes untouched.
    headers
        Names in lower case with their values, in order.
    body
        The bytes of the body.
    """

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def has(self, name: str) -> bool:
        """Tell whether there is such a header."""
        return any(key == name.encode() for key, _ in self.headers)

    def header(self, name: str) -> str:
        """Return the one value of a header.

        Raises
        ------
        SignatureError
            When it is missing, there twice, or not ASCII.
        """
        values = [value for key, value in self.headers if key == name.encode()]
        if len(values) != 1 or not values[0].isascii():
            what = "no header" if not values else "more than one header" if len(values) > 1 else "a strange header"
            raise SignatureError(f"{what} {name}", expected="exactly one, in ASCII", fix="send it as the sender does")
        return values[0].decode("ascii")


def check_hubspot_v3(request: SignedRequest, secret: str, public_url: str, now: datetime) -> str:
    """Check HubSpot's signature v3 and return it.

    It is the base64 of an HMAC-SHA256 over method, address, body and timestamp (developers.hubspot.com, "Validating
    requests"), keyed with the client secret of the app.

    Parameters
    ----------
    request
        What came.
    secret
        The app's client secret.
    public_url
        Scheme and host under which HubSpot calls, without a path.
    now
        The clock. Timezone-aware.

    Raises
    ------
    SignatureError
        When it is older than five minutes, from the future, or not signed with the secret.
    """
    shown, sent = request.header("x-hubspot-signature-v3"), request.header("x-hubspot-request-timestamp")
    if not _MILLISECONDS.fullmatch(sent):
        raise SignatureError("a timestamp that is no number", expected="milliseconds since 1970", fix="send it again")
    _check_age(timedelta(milliseconds=int(sent) - _milliseconds(now)), FUTURE)
    source = f"{request.method}{hubspot_uri(public_url, request.target)}".encode() + request.body + sent.encode()
    digest = hmac.new(secret.encode(), source, hashlib.sha256).digest()
    _compare(shown, base64.b64encode(digest).decode())
    return shown


def check_hubspot_v2(request: SignedRequest, secret: str, public_url: str) -> str:
    """Check HubSpot's signature v2 and return it; actions of workflows are signed so.

    It is the SHA-256 in hex of secret, method, address as it was called, and body. It has no timestamp: what was
    recorded is good for ever, so repeats have to be known by what they hold. A plain hash over a secret can also be
    continued by somebody who does not have it, but only with bytes that are no UTF-8, which no JSON parser takes.

    Raises
    ------
    SignatureError
        When it is not of version 2 or not signed with the secret.
    """
    shown = request.header("x-hubspot-signature")
    if request.header("x-hubspot-signature-version") != "v2":
        raise SignatureError("a signature of another version", expected="v2, or v3 in its own header", fix="use v3")
    _compare(shown, hubspot_v2_signature(request, secret, public_url))
    return shown


def hubspot_v2_signature(request: SignedRequest, secret: str, public_url: str) -> str:
    """Return what HubSpot would sign a request with in version 2."""
    source = f"{secret}{request.method}{public_url.rstrip('/')}{request.target}".encode() + request.body
    return hashlib.sha256(source).hexdigest()


def hubspot_uri(public_url: str, target: str) -> str:
    """Return an address as HubSpot signs it in version 3: twelve escapes are decoded, once.

    Parameters
    ----------
    public_url
        Scheme and host, without a path.
    target
        Path and query as they came.

    Examples
    --------
    >>> hubspot_uri("https://score.example.com", "/v1/hooks/hubspot?to=a%40b%20c%2540")
    'https://score.example.com/v1/hooks/hubspot?to=a@b%20c%2540'
    """
    return _ESCAPES.sub(lambda found: _DECODED[found[0].upper()], public_url.rstrip("/") + target)


def check_standard(request: SignedRequest, secret: str, now: datetime) -> str:
    """Check a Standard Webhook and return its id.

    Parameters
    ----------
    request
        What came.
    secret
        ``whsec_`` and base64.
    now
        The clock. Timezone-aware.

    Raises
    ------
    SignatureError
        When it lies more than five minutes before or after ``now``, or no signature of version 1 holds.
    """
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, sent, shown = (request.header(name) for name in names)
    if not _MESSAGE_ID.fullmatch(message_id) or not _SECONDS.fullmatch(sent):
        raise SignatureError(
            "a webhook-id or -timestamp of another form", expected="seconds since 1970", fix="see docs"
        )
    moment = datetime.fromtimestamp(int(sent), tz=UTC)
    _check_age(moment - now, MAX_AGE)
    expected = Webhook(secret).sign(message_id, moment, _text(request.body))
    _compare_any(shown.split(" "), expected)
    return message_id


def names_token(token: str, sha256: str) -> bool:
    """Tell whether a token is the one whose SHA-256, in hex, was kept; the time it takes tells nothing.

    Examples
    --------
    >>> kept = hashlib.sha256(b"k" * 43).hexdigest()
    >>> names_token("k" * 43, kept), names_token("K" * 43, kept)
    (True, False)
    """
    return hmac.compare_digest(hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest(), sha256)


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError("a body that is no UTF-8", expected="JSON in UTF-8", fix="send it as signed") from None


def _check_age(ahead: timedelta, most: timedelta) -> None:
    if ahead < -MAX_AGE:
        raise SignatureError(
            "a request from over five minutes ago", expected="a fresh one", fix="sign and send it anew"
        )
    if ahead > most:
        raise SignatureError("a request from the future", expected="the time of now", fix="set the sender's clock")


def _compare(shown: str, expected: str) -> None:
    _compare_any([shown], expected)


def _compare_any(shown: Iterable[str], expected: str) -> None:
    # Every one is compared: stopping at the first match would tell how many there were before it.
    if not any([hmac.compare_digest(one.encode(), expected.encode()) for one in shown]):
        raise SignatureError(
            "a signature that does not hold",
            expected="one over the request as it came, made with the secret in kizashi.toml",
            fix="compare the secret, and [serve] public_url with the address that the sender calls",
        )
