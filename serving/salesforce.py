"""The OpenAPI 3.0 document that Salesforce's External Services read: one flat operation.

Salesforce makes Apex classes of it: names have to be identifiers of Apex, there is neither a union nor a list, and what
the document would say about keys is ignored, as the Named Credential decides that. ``/docs.json`` is OpenAPI 3.1,
which External Services do not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.flat import FlatBody
from serving.problems import problem_of_status
from serving.replies import FlatReply
from serving.runtime import Runtime

__all__ = ["salesforce_document", "salesforce_route"]

_STATUSES = (400, 401, 404, 429, 500)
_KEPT = ("type", "description", "enum", "minLength", "maxLength")


def salesforce_document(public_url: str | None) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    public_url
        How Salesforce reaches the service; the Named Credential's address takes its place there.
    """
    request, answer = ({"$ref": f"#/components/schemas/{name}"} for name in ("ScoreRequest", "ScoreAnswer"))
    refusals = {str(status): {"description": problem_of_status(status).title} for status in _STATUSES}
    refusals["422"] = {"description": "lead_id cannot be understood"}
    return {
        "openapi": "3.0.3",
        "info": {"title": "kizashi", "version": "1", "description": "Scores a lead that kizashi holds."},
        "servers": [{"url": public_url or "/"}],
        "paths": {
            "/v1/score/flat": {
                "post": {
                    "operationId": "score",
                    "summary": "Score a lead",
                    "description": "Returns the lead's score, grade, value and reasons as of now.",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
                    "responses": {
                        "200": {"description": "The score.", "content": {"application/json": {"schema": answer}}},
                        **refusals,
                    },
                }
            }
        },
        "components": {"schemas": {"ScoreRequest": _schema(FlatBody), "ScoreAnswer": _schema(FlatReply)}},
    }


def salesforce_route(runtime: Runtime) -> Route:
    """Return the route under which the document is read."""

    def answer(request: Request) -> Response:
        del request
        return JSONResponse(salesforce_document(runtime.settings.workspace.config.serve.public_url))

    return Route("/openapi/salesforce.json", answer)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a flat model's schema in the words of OpenAPI 3.0."""
    schema = model.model_json_schema()
    properties = {name: _property(found) for name, found in schema["properties"].items()}
    return {"type": "object", "required": list(schema["required"]), "properties": properties}


def _property(schema: Mapping[str, Any]) -> dict[str, Any]:
    choices = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    found = {**schema, **choices[0]}
    kept = {name: found[name] for name in _KEPT if name in found}
    return {**kept, "nullable": True} if len(schema.get("anyOf", ())) > 1 else kept
