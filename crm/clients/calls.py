"""Calling a CRM over HTTP: paced, tried again where that may help, and with an error that says what to do otherwise.

Every call that goes through here may be sent twice: when an answer does not arrive, nobody knows whether the call did.
Writes set fields to values, so that does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import orjson

from crm.clients.waiting import Pace, Waiting, backoff_s, retry_after_s
from crm.config import mask_secrets
from crm.errors import CrmAccessError, CrmForbiddenError, CrmRefusedError, CrmSetupError, CrmUnavailableError

__all__ = ["Calls", "Meaning", "json_of", "status_meaning"]

Meaning = Literal["fine", "retry", "access", "setup", "refused"]

TRIES = 5
FIRST_WAIT_S = 0.5
MOST_WAIT_S = 20.0
"""A CRM that asks for more is left alone until then, rather than waited for."""

LONGEST_MESSAGE = 500
_TAGS = re.compile(r"<title>.*?</title>|<[^>]*>", re.DOTALL)  # of pages that a server answers errors with
_RETRIED = frozenset({408, 423, 425, 429, 477})  # 423, 477: HubSpot's locks and migrations
_FORBIDDEN = 403
_ACCESS = frozenset({401, 402, _FORBIDDEN, 407})


def status_meaning(answer: httpx.Response) -> Meaning:
    """Say what an answer's status asks for, where a CRM does not mean something else by it."""
    status = answer.status_code
    if status < 300:
        return "fine"
    if status in _RETRIED or status >= 500:
        return "retry"
    if status in _ACCESS:
        return "access"
    return "setup" if status < 400 or status == 405 else "refused"


def json_of(answer: httpx.Response) -> Any:
    """Return an answer's JSON, None where it is none."""
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None


@dataclass
class Calls:
    """Calls to one CRM.

    Parameters
    ----------
    name
        Of the CRM in the workspace file, for messages.
    address
        Where its API answers.
    waiting
        The clock and the sleep.
    pace
        The CRM's limit, if it has one.
    headers
        Sent with every call, the key among them.
    secrets
        Masked in messages.
    meaning
        What an answer asks for.
    may_be_milliseconds
        A large ``Retry-After`` is one of milliseconds.
    """

    name: str
    address: str
    waiting: Waiting
    pace: Pace | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    meaning: Callable[[httpx.Response], Meaning] = status_meaning
    may_be_milliseconds: bool = False
    before: Callable[[], None] = field(default=lambda: None, repr=False)
    _client: httpx.Client | None = field(default=None, repr=False)

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | list[tuple[str, str]] | None = None,
        content: httpx._types.RequestContent | None = None,  # pyright: ignore[reportPrivateUsage] - bytes or an iterator
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return the answer to a call that was understood and carried out, if only in part.

        Raises
        ------
        CrmUnavailableError
            After :data:`TRIES` vain tries, or when the CRM asks to wait longer than :data:`MOST_WAIT_S`.
        CrmAccessError, CrmSetupError, CrmRefusedError
            By what the status means; no use in trying again.
        """
        if json is not None:
            content, headers = orjson.dumps(json), {"Content-Type": "application/json", **(headers or {})}
        said, asked, broke = "no answer", None, False
        for tries in range(TRIES):
            if tries:
                self._wait(asked if asked is not None else self._backoff(tries - 1))
            answer, said = self._send(method, path, content=content, params=params, headers=headers)
            asked, broke = None, answer is not None and answer.status_code == 500
            if answer is None:
                continue
            meaning = self.meaning(answer)
            if meaning == "fine":
                return answer
            said = self.words(answer)
            if meaning != "retry":
                raise self._error(meaning, answer, said)
            said_wait, date = answer.headers.get("Retry-After"), answer.headers.get("Date")
            asked = retry_after_s(said_wait, date, may_be_milliseconds=self.may_be_milliseconds)
            if asked is not None and asked > MOST_WAIT_S:
                break
        raise self._unavailable(said, asked, may_be_a_row=broke)

    def words(self, answer: httpx.Response) -> str:
        """Return what an answer says, short and without secrets."""
        found = json_of(answer)
        if isinstance(found, list) and found:
            found = found[0]
        message = (
            found.get("message") or found.get("error_description") or found.get("error")
            if isinstance(found, dict)
            else None
        )
        text = " ".join(_TAGS.sub(" ", str(message or answer.text)).split())[:LONGEST_MESSAGE] or "nothing"
        return f"{answer.status_code}: {mask_secrets(text, (*self.secrets, *self._headers_secrets()))}"

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def wait(self, seconds: float) -> None:
        """Wait between two calls."""
        self._wait(seconds)

    def _headers_secrets(self) -> tuple[str, ...]:
        return tuple(value.partition(" ")[2] for key, value in self.headers.items() if key == "Authorization")

    def _send(self, method: str, path: str, **more: Any) -> tuple[httpx.Response | None, str]:
        if self.pace is not None and (delay := self.pace.delay_s()) > 0:
            self._wait(delay)
        self.before()
        if self.pace is not None:
            self.pace.note()
        headers = {**self.headers, **(more.pop("headers") or {})}
        try:
            return self._opened().request(method, self.address + path, headers=headers, **more), ""
        except httpx.TransportError as error:
            return None, mask_secrets(f"{type(error).__name__}: {error}", self.secrets)[:LONGEST_MESSAGE]

    def _opened(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=httpx.Timeout(30.0, connect=10.0))
        return self._client

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self.before()
            self.waiting.sleep(seconds)

    def _backoff(self, tries: int) -> float:
        return backoff_s(tries, self.waiting.chance(), first_s=FIRST_WAIT_S, most_s=MOST_WAIT_S)

    def _unavailable(self, said: str, retry_after: float | None, *, may_be_a_row: bool) -> CrmUnavailableError:
        return CrmUnavailableError(
            found=f"no useful answer from '{self.name}' ({said})",
            expected="an answer within a minute",
            fix="nothing is lost: the next push sends what waits, and the next pull goes on from where it ended",
            retry_after_s=retry_after,
            may_be_a_row=may_be_a_row,
        )

    def _error(self, meaning: Meaning, answer: httpx.Response, said: str) -> Exception:
        if meaning == "access":
            kind = CrmForbiddenError if answer.status_code == _FORBIDDEN else CrmAccessError
            return kind(
                found=f"'{self.name}' does not let us in ({said})",
                expected="a key that may read and write these records",
                fix=f"renew the key of [crm.{self.name}] or give it the permission; nothing was lost, try again then",
            )
        if meaning == "setup":
            return CrmSetupError(
                found=f"'{self.name}' does not know {answer.request.method} {answer.request.url.path} ({said})",
                expected="the address and the version of its API",
                fix=f"correct url, database or object of [crm.{self.name}]; nothing was lost",
            )
        return CrmRefusedError(
            found=f"'{self.name}' refused a call ({said})",
            expected="an accepted call",
            fix="look at the message",
            message=said,
        )
