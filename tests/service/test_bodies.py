"""Bodies: what is read, what is refused and where, and what becomes of a lead."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.known import to_micros
from crm.parsing import BLANKS
from features.known_touches import KnownTouches
from features.lead_features import AccountLeads, AttributeIs, AttributeNumber, LeadAge, StageAge
from features.spec import FeatureSet
from features.touch_features import CountIn, DistinctIn, SessionsIn, ValueIn
from features.touch_times import Recency
from serving.bodies import BodyError, HeldBatchBody, HeldBody, ScoreBody, read_batch, read_score
from serving.checks import wrong_fields
from serving.lead_from_body import LeadToScore, lead_from_body
from serving.problems import MAX_ERRORS, ProblemError
from serving.reading import Reading
from serving.strict_json import parse_json
from tests.histories import config_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
READING = Reading(
    attributes={"employees": "number", "industry": "text", "source": "text"},
    touch_lag_us=3_600_000_000,
    stage_lag_us=0,
    reads_account=True,
    reads_stages=True,
    kinds=frozenset({"visit", "form_submit", "download", "call"}),
    levels={},
    takes_any_id=False,
)


def at(hours_ago: float) -> str:
    return (NOW - timedelta(hours=hours_ago)).isoformat()


def body(**changes: Any) -> dict[str, Any]:
    lead = {"lead_id": "L1", "created_at": at(100), "employees": 250, "industry": "Software", "source": "web"}
    given: dict[str, Any] = {
        "lead": lead | changes.pop("lead", {}),
        "touches": [{"happened_at": at(5), "kind": "visit"}],
        "stages": [],
        "account_leads": [],
    }
    return {name: value for name, value in (given | changes).items() if value is not ...}


def lead_of(reading: Reading = READING, **changes: Any) -> LeadToScore:
    read = read_score(body(**changes))
    assert isinstance(read, ScoreBody)
    assert wrong_fields(read, reading, NOW) == []
    return lead_from_body(read, reading, NOW)


def wrong(content: object) -> dict[str, str]:
    """Everything that is wrong with a body, message by pointer."""
    try:
        read = read_score(content)
    except BodyError as error:
        return {one.field: one.message for one in error.errors}
    return {one.field: one.message for one in wrong_fields(read, READING, NOW)}


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1"),
        (b"{", "line 1"),
        (b"{'lead': 1}", "double quotes"),
        (b'{"a": 1,}', "line 1"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b'\xff\xfe{"a": 1}', "not UTF-8"),
        (b"[" * 5_000, "nested"),
        (b'{"a":' * 5_000, "nested"),
        (b"[" + b"9" * 5_000 + b"]", "digits"),
    ],
)
def test_text_that_is_not_strict_json_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_json(data)
    assert caught.value.problem.status == 400
    assert words in caught.value.problem.detail


def test_a_pair_of_halves_is_a_character() -> None:
    assert parse_json(b'"\\ud83d\\ude00"') == "😀"


# --- what is refused, and where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"touches": ...}, "/touches", "required"),
        ({"lead": {"lead_id": 7}}, "/lead/lead_id", "text"),
        ({"lead": {"lead_id": "  "}}, "/lead/lead_id", "empty"),
        ({"lead": {"lead_id": "x" * 201}}, "/lead/lead_id", "at most 200"),
        ({"lead": {"lead_id": "L1\r\nSet-Cookie: a=b"}}, "/lead/lead_id", "control"),
        ({"lead": {"lead_id": "taro@example.com"}}, "/lead/lead_id", "e-mail"),
        ({"lead": {"created_at": "2026-05-01T00:00:00"}}, "/lead/created_at", "offset"),
        ({"lead": {"created_at": "2026-05-01"}}, "/lead/created_at", "date and time"),
        ({"lead": {"created_at": "2026-02-30T00:00:00Z"}}, "/lead/created_at", "exists"),
        ({"lead": {"created_at": "1969-12-31T00:00:00Z"}}, "/lead/created_at", "1970"),
        ({"lead": {"created_at": "0001-01-01T00:00:00+14:00"}}, "/lead/created_at", "1970"),
        ({"lead": {"created_at": "9999-12-31T23:59:59-12:00"}}, "/lead/created_at", "1970"),
        ({"lead": {"created_at": 1_700_000_000}}, "/lead/created_at", "text such as"),
        ({"lead": {"created_at": None}}, "/lead/created_at", "text such as"),
        ({"lead": {"created_at": at(-1)}}, "/lead/created_at", "future"),
        ({"lead": {"recorded_at": at(125)}}, "/lead/recorded_at", "over a day before"),
        ({"lead": {"employees": "250"}}, "/lead/employees", "finite number"),
        ({"lead": {"employees": float("inf")}}, "/lead/employees", "finite number"),
        ({"lead": {"employees": 10**400}}, "/lead/employees", "finite number"),
        ({"lead": {"industry": 3}}, "/lead/industry", "text or null"),
        ({"lead": {"industry": {"$gt": ""}}}, "/lead/industry", "text or null"),
        ({"as_of": at(-0.01)}, "/as_of", "future"),
        ({"as_of": at(200)}, "/lead/created_at", "after as_of"),
        ({"as_of": "yesterday"}, "/as_of", "date and time"),
        ({"touches": {}}, "/touches", "list"),
        ({"touches": ["visit"]}, "/touches/0", "object"),
        ({"touches": [{"kind": "visit"}]}, "/touches/0/happened_at", "required"),
        ({"touches": [{"happened_at": at(1), "kind": ""}]}, "/touches/0/kind", "empty"),
        ({"touches": [{"happened_at": at(1), "kind": "v", "value": "3"}]}, "/touches/0/value", "number"),
        ({"touches": [{"happened_at": at(1), "kind": "v", "value": True}]}, "/touches/0/value", "number"),
        ({"touches": [{"happened_at": at(1), "kind": "v", "value": float("inf")}]}, "/touches/0/value", "finite"),
        ({"touches": [{"happened_at": at(1), "kind": "v", "actor": "robot"}]}, "/touches/0/actor", "one of lead"),
        ({"touches": [{"happened_at": at(1), "kind": "v", "x/y": 1}]}, "/touches/0/x~1y", "not a key"),
        ({"touches": [{"happened_at": at(1), "kind": "v", "recorded_at": at(26)}]}, "/touches/0/recorded_at", "day"),
        (
            {"touches": [{"happened_at": at(1), "kind": "v", "lead_id": "a@b.co"}], "account_leads": ...},
            "/touches/0/lead_id",
            "e-mail",
        ),
        ({"touches": [{"happened_at": at(1), "kind": "v", "lead_id": "L2"}]}, "/touches/0/lead_id", "neither"),
        ({"touches": [{"happened_at": at(1), "kind": "v"}] * 20_001}, "/touches", "at most 20,000"),
        ({"stages": [{"stage": "sold", "entered_at": at(1)}]}, "/stages/0/stage", "one of mql"),
        ({"stages": [{"stage": "mql", "entered_at": at(1), "lead_id": "L2"}]}, "/stages/0/lead_id", "lead itself"),
        ({"stages": [{"stage": "mql", "entered_at": at(1), "recorded_at": at(30)}]}, "/stages/0/recorded_at", "day"),
        ({"account_leads": [{"lead_id": "L2"}]}, "/account_leads/0/created_at", "required"),
        ({"password": "x"}, "/password", "not a key"),
    ],
)
def test_a_wrong_field_is_named_with_its_pointer(changes: dict[str, Any], field: str, words: str) -> None:
    assert words in wrong(body(**changes))[field]


def test_an_id_alone_asks_for_a_lead_that_is_held_here() -> None:
    read = read_score({"lead_id": " L1 "})
    assert isinstance(read, HeldBody)
    assert (read.lead_id, read.as_of) == ("L1", None)
    batch = read_batch({"lead_ids": ["L1", "L2"], "as_of": "2026-05-01T00:00:00Z"}, 2)
    assert isinstance(batch, HeldBatchBody)
    with pytest.raises(BodyError) as caught:
        read_batch({"lead_ids": ["L1", "L2", "L3"]}, 2)
    assert caught.value.errors[0].message == "has 3 ids; at most 2 are scored at once"


def test_an_id_alone_names_a_lead_that_is_held_but_not_among_leads_that_are_given() -> None:
    assert isinstance(read_score({"lead_id": "L1"}), HeldBody)
    assert isinstance(read_batch({"lead_ids": ["L1"]}, 10), HeldBatchBody)
    with pytest.raises(BodyError) as caught:
        read_batch({"leads": [body(), {"lead_id": "L1"}]}, 10)
    assert {one.field for one in caught.value.errors} >= {"/leads/1/lead_id", "/leads/1/lead"}


@pytest.mark.parametrize("content", [None, [], "text", 3, {}])
def test_anything_but_an_object_with_a_lead_is_refused(content: object) -> None:
    assert wrong(content)


def test_a_lead_without_account_cannot_have_others() -> None:
    touches = [{"happened_at": at(1), "kind": "visit", "lead_id": "L2"}]
    found = wrong(body(lead={"account_id": None}, touches=touches, account_leads=...))
    assert "no account" in found["/touches/0/lead_id"]


def test_every_wrong_field_is_listed_at_once() -> None:
    found = wrong({"lead": {"lead_id": "", "created_at": "now"}, "touches": [{"kind": 1}], "oops": 1})
    assert set(found) == {
        "/lead/lead_id", "/lead/created_at", "/touches/0/happened_at", "/touches/0/kind", "/oops"
    }  # fmt: skip


def test_messages_never_hold_what_was_sent() -> None:
    secret = "taro@example.com"
    contents = [
        body(lead={"lead_id": secret, "employees": secret}),
        body(touches=[{"happened_at": secret, "kind": 1, "actor": secret, "value": secret}]),
        body(stages=[{"stage": secret, "entered_at": secret}], as_of=secret),
    ]
    for content in contents:
        assert wrong(content)
        assert secret not in json.dumps(wrong(content))


def test_a_batch_lists_the_fields_of_every_lead() -> None:
    leads = [body(), body(lead={"lead_id": 1}), body(touches=[{"kind": "visit"}])]
    with pytest.raises(BodyError) as caught:
        read_batch({"leads": leads}, 10)
    assert [error.field for error in caught.value.errors] == [
        "/leads/1/lead/lead_id",
        "/leads/2/touches/0/happened_at",
    ]


@pytest.mark.parametrize("leads", [[], None, {}, [body()] * 11])
def test_a_batch_of_no_or_too_many_leads_is_refused(leads: object) -> None:
    with pytest.raises(BodyError) as caught:
        read_batch({"leads": leads}, 10)
    assert caught.value.errors[0].field == "/leads"


# --- what becomes of a lead ------------------------------------------------------------------------------------------


def test_without_as_of_the_lead_is_scored_now() -> None:
    assert lead_of().as_of_us == to_micros(NOW)
    assert lead_of(as_of=at(3)).as_of_us == to_micros(NOW - timedelta(hours=3))


def test_what_lies_after_as_of_is_not_known() -> None:
    touches = [{"happened_at": at(hours), "recorded_at": at(hours), "kind": "visit"} for hours in (-1, 2, 4)]
    lead = lead_of(touches=touches, as_of=at(3))
    known = KnownTouches([lead.known.touches], np.array([lead.as_of_us]))
    assert known.happened_us.tolist() == [to_micros(NOW - timedelta(hours=4))]


def test_a_missing_recording_time_is_the_lag_after_the_touch() -> None:
    known = lead_of().known
    assert (known.touches.recorded_us - known.touches.happened_us).tolist() == [READING.touch_lag_us]


def test_only_what_leads_did_counts() -> None:
    actors = ["lead", "LEAD", None, "sales", "system", "bot"]
    touches = [{"happened_at": at(n + 1), "kind": "visit", "actor": actor} for n, actor in enumerate(actors)]
    assert len(lead_of(touches=touches).known.touches.kind) == 3


def test_a_touch_that_is_given_twice_counts_once() -> None:
    touch = {"touch_id": "T1", "happened_at": at(1), "kind": "visit"}
    assert len(lead_of(touches=[touch, touch, touch | {"touch_id": "T2"}]).known.touches.kind) == 2


def test_texts_are_cleaned_as_for_training() -> None:
    touches = [{"happened_at": at(1), "kind": " visit ", "content_id": "/paper?email=taro@example.com#top"}]
    known = lead_of(touches=touches, lead={"industry": "　Software ", "employees": True}).known
    assert known.touches.kind.tolist() == ["visit"]
    assert known.touches.content_id.tolist() == ["/paper"]
    assert known.attributes == {"employees": 1.0, "industry": "Software", "source": "web"}


def test_an_empty_text_is_missing() -> None:
    assert lead_of(lead={"industry": " "}).known.attributes["industry"] is None


def test_stages_other_than_mql_and_recycled_are_ignored() -> None:
    stages = [{"stage": stage, "entered_at": at(9)} for stage in ("MQL", "sql", "closed_won", "recycled")]
    known = lead_of(stages=stages).known
    assert (len(known.mql.kind), len(known.recycled.kind)) == (1, 1)


def test_other_leads_touches_feed_the_account_from_their_creation_on() -> None:
    touches = [
        {"happened_at": at(5), "kind": "visit"},
        {"happened_at": at(50), "recorded_at": at(50), "kind": "download", "lead_id": "L2"},
    ]
    known = lead_of(touches=touches, account_leads=[{"lead_id": "L2", "created_at": at(20)}]).known
    assert known.touches.kind.tolist() == ["visit"]
    assert known.account_touches is not None
    assert known.account_touches.kind.tolist() == ["download"]
    assert known.account_touches.recorded_us.tolist() == [to_micros(NOW - timedelta(hours=20))]
    assert known.account_leads_us == (to_micros(NOW - timedelta(hours=20)),)


def test_an_account_that_nothing_tells_about_is_missing_and_said_so() -> None:
    lead = lead_of(account_leads=...)
    assert (lead.known.account_touches, lead.known.account_leads_us) == (None, None)
    assert [warning.field for warning in lead.warnings] == ["/account_leads"]


def test_a_lead_without_account_has_no_others() -> None:
    lead = lead_of(account_leads=..., lead={"account_id": None})
    assert lead.known.account_leads_us == ()
    assert lead.warnings == ()


def test_others_known_by_their_touches_alone_are_not_counted() -> None:
    touches = [{"happened_at": at(5), "kind": "visit", "lead_id": "L2"}]
    lead = lead_of(touches=touches, account_leads=...)
    assert lead.known.account_touches is not None
    assert lead.known.account_leads_us is None
    assert "how many" in lead.warnings[0].message


def test_unknown_and_missing_attributes_are_named() -> None:
    content = body(lead={"colour": "red", "shape": [1, {"deep": None}]})
    del content["lead"]["industry"]
    read = read_score(content)
    assert wrong_fields(read, READING, NOW) == []
    messages = [warning.message for warning in lead_from_body(read, READING, NOW).warnings]
    assert any("ignored: colour, shape" in message for message in messages)
    assert any("missing: industry" in message for message in messages)


def test_stages_left_out_are_said_so() -> None:
    assert [warning.field for warning in lead_of(stages=...).warnings] == ["/stages"]


def test_a_clock_a_little_ahead_is_forgiven() -> None:
    lead = lead_of(lead={"created_at": (NOW + timedelta(seconds=3)).isoformat()})
    assert lead.known.created_us == lead.as_of_us
    assert lead.warnings[0].field == "/lead/created_at"


def test_hashed_ids_may_look_like_anything() -> None:
    reading = Reading({}, 0, 0, False, False, frozenset(), {}, takes_any_id=True)
    assert lead_of(reading, lead={"lead_id": "taro@example.com"}).lead_id == "taro@example.com"


def test_a_batch_of_nothing_but_mistakes_is_not_gone_through_to_its_end() -> None:
    with pytest.raises(BodyError) as caught:
        read_batch({"leads": [{"lead": {}}] * 1000, "more": 1}, 1000)
    assert MAX_ERRORS < len(caught.value.errors) <= MAX_ERRORS + 3
    assert [error.field for error in caught.value.errors[:2]] == ["/more", "/leads/0/lead/lead_id"]


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_are_taken_off_as_from_tables(blank: str) -> None:
    found = lead_of(READING, lead={"industry": f"{blank}software{blank}", "source": f"web{blank}"})
    assert (found.known.attributes["industry"], found.known.attributes["source"]) == ("software", "web")
    touch = {"kind": f"visit{blank}", "happened_at": at(5), "content_id": f"{blank}guide ?x=1"}
    touches = lead_of(READING, touches=[touch]).known.touches
    assert (touches.kind.tolist(), touches.content_id.tolist()) == (["visit"], ["guide"])


def test_what_cannot_be_meant_is_warned_of() -> None:
    reading = replace(READING, levels={"industry": frozenset({"software"})})
    touches = [{"kind": "Visit", "happened_at": at(5)}, {"kind": "visit", "happened_at": at(1)}]
    found = lead_of(reading, lead={"industry": "Software"}, touches=touches, as_of=at(3))
    said = " ".join(warning.message for warning in found.warnings)
    assert "by name: industry 'Software'" in said
    assert "count as other: Visit" in said
    assert "1 of them happened at as_of or later" in said


def test_a_phone_number_is_no_id() -> None:
    assert list(wrong(body(lead={"lead_id": "+81 90-1234-5678"}))) == ["/lead/lead_id"]


# --- whatever is sent ------------------------------------------------------------------------------------------------

FEATURES = FeatureSet(
    (
        LeadAge(),
        AccountLeads(),
        StageAge("mql"),
        AttributeNumber("employees"),
        AttributeIs("industry", "Software"),
        CountIn("visit", ("visit",), window_days=7),
        CountIn("any", scope="account", window_days=7),
        DistinctIn("any", window_days=30),
        Recency("any"),
        SessionsIn("any", window_days=30),
        ValueIn("visit", ("visit",), window_days=30),
    )
)
TEXTS = st.text(max_size=20) | st.sampled_from([at(1), at(-1), "L2", "visit", "mql", "lead", "2026-01-01T00:00Z"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
FULL = {
    "lead": {"lead_id": "L1", "created_at": at(100), "account_id": "A1", "employees": 3, "industry": "Software"},
    "touches": [
        {
            "touch_id": "T1",
            "happened_at": at(5),
            "recorded_at": at(4),
            "kind": "visit",
            "actor": "lead",
            "content_id": "c",
            "value": 3,
        },
        {"happened_at": at(9), "kind": "visit", "lead_id": "L2"},
    ],
    "stages": [{"stage": "mql", "entered_at": at(3), "recorded_at": at(2)}],
    "account_leads": [{"lead_id": "L2", "created_at": at(50)}],
    "as_of": at(0),
}


def places(content: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def replaced(content: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    copy = content.copy()
    copy[path[0]] = replaced(content[path[0]], path[1:], value)
    return copy


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(places(FULL)), ANYTHING)
def test_whatever_is_sent_is_scored_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    reading = Reading.of(FEATURES, config_of())
    content = replaced(FULL, path, value)
    refused = wrong(content)
    assert all(field == "" or field.startswith("/") for field in refused)
    assert "cannot be understood" not in refused.values()
    if refused:
        return
    body = read_score(content)
    assert wrong_fields(body, reading, NOW) == []
    lead = lead_from_body(body, reading, NOW)
    row = FEATURES.row(lead.known, lead.as_of_us)
    assert row.shape == (len(FEATURES.features),)
    assert not np.isinf(row).any()
