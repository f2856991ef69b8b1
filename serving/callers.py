"""Who asks: found by the key guard, kept with the request for limits, audit and log."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from crm.api_keys import ADMIN

__all__ = ["ANONYMOUS", "REHEARSAL", "Caller", "RequestNotes", "caller_of", "notes_of"]

_NOTES = "kizashi.notes"


@dataclass(frozen=True)
class Caller:
    """One caller.

    Parameters
    ----------
    key_id
        Under which audit and log know it; no secret.
    scopes
        What it may do.
    """

    key_id: str
    scopes: frozenset[str]

    def may(self, scope: str | None) -> bool:
        """Tell whether a scope is among its own; None is what every caller may."""
        return scope is None or scope in self.scopes or ADMIN in self.scopes


ANONYMOUS = Caller("-", frozenset())
"""A caller that showed no key, at a route that guards itself or before the key was looked at."""


REHEARSAL = Caller("warm-up", frozenset({"score"}))
"""The service itself, before it is ready: what is made on first use is made then."""


@dataclass
class RequestNotes:
    """What the guards learn of a request. Middlewares between them may copy the scope; this stays one object."""

    caller: Caller = ANONYMOUS
    policy: str = ""
    """Content security policy of a page; what is no page gets one that allows nothing."""


def notes_of(scope: Scope) -> RequestNotes:
    """Return a request's notes, made on first use."""
    notes: RequestNotes = scope.setdefault(_NOTES, RequestNotes())
    return notes


def caller_of(scope: Scope) -> Caller:
    """Return who asks."""
    return notes_of(scope).caller
