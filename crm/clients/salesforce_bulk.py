"""Salesforce Bulk API 2.0: one job for thousands of rows, and what became of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from crm.clients.calls import Calls, json_of
from crm.clients.outcomes import Outcome, delivered, refused, retry
from crm.clients.salesforce_session import TRANSIENT
from crm.errors import CrmRefusedError, CrmUnavailableError

__all__ = ["update_in_bulk"]

FIRST_LOOK_S = 2.0
LOOK_S = 10.0
MOST_LOOKS = 180


def update_in_bulk(calls: Calls, path: str, kind: str, records: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """Update records with a job of their own; one outcome a record, in order.

    A process that dies meanwhile leaves a job that ends by itself; the rows are sent again, to the same effect.

    Parameters
    ----------
    calls
        Calls with a token.
    path
        Of the API's version.
    kind
        ``Lead`` or ``Contact``.
    records
        ``Id`` first, then the same fields in each.

    Raises
    ------
    CrmRefusedError
        When the job failed as a whole.
    CrmUnavailableError
        When it is not done after half an hour.
    """
    job = {"object": kind, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
    jobs = f"{path}/jobs/ingest"
    job_id = json_of(calls.call("POST", jobs, json=job))["id"]
    place = f"{jobs}/{job_id}"
    content = _csv(records).encode()
    calls.call("PUT", f"{place}/batches", content=content, headers={"Content-Type": "text/csv"})
    calls.call("PATCH", place, json={"state": "UploadComplete"})
    _wait_until_done(calls, place)
    failed = {row["sf__Id"] or row["Id"]: _reason(row["sf__Error"]) for row in _rows(calls, f"{place}/failedResults")}
    left = {row["Id"] for row in _rows(calls, f"{place}/unprocessedrecords")}
    found = {_short(key): outcome for key, outcome in failed.items()}
    found |= {_short(key): retry("not processed by the job") for key in left}
    return [found.get(_short(record["Id"]), delivered) for record in records]


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(
            {name: str(value).lower() if isinstance(value, bool) else value for name, value in record.items()}
        )
    return text.getvalue()


def _wait_until_done(calls: Calls, place: str) -> None:
    for look in range(MOST_LOOKS):
        calls.wait(FIRST_LOOK_S if look < 5 else LOOK_S)
        found = json_of(calls.call("GET", place))
        state = found.get("state")
        if state == "JobComplete":
            return
        if state in ("Failed", "Aborted"):
            message = str(found.get("errorMessage", state))
            raise CrmRefusedError(
                found=f"a bulk job of '{calls.name}' that failed ({message})",
                expected="a job that runs",
                fix="look at the message, and at the job in Salesforce under Bulk Data Load Jobs",
                message=message,
            )
    raise CrmUnavailableError(
        found=f"a bulk job of '{calls.name}' that is not done after half an hour",
        expected="a job that ends",
        fix="nothing is lost: its rows are sent again later",
    )


def _rows(calls: Calls, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(calls.call("GET", path).text)))


def _reason(said: str) -> Outcome:
    code = said.partition(":")[0]
    return retry(said) if code in TRANSIENT else refused(said)


def _short(record_id: str) -> str:
    """Return the 15 characters that tell records apart; answers carry 18, of which three only check the case."""
    return record_id[:15]
