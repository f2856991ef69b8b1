"""A session with Salesforce: a token by the client-credentials flow, renewed once when it has run out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from crm.clients.calls import Calls, Meaning, json_of, status_meaning
from crm.clients.waiting import Waiting
from crm.config_crm import CrmConfig
from crm.errors import CrmAccessError, CrmForbiddenError, CrmRefusedError

__all__ = ["SALESFORCE_API_VERSION", "SALESFORCE_PATH", "TRANSIENT", "SalesforceSession"]

SALESFORCE_API_VERSION = "v65.0"
SALESFORCE_PATH = f"/services/data/{SALESFORCE_API_VERSION}"
T = TypeVar("T")


class SalesforceSession:
    """Calls to one org.

    Parameters
    ----------
    name, config
        ``[crm.NAME]``.
    waiting
        Clock and sleep.
    secrets
        Masked in messages beside the CRM's own.
    """

    def __init__(self, name: str, config: CrmConfig, waiting: Waiting, secrets: tuple[str, ...] = ()) -> None:
        self._name, self._config = name, config
        self.calls = Calls(name, config.address, waiting, secrets=(*secrets, *config.secrets), meaning=_meaning)

    def with_token(self, action: Callable[[], T]) -> T:
        """Return what an action returns, with the token at hand; where that ran out, with a new one."""
        if "Authorization" not in self.calls.headers:
            self._log_in()
            return action()
        try:
            return action()
        except CrmAccessError:
            self._log_in()
        return action()

    def _log_in(self) -> None:
        self.calls.headers.pop("Authorization", None)
        self.calls.address = self._config.address
        form = {
            "grant_type": "client_credentials",
            "client_id": self._config.client_id or "",
            "client_secret": self._config.client_secret or "",
        }
        try:
            answer = self.calls.call(
                "POST",
                "/services/oauth2/token",
                content=str(httpx.QueryParams(form)).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        except CrmRefusedError as error:  # a wrong client is a 400
            raise self._no_token(error.message) from error
        except CrmForbiddenError as error:  # of the whole org, and not of what was asked for
            raise self._no_token(error.found) from error
        found = json_of(answer)
        token = found.get("access_token") if isinstance(found, dict) else None
        if not token:
            raise self._no_token("an answer without access_token")
        self.calls.address = self._instance(str(found.get("instance_url") or self._config.address))
        self.calls.headers["Authorization"] = f"Bearer {token}"

    def _instance(self, url: str) -> str:
        """Check where the token would be sent from now on: never over plain HTTP to another machine."""
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname != urlsplit(self._config.address).hostname:
            raise self._no_token(f"an instance_url without TLS, {url}")
        return url.rstrip("/")

    def _no_token(self, said: str) -> CrmAccessError:
        return CrmAccessError(
            found=f"'{self._name}' gives no token ({said})",
            expected="an external client app with the client-credentials flow and a user to run as",
            fix=f"correct url, client_id and client_secret of [crm.{self._name}]; nothing was lost, run it again then",
        )


TRANSIENT = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "REQUEST_LIMIT_EXCEEDED",
        "SERVER_UNAVAILABLE",
        "CONCURRENT_REQUESTS_LIMIT_EXCEEDED",
        "TXN_SECURITY_METERING_ERROR",
    }
)
"""Codes of what may work later."""


def _meaning(answer: httpx.Response) -> Meaning:
    """Tell a spent day's quota, which Salesforce answers with 403, from a missing permission."""
    if answer.status_code == 403 and "REQUEST_LIMIT_EXCEEDED" in answer.text:
        return "retry"
    return "setup" if answer.status_code == 404 else status_meaning(answer)
