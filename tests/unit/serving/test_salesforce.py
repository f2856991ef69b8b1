"""The document for External Services: OpenAPI 3.0, flat, with names that Apex takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from serving.flat import FlatBody
from serving.replies import FlatReply
from serving.salesforce import salesforce_document

DOCUMENT = salesforce_document("https://score.example.com")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

# The Apex Developer Guide's list of reserved words.
RESERVED = frozenset(
    re.findall(
        r"\w+",
        """abstract activate and any array as asc autonomous begin bigdecimal blob boolean break bulk by byte case cast
    catch char class collect commit const continue convertcurrency currency date datetime decimal default delete desc do
    double else end enum exception exit export extends false final finally float for from future global goto group
    having hint if implements import in inner insert instanceof int integer interface into join last_90_days last_month
    last_n_days last_week like limit list long loop map merge new next_90_days next_month next_n_days next_week not null
    nulls number object of on or outer override package parallel pragma private protected public retrieve return
    returning rollback savepoint search select set short sobject sort stat static string super switch synchronized
    system testmethod then this this_month this_week throw time today tolabel tomorrow transaction trigger true try type
    undelete update upsert using virtual void webservice when where while yesterday""",
    )
)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def test_it_is_valid_openapi_3_0() -> None:
    OpenAPIV30SpecValidator(DOCUMENT).validate()
    OpenAPIV30SpecValidator(salesforce_document(None)).validate()
    assert DOCUMENT["openapi"] == "3.0.3"
    assert DOCUMENT["servers"] == [{"url": "https://score.example.com"}]


def test_there_is_one_operation() -> None:
    assert list(DOCUMENT["paths"]) == ["/v1/score/flat"]
    assert list(DOCUMENT["paths"]["/v1/score/flat"]) == ["post"]


def test_names_are_identifiers_of_apex() -> None:
    names = [DOCUMENT["paths"]["/v1/score/flat"]["post"]["operationId"], *SCHEMAS]
    names += [name for schema in SCHEMAS.values() for name in schema["properties"]]
    for name in names:
        assert re.fullmatch(r"[A-Za-z](?!.*__)[A-Za-z0-9_]{0,38}[A-Za-z0-9]", name), name
        assert name.lower() not in RESERVED
    for schema in SCHEMAS.values():  # Apex does not tell cases apart
        assert len({name.lower() for name in schema["properties"]}) == len(schema["properties"])


def test_nothing_is_nested_united_or_secured() -> None:
    unknown = {"anyOf", "oneOf", "allOf", "security", "securitySchemes", "const", "additionalProperties", "title"}
    for part in walk({name: value for name, value in DOCUMENT.items() if name != "info"}):
        assert not unknown & part.keys()
        assert part.get("type") in (None, "object", "string", "number", "boolean")
    for schema in SCHEMAS.values():
        for found in schema["properties"].values():
            assert found["type"] in ("string", "number", "boolean")
    assert len(json.dumps(DOCUMENT)) < 10_000_000


@pytest.mark.parametrize(("name", "model"), [("ScoreRequest", FlatBody), ("ScoreAnswer", FlatReply)])
def test_it_says_what_the_service_takes_and_answers(name: str, model: Any) -> None:
    schema = SCHEMAS[name]
    assert list(schema["properties"]) == list(model.model_fields)
    assert schema["required"] == [key for key, found in model.model_fields.items() if found.is_required()]
    nullable = [key for key, found in schema["properties"].items() if found.get("nullable")]
    assert nullable == [key for key in model.model_fields if key.startswith("reason_")]
