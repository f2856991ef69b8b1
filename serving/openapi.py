"""The service's own OpenAPI 3.1 document: BentoML's tells neither key nor errors, and loses every null."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.board_session import BOARD_PATH, COOKIE
from serving.document_schemas import REF, document_schemas
from serving.operations import BODY_STATUSES, KEYED_STATUSES, OPERATIONS, Answer, Operation
from serving.problems import PROBLEM_TYPE, problem_of_status
from serving.reading import Reading
from serving.routes import route_of

__all__ = ["openapi_document"]

_ABOUT = (
    "Scores leads: the chance of SQL and of a win, the money to expect, and whether sales should call. Every refusal "
    "is a problem document (RFC 9457) that quotes nothing of the request. Another method of a path is answered 405 and "
    "has the header Allow, a path that is not described here 404. HEAD answers where GET does."
)
_PROBES = {
    "/livez": "Answers 200 while the process lives.",
    "/readyz": "Answers 200 once the model is loaded.",
    "/healthz": "Answers 200 while the process lives.",
}
_SIGNATURES: Mapping[str, tuple[str, str]] = {
    "hubspotV3": ("X-HubSpot-Signature-v3", "HubSpot's signature with X-HubSpot-Request-Timestamp."),
    "hubspotV2": ("X-HubSpot-Signature", "HubSpot's older signature, of actions and workflows alone."),
    "standardWebhook": ("webhook-signature", "Of Standard Webhooks, with webhook-id and webhook-timestamp."),
}
_SAID = {
    422: "A field is wrong; errors has every one with its JSON pointer.",
    403: "The key lacks a scope, which WWW-Authenticate names.",
}
_REQUEST_ID = {"description": "Under which the log has the request.", "schema": {"type": "string"}}
_HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "How to show who asks.", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}},
    503: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}},
}


def openapi_document(reading: Reading, max_batch: int) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    reading
        What the model in force reads; its attributes are listed by name.
    max_batch
        Largest number of leads in one batch.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    statuses = sorted({status for operation in OPERATIONS for status in _refusals(operation)})
    return {
        "openapi": "3.1.0",
        "info": {"title": "kizashi", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": paths | {path: {"get": _probe(path, summary)} for path, summary in _PROBES.items()},
        "components": {
            "schemas": document_schemas(reading, max_batch),
            "responses": {str(status): _refusal(status) for status in statuses},
            "headers": {"X-Request-Id": _REQUEST_ID},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "boardCookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                **{
                    scheme: {"type": "apiKey", "in": "header", "name": name, "description": description}
                    for scheme, (name, description) in _SIGNATURES.items()
                },
            },
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    responses = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    refusals = {str(status): {"$ref": f"#/components/responses/{status}"} for status in _refusals(operation)}
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": _security(operation),
        "responses": responses | refusals,
    }
    if operation.parameters:
        found["parameters"] = [dict(one) for one in operation.parameters]
    if operation.bodies:
        refs = [{"$ref": REF.format(model=name)} for name in operation.bodies]
        schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """Return who may ask; OpenAPI 3.1 lets every scheme name the roles that it takes."""
    route = route_of(operation.method, operation.path)
    if route is None or route.guards_itself:
        return [{scheme: []} for scheme in operation.signed_by]
    scopes = [route.scope] if route.scope else []
    cookie = [{"boardCookie": scopes}] if route.template.startswith(f"{BOARD_PATH}/") else []
    return [{"bearer": scopes}, {"header": scopes}, *cookie]


def _refusals(operation: Operation) -> list[int]:
    route = route_of(operation.method, operation.path)
    of_scope = (403,) if route is not None and route.scope and not route.guards_itself else ()
    of_body = BODY_STATUSES if operation.bodies else ()
    return sorted({*KEYED_STATUSES, *of_scope, *of_body, *operation.refusals})


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.description, "headers": _request_id()}
    if answer.media_type:
        schema = {"$ref": REF.format(model=answer.model)} if answer.model else {"type": "object"}
        is_json = answer.media_type == "application/json"
        found["content"] = {answer.media_type: {"schema": schema if is_json else {"type": "string"}}}
    if answer.links:
        found["links"] = dict(answer.links)
    return found


def _refusal(status: int) -> dict[str, Any]:
    problem = {"schema": {"$ref": REF.format(model="ProblemReply")}}
    return {
        "description": _SAID.get(status, problem_of_status(status).title),
        "headers": {**_request_id(), **_HEADERS.get(status, {})},
        "content": {PROBLEM_TYPE: problem},
    }


def _request_id() -> dict[str, Any]:
    return {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}


def _probe(path: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": path.strip("/"),
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Yes."}},
    }
