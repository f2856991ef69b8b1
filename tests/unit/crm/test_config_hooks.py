"""Keys of the workspace file for webhooks: what can be checked is checked before the service starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm.config import load_workspace
from crm.errors import ConfigError

SHA256 = "0" * 64
KEY = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
HUBSPOT = '[crm.hubspot]\nkind = "hubspot"\ntoken = "pat-0123456789"\n'
ODOO = '[crm.odoo]\nkind = "odoo"\nurl = "https://odoo.example.com"\ntoken = "0123456789"\n'


def problems(folder: Path, text: str) -> list[str]:
    (folder / "kizashi.toml").write_text(f'[source]\nurl = "demo://"\n{text}', encoding="utf-8")
    try:
        load_workspace(folder, environ={"SECRET": "0123456789abcdef"})
    except ConfigError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize(
    "text",
    [
        f'[serve]\nhook_secret = "{KEY}"\n',
        '[serve]\npublic_url = "https://score.example.com"\n' + HUBSPOT + 'hook_secret = "${SECRET}"\n',
        ODOO + f'hook_token_sha256 = "{SHA256}"\n',
        HUBSPOT + '[crm.hubspot.hook_fields]\nnumberofemployees = "employees"\n',
    ],
)
def test_keys_of_webhooks_are_taken(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HUBSPOT + 'hook_secret = "0123456789abcdef"\n', "public_url"),
        ('[serve]\npublic_url = "https://x.example.com/path"\n', "serve.public_url"),
        ('[serve]\nhook_secret = "whsec_short"\n', "serve.hook_secret"),
        (f'[serve]\nhook_secret = "{KEY[6:]}"\n', "serve.hook_secret"),
        ('[serve]\npublic_url = "https://x.example.com"\n' + HUBSPOT + 'hook_secret = "short"\n', "hook_secret"),
        (ODOO + f'hook_token_sha256 = "{SHA256[1:]}"\n', "hook_token_sha256"),
        (ODOO + f'hook_token_sha256 = "{"A" * 64}"\n', "hook_token_sha256"),
        (ODOO + 'hook_token_sha256 = "the-token-itself"\n', "hook_token_sha256"),
    ],
)
def test_what_could_never_hold_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert words in problem
    assert "the-token-itself" not in problem


def test_a_secret_that_is_refused_is_not_shown(tmp_path: Path) -> None:
    text = (
        '[serve]\npublic_url = "https://x.example.com"\nhook_secret = "hunter2"\n'
        + HUBSPOT
        + 'hook_secret = "hunter2"\n'
    )
    found = problems(tmp_path, text)
    assert len(found) == 2
    assert "hunter2" not in " ".join(found)
