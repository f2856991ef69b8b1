"""``[crm.NAME]``: what a CRM needs to be called, and what is never written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm.config import load_workspace
from crm.config_crm import FIELDS, CrmConfig
from crm.errors import ConfigError

HUBSPOT = {"kind": "hubspot", "token": "pat-0123456789"}


def problems(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "kizashi.toml").write_text('[source]\nurl = "demo://"\n' + text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_workspace(folder, environ={})
    return caught.value.problems


def test_defaults_and_names_of_ones_own() -> None:
    assert CrmConfig.model_validate(HUBSPOT).written == FIELDS["hubspot"]
    own = CrmConfig.model_validate({**HUBSPOT, "fields": {"p_won": "chance", "reasons": "", "score": "mine"}})
    assert own.written["score"] == "mine"
    assert own.written["p_won"] == "chance"
    assert "reasons" not in own.written


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "hubspot"}, "token: hubspot needs this key"),
        ({"kind": "tryton", "url": "https://a.b", "token": "x"}, "database: tryton needs this key"),
        ({"kind": "odoo", "url": "https://a.b", "token": "x", "protocol": "jsonrpc"}, "user: odoo needs this key"),
        ({**HUBSPOT, "url": "http://crm.example.com"}, "the key would travel in the clear"),
        ({**HUBSPOT, "url": "https://crm.example.com/path"}, "an address without a path"),
        ({**HUBSPOT, "url": "https://me:pw@crm.example.com"}, "without user or password"),
        ({**HUBSPOT, "lead_ids": "("}, "no regular expression"),
        ({**HUBSPOT, "fields": {"grade": "ml_lead_score"}}, "two values would go into one field"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CrmConfig.model_validate(given)


def test_http_is_for_this_machine_or_for_who_says_so() -> None:
    assert CrmConfig.model_validate({**HUBSPOT, "url": "http://127.0.0.1:8000/"}).address == "http://127.0.0.1:8000"
    assert CrmConfig.model_validate({**HUBSPOT, "url": "http://crm.lan", "allow_http": True}).address


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(CrmConfig.model_validate({**HUBSPOT, "hook_secret": "hook-" + "0123456789" * 4}))
    assert "0123456789" not in shown


def test_hashed_ids_name_no_record(tmp_path: Path) -> None:
    text = '[workspace]\nhash_ids = true\n[crm.hub]\nkind = "hubspot"\ntoken = "x"\n'
    (found,) = problems(tmp_path, text)
    assert found.startswith("line 5, crm.hub: ids are hashed (hash_ids = true)")


def test_an_unknown_key_has_its_place(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, '[crm.hub]\nkind = "hubspot"\ntoken = "x"\n[crm.hub.fields]\nscor = "a"\n')
    assert "crm.hub.fields.scor" in found


def test_what_says_who_somebody_is_or_what_we_wrote_is_not_pulled() -> None:
    for fields, said in (
        ({"email": "email"}, "email is not taken over"),
        ({"customproperty": "first_name"}, "customproperty is not taken over"),
        ({"ml_lead_score": "old_score"}, "scores are written into"),
    ):
        with pytest.raises(ValueError, match=said):
            CrmConfig.model_validate({**HUBSPOT, "pull_fields": fields})
    own = CrmConfig.model_validate({**HUBSPOT, "hook_fields": {"industry": "branch"}, "fields": {"score": "industry"}})
    assert own.pulled == {}  # written into, so not read


def test_stages_of_ones_own() -> None:
    own = CrmConfig.model_validate({**HUBSPOT, "pull_stages": {"customer": "", "evangelist": "closed_won"}})
    assert "customer" not in own.stages
    assert (own.stages["evangelist"], own.stages["opportunity"]) == ("closed_won", "opportunity")
