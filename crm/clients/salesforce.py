"""Salesforce: scores into custom fields, by sObject Collections, or by Bulk API 2.0 where many wait.

A Lead that was converted lives on as a Contact, so the fields belong on both; the first three characters of an id say
which it is. Collections take 200 rows a call and answer 200 with an outcome a row (``allOrNone`` is false).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from crm.clients.calls import Calls, Meaning, json_of, status_meaning
from crm.clients.outcomes import Outcome, delivered, refused, retry
from crm.clients.salesforce_bulk import update_in_bulk
from crm.clients.values import field_values
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmAccessError, CrmRefusedError, CrmSetupError
from crm.outbox import Queued

__all__ = ["SALESFORCE_API_VERSION", "Salesforce"]

SALESFORCE_API_VERSION = "v65.0"
MOST_ROWS = 200
BULK_FROM = 2_000
BULK_ROWS = 10_000
TYPES: Mapping[str, str] = {"00Q": "Lead", "003": "Contact"}
_TRANSIENT = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "REQUEST_LIMIT_EXCEEDED",
        "SERVER_UNAVAILABLE",
        "CONCURRENT_REQUESTS_LIMIT_EXCEEDED",
        "TXN_SECURITY_METERING_ERROR",
    }
)
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


class Salesforce:
    """A Salesforce org, reached with the client-credentials flow of an external client app."""

    def __init__(self, name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._name, self._config = name, config
        self._calls = Calls(name, config.address, waiting, secrets=(*secrets, *config.secrets), meaning=_meaning)
        self._path = f"/services/data/{SALESFORCE_API_VERSION}"

    def batch_size(self, waiting: int) -> int:
        """Return 200, or 10,000 for the Bulk API where more than 2,000 wait; less if the workspace file says so."""
        if self._config.batch is not None and self._config.batch <= MOST_ROWS:
            return self._config.batch
        return min(self._config.batch or BULK_ROWS, BULK_ROWS) if waiting > BULK_FROM else MOST_ROWS

    def on_call(self, action: Callable[[], None]) -> None:
        """Let ``action`` run before each call and each wait."""
        self._calls.before = action

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def push(self, rows: Sequence[Queued]) -> Sequence[Outcome]:
        """Update records; see :class:`crm.clients.outcomes.CrmClient`."""
        outcomes: dict[int, Outcome] = {}
        for kind, places in _by_type(rows).items():
            if kind is None:
                outcomes |= {
                    place: refused(f"'{rows[place].lead_id}' is no id of a Lead or a Contact") for place in places
                }
                continue
            chosen = [rows[place] for place in places]
            outcomes |= dict(zip(places, self._with_token(kind, chosen), strict=True))
        return [outcomes[place] for place in range(len(rows))]

    def _with_token(self, kind: str, rows: Sequence[Queued]) -> list[Outcome]:
        """Write with the token at hand; one that ran out is renewed once."""
        if "Authorization" not in self._calls.headers:
            self._log_in()
        else:
            try:
                return self._write(kind, rows)
            except CrmAccessError:
                self._log_in()
        return self._write(kind, rows)

    def _log_in(self) -> None:
        self._calls.headers.pop("Authorization", None)
        self._calls.address = self._config.address
        form = {
            "grant_type": "client_credentials",
            "client_id": self._config.client_id or "",
            "client_secret": self._config.client_secret or "",
        }
        try:
            answer = self._calls.call(
                "POST",
                "/services/oauth2/token",
                content=str(httpx.QueryParams(form)).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        except CrmRefusedError as error:  # a wrong client is a 400
            raise self._no_token(error.message) from error
        found = json_of(answer)
        token = found.get("access_token") if isinstance(found, dict) else None
        if not token:
            raise self._no_token("an answer without access_token")
        self._calls.address = self._instance(str(found.get("instance_url") or self._config.address))
        self._calls.headers["Authorization"] = f"Bearer {token}"

    def _instance(self, url: str) -> str:
        """Check where the token would be sent from now on: never over plain HTTP to another machine."""
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname != urlsplit(self._config.address).hostname:
            raise self._no_token(f"an instance_url without TLS, {url}")
        return url.rstrip("/")

    def _no_token(self, said: str) -> CrmAccessError:
        return CrmAccessError(
            found=f"'{self._name}' gives no token ({said})",
            expected="an external client app with the client-credentials flow and a user to run as",
            fix=f"correct url, client_id and client_secret of [crm.{self._name}]; nothing was lost, push again then",
        )

    def _write(self, kind: str, rows: Sequence[Queued]) -> list[Outcome]:
        records = [{"Id": row.lead_id, **self._values(row)} for row in rows]
        try:
            if len(rows) > MOST_ROWS:
                return update_in_bulk(self._calls, self._path, kind, records)
            return self._collection(kind, records)
        except CrmRefusedError as error:
            if "INVALID_FIELD" in error.message or "No such column" in error.message:
                raise self._missing_field(kind, error.message) from error
            raise

    def _collection(self, kind: str, records: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        body = {"allOrNone": False, "records": [{"attributes": {"type": kind}, **record} for record in records]}
        answer = self._calls.call("PATCH", f"{self._path}/composite/sobjects", json=body)
        return [_outcome(result) for result in json_of(answer) or []]

    def _values(self, row: Queued) -> dict[str, Any]:
        found = field_values(row, self._config.written)
        return {name: _timed(value) for name, value in found.items()}

    def _missing_field(self, kind: str, message: str) -> CrmSetupError:
        return CrmSetupError(
            found=f"a field that {kind} of '{self._name}' does not have or does not show us ({message})",
            expected=f"{', '.join(self._config.written.values())} on Lead and Contact, and the right to edit them",
            fix=f"create it and give the app's user the right, or leave it out in [crm.{self._name}.fields]",
        )


def _meaning(answer: httpx.Response) -> Meaning:
    """Tell a spent day's quota, which Salesforce answers with 403, from a missing permission."""
    if answer.status_code == 403 and "REQUEST_LIMIT_EXCEEDED" in answer.text:
        return "retry"
    return "setup" if answer.status_code == 404 else status_meaning(answer)


def _by_type(rows: Sequence[Queued]) -> dict[str | None, list[int]]:
    places: dict[str | None, list[int]] = {}
    for place, row in enumerate(rows):
        kind = TYPES.get(row.lead_id[:3]) if _ID.fullmatch(row.lead_id) else None
        places.setdefault(kind, []).append(place)
    return places


def _outcome(result: Mapping[str, Any]) -> Outcome:
    if result.get("success"):
        return delivered
    errors: list[Mapping[str, Any]] = result.get("errors") or [{}]
    code = str(errors[0].get("statusCode", "refused"))
    said = f"{code}: {errors[0].get('message', 'no message')}"
    return retry(said) if code in _TRANSIENT else refused(said)


def _timed(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
