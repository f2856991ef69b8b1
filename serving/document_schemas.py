"""Schemas of bodies and answers for ``/docs.json``: those of the models, and what only a running service knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from models.line import Line
from serving.bodies import BatchBody, HeldBatchBody, HeldBody, ScoreBody
from serving.fields import ID_PATTERN, MAX_ID, TEXT_PATTERN
from serving.flat import FlatBody
from serving.posted import (
    MAX_NAME,
    POSTED,
    HandOffsBody,
    LeadsBody,
    OpportunitiesBody,
    PostedHandOff,
    PostedLead,
    PostedOpportunity,
    PostedStage,
    PostedTouch,
    StagesBody,
    TouchesBody,
)
from serving.read_replies import (
    AcceptedReply,
    ActionReply,
    LedgerReply,
    ModelReply,
    QueueReply,
    ReceiptReply,
    StartReply,
)
from serving.reading import Reading
from serving.replies import BatchReply, FlatReply, ProblemReply, ScoreReply, ToldReply

__all__ = ["REF", "document_schemas"]

REF = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    *(ScoreBody, BatchBody, HeldBody, HeldBatchBody, FlatBody),
    *(PostedLead, PostedTouch, PostedStage, PostedHandOff, PostedOpportunity),
    *(LeadsBody, TouchesBody, StagesBody, HandOffsBody, OpportunitiesBody),
)
_REPLIES: tuple[type[BaseModel], ...] = (
    *(ScoreReply, BatchReply, FlatReply, ToldReply, ProblemReply, Line, StartReply),
    *(QueueReply, LedgerReply, ModelReply, ReceiptReply, AcceptedReply, ActionReply),
)
_BATCHED = {
    "BatchBody": "leads",
    "HeldBatchBody": "lead_ids",
    "LeadsBody": "leads",
    "TouchesBody": "touches",
    "StagesBody": "stages",
    "HandOffsBody": "hand_offs",
    "OpportunitiesBody": "opportunities",
}
"""Lists that are as long as ``[serve] max_batch`` allows."""
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "number": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
    "text": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "boolean": {"anyOf": [{"type": "boolean"}, {"type": "number", "enum": [0, 1]}, {"type": "null"}]},
    "any": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
}
_NUMBER_AS_ID = {
    "type": "integer",
    "exclusiveMinimum": -(10**18),
    "exclusiveMaximum": 10**18,
    "description": "Marketo writes its ids so.",
}
_TEXT_ID = {"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": ID_PATTERN}
_RECORD = {"anyOf": [{"type": "integer", "minimum": 0}, _TEXT_ID]}
_NAMING = ("objectId", "hs_object_id", "vid", "canonical-vid")
_EVENT = {
    "type": "object",
    "required": ["objectId", "subscriptionType", "occurredAt"],
    "properties": {
        "objectId": _RECORD,
        "subscriptionType": {"type": "string", "examples": ["contact.propertyChange"]},
        "occurredAt": {
            "type": "integer",
            "minimum": 0,
            "maximum": 253_370_764_799_999,
            "description": "Milliseconds since 1970.",
        },
    },
}
_HOOK_BODIES: Mapping[str, Mapping[str, Any]] = {
    "HubspotBody": {
        "description": "A list of events, a workflow's webhook, or a call of our action, as HubSpot writes them.",
        "anyOf": [
            {"type": "array", "maxItems": 100, "items": _EVENT},
            *({"type": "object", "required": [name], "properties": {name: _RECORD}} for name in _NAMING),
            {
                "type": "object",
                "required": ["callbackId"],
                "properties": {"callbackId": _TEXT_ID},
            },
        ],
    },
    "LoginBody": {
        "description": "A key with the scope board. A browser's form with the field key is taken, too.",
        "type": "object",
        "required": ["key"],
        "properties": {"key": {"type": "string", "minLength": 1, "maxLength": 4000}},
    },
    "OdooBody": {
        "description": "What an automation rule of Odoo sends; nothing but the record's number is believed.",
        "type": "object",
        "required": ["_model", "_id"],
        "properties": {
            "_model": {"const": "crm.lead"},
            "_id": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
        },
    },
}


def document_schemas(reading: Reading, max_batch: int) -> dict[str, Any]:
    """Return every schema by name.

    Parameters
    ----------
    reading
        What the model in force reads; its attributes are listed by name.
    max_batch
        Largest number of leads in one batch.
    """
    models: list[tuple[Any, Any]] = [(body, "validation") for body in _BODIES]
    models += [(reply, "serialization") for reply in _REPLIES]
    _, found = models_json_schema(models, ref_template=REF)
    schemas: dict[str, Any] = found["$defs"]
    schemas["LineReply"] = _with_version(schemas.pop("Line"))
    own = schemas["LeadBody"]["properties"]
    rules = {name: kind for name, kind in reading.rule_columns.items() if name not in own}
    read = {**rules, **reading.attributes}
    schemas["LeadBody"]["properties"] = {name: {**_TYPES[kind], "title": name} for name, kind in read.items()} | own
    lead_id = {**schemas["FlatBody"]["properties"]["lead_id"], "minLength": 1, "pattern": ID_PATTERN}
    schemas["FlatBody"]["properties"]["lead_id"] = {"anyOf": [lead_id, _NUMBER_AS_ID]}
    for body, name in _BATCHED.items():
        schemas[body]["properties"][name]["maxItems"] = max_batch
    # Both are open to any attribute: a key that means something else by itself is none.
    schemas["PostedLead"]["propertyNames"] = {"minLength": 1, "maxLength": MAX_NAME, "pattern": TEXT_PATTERN}
    schemas["PostedLead"]["not"] = {"required": ["leads"]}
    return (
        schemas | {name: dict(schema) for name, schema in _HOOK_BODIES.items()} | {"GenericBody": _generic(max_batch)}
    )


def _generic(max_batch: int) -> dict[str, Any]:
    """Return the schema of rows of one table; which, their type says."""
    return {
        "description": "Rows of one table, each as its own route takes it.",
        "oneOf": [
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "rows"],
                "properties": {
                    "type": {"const": table},
                    "rows": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": max_batch,
                        "items": {"$ref": REF.format(model=row.__name__)},
                    },
                },
            }
            for table, row in POSTED.items()
        ],
    }


def _with_version(line: dict[str, Any]) -> dict[str, Any]:
    """Add to the document's schema what is computed from it."""
    computed = {
        "version": {"type": "string", "description": "Hash of the document; scores name it as line_version."},
        "threshold": {"type": "number", "description": "What an expected value must exceed, workspace currency."},
    }
    return {**line, "properties": computed | line["properties"], "required": [*computed, *line["required"]]}
