"""API keys: shown once, kept as digests, at most two live ones of a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm.api_keys import SCOPES, create_key, list_keys, matching_key, revoke_keys, rotate_key
from crm.config import Workspace
from crm.errors import ApiKeyError
from crm.known import to_micros
from crm.state import State, open_state
from crm.state_tables import AUDIT
from tests.histories import NOW, config_of
from tests.postgres import own_postgres

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    with ExitStack() as stack:
        serve = {"state_url": stack.enter_context(own_postgres())} if request.param == "postgresql" else {}
        opened = open_state(Workspace(folder=tmp_path, config=config_of(serve=serve)))
        stack.callback(opened.close)
        yield opened


def test_a_key_is_kept_as_its_digest_alone(state: State, tmp_path: Path) -> None:
    made = create_key(state, "hubspot", ["score"], now=NOW)
    assert made.secret.startswith(f"kzs_{made.key.key_id}_")
    assert len(made.secret.split("_", 2)[2]) >= 43  # 256 bits in base64
    kept = list_keys(state)[0]
    assert kept == made.key
    assert kept.sha256 == hashlib.sha256(made.secret.encode()).hexdigest()
    state.close()
    part = made.secret.split("_", 2)[2].encode()
    assert all(part not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert made.secret not in repr(made.key)


def test_the_key_that_was_shown_is_found_and_no_other(state: State) -> None:
    made = [create_key(state, name, ["score"], now=NOW) for name in ("a", "b")]
    keys = list_keys(state)
    assert [matching_key(one.secret.encode(), keys) for one in made] == [one.key for one in made]
    crossed = f"kzs_{made[0].key.key_id}_" + made[1].secret.split("_", 2)[2]
    for wrong in (crossed, made[0].secret + "x", made[0].secret[:-1], made[0].key.sha256, "", "kzs__", "kzs_é_x"):
        assert matching_key(wrong.encode(), keys) is None


@pytest.mark.parametrize("scopes", [[], ["scores"], ["score", "sudo"]])
def test_only_scopes_that_there_are_can_be_given(state: State, scopes: list[str]) -> None:
    with pytest.raises(ApiKeyError, match="expected one or several of score, ingest"):
        create_key(state, "a", scopes, now=NOW)


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 65, "taro@example.com"])
def test_a_name_is_plain(state: State, name: str) -> None:
    with pytest.raises(ApiKeyError, match="small letters"):
        create_key(state, name, ["score"], now=NOW)


def test_a_name_has_one_key_until_it_is_rotated(state: State) -> None:
    first = create_key(state, "a", SCOPES[:2], now=NOW)
    with pytest.raises(ApiKeyError, match="keys rotate a"):
        create_key(state, "a", ["score"], now=NOW)
    second = rotate_key(state, "a", now=NOW + HOUR, overlap=WEEK)
    assert second.key.scopes == first.key.scopes
    with pytest.raises(ApiKeyError, match="two live keys"):
        rotate_key(state, "a", now=NOW + HOUR, overlap=WEEK)
    old, new = list_keys(state)
    assert old.expires_us == to_micros(NOW + HOUR + WEEK)
    assert [old.is_live(to_micros(NOW + HOUR + WEEK)), new.is_live(to_micros(NOW + HOUR + WEEK))] == [False, True]
    assert rotate_key(state, "a", now=NOW + 2 * HOUR + WEEK, overlap=WEEK).key.name == "a"


def test_rotating_never_lengthens_a_life(state: State) -> None:
    create_key(state, "a", ["score"], now=NOW, lifetime=HOUR)
    rotate_key(state, "a", now=NOW, overlap=WEEK)
    assert [key.expires_us for key in list_keys(state) if key.expires_us] == [to_micros(NOW + HOUR)]


def test_a_key_ends_when_it_is_revoked_or_expires(state: State) -> None:
    create_key(state, "a", ["score"], now=NOW, lifetime=HOUR)
    kept = create_key(state, "b", ["score"], now=NOW).key
    expiring = next(key for key in list_keys(state) if key.name == "a")
    assert [expiring.is_live(to_micros(NOW + HOUR) - 1), expiring.is_live(to_micros(NOW + HOUR))] == [True, False]
    assert [key.key_id for key in revoke_keys(state, kept.key_id, now=NOW)] == [kept.key_id]
    assert not any(key.is_live(to_micros(NOW)) for key in list_keys(state) if key.name == "b")
    with pytest.raises(ApiKeyError, match="no live key"):
        revoke_keys(state, "b", now=NOW)
    assert create_key(state, "b", ["score"], now=NOW).key.key_id != kept.key_id


def test_a_name_ends_all_its_keys(state: State) -> None:
    create_key(state, "a", ["score"], now=NOW)
    rotate_key(state, "a", now=NOW, overlap=WEEK)
    assert len(revoke_keys(state, "a", now=NOW)) == 2


def test_what_is_done_with_keys_is_audited_without_the_secret(state: State) -> None:
    made = create_key(state, "a", ["score"], now=NOW)
    revoke_keys(state, "a", now=NOW)
    with state.reading() as connection:
        rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq)).mappings().all()
    assert [row["action"] for row in rows] == ["key_created", "key_revoked"]
    assert {json.loads(row["detail"])["key_id"] for row in rows} == {made.key.key_id}
    assert made.secret.split("_", 2)[2] not in str(rows)
