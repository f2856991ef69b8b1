"""The guides for CRMs are true: what they say is posted is posted, what they say is answered is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm.config import load_workspace
from serving.replies import FlatReply
from tests.service.running import KEY, ROOT
from tests.service.senders import HUBSPOT, ODOO, as_bytes, hubspot_v2, hubspot_v3

FOLDER = ROOT / "docs" / "how-to"
GUIDES = (
    "hubspot-custom-action.md", "hubspot-workflow-webhook.md", "marketo-webhook.md", "odoo-automation-rule.md",
    "salesforce-flow.md",
)  # fmt: skip
SECRETS = {"HUBSPOT_TOKEN": "pat-0123456789", "HUBSPOT_CLIENT_SECRET": "y" * 36, "ODOO_API_KEY": "0123456789"}
MARKED = re.compile(r"<!-- (posted|answered): ([a-z ]+) -->\n```json\n(.*?)```", re.DOTALL)
FLAT = "/v1/score/flat"


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def marked(what: str) -> Iterator[tuple[str, str, Any]]:
    for name in GUIDES:
        for verb, kind, block in MARKED.findall(page(name)):
            if verb == what:
                yield name, kind, json.loads(block)


def send(sender: httpx.Client, kind: str, content: object) -> httpx.Response:
    body = as_bytes(content)
    path, headers = {
        "hubspot": (HUBSPOT, hubspot_v3(body)),
        "odoo": (ODOO, {}),
        "flat": (FLAT, {"X-API-Key": KEY}),
    }[kind]
    return sender.post(path, content=body, headers={"Content-Type": "application/json"} | headers)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return "number" if isinstance(value, float | int) and not isinstance(value, bool) else type(value).__name__


@pytest.mark.parametrize(("name", "kind", "content"), list(marked("posted")))
def test_what_is_posted_is_taken(sender: httpx.Client, contact: str, name: str, kind: str, content: Any) -> None:
    del contact
    answer = send(sender, kind, content)
    assert answer.status_code in (200, 202), (name, answer.text)
    if kind == "hubspot" and isinstance(content, dict):  # what workflows send may be signed in the older way as well
        body = as_bytes(content)
        again = sender.post(HUBSPOT, content=body, headers={"Content-Type": "application/json"} | hubspot_v2(body))
        assert again.text == answer.text


def test_our_action_answers_as_its_guide_says(sender: httpx.Client, contact: str) -> None:
    calls = [content for _, _, content in marked("posted") if isinstance(content, dict) and "callbackId" in content]
    known, unknown = (content for name, _, content in marked("answered") if name == "hubspot-custom-action.md")
    assert shape(send(sender, "hubspot", calls[0] | {"callbackId": "guide-1"}).json()) == shape(known)
    assert str(calls[0]["object"]["objectId"]) == contact
    stranger = calls[0] | {"callbackId": "guide-2", "object": {"objectId": 404, "objectType": "CONTACT"}}
    assert send(sender, "hubspot", stranger).json() == unknown
    project = next(json.loads(block) for block in blocks("hubspot-custom-action.md", "json") if "actionUrl" in block)
    outputs = [one["typeDefinition"]["name"] for one in project["config"]["outputFields"]]
    assert outputs == [name for name in known["outputFields"] if name != "hs_execution_state"]
    assert list(project["config"]["labels"]["en"]["outputFieldLabels"]) == outputs


def test_the_flat_answer_is_as_its_guide_says(sender: httpx.Client, contact: str) -> None:
    (said,) = (content for name, _, content in marked("answered") if name == "salesforce-flow.md")
    found = send(sender, "flat", {"lead_id": contact}).json()
    assert list(found) == list(said) == list(FlatReply.model_fields)
    FlatReply.model_validate(said)
    differing = {name for name in said if shape(found[name]) != shape(said[name])}
    assert all(name.startswith("reason_") for name in differing)


def test_attributes_that_marketo_maps_are_answered() -> None:
    table = page("marketo-webhook.md").split("| response attribute |")[1].split("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert len(named) >= 6
    assert set(named) <= set(FlatReply.model_fields)


def test_marketos_template_makes_the_body() -> None:
    (template,) = blocks("marketo-webhook.md", "text")
    (content,) = (content for name, _, content in marked("posted") if name == "marketo-webhook.md")
    assert json.loads(template.replace("{{lead.Id}}", "901")) == content


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page(name), re.DOTALL)


@pytest.mark.parametrize("name", [name for name in GUIDES if blocks(name, "toml")])
def test_keys_of_the_workspace_file_are_those_that_there_are(name: str, tmp_path: Path) -> None:
    text = '[source]\nurl = "demo://"\n' + "\n".join(blocks(name, "toml"))
    (tmp_path / "kizashi.toml").write_text(text, encoding="utf-8")
    assert load_workspace(tmp_path, environ=SECRETS).config.crm


@pytest.mark.parametrize("name", GUIDES)
def test_addresses_in_a_guide_are_routes(name: str) -> None:
    from serving.routes import route_of

    paths = set(re.findall(r"https://score\.example\.com(/[\w./-]+)", page(name)))
    for path in paths:
        full = path + "token" if path.endswith("/") else path
        assert route_of("POST", full) or route_of("GET", full), path
