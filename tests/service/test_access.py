"""Who may do what: keys of the state with scopes, tokens of an issuer, limits for each caller."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from prometheus_client import CollectorRegistry
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from crm.api_keys import create_key, revoke_keys
from crm.config import ServeConfig, SourceConfig, Workspace, WorkspaceConfig
from crm.config_serve import JwtConfig
from crm.state_tables import AUDIT
from serving import access as access_module
from serving.access import Access, AccessDownError
from serving.callers import caller_of
from serving.guards import BodyGuard, ErrorGuard
from serving.key_guard import KeyGuard
from serving.rate_limit import RateLimit
from serving.rates import WRONG_KEYS_PER_MINUTE, Rates
from serving.routes import ROUTES
from serving.runtime import Runtime, Settings
from serving.tokens import TokenIssuer, jwks_reader
from serving.watch import JsonLines, Watch

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"key_id": caller_of(scope).key_id})(scope, receive, send)


class Service:
    """The guards around an application that tells who asks."""

    def __init__(self, folder: Path, **serve: Any) -> None:
        config = WorkspaceConfig(source=SourceConfig(url="demo://"), serve=ServeConfig(**serve))
        self.runtime = Runtime(lambda: Settings(Workspace(folder=folder, config=config)))
        guards = KeyGuard(RateLimit(BodyGuard(who, self.runtime), self.runtime), self.runtime)
        self.app = ErrorGuard(guards, Watch(CollectorRegistry()))

    def key(self, name: str, *scopes: str) -> str:
        return create_key(self.runtime.state, name, scopes, now=NOW).secret

    def audit(self) -> list[Mapping[str, Any]]:
        with self.runtime.state.reading() as connection:
            rows = connection.execute(sa.select(AUDIT).where(AUDIT.c.action == "key_refused").order_by(AUDIT.c.seq))
            return [dict(row) for row in rows.mappings()]

    def ask(self, *requests: tuple[str, str, str | None]) -> list[httpx.Response]:
        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return [
                    await client.request(method, path, headers={} if key is None else {"X-API-Key": key})
                    for method, path, key in requests
                ]

        return asyncio.run(run())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.runtime.state.close()


# --- scopes ----------------------------------------------------------------------------------------------------------


def concrete(template: str) -> str:
    return template.replace("{", "").replace("}", "")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_each_route_asks_for_its_own_scope_and_no_other(service: Service, route: Any) -> None:
    others = [scope for scope in ("score", "ingest", "read", "erase", "metrics", "board") if scope != route.scope]
    mine, theirs = service.key("mine", route.scope or "score"), service.key("theirs", *others)
    request = (route.method, concrete(route.template))
    right, wrong = service.ask((*request, mine), (*request, theirs))
    assert right.status_code == 200
    if route.scope is None:
        assert wrong.status_code == 200
    else:
        assert wrong.status_code == 403
        assert route.scope in wrong.json()["detail"]
        assert f'scope="{route.scope}"' in wrong.headers["www-authenticate"]


def test_admin_may_do_everything_that_there_is_and_nothing_else(service: Service) -> None:
    admin = service.key("boss", "admin")
    found = service.ask(*((route.method, concrete(route.template), admin) for route in ROUTES))
    assert {answer.status_code for answer in found} == {200}
    nowhere, other = service.ask(("GET", "/schema.json", admin), ("PUT", "/v1/leads", admin))
    assert (nowhere.status_code, other.status_code, other.headers["allow"]) == (404, 405, "POST, GET")


def test_head_asks_for_what_get_asks_for(service: Service) -> None:
    key = service.key("a", "score")
    assert [answer.status_code for answer in service.ask(("HEAD", "/metrics", key), ("HEAD", "/v1/line", key))] == [
        403,
        403,
    ]


def test_a_route_that_guards_itself_needs_no_key_but_takes_no_wrong_one(service: Service) -> None:
    key = service.key("a", "score")
    path = "/v1/hooks/odoo/a-token"
    without, wrong, other = service.ask(("POST", path, None), ("POST", path, "kzs_a_b"), ("POST", path, key))
    assert [without.status_code, wrong.status_code, other.status_code] == [200, 401, 403]
    assert without.json() == {"key_id": "-"}


# --- keys of the state -----------------------------------------------------------------------------------------------


def test_a_key_of_the_state_says_who_asks_until_it_is_revoked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "WAIT_FROM_SECONDS", 0.0)
    monkeypatch.setattr(access_module, "REFRESH_SECONDS", 0.0)
    key = service.key("a", "score")
    (answer,) = service.ask(("POST", "/v1/score", key))
    assert answer.json()["key_id"] == key.split("_")[1]
    revoke_keys(service.runtime.state, "a", now=NOW)
    (answer,) = service.ask(("POST", "/v1/score", key))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_an_expired_key_is_refused(service: Service) -> None:
    key = create_key(service.runtime.state, "a", ["score"], now=NOW - 2 * MINUTE, lifetime=MINUTE).secret
    assert service.ask(("POST", "/v1/score", key))[0].status_code == 401


def test_a_state_that_is_down_is_borne_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> list[Any]:
        raise OSError("no route to host")

    async def ask() -> None:
        access = Access(down, None)
        with pytest.raises(AccessDownError):
            await access.caller_of(b"kzs_a_b", NOW)

    monkeypatch.setattr(access_module, "WAIT_SECONDS", 0.2)
    asyncio.run(ask())


def test_refused_keys_are_audited_in_few_rows(service: Service) -> None:
    key = service.key("a", "score")
    revoked = service.key("b", "score")
    revoke_keys(service.runtime.state, "b", now=NOW)
    service.ask(*[("POST", "/v1/score", f"kzs_nobody_{number}") for number in range(20)])
    service.ask(*[("GET", "/v1/line", key)] * 5, ("POST", "/v1/score", revoked))
    rows = service.audit()
    assert [(row["key_id"], row["outcome"]) for row in rows] == [
        ("unknown", "401"),
        (key.split("_")[1], "403"),
        (revoked.split("_")[1], "401"),
    ]
    assert "nobody" not in str(rows)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_key_has_its_own_limit_and_is_told_when_to_come_again(tmp_path: Path) -> None:
    service = Service(tmp_path, rate_per_minute=3)
    one, two = service.key("one", "score"), service.key("two", "score")
    found = service.ask(*[("POST", "/v1/score", one)] * 4, ("POST", "/v1/score", two), ("GET", "/livez", None))
    assert [answer.status_code for answer in found] == [200, 200, 200, 429, 200, 200]
    assert 50 <= int(found[3].headers["retry-after"]) <= 60
    assert found[3].json()["type"] == "urn:kizashi:problem:too-many-requests"
    service.runtime.state.close()


def test_wrong_keys_are_limited_by_address_and_right_ones_pass_all_the_same(service: Service) -> None:
    key = service.key("a", "score")
    wrong = [("POST", "/v1/score", f"wrong-{number}") for number in range(WRONG_KEYS_PER_MINUTE + 1)]
    found = service.ask(*wrong, ("POST", "/v1/score", key), ("POST", "/v1/score", None))
    assert {answer.status_code for answer in found[:-3]} == {401}
    assert [answer.status_code for answer in found[-3:]] == [429, 200, 401]


def test_addresses_of_one_network_count_together_and_fill_no_memory() -> None:
    rates = Rates(1)
    scopes = [{"path": "/v1/hooks/odoo/x", "client": (f"2001:db8::{number:x}", 1)} for number in range(2)]
    assert [rates.wait_of_address(scope) > 0 for scope in scopes] == [False, True]
    for number in range(20_000):
        rates.wait_of_wrong_key({"path": "/", "client": (f"10.{number % 250}.{number // 250}.1", 1)})
    assert len(rates._moments) < 4_200  # pyright: ignore[reportPrivateUsage]


def test_a_limit_holds_for_every_minute_and_idle_counters_are_given_up() -> None:
    now = [0.0]
    rates = Rates(2, clock=lambda: now[0])
    waits: list[int] = []
    for now[0] in (0.0, 40.0, 59.5, 60.0, 60.5, 99.5, 100.0):
        waits.append(rates.wait_of_key("one"))
    assert waits == [0, 0, 1, 0, 40, 1, 0]
    now[0] = 200.0
    assert rates.wait_of_key("other") == 0
    assert list(rates._moments) == [("key", "other")]  # pyright: ignore[reportPrivateUsage]


# --- tokens ----------------------------------------------------------------------------------------------------------

RSA_KEY = RSAKey.generate_key(2048, {"kid": "one"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "two"})
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "three"})
CLAIMS = {"iss": "https://id.example", "aud": ["kizashi"], "scope": "score read nonsense", "client_id": "hubspot"}


def issuer(**changes: Any) -> TokenIssuer:
    keys = KeySet([RSA_KEY, EC_KEY, ED_KEY]).as_dict(private=False)
    config = JwtConfig(issuer="https://id.example", audience="kizashi", jwks="keys.json", **changes)
    return TokenIssuer(config, lambda: json.dumps(keys).encode())


def token(key: Any = RSA_KEY, alg: str = "RS256", **changes: Any) -> bytes:
    moment = int(NOW.timestamp())
    claims = {"exp": moment + 300, "nbf": moment - 5, "iat": moment - 5} | CLAIMS | changes
    header = {"alg": alg, "kid": key.kid, "typ": "at+jwt"}
    kept = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(header, kept, key, algorithms=[alg]).encode()


@pytest.mark.parametrize(("key", "alg"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "Ed25519")])
def test_a_token_of_the_issuer_opens_what_it_says(key: Any, alg: str) -> None:
    caller = issuer(algorithms=(alg,)).caller_of(token(key, alg), NOW)
    assert caller is not None
    assert caller.scopes == {"score", "read"}
    assert caller.key_id.startswith("jwt:")
    assert "hubspot" not in caller.key_id


def test_scopes_may_come_as_a_list_under_another_name() -> None:
    caller = issuer(scope_claim="roles").caller_of(token(roles=["metrics", 7], scope=...), NOW)
    assert caller is not None
    assert caller.scopes == {"metrics"}


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": ...},
        {"aud": "other"},
        {"aud": ...},
        {"exp": int(NOW.timestamp()) - 120},
        {"exp": ...},
        {"exp": "tomorrow"},
        {"nbf": int(NOW.timestamp()) + 300},
    ],
)
def test_a_token_for_somebody_else_or_another_time_opens_nothing(changes: dict[str, Any]) -> None:
    assert issuer().caller_of(token(**changes), NOW) is None


def test_a_token_that_somebody_else_signed_opens_nothing() -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    whole = token().split(b".")
    # The public key taken for a shared secret.
    signed = urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=") + b"." + whole[1]
    mac = hmac.digest(RSA_KEY.as_pem(private=False), signed, "sha256")
    unsigned = b"eyJhbGciOiJub25lIiwia2lkIjoib25lIn0." + whole[1] + b"."
    wrong = [
        token(stranger),
        signed + b"." + urlsafe_b64encode(mac).rstrip(b"="),
        unsigned,
        token(alg="RS512"),  # of the right key, and not in the list
        token(alg="PS256"),
        b".".join([whole[0], whole[1], whole[2][:-4]]),
        b"ey.ey.ey",
        b"eyJ.\xff.x",
        b"ey" + b"a" * 10_000 + b"..",
    ]
    assert [issuer().caller_of(one, NOW) for one in wrong] == [None] * len(wrong)


def test_a_shared_secret_in_the_key_set_is_not_taken() -> None:
    secret = OctKey.generate_key(256, {"kid": "oct"})
    keys = json.dumps({"keys": [secret.as_dict(private=True), EC_KEY.as_dict(private=False)]}).encode()
    found = TokenIssuer(JwtConfig(issuer="https://id.example", audience="kizashi", jwks="k"), lambda: keys)
    shown = jwt.encode({"alg": "HS256", "kid": "oct"}, CLAIMS | {"exp": 2**40}, secret).encode()
    assert found.caller_of(shown, NOW) is None
    with pytest.raises(ValueError, match="RS256"):
        JwtConfig(issuer="a", audience="b", jwks="k", algorithms=("HS256",))  # pyright: ignore
    with pytest.raises(ValueError, match="https"):
        JwtConfig(issuer="a", audience="b", jwks="http://id.example/keys")


def test_the_key_set_is_fetched_once_and_for_unknown_keys_seldom() -> None:
    fetched: list[int] = []

    def fetch() -> bytes:
        fetched.append(1)
        return json.dumps(KeySet([EC_KEY]).as_dict(private=False)).encode()

    found = TokenIssuer(JwtConfig(issuer="https://id.example", audience="kizashi", jwks="k"), fetch)
    for _ in range(5):
        assert found.caller_of(token(EC_KEY, "ES256"), NOW) is not None
        assert found.caller_of(token(RSA_KEY), NOW) is None
    assert len(fetched) == 1


def test_keys_are_read_from_a_file_of_the_workspace(tmp_path: Path) -> None:
    config = JwtConfig(issuer="https://id.example", audience="kizashi", jwks="keys.json")
    found = TokenIssuer(config, jwks_reader(config, tmp_path))
    assert found.caller_of(token(), NOW) is None
    (tmp_path / "keys.json").write_text(json.dumps(KeySet([RSA_KEY]).as_dict(private=False)))
    again = TokenIssuer(config, jwks_reader(config, tmp_path))
    assert again.caller_of(token(), NOW) is not None


def test_a_token_and_a_key_work_beside_each_other(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(KeySet([RSA_KEY]).as_dict(private=False)))
    jwt_config = JwtConfig(issuer="https://id.example", audience="kizashi", jwks="keys.json")
    service = Service(tmp_path, jwt=jwt_config)
    key = service.key("a", "score")
    by_token, by_key, above = service.ask(
        ("POST", "/v1/score", token().decode()), ("POST", "/v1/score", key), ("GET", "/metrics", token().decode())
    )
    assert [by_token.status_code, by_key.status_code, above.status_code] == [200, 200, 403]
    service.runtime.state.close()


# --- the log and the counters ----------------------------------------------------------------------------------------


def test_a_line_of_the_log_is_an_object_without_paths_and_tokens(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kizashi")
    key = service.key("a", "admin")
    service.ask(("POST", "/v1/hooks/odoo/a-secret-token", None), ("DELETE", "/v1/leads/L-4711", key))
    lines = [JsonLines().format(record) for record in caplog.records if record.name == "kizashi.access"]
    first, second = (json.loads(line) for line in lines)
    assert set(first) == {"time", "level", "method", "route", "status", "ms", "request_id", "key_id"}
    assert (first["route"], first["key_id"]) == ("/v1/hooks/{source}/{token}", "-")
    assert (second["route"], second["key_id"]) == ("/v1/leads/{lead_id}", key.split("_")[1])
    assert not any(word in "".join(lines) for word in ("a-secret-token", "4711", key.split("_")[2]))


def test_gauges_are_read_when_they_are_asked_for() -> None:
    watch = Watch(CollectorRegistry())
    values = {"A": 1.0}
    read: list[int] = []

    def outbox() -> float:
        read.append(1)
        return 7.5

    def broken() -> float:
        raise OSError("taro@example.com")

    watch.gauge("kizashi_outbox_age_seconds", "Age of the oldest.", outbox)
    watch.gauge("kizashi_scores", "Scores by grade.", lambda: values, label="grade")
    watch.gauge("kizashi_broken", "Never there.", broken)
    assert read == []
    values["B"] = 2.0
    assert watch.registry.get_sample_value("kizashi_outbox_age_seconds") == 7.5
    assert watch.registry.get_sample_value("kizashi_scores", {"grade": "B"}) == 2.0
    assert watch.registry.get_sample_value("kizashi_broken") is None
