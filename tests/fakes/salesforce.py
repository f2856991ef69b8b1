"""Salesforce as far as the client uses it: client-credentials tokens, sObject Collections (200), Bulk API 2.0."""

from __future__ import annotations

import csv
import io
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.serving import Answer, json_answer

CLIENT_ID, CLIENT_SECRET = "3MVG9-client", "client-secret-0123456789"
FIELDS = frozenset({"ML_Score__c", "ML_Score_At__c", "ML_Grade__c", "ML_Is_MQL__c", "ML_Decision__c", "ML_Reasons__c"})
VERSION = "/services/data/v65.0"


@dataclass
class FakeSalesforce:
    """An org with leads and contacts; ``locked`` ids answer UNABLE_TO_LOCK_ROW so many times."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    converted: frozenset[str] = frozenset()
    locked: dict[str, int] = field(default_factory=dict)
    answers: deque[Answer] = field(default_factory=deque)
    tokens: int = 0
    expires_after: int = 1_000_000
    sizes: list[int] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _used: int = 0

    def app(self) -> Starlette:
        job = f"{VERSION}/jobs/ingest/{{job}}"
        return Starlette(
            routes=[
                Route("/services/oauth2/token", self._token, methods=["POST"]),
                Route(f"{VERSION}/composite/sobjects", self._collection, methods=["PATCH"]),
                Route(f"{VERSION}/jobs/ingest", self._new_job, methods=["POST"]),
                Route(f"{job}/batches", self._upload, methods=["PUT"]),
                Route(job, self._close_job, methods=["PATCH"]),
                Route(job, self._look, methods=["GET"]),
                Route(f"{job}/failedResults", self._failed, methods=["GET"]),
                Route(f"{job}/unprocessedrecords", self._unprocessed, methods=["GET"]),
            ]
        )

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        wanted = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        if form != wanted:
            said = {"error": "invalid_client", "error_description": "invalid client credentials"}
            return json_answer(400, said)
        self.tokens += 1
        self._used = 0
        return json_answer(200, {"access_token": f"token-{self.tokens}", "instance_url": str(request.base_url)})

    def _refuse(self, request: Request) -> Response | None:
        self._used += 1
        if request.headers.get("authorization") != f"Bearer token-{self.tokens}" or self._used > self.expires_after:
            return json_answer(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])
        if self.answers:
            answer = self.answers.popleft()
            return json_answer(answer.status, answer.body, answer.headers)
        return None

    async def _collection(self, request: Request) -> Response:
        if (answer := self._refuse(request)) is not None:
            return answer
        body = await request.json()
        records = body["records"]
        self.sizes.append(len(records))
        if len(records) > 200 or body["allOrNone"] is not False:
            return json_answer(400, [{"errorCode": "LIMIT_EXCEEDED", "message": "record count over 200"}])
        names = {name for record in records for name in record} - {"attributes", "Id"}
        if unknown := names - FIELDS:
            said = f"No such column '{min(unknown)}' on sobject of type {records[0]['attributes']['type']}"
            return json_answer(400, [{"errorCode": "INVALID_FIELD", "message": said}])
        return json_answer(200, [self._write(record) for record in records])

    def _write(self, record: dict[str, Any]) -> dict[str, Any]:
        record = dict(record)
        key, kind = record.pop("Id"), record.pop("attributes")["type"]
        if problem := self._problem(key, kind):
            code, message = problem
            return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}
        self.records[key].update(record)
        return {"id": key, "success": True, "errors": []}

    def _problem(self, key: str, kind: str) -> tuple[str, str] | None:
        if {"00Q": "Lead", "003": "Contact"}.get(key[:3]) != kind:
            return "MALFORMED_ID", "bad id"
        if key not in self.records:
            return "ENTITY_IS_DELETED", "entity is deleted"
        if key in self.converted:
            return "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"
        if self.locked.get(key, 0) > 0:
            self.locked[key] -= 1
            return "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"
        return None

    async def _new_job(self, request: Request) -> Response:
        if (answer := self._refuse(request)) is not None:
            return answer
        name = f"750{len(self.jobs)}"
        self.jobs[name] = {**await request.json(), "looks": 0, "failed": []}
        return json_answer(200, {"id": name, "state": "Open"})

    async def _upload(self, request: Request) -> Response:
        self.jobs[request.path_params["job"]]["content"] = (await request.body()).decode()
        return Response(status_code=201)

    async def _close_job(self, request: Request) -> Response:
        job = self.jobs[request.path_params["job"]]
        rows = list(csv.DictReader(io.StringIO(job["content"])))
        job["rows"] = len(rows)
        for row in rows:
            found = self._write({**row, "attributes": {"type": job["object"]}})
            if not found["success"]:
                error = found["errors"][0]
                job["failed"].append({"sf__Id": "", "sf__Error": f"{error['statusCode']}:{error['message']}:--", **row})
        return json_answer(200, {"state": "UploadComplete"})

    async def _look(self, request: Request) -> Response:
        job = self.jobs[request.path_params["job"]]
        job["looks"] += 1
        return json_answer(200, {"state": "JobComplete" if job["looks"] > 1 else "InProgress"})

    async def _failed(self, request: Request) -> Response:
        failed = self.jobs[request.path_params["job"]]["failed"]
        text = io.StringIO()
        writer = csv.DictWriter(text, ["sf__Id", "sf__Error", "Id", *sorted(FIELDS)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(failed)
        return PlainTextResponse(text.getvalue(), media_type="text/csv")

    async def _unprocessed(self, request: Request) -> Response:
        del request
        return PlainTextResponse("Id\n", media_type="text/csv")
