"""Every error says what was found, what was expected and what to do."""

from __future__ import annotations

import inspect

import pytest

from crm import errors
from crm.errors import ConfigError, KizashiError, RequestError, TooFewOutcomesError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, KizashiError)]
EXTRA = {TooFewOutcomesError: {"missing": 3}, RequestError: {"field": "/lead_id"}}


def test_all_are_listed() -> None:
    assert {kind.__name__ for kind in KINDS} == set(errors.__all__)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not ConfigError])
def test_the_message_is_one_paragraph(kind: type[KizashiError]) -> None:
    error = kind(found="a", expected="b", fix="c", **EXTRA.get(kind, {}))
    assert str(error) == "Found a; expected b. To go on: c."
    assert (error.found, error.expected, error.fix) == ("a", "b", "c")


def test_problems_of_the_workspace_file_are_a_list() -> None:
    error = ConfigError(path="kizashi.toml", problems=["one", "two"])
    assert error.problems == ("one", "two")
    assert str(error).startswith("Found 2 problems in kizashi.toml; expected")
    assert str(error).endswith("nothing was read or changed:\n  - one\n  - two")
    assert "Found 1 problem in" in str(ConfigError(path="x", problems=["one"]))
