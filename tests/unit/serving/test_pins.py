"""What a bento is pinned with: everything down to the last dependency, as it is installed here."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from serving.pins import OPTIONAL, SERVED, PinError, pinned

ROOT = Path(__file__).resolve().parents[3]


class _Installed:
    def __init__(self, version: str, *requires: str) -> None:
        self.version = version
        self.requires = list(requires) or None


PLACE = {
    "served": _Installed("1.0", "Below_Name>=2", "chart; extra == 'pictures'", "old; python_version < '3'"),
    "below-name": _Installed("2.5", "served"),
    "chart": _Installed("7"),
}


def _find(name: str) -> Any:
    try:
        return PLACE[canonicalize_name(name)]
    except KeyError:
        raise PackageNotFoundError(name) from None


def test_what_is_required_is_pinned_once_and_cycles_end() -> None:
    assert pinned(["served"], [], find=_find) == ("below-name==2.5", "served==1.0")


def test_an_extra_brings_what_it_requires() -> None:
    assert pinned(["served[pictures]"], [], find=_find) == ("below-name==2.5", "chart==7", "served==1.0")


def test_what_is_optional_is_pinned_where_it_is_installed() -> None:
    assert pinned([], ["chart", "absent"], find=_find) == ("chart==7",)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(PinError, match="'absent'"):
        pinned(["absent"], [], find=_find)


def test_the_roots_are_dependencies_of_the_product() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["postgres"]]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    assert {canonicalize_name(Requirement(text).name) for text in (*SERVED, *OPTIONAL)} <= declared


def test_the_product_s_own_pins_hold_no_mlflow() -> None:
    names = {line.split("==")[0] for line in pinned()}
    assert not {"mlflow", "mlflow-skinny", "altair", "vl-convert-python"} & names
    assert {"bentoml", "lightgbm", "sqlalchemy", "duckdb", "mako"} <= names
