"""What is written down about requests: log and counters. Never what was sent, who sent it or the raw path."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from crm.errors import CrmError, KizashiError
from serving.routes import OPEN_PATHS, template_of

__all__ = ["Answered", "JsonLines", "KeepInputOut", "Watch", "describe_failure", "start_log", "words_of"]

METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = OPEN_PATHS | {"/metrics"}
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

# Loggers that write exceptions with their messages, which may quote the input.
_TALKATIVE = ("bentoml.serve", "bentoml._internal.server.http_app", "uvicorn.error", "asyncio")
# Loggers with a form of their own, which write through ours when it is to be JSON.
_FORMED = ("bentoml", "uvicorn", "uvicorn.error")

logger = logging.getLogger("kizashi.access")


@dataclass(frozen=True)
class Answered:
    """One answer.

    Parameters
    ----------
    method, path
        Of the request, as they came.
    status
        Of the answer.
    seconds
        From the request's headers to the end of the answer.
    request_id
        Under which the caller was told to ask about it.
    key_id
        Whose key was shown; ``-`` for nobody's.
    """

    method: str
    path: str
    status: int
    seconds: float
    request_id: str
    key_id: str = "-"


class Watch:
    """Log and counters of one service.

    Parameters
    ----------
    registry
        Where ``/metrics`` reads the counters.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter("kizashi_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "kizashi_request_seconds", "Seconds to an answer.", ["route"], buckets=BUCKETS, registry=registry
        )

    def answered(self, answer: Answered) -> None:
        """Write one answer down."""
        route = template_of(answer.path)
        requests, seconds = self._counters_of(route, answer.status)
        requests.inc()
        seconds.observe(answer.seconds)
        if route in PROBES:
            return
        verb = answer.method if answer.method in METHODS else "OTHER"
        ms = answer.seconds * 1000
        fields = {
            "method": verb,
            "route": route,
            "status": answer.status,
            "ms": round(ms, 1),
            "request_id": answer.request_id,
            "key_id": answer.key_id,
        }
        text = (verb, route, answer.status, ms, answer.request_id)
        logger.info("%s %s %d %.1f ms %s", *text, extra={_FIELDS: fields})

    def _counters_of(self, route: str, status: int) -> tuple[Counter, Histogram]:
        """Return the counters of a route and status, kept, so that labels are not looked up each time."""
        found = self._counted.get((route, status))
        if found is None:
            found = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._counted[route, status] = found
        return found

    def failed(self, error: BaseException, request_id: str) -> None:
        """Write a failure of ours down."""
        told = describe_failure(error)
        fields = {"request_id": request_id, "failure": told}
        logger.error("failed %s %s", request_id, told, extra={_FIELDS: fields})

    def gauge(
        self,
        name: str,
        documentation: str,
        read: Callable[[], float | Mapping[str, float]],
        *,
        label: str | None = None,
    ) -> None:
        """Add a gauge that is read whenever ``/metrics`` is.

        Parameters
        ----------
        name
            ``kizashi_`` and what is counted, with its unit: ``kizashi_outbox_age_seconds``.
        documentation
            One sentence.
        read
            Returns the number, or with ``label`` the numbers by its values, which must be few and no ids. When it
            raises, the gauge is left out of this answer and the rest is given.
        label
            Name of the label.
        """
        self.registry.register(_Gauge(name, documentation, read, label))


class _Gauge(Collector):
    """A gauge that asks for its value when it is read."""

    def __init__(
        self, name: str, documentation: str, read: Callable[[], float | Mapping[str, float]], label: str | None
    ) -> None:
        self._name, self._documentation, self._read, self._label = name, documentation, read, label

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Tell the name alone: nothing is read before somebody asks."""
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read the value."""
        family = self._family()
        try:
            found = self._read()
        except Exception as error:  # one number that cannot be read must not hide the others
            logger.error("the gauge %s cannot be read: %s", self._name, describe_failure(error))
            return
        values = found if isinstance(found, Mapping) else {"": found}
        for value, number in values.items():
            family.add_metric([value] if self._label else [], number)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._documentation, labels=[self._label] if self._label else None)


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


def words_of(error: BaseException) -> str:
    """Return what the log may have of an error: our own words, and none of a CRM or of the input.

    Examples
    --------
    >>> words_of(CrmError(found="'hub' refused taro@example.com", expected="an accepted call", fix="look at it"))
    'CrmError; expected an accepted call. To go on: look at it.'
    """
    if isinstance(error, CrmError):  # what was found has the CRM's words, which may quote a record
        return f"{type(error).__name__}; expected {error.expected}. To go on: {error.fix}."
    return str(error) if isinstance(error, KizashiError) else describe_failure(error)


class KeepInputOut(logging.Filter):
    """Takes the message of an exception out of a log record; our own stay, they quote no request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place and let it through."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            record.msg = f"{record.getMessage()}: {words_of(error)}"
            record.args, record.exc_info, record.exc_text = None, None, None
        elif record.levelno >= logging.ERROR and "Traceback" in record.getMessage():
            record.msg, record.args = record.getMessage().splitlines()[0], None
        return True


_FIELDS = "kizashi_fields"


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        fields: dict[str, Any] | None = getattr(record, _FIELDS, None)
        line |= fields if fields is not None else {"logger": record.name, "message": record.getMessage()}
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def start_log(form: Literal["text", "json"] = "text") -> None:
    """Send the log to standard error, one line a record, and keep input out of the libraries' loggers.

    Parameters
    ----------
    form
        ``text``, or ``json`` for one JSON object a line, of every library as well.
    """
    root = logging.getLogger("kizashi")
    root.setLevel(logging.INFO)
    # What no line shows is not looked up for each of them: "Optimization" in Python's own how-to on logging.
    logging._srcfile = None  # type: ignore[attr-defined]
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if form == "json":
        _write_json()
    elif not logging.getLogger().handlers and not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
        root.addHandler(handler)
        root.propagate = False
    for name in _TALKATIVE:
        talkative = logging.getLogger(name)
        if not any(isinstance(one, KeepInputOut) for one in talkative.filters):
            talkative.addFilter(KeepInputOut())


def _write_json() -> None:
    """Give every logger of the process one handler, which writes JSON and keeps input out."""
    everything = logging.getLogger()
    if any(isinstance(handler.formatter, JsonLines) for handler in everything.handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    handler.addFilter(KeepInputOut())
    everything.handlers[:] = [handler]
    for name in ("kizashi", *_FORMED):
        formed = logging.getLogger(name)
        formed.handlers.clear()
        formed.propagate = True
