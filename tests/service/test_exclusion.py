"""Excluded leads through the service: scored, not handed off, and the rule is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from crm.config import Workspace, WorkspaceConfig
from models.bundle import parse_bundle
from models.scoring import LoadedModel
from serving.openapi import openapi_document
from serving.problems import ProblemError
from serving.replies import ScoreReply
from serving.scorer import Scorer
from tests.given import score_batch, score_one

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULES = {
    "customers": "is_customer",
    "students": "job_level = 'student'",
    "own": "lower(split_part(work_domain, '.', 1)) = 'own' AND spend >= 0",
    "acme": "account_id = 'ACME'",
}
TOLD = {"is_customer": False, "job_level": "vp", "work_domain": None, "spend": None, "account_id": None}


@pytest.fixture(scope="session")
def model(workspace: Workspace) -> LoadedModel:
    folder = next(workspace.artifacts_folder.rglob("model.json")).parent
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    bundle, line = parse_bundle(contents, fingerprint=json.loads(contents["model.json"])["fingerprint"])
    return LoadedModel("1", bundle, line)


@pytest.fixture
def scorer(model: LoadedModel, workspace: Workspace) -> Scorer:
    config = WorkspaceConfig.model_validate({**workspace.config.model_dump(), "exclude": RULES})
    # A line below every value: whoever is not excluded is an MQL.
    line = model.line.model_copy(update={"price": 0.0, "touch_cost": -1.0})
    return Scorer(LoadedModel(model.version, model.bundle, line), config)


def content(lead_id: str = "L1", **lead: Any) -> dict[str, Any]:
    return {
        "lead": {"lead_id": lead_id, "created_at": "2026-05-01T00:00:00Z", **TOLD, **lead},
        "touches": [{"kind": "visit", "happened_at": "2026-05-02T00:00:00Z"}],
    }


def score(scorer: Scorer, body: dict[str, Any]) -> dict[str, Any]:
    answer = score_one(scorer, json.dumps(body).encode(), None, NOW)
    assert ScoreReply.model_validate(answer).decision == answer["decision"]
    return answer


@pytest.mark.parametrize(
    ("lead", "rule"),
    [
        ({}, None),
        ({"is_customer": True}, "customers"),
        ({"is_customer": 1}, "customers"),
        ({"is_customer": True, "job_level": "student"}, "customers"),
        ({"job_level": " student "}, "students"),
        ({"work_domain": "OWN.example", "spend": 3}, "own"),
        ({"work_domain": "OWN.example", "spend": True}, "own"),
        ({"work_domain": "OWN.example"}, None),
        ({"account_id": "ACME"}, "acme"),
    ],
)
def test_the_first_rule_that_meets_the_lead_is_named(scorer: Scorer, lead: dict[str, Any], rule: str | None) -> None:
    answer = score(scorer, content(**lead))
    assert answer["excluded_by"] == rule
    assert answer["decision"] == ("hand_off" if rule is None else "excluded")
    assert answer["is_mql"] is (rule is None)
    assert answer["grade"] in ("AB" if rule is None else "CD")


def test_an_excluded_lead_keeps_its_score(scorer: Scorer) -> None:
    answers = [score(scorer, content(is_customer=flag)) for flag in (False, True)]
    same = ("score", "p_sql", "p_won", "expected_value", "points", "reasons")
    assert [answers[0][key] for key in same] == [answers[1][key] for key in same]


def test_a_batch_decides_each_lead(scorer: Scorer) -> None:
    leads = [content("L1"), content("L2", is_customer=True), content("L3", job_level="student"), content("L4")]
    answers = score_batch(scorer, json.dumps({"leads": leads}).encode(), None, NOW)
    assert [answer["excluded_by"] for answer in answers] == [None, "customers", "students", None]


def test_columns_of_rules_are_not_called_ignored_and_missing_ones_are_named(scorer: Scorer) -> None:
    messages = [warning["message"] for warning in score(scorer, content(shoe_size=3))["warnings"]]
    assert [message for message in messages if "ignored" in message] == [
        "attributes that the model does not read were ignored: shoe_size"
    ]
    assert not [message for message in messages if "[exclude]" in message]
    body = content()
    for name in ("is_customer", "account_id", "spend"):
        del body["lead"][name]
    messages = [warning["message"] for warning in score(scorer, body)["warnings"]]
    assert (
        "columns that [exclude] reads are missing, nobody is excluded by them: account_id, is_customer, spend"
        in messages
    )


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        ({"is_customer": "yes"}, "must be true or false, 1 or 0, or null, as [exclude] reads it"),
        ({"is_customer": 2}, "must be true or false, 1 or 0, or null, as [exclude] reads it"),
        ({"work_domain": 3}, "must be text or null, as [exclude] reads it"),
        ({"spend": "3"}, "must be a finite number, true or false, or null, as [exclude] reads it"),
        ({"spend": 10**400}, "must be a finite number, true or false, or null, as [exclude] reads it"),
        ({"spend": [1]}, "must be a finite number, true or false, or null, as [exclude] reads it"),
    ],
)
def test_a_value_that_a_rule_cannot_read_is_refused(scorer: Scorer, lead: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError) as caught:
        score(scorer, content(**lead))
    (error,) = caught.value.problem.errors
    assert (error.field, error.message) == (f"/lead/{next(iter(lead))}", message)


def test_columns_of_rules_are_described(scorer: Scorer) -> None:
    schemas = openapi_document(scorer.reading, 10)["components"]["schemas"]
    described = schemas["LeadBody"]["properties"]
    assert described["is_customer"]["anyOf"][0] == {"type": "boolean"}
    assert described["work_domain"]["title"] == "work_domain"
    assert "An id that names nobody." in described["lead_id"]["description"]
    assert "excluded" in schemas["ScoreReply"]["properties"]["decision"]["enum"]
