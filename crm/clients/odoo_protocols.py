"""The two ways to call a method of Odoo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from crm.clients.calls import Calls, json_of
from crm.config_crm import CrmConfig
from crm.errors import CrmAccessError, CrmForbiddenError, CrmRefusedError, CrmSetupError, CrmUnavailableError

__all__ = ["Json2", "JsonRpc", "OdooProtocol"]

_TRANSIENT = ("SerializationFailure", "OperationalError", "LockNotAvailable", "DeadlockDetected")


class OdooProtocol(Protocol):
    """A way to call a method of a model."""

    def __init__(self, calls: Calls, config: CrmConfig) -> None: ...

    def call(self, model: str, method: str, arguments: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """Return what the method returned; its arguments by name, in the order in which it declares them."""
        ...


class Json2:
    """``POST /json/2/<model>/<method>`` with a bearer key (Odoo 19 and later)."""

    def __init__(self, calls: Calls, config: CrmConfig) -> None:
        self._calls = calls
        calls.headers["Authorization"] = f"bearer {config.token}"
        if config.database:
            calls.headers["X-Odoo-Database"] = config.database

    def call(self, model: str, method: str, arguments: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """Return what the method returned; see :class:`OdooProtocol`."""
        body = {**arguments, "context": context}
        return json_of(self._calls.call("POST", f"/json/2/{model}/{method}", json=body))


class JsonRpc:
    """``POST /jsonrpc`` with database, user and key in the body (Odoo 18 and before). Errors come with status 200."""

    def __init__(self, calls: Calls, config: CrmConfig) -> None:
        self._calls, self._config = calls, config
        self._user_id: int | None = None

    def call(self, model: str, method: str, arguments: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """Return what the method returned; see :class:`OdooProtocol`."""
        if self._user_id is None:
            self._user_id = self._log_in()
        config, keywords = self._config, {"context": context}
        given = [config.database, self._user_id, config.token, model, method, list(arguments.values()), keywords]
        return self._ask("object", "execute_kw", given)

    def _log_in(self) -> int:
        config = self._config
        found = self._ask("common", "authenticate", [config.database, config.user, config.token, {}])
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._no_access("wrong database, user or key")
        return found

    def _ask(self, service: str, method: str, given: list[Any]) -> Any:
        params = {"service": service, "method": method, "args": given}
        body = {"jsonrpc": "2.0", "method": "call", "params": params, "id": 1}
        answer = self._calls.call("POST", "/jsonrpc", json=body)
        found = json_of(answer)
        if isinstance(found, dict) and "error" not in found:
            return found.get("result")
        error = found.get("error", {}) if isinstance(found, dict) else {}
        raise self._error(error.get("data") or {}, self._calls.words(answer))

    def _error(self, data: Mapping[str, Any], said: str) -> Exception:
        kind, name = str(data.get("name", "")), self._calls.name
        message = f"{kind.rpartition('.')[2]}: {data.get('message', said)}"[:500]
        if kind.endswith("AccessDenied"):
            return self._no_access(message)
        if kind.endswith("AccessError"):
            return CrmForbiddenError(
                found=f"the key of '{name}' may not do this ({message})",
                expected="an API key of a user who may read and write leads",
                fix=f"give the user of [crm.{name}] the right; nothing was lost, run it again then",
            )
        if kind.endswith(_TRANSIENT):
            return CrmUnavailableError(
                found=f"'{name}' was busy ({message})", expected="an answer", fix="nothing is lost, it is tried again"
            )
        if kind in ("builtins.ValueError", "builtins.KeyError", "builtins.AttributeError"):
            return CrmSetupError(
                found=f"'{name}' does not know what was asked ({message})",
                expected="a model and fields that it has",
                fix=f"correct object and fields of [crm.{name}]; nothing was lost",
            )
        return CrmRefusedError(
            found=f"'{name}' refused a call ({message})",
            expected="an accepted call",
            fix="look at the message",
            message=message,
        )

    def _no_access(self, said: str) -> CrmAccessError:
        return CrmAccessError(
            found=f"'{self._calls.name}' does not let us in ({said})",
            expected="an API key of a user who may read and write leads",
            fix=f"correct database, user and token of [crm.{self._calls.name}]; nothing was lost, run it again then",
        )
