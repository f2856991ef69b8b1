"""What each route takes and answers: the one table of it, which ``/docs.json`` is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.fields import MAX_ID, TEXT_PATTERN
from serving.readings import DECISIONS, MAX_PAGE, ORDERS, PAGE

__all__ = ["BODY_STATUSES", "KEYED_STATUSES", "OPERATIONS", "Answer", "Operation"]

KEYED_STATUSES = (400, 401, 429, 431, 500, 503, 504)
"""What every route but the probes may answer: a broken form, no key, too many requests, and failures of ours."""
BODY_STATUSES = (408, 413, 415, 422)
"""What every route with a body may answer besides."""


@dataclass(frozen=True)
class Answer:
    """One answer that is no refusal.

    Parameters
    ----------
    description
        What it says.
    model
        Name of its schema; empty for an answer without one.
    media_type
        Of what is answered; empty for an answer without a body.
    links
        What can be asked next, by name.
    """

    description: str
    model: str = ""
    media_type: str = "application/json"
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Parameters
    ----------
    method
        In capitals, as in :data:`serving.routes.ROUTES`.
    path
        As a caller writes it; a route of several senders is described once for each.
    name
        Its ``operationId``.
    summary
        One sentence, or two.
    answers
        By status.
    bodies
        Names of the schemas of which the body meets one; empty where there is no body.
    refusals
        Statuses besides those that every such route may answer.
    parameters
        In path, query and headers.
    signed_by
        Security schemes of a route that needs no key.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, Answer]
    bodies: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()
    parameters: tuple[Mapping[str, Any], ...] = ()
    signed_by: tuple[str, ...] = ()


def _parameter(name: str, place: str, description: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {"name": name, "in": place, "description": description, "schema": schema}
    return found | {"required": True} if place == "path" else found


def _link(operation: str, lead_id: str) -> Mapping[str, Any]:
    return {"operationId": operation, "parameters": {"lead_id": lead_id}}


def _ok(model: str, description: str, **links: Mapping[str, Any]) -> Mapping[int, Answer]:
    return {200: Answer(description, model, links=links)}


_LANGUAGE = _parameter(
    "Accept-Language",
    "header",
    "en or ja, the language of reasons; by default the workspace's.",
    {"type": "string", "examples": ["ja"]},
)
_LEAD_ID = _parameter(
    "lead_id",
    "path",
    "An id that names nobody, percent-encoded.",
    {"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": TEXT_PATTERN},
)
_BOARD_LANGUAGE = {"type": "string", "enum": ["en", "ja"]}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}
_BEFORE = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
_LEDGER_OF_ANSWER = {"scores": _link("scores", "$response.body#/lead_id")}


def _scoring(path: str, name: str, summary: str, bodies: tuple[str, ...], reply: str, **more: Any) -> Operation:
    return Operation(
        "POST",
        path,
        name,
        summary,
        _ok(reply, "The score, which is in the ledger now.", **more.pop("links", {})),
        bodies,
        parameters=(_LANGUAGE,),
        **more,
    )


def _ingest(path: str, name: str, one: str, many: str) -> Operation:
    what = path.removeprefix("/v1/")
    touched = " Leads that did something are scored at once." if what == "touches" else ""
    summary = f"Tell of {what}: one by itself, or a list. They are stored before the answer, each key once.{touched}"
    return Operation(
        "POST",
        path,
        name,
        summary,
        _ok("ToldReply", "What became of each row."),
        (one, many),
        parameters=(_LANGUAGE,) if touched else (),
    )


def _hook(path: str, name: str, summary: str, body: str, signed_by: tuple[str, ...], **more: Any) -> Operation:
    answers = {202: Answer("It is stored; what it asks for is done next.", "AcceptedReply"), **more.pop("answers", {})}
    return Operation("POST", path, name, summary, answers, (body,), (403, 404), signed_by=signed_by, **more)


OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/", "start", "What answers here.", _ok("StartReply", "The service and its model.")),
    Operation(
        "GET", "/docs.json", "docs", "This document.", {200: Answer("OpenAPI 3.1, with the model's own attributes.")}
    ),
    Operation(
        "GET",
        "/openapi/salesforce.json",
        "salesforce",
        "A flat OpenAPI 3.0 document for Salesforce's External Services.",
        {200: Answer("OpenAPI 3.0.")},
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "Counters and gauges for Prometheus.",
        {200: Answer("Prometheus' text format.", media_type="text/plain")},
    ),
    _scoring(
        "/v1/score",
        "score",
        "Score one lead: one that the service holds, by its id, or one that is given with its touches. Nothing of what "
        "is given is stored but the score.",
        ("HeldBody", "ScoreBody"),
        "ScoreReply",
        refusals=(404, 409),
        links=_LEDGER_OF_ANSWER,
    ),
    _scoring(
        "/v1/score/batch",
        "scoreBatch",
        "Score several leads. If one that is given cannot be understood, none is scored and every wrong field is "
        "listed; ids that are not held are named.",
        ("HeldBatchBody", "BatchBody"),
        "BatchReply",
        refusals=(409,),
    ),
    _scoring(
        "/v1/score/flat",
        "scoreFlat",
        "Score one lead that the service holds; the answer has no lists, for Salesforce and Marketo.",
        ("FlatBody",),
        "FlatReply",
        refusals=(404, 409),
        links=_LEDGER_OF_ANSWER,
    ),
    _ingest("/v1/leads", "tellLeads", "PostedLead", "LeadsBody"),
    _ingest("/v1/touches", "tellTouches", "PostedTouch", "TouchesBody"),
    _ingest("/v1/stages", "tellStages", "PostedStage", "StagesBody"),
    _ingest("/v1/hand-offs", "tellHandOffs", "PostedHandOff", "HandOffsBody"),
    _ingest("/v1/opportunities", "tellOpportunities", "PostedOpportunity", "OpportunitiesBody"),
    Operation(
        "GET",
        "/v1/leads",
        "queue",
        "Leads by their newest scores, highest first; with decision=hand_off, those that sales should work next.",
        _ok("QueueReply", "One page."),
        refusals=(422,),
        parameters=(
            _parameter("decision", "query", "Only leads with this decision.", {"enum": list(DECISIONS)}),
            _parameter("order", "query", "By what.", {"enum": list(ORDERS), "default": "expected_value"}),
            _parameter("limit", "query", "Leads on a page.", _LIMIT),
            _parameter("after", "query", "The 'next' of the page before.", {"type": "string"}),
        ),
    ),
    Operation(
        "GET",
        "/v1/leads/{lead_id}/scores",
        "scores",
        "The ledger of one lead: every score that was issued, newest first, each with why it moved.",
        _ok("LedgerReply", "One page."),
        refusals=(404, 422),
        parameters=(
            _LEAD_ID,
            _parameter("limit", "query", f"Scores on a page, {PAGE} at most.", _LIMIT),
            _parameter("before", "query", "The 'next' of the page before.", _BEFORE),
        ),
    ),
    Operation(
        "GET",
        "/v1/line",
        "line",
        "What an MQL is: the line in force, what it means for each segment, and who agreed to it.",
        _ok("LineReply", "The definition in force."),
    ),
    Operation("GET", "/v1/model", "model", "The card of the model in force.", _ok("ModelReply", "The card.")),
    Operation(
        "DELETE",
        "/v1/leads/{lead_id}",
        "erase",
        "Erase a lead and every lead that is the same person. It may be asked again, also for one that is not known: "
        "what stays is a keyed hash that keeps it out.",
        _ok("ReceiptReply", "The receipt."),
        refusals=(422,),
        parameters=(_LEAD_ID,),
    ),
    Operation(
        "POST",
        "/v1/leads/{lead_id}/objection",
        "objection",
        "Note that a lead objects: it is neither scored nor trained on any more, and nothing of it goes to a CRM.",
        _ok("ReceiptReply", "The receipt."),
        refusals=(408, 413, 415, 422),
        parameters=(_LEAD_ID,),
    ),
    Operation(
        "GET",
        "/board",
        "board",
        "The page that marketing and sales both look at, as 'kizashi align' wrote it. A browser without a key is sent "
        "to the login. Owners have their names for keys with the scope board:owners.",
        {200: Answer("The page.", media_type="text/html"), 303: Answer("To the login.", media_type="")},
        refusals=(401, 403, 404, 422),
        parameters=(
            _parameter("lang", "query", "The language; by default that of Accept-Language.", _BOARD_LANGUAGE),
            _LANGUAGE,
        ),
        signed_by=("boardCookie", "bearer", "header"),
    ),
    Operation(
        "GET",
        "/board/rows/{table}",
        "boardRows",
        "The rows behind the numbers of the board. Each download is written into the audit.",
        {200: Answer("The file.", media_type="text/csv")},
        refusals=(404,),
        parameters=(_parameter("table", "path", "Name of the file, such as leads.csv.", {"type": "string"}),),
    ),
    Operation(
        "GET",
        "/board/login",
        "boardLoginPage",
        "The page on which a key is traded for the board.",
        {200: Answer("The page.", media_type="text/html")},
        refusals=(403, 422),
        parameters=(
            _parameter("lang", "query", "The language; by default that of Accept-Language.", _BOARD_LANGUAGE),
            _parameter("wrong", "query", "Say that the key was wrong.", {"type": "string"}),
            _LANGUAGE,
        ),
    ),
    Operation(
        "POST",
        "/board/login",
        "boardLogin",
        "Trade a key with the scope board for a cookie that lives for twelve hours; a form is sent on to the board.",
        {204: Answer("The cookie.", media_type=""), 303: Answer("Of a form: to the board.", media_type="")},
        ("LoginBody",),
        (400, 403, 413, 415, 422),
    ),
    _hook(
        "/v1/hooks/hubspot",
        "hookHubspot",
        "What HubSpot sends: events of a subscription, a workflow's webhook, a call of our action.",
        "HubspotBody",
        ("hubspotV3", "hubspotV2"),
        answers={200: Answer("Of a call of our action: its outputs.", "ActionReply")},
    ),
    _hook(
        "/v1/hooks/generic",
        "hookGeneric",
        "Rows of one table, sent as a Standard Webhook (standardwebhooks.com).",
        "GenericBody",
        ("standardWebhook",),
    ),
    _hook(
        "/v1/hooks/odoo/{token}",
        "hookOdoo",
        "A lead of Odoo changed; it is read anew. The address is the secret.",
        "OdooBody",
        (),
        parameters=(_parameter("token", "path", "As [crm.NAME] hook_token_sha256 has its hash.", {"type": "string"}),),
    ),
)
"""Every route of :data:`serving.routes.ROUTES` that is mounted; the probes are described where the document is made."""
