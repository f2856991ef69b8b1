"""What is written down about requests: log and counters. Never what was sent, who sent it or the raw path."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram

from crm.errors import KizashiError
from serving.hooks.paths import named_path

__all__ = ["ROUTES", "KeepInputOut", "Watch", "describe_failure", "start_log"]

ROUTES = frozenset(
    {
        *("/", "/docs.json", "/healthz", "/livez", "/metrics", "/openapi/salesforce.json", "/readyz"),
        *("/v1/hooks/generic", "/v1/hooks/hubspot", "/v1/hooks/odoo"),
        *("/v1/score", "/v1/score/batch", "/v1/score/flat"),
    }
)
"""Paths that are written down; any other may hold whatever a caller put there."""
METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

# Loggers that write exceptions with their messages, which may quote the input.
_TALKATIVE = ("bentoml.serve", "bentoml._internal.server.http_app", "uvicorn.error", "asyncio")

logger = logging.getLogger("kizashi.access")


class Watch:
    """Log and counters of one service.

    Parameters
    ----------
    registry
        Where ``/metrics`` reads the counters.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter("kizashi_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "kizashi_request_seconds", "Seconds to an answer.", ["route"], buckets=BUCKETS, registry=registry
        )

    def answered(self, method: str, path: str, status: int, seconds: float, request_id: str) -> None:
        """Write one answer down."""
        path = named_path(path)
        route = path if path in ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if route not in PROBES:
            verb = method if method in METHODS else "OTHER"
            logger.info("%s %s %d %.1f ms %s", verb, route, status, seconds * 1000, request_id)

    def failed(self, error: BaseException, request_id: str) -> None:
        """Write a failure of ours down."""
        logger.error("failed %s %s", request_id, describe_failure(error))


def describe_failure(error: BaseException) -> str:
    """Say what failed and where, without the message: conversions quote what they could not convert.

    Examples
    --------
    >>> try:
    ...     float("taro@example.com")
    ... except ValueError as error:
    ...     "taro" in describe_failure(error), describe_failure(error)[:10]
    (False, 'ValueError')
    """
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__qualname__} at {places or 'an unknown place'}"


class KeepInputOut(logging.Filter):
    """Takes the message of an exception out of a log record; our own stay, they quote no request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place and let it through."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            told = str(error) if isinstance(error, KizashiError) else describe_failure(error)
            record.msg = f"{record.getMessage()}: {told}"
            record.args, record.exc_info, record.exc_text = None, None, None
        elif record.levelno >= logging.ERROR and "Traceback" in record.getMessage():
            record.msg, record.args = record.getMessage().splitlines()[0], None
        return True


def start_log() -> None:
    """Send the log to standard error, one line a record, and keep input out of the libraries' loggers."""
    root = logging.getLogger("kizashi")
    root.setLevel(logging.INFO)
    if not logging.getLogger().handlers and not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
        root.addHandler(handler)
        root.propagate = False
    for name in _TALKATIVE:
        talkative = logging.getLogger(name)
        if not any(isinstance(one, KeepInputOut) for one in talkative.filters):
            talkative.addFilter(KeepInputOut())
