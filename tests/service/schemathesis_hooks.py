"""How schemathesis asks the service: signed as senders sign, at times that a CRM would send."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import requests
import schemathesis
from hypothesis import strategies as st
from requests.auth import AuthBase

from tests.service.running import KEY
from tests.service.senders import GENERIC, HUBSPOT, hubspot_v3, standard

NOW = datetime.now(UTC)
ASKING = ("/v1/leads/{lead_id}/scores", "/v1/score", "/v1/score/flat")
# What a schema cannot say: how one moment lies to another or to the clock, and what an id or a text means.
BEYOND_SCHEMAS = re.compile(
    r"in the future|after 1970|a date and time that exists|over a day before|after as_of|must not be empty"
    r"|looks like|must be the lead itself|neither the lead itself|must be empty: lead\.account_id|is another lead"
    r"|a name that is used here|characters and none of control|U\+0000|the id of a lead"
    r"|the 'next' of the page before"
    r"|must be a number or text|must be milliseconds|names no record"  # a schema takes 1.0 for a whole number
)


class ShowWhoAsks(AuthBase):
    """Signs the request as it goes out where the route takes signatures; shows the key everywhere else."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        path, body = urlsplit(str(request.url)).path, request.body or b""
        data = body.encode() if isinstance(body, str) else body
        if request.method != "POST":
            request.headers["Authorization"] = f"Bearer {KEY}"
        elif path == HUBSPOT:
            request.headers.update(hubspot_v3(data))
        elif path == GENERIC:
            request.headers.update(standard(data, f"msg_{hash(data)}"))
        elif not path.startswith("/v1/hooks/"):
            request.headers["Authorization"] = f"Bearer {KEY}"
        return request


@schemathesis.hook
def before_call(ctx: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Ask every other time for a lead that is held: nobody guesses its id."""
    del ctx, kwargs
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    asked = case.path_parameters if case.method == "GET" else case.body
    if isinstance(asked, dict) and isinstance(asked.get("lead_id"), str) and case.path in ASKING:
        number = crc32(asked["lead_id"].encode("utf-8", "replace"))
        if number % 2:
            asked["lead_id"] = f"F{number % 10}"


schemathesis.auth.set_from_requests(ShowWhoAsks())
schemathesis.openapi.format(
    "date-time",
    st.one_of(
        st.datetimes(datetime(2024, 1, 1), NOW.replace(tzinfo=None), timezones=st.just(UTC)),  # noqa: DTZ001
        st.sampled_from([NOW - timedelta(minutes=1), NOW + timedelta(days=400), datetime(1, 1, 1, tzinfo=UTC)]),
    ).map(lambda moment: moment.isoformat()),
)


@schemathesis.check
def refusals_go_beyond_the_schema(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """What meets the schema is refused for nothing that the schema could have said."""
    del ctx
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    found = response.json().get("errors", [])
    unexplained = [one for one in found if not BEYOND_SCHEMAS.search(one["message"])]
    assert found, "a refusal without fields"
    assert not unexplained, f"the schema does not say: {unexplained[:3]}"
