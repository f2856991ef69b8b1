"""What a packed service needs to run, each with the version that is installed where it is packed.

A bento is installed months later and elsewhere: only what was tested here is named, down to the last dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crm.errors import KizashiError

__all__ = ["OPTIONAL", "SERVED", "PinError", "pinned"]

SERVED = (
    "alembic",
    "bentoml",
    "click",
    "duckdb",
    "holidays",
    "httpx",
    "ibis-framework[duckdb,sqlite]",
    "joserfc",
    "lightgbm",
    "numpy",
    "orjson",
    "pandas",
    "prometheus-client",
    "pyarrow",
    "pydantic",
    "rich",
    "scikit-learn",
    "scipy",
    "sqlalchemy",
    "sqlglot",
    "standardwebhooks",
    "starlette",
    "tzdata",
    "uvicorn",
)
"""The part of pyproject.toml's dependencies that serving uses: no MLflow, no charts."""
OPTIONAL = ("psycopg[binary]",)
"""Pinned where it is installed: the driver of a state in PostgreSQL."""


class PinError(KizashiError):
    """Something that a packed service needs is not installed here."""


def pinned(
    roots: Iterable[str] = SERVED,
    optional: Iterable[str] = OPTIONAL,
    *,
    find: Callable[[str], Distribution] = distribution,
) -> tuple[str, ...]:
    """Return a line ``name==version`` for each requirement and for all that they require, by name.

    Parameters
    ----------
    roots
        Requirements, with extras where these are used.
    optional
        Requirements that are left out where they are not installed.
    find
        Finds what is installed; ``PackageNotFoundError`` without it.

    Raises
    ------
    PinError
        When something is not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in roots]
    waiting += [one for one in map(Requirement, optional) if _is_installed(one.name, find)]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        installed = _installed(name, find)
        found[name] = installed.version
        for extra in ("", *wanted.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += _required(installed, extra)
    return tuple(f"{name}=={found[name]}" for name in sorted(found))


def _required(installed: Distribution, extra: str) -> list[Requirement]:
    """Return what a distribution requires on this machine: always, or beyond that for one extra."""
    wanted = [Requirement(text) for text in installed.requires or ()]
    if not extra:
        return [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [one for one in wanted if one.marker is not None and one.marker.evaluate({"extra": extra})]


def _is_installed(name: str, find: Callable[[str], Distribution]) -> bool:
    try:
        find(name)
    except PackageNotFoundError:
        return False
    return True


def _installed(name: str, find: Callable[[str], Distribution]) -> Distribution:
    try:
        return find(name)
    except PackageNotFoundError:
        raise PinError(
            found=f"no package '{name}' here",
            expected="everything that the service needs, with the version to install elsewhere",
            fix="install kizashi with its dependencies (make), then pack again",
        ) from None
