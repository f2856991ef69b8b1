"""The service's own OpenAPI 3.1 document: BentoML's tells neither key nor errors, and loses every null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from models.line import Line
from serving.bodies import BatchBody, ScoreBody
from serving.flat import FlatBody
from serving.problems import PROBLEM_TYPE, problem_of_status
from serving.reading import Reading
from serving.replies import BatchReply, FlatReply, ProblemReply, ScoreReply

__all__ = ["openapi_document"]

_REF = "#/components/schemas/{model}"
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "number": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
    "text": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "boolean": {"anyOf": [{"type": "boolean"}, {"type": "number", "enum": [0, 1]}, {"type": "null"}]},
    "any": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
}
_ABOUT = "Scores leads: the chance of SQL and of a win, the money to expect, and whether sales should call."
_ONE = "Score one lead that is given in the body. Nothing of it is stored."
_LINE = "What an MQL is: the line in force, what it means for each segment, and who agreed to it."
_FLAT = "Score one lead that the service holds; the answer has no lists, for Salesforce and Marketo."
_MANY = "Score several leads. If one cannot be understood, none is scored and every wrong field is listed."


def openapi_document(reading: Reading, max_batch: int) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    reading
        What the model in force reads; its attributes are listed by name.
    max_batch
        Largest number of leads in one batch.
    """
    models: list[tuple[Any, Any]] = [(body, "validation") for body in (ScoreBody, BatchBody, FlatBody)]
    models += [(reply, "serialization") for reply in (ScoreReply, BatchReply, FlatReply, ProblemReply, Line)]
    _, schemas = models_json_schema(models, ref_template=_REF)
    definitions: dict[str, Any] = schemas["$defs"]
    definitions["LineReply"] = _with_version(definitions.pop("Line"))
    own = definitions["LeadBody"]["properties"]
    rules = {name: kind for name, kind in reading.rule_columns.items() if name not in own}
    read = {**rules, **reading.attributes}
    definitions["LeadBody"]["properties"] = own | {name: {**_TYPES[kind], "title": name} for name, kind in read.items()}
    definitions["BatchBody"]["properties"]["leads"]["maxItems"] = max_batch
    return {
        "openapi": "3.1.0",
        "info": {"title": "kizashi", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": {
            "/v1/score": {"post": _operation("score", _ONE, "ScoreBody", "ScoreReply")},
            "/v1/score/batch": {"post": _operation("scoreBatch", _MANY, "BatchBody", "BatchReply")},
            "/v1/score/flat": {"post": _operation("scoreFlat", _FLAT, "FlatBody", "FlatReply")},
            "/v1/line": {"get": _reading("line", _LINE, "LineReply")},
            "/livez": {"get": _probe("livez", "Answers 200 while the process lives.")},
            "/readyz": {"get": _probe("readyz", "Answers 200 once the model is loaded.")},
        },
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(name: str, summary: str, body: str, reply: str) -> dict[str, Any]:
    language = {
        "name": "Accept-Language",
        "in": "header",
        "description": "en or ja, the language of reasons; by default the workspace's.",
        "schema": {"type": "string"},
    }
    problem = {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(model="ProblemReply")}}}
    refusals = {
        str(status): {"description": problem_of_status(status).title, "content": problem}
        for status in (400, 401, 413, 415, 429, 500, 504)
    }
    refusals["422"] = {
        "description": "A field is wrong; errors has every one with its JSON pointer.",
        "content": problem,
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [language],
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {"200": {"description": "The score.", "content": _json(reply)}, **refusals},
    }


def _reading(name: str, summary: str, reply: str) -> dict[str, Any]:
    problem = {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(model="ProblemReply")}}}
    refusals = {str(s): {"description": problem_of_status(s).title, "content": problem} for s in (401, 500)}
    answer = {"description": "The definition in force.", "content": _json(reply)}
    return {"operationId": name, "summary": summary, "responses": {"200": answer, **refusals}}


def _with_version(line: dict[str, Any]) -> dict[str, Any]:
    """Add to the document's schema what is computed from it."""
    computed = {
        "version": {"type": "string", "description": "Hash of the document; scores name it as line_version."},
        "threshold": {"type": "number", "description": "What an expected value must exceed, workspace currency."},
    }
    return {**line, "properties": computed | line["properties"], "required": [*computed, *line["required"]]}


def _json(model: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model)}}}


def _probe(name: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Yes."}},
    }
