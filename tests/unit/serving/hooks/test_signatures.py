"""Signatures of webhooks, against vectors that were made without our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.hooks.signatures import (
    FUTURE,
    MAX_AGE,
    SignatureError,
    SignedRequest,
    check_hubspot_v2,
    check_hubspot_v3,
    check_standard,
    hubspot_uri,
    names_token,
)

NOW = datetime(2026, 11, 5, 9, 30, tzinfo=UTC)
NOW_MS = 1_793_871_000_000
SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://score.example.com"
PATH = "/v1/hooks/hubspot"
BODY = '[{"eventId":1,"propertyValue":"株式会社"}]'.encode()

# HubSpot's table, one escape a line, as its page on validating requests lists it.
TABLE = [
    ("%3A", ":"), ("%2F", "/"), ("%3F", "?"), ("%40", "@"), ("%21", "!"), ("%24", "$"),
    ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*"), ("%2C", ","), ("%3B", ";"),
]  # fmt: skip


def hmac_base64(key: str, message: bytes) -> str:
    return base64.b64encode(hmac.new(key.encode(), message, hashlib.sha256).digest()).decode()


def v3(
    *, secret: str = SECRET, method: str = "POST", uri: str = URL + PATH, body: bytes = BODY, ms: str = str(NOW_MS)
) -> list[tuple[bytes, bytes]]:
    signature = hmac_base64(secret, method.encode() + uri.encode() + body + ms.encode())
    return [(b"x-hubspot-signature-v3", signature.encode()), (b"x-hubspot-request-timestamp", ms.encode())]


def came(headers: list[tuple[bytes, bytes]], *, method: str = "POST", target: str = PATH, body: bytes = BODY):
    return SignedRequest(method, target, headers, body)


def refused(request: SignedRequest, words: str, *, secret: str = SECRET, url: str = URL) -> None:
    with pytest.raises(SignatureError) as caught:
        check_hubspot_v3(request, secret, url, NOW)
    assert words in caught.value.part


# --- HubSpot, version 3 ----------------------------------------------------------------------------------------------


def test_the_clock_of_these_tests_is_what_it_says() -> None:
    assert NOW.timestamp() * 1000 == NOW_MS


def test_version_3_holds() -> None:
    request = came(v3())
    assert check_hubspot_v3(request, SECRET, URL, NOW) == request.header("x-hubspot-signature-v3")
    assert check_hubspot_v3(request, SECRET, URL + "/", NOW)


def test_version_3_equals_what_openssl_makes() -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    message = f"POST{URL}{PATH}".encode() + BODY + str(NOW_MS).encode()
    command = [openssl, "dgst", "-sha256", "-hmac", SECRET, "-binary"]
    made = subprocess.run(command, input=message, capture_output=True, check=True).stdout
    headers = [
        (b"x-hubspot-signature-v3", base64.b64encode(made)),
        (b"x-hubspot-request-timestamp", str(NOW_MS).encode()),
    ]
    assert check_hubspot_v3(came(headers), SECRET, URL, NOW)


def test_a_vector_that_was_written_down_holds() -> None:
    # printf 'POSThttps://score.example.com/v1/hooks/hubspot{}1793871000000' | openssl dgst -sha256 -hmac SECRET -binary
    headers = [
        (b"x-hubspot-signature-v3", b"6VBxhALLgb+yhuV9P1kfw+SSMIPuVpAGAZm4eaCXYhY="),
        (b"x-hubspot-request-timestamp", b"1793871000000"),
    ]
    assert check_hubspot_v3(came(headers, body=b"{}"), SECRET, URL, NOW)


@pytest.mark.parametrize(("escape", "character"), TABLE)
def test_every_escape_of_hubspots_table_is_decoded_before_it_is_signed(escape: str, character: str) -> None:
    headers = v3(uri=f"{URL}{PATH}?a={character}&b=c")
    for sent in (escape, escape.lower(), character):
        assert check_hubspot_v3(came(headers, target=f"{PATH}?a={sent}&b=c"), SECRET, URL, NOW)
    refused(came(v3(uri=f"{URL}{PATH}?a={escape}&b=c"), target=f"{PATH}?a={escape}&b=c"), "signature")


@pytest.mark.parametrize("escape", ["%20", "%22", "%23", "%25", "%26", "%2B", "%3D", "%5B", "%E3%81%82", "%7E", "%2"])
def test_other_escapes_stay(escape: str) -> None:
    assert hubspot_uri(URL, f"/a?b={escape}") == f"{URL}/a?b={escape}"


def test_an_escape_is_decoded_once() -> None:
    assert hubspot_uri(URL, "/a?b=%253A%25%33A") == f"{URL}/a?b=%253A%25%33A"


@pytest.mark.parametrize(
    "request_",
    [
        came(v3(), method="PUT"),
        came(v3(), target="/v1/hooks/hubspot/"),
        came(v3(), target="/v1/hooks/generic"),
        came(v3(), target=PATH + "?x=1"),
        came(v3(), body=BODY + b" "),
        came(v3(), body=BODY.replace(b"1", b"2")),
        came(v3(), body=b""),
        came(v3(secret="another-secret-0123456789")),
        came(v3(uri="http://score.example.com" + PATH)),
        came(v3(uri="https://evil.example.com" + PATH)),
        came(v3(method="GET")),
        came([v3()[0], (b"x-hubspot-request-timestamp", str(NOW_MS + 1).encode())]),
        came([(b"x-hubspot-signature-v3", v3()[0][1].rstrip(b"=")), v3()[1]]),
        came([(b"x-hubspot-signature-v3", v3()[0][1].swapcase()), v3()[1]]),
        came([(b"x-hubspot-signature-v3", b""), v3()[1]]),
        came([(b"x-hubspot-signature-v3", b"sha256=" + v3()[0][1]), v3()[1]]),
    ],
)
def test_a_part_that_was_changed_is_seen(request_: SignedRequest) -> None:
    refused(request_, "does not hold")


def test_the_host_header_decides_nothing() -> None:
    forged = came([*v3(uri="https://evil.example.com" + PATH), (b"host", b"evil.example.com")])
    refused(forged, "does not hold")
    assert check_hubspot_v3(came([*v3(), (b"host", b"internal:3000")]), SECRET, URL, NOW)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([], "no header"),
        (v3()[:1], "no header x-hubspot-request-timestamp"),
        (v3()[1:], "no header x-hubspot-signature-v3"),
        ([*v3(), v3()[0]], "more than one header x-hubspot-signature-v3"),
        ([v3()[0], (b"x-hubspot-signature-v3", b"forged"), v3()[1]], "more than one"),
        ([*v3(), (b"x-hubspot-request-timestamp", str(NOW_MS).encode())], "more than one"),
        ([(b"x-hubspot-signature-v3", b"\xff"), v3()[1]], "strange"),
    ],
)
def test_a_missing_or_doubled_header_is_refused(headers: list[tuple[bytes, bytes]], words: str) -> None:
    refused(came(headers), words)


@pytest.mark.parametrize("ms", ["", "now", "-1", "1.5", "1e12", " 1793871000000", "1" * 400, "０", "1793871000000\n"])
def test_a_timestamp_that_is_no_number_is_refused(ms: str) -> None:
    signature = hmac_base64(SECRET, f"POST{URL}{PATH}".encode() + BODY + ms.encode())
    headers = [(b"x-hubspot-signature-v3", signature.encode()), (b"x-hubspot-request-timestamp", ms.encode())]
    refused(came(headers), "timestamp" if ms.isascii() else "strange")


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (-timedelta(minutes=5, milliseconds=1), "over five minutes ago"),
        (-timedelta(days=11), "over five minutes ago"),
        (timedelta(minutes=1, milliseconds=1), "future"),
        (timedelta(days=11), "future"),
    ],
)
def test_old_requests_and_those_from_the_future_are_refused(shift: timedelta, words: str) -> None:
    ms = str(NOW_MS + shift // timedelta(milliseconds=1))
    refused(came(v3(ms=ms)), words)


@pytest.mark.parametrize("shift", [-MAX_AGE, FUTURE, timedelta()])
def test_the_bounds_themselves_are_taken(shift: timedelta) -> None:
    assert check_hubspot_v3(came(v3(ms=str(NOW_MS + shift // timedelta(milliseconds=1)))), SECRET, URL, NOW)


def test_an_error_holds_neither_secret_nor_signature() -> None:
    with pytest.raises(SignatureError) as caught:
        check_hubspot_v3(came(v3(secret="x" * 36)), SECRET, URL, NOW)
    good = v3()[0][1].decode()
    assert not any(word in str(caught.value) for word in (SECRET, good, BODY.decode()))


@given(st.binary(max_size=200), st.text("xyz%23AF?/&=", max_size=30))
def test_any_body_and_query_that_were_signed_hold(body: bytes, query: str) -> None:
    target = f"{PATH}?{query}"
    uri = URL + target
    for escape, character in TABLE:
        uri = uri.replace(escape, character)
    assert check_hubspot_v3(came(v3(uri=uri, body=body), target=target, body=body), SECRET, URL, NOW)


# --- HubSpot, version 2 ----------------------------------------------------------------------------------------------


def v2(shown: str, version: str = "v2") -> list[tuple[bytes, bytes]]:
    return [(b"x-hubspot-signature", shown.encode()), (b"x-hubspot-signature-version", version.encode())]


def test_version_2_holds_for_hubspots_own_example() -> None:
    # From developers.hubspot.com, "v2 request validation": the source string and its hash.
    shown = "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"
    source = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyyGEThttps://www.example.com/webhook_uri"
    assert hashlib.sha256(source.encode()).hexdigest() == shown
    request = came(v2(shown), method="GET", target="/webhook_uri", body=b"")
    assert check_hubspot_v2(request, SECRET, "https://www.example.com") == shown


def test_version_2_covers_the_body_and_leaves_escapes_alone() -> None:
    target = PATH + "?a=%40"
    shown = hashlib.sha256(f"{SECRET}POST{URL}{target}".encode() + BODY).hexdigest()
    assert check_hubspot_v2(came(v2(shown), target=target), SECRET, URL)


@pytest.mark.parametrize(
    "request_",
    [
        came(v2("0" * 64)),
        came(v2(hashlib.sha256(f"{SECRET}POST{URL}{PATH}".encode() + BODY).hexdigest()), body=b"{}"),
        came(v2(hashlib.sha256(f"{SECRET}POST{URL}{PATH}".encode() + BODY).hexdigest()), method="PUT"),
        came(v2(hashlib.sha256(f"{SECRET}POST{URL}{PATH}".encode() + BODY).hexdigest()), target="/other"),
        came(v2(hashlib.sha256(f"{SECRET}POST{URL}{PATH}".encode() + BODY).hexdigest().upper())),
        came(v2(hashlib.sha256(SECRET.encode() + BODY).hexdigest())),  # version 1 covers the body alone
        came(v2(hashlib.sha256(SECRET.encode() + BODY).hexdigest(), "v1")),
        came(v2(hashlib.sha256(f"{SECRET}POST{URL}{PATH}".encode() + BODY).hexdigest(), "v1")),
        came(v2(hashlib.sha256(f"{SECRET}POST{URL}{PATH}".encode() + BODY).hexdigest())[:1]),
        came(v2("0" * 64) + v2("1" * 64)),
    ],
)
def test_version_2_is_refused_when_anything_differs(request_: SignedRequest) -> None:
    with pytest.raises(SignatureError):
        check_hubspot_v2(request_, SECRET, URL)


# --- Standard Webhooks -----------------------------------------------------------------------------------------------

KEY = b"0123456789abcdef0123456789abcdef"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()


def standard(
    *, key: bytes = KEY, message_id: str = "msg_1", seconds: str = str(NOW_MS // 1000), body: bytes = BODY
) -> list[tuple[bytes, bytes]]:
    digest = hmac.new(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    shown = "v1," + base64.b64encode(digest).decode()
    return [
        (b"webhook-id", message_id.encode()),
        (b"webhook-timestamp", seconds.encode()),
        (b"webhook-signature", shown.encode()),
    ]


def test_a_standard_webhook_holds() -> None:
    assert check_standard(came(standard()), WHSEC, NOW) == "msg_1"


def test_the_example_of_the_specification_holds() -> None:
    # From the specification's own reference implementations.
    headers = [
        (b"webhook-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek"),
        (b"webhook-timestamp", b"1614265330"),
        (b"webhook-signature", b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ]
    moment = datetime.fromtimestamp(1_614_265_330, tz=UTC)
    request = came(headers, body=b'{"test": 2432232314}')
    assert check_standard(request, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", moment)


def test_one_good_signature_among_several_is_enough_while_a_secret_is_changed() -> None:
    headers = standard()
    old, new = standard(key=b"x" * 32)[2][1], headers[2][1]
    for shown in (old + b" " + new, new + b" " + old, b"v1a,xxx " + new):
        assert check_standard(came([*headers[:2], (b"webhook-signature", shown)]), WHSEC, NOW)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (standard(key=b"x" * 32), BODY),
        (standard(), b"{}"),
        (standard(), BODY + b"\n"),
        (standard(), b"\xff"),
        ([(b"webhook-id", b"msg_2"), *standard()[1:]], BODY),
        ([standard()[0], (b"webhook-timestamp", str(NOW_MS // 1000 + 1).encode()), standard()[2]], BODY),
        (standard()[1:], BODY),
        (standard()[:2], BODY),
        ([standard()[0], standard()[2]], BODY),
        ([*standard(), standard()[0]], BODY),
        ([*standard(), standard()[2]], BODY),
        ([*standard()[:2], (b"webhook-signature", b"")], BODY),
        ([*standard()[:2], (b"webhook-signature", standard()[2][1].removeprefix(b"v1,"))], BODY),
        ([*standard()[:2], (b"webhook-signature", b"v2," + standard()[2][1][3:])], BODY),
        ([*standard()[:2], (b"webhook-signature", b"v1,\x00\x01")], BODY),
        (standard(message_id="a b"), BODY),
        (standard(message_id="x" * 201), BODY),
        (standard(seconds="nan"), BODY),
        (standard(seconds=str(NOW_MS / 1000)), BODY),
        (standard(seconds=str(NOW_MS // 1000 - 301)), BODY),
        (standard(seconds=str(NOW_MS // 1000 + 301)), BODY),
    ],
)
def test_a_standard_webhook_is_refused_when_anything_differs(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    with pytest.raises(SignatureError):
        check_standard(came(headers, body=body), WHSEC, NOW)


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token", ["", "k" * 42, "k" * 44, "K" * 43, "k" * 42 + "\n", "k" * 43 + " ", "ｋ" * 43, "\ud800"]
)
def test_another_token_is_no_token(token: str) -> None:
    assert not names_token(token, hashlib.sha256(b"k" * 43).hexdigest())
