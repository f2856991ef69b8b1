"""What was told and scored, read again: the ledger, why a score moved, the queue, erasure and objection."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

Row = dict[str, Any]
PARTS = ("ageing", "touches", "attributes", "model", "corrected")


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


@pytest.fixture
def lead_id(client: httpx.Client) -> str:
    """A lead of an account, posted two days after it was created."""
    name = f"ledger-{uuid4().hex[:8]}"
    lead = {"lead_id": name, "created_at": ago(days=2), "account_id": f"{name}-account", "job_level": "staff"}
    assert client.post("/v1/leads", json=lead).json()["stored"] == 1
    return name


def score(client: httpx.Client, lead_id: str, **more: Any) -> Row:
    answer = client.post("/v1/score", json={"lead_id": lead_id, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ledger(client: httpx.Client, lead_id: str, **query: Any) -> list[Row]:
    return client.get(f"/v1/leads/{lead_id}/scores", params=query).json()["scores"]


def test_a_touch_is_answered_with_the_new_score(client: httpx.Client, lead_id: str) -> None:
    before = score(client, lead_id)
    touch = {"lead_id": lead_id, "kind": "form_submit", "happened_at": ago(seconds=5)}
    answer = client.post("/v1/touches", json=touch).json()
    (after,) = answer["scores"]
    assert answer["stored"] == 1
    assert after["score_unclipped"] > before["score_unclipped"]
    again = client.post("/v1/touches", json=touch).json()
    assert (again["stored"], again["repeated"], len(again["scores"])) == (0, 1, 1)


def test_the_ledger_has_every_score_and_tells_why_it_moved(client: httpx.Client, lead_id: str) -> None:
    first = score(client, lead_id)
    client.post("/v1/touches", json={"lead_id": lead_id, "kind": "form_submit", "happened_at": ago(seconds=5)})
    changed = {"lead_id": lead_id, "created_at": ago(days=2), "job_level": "vp", "company_size": "51-200"}
    stored = ledger(client, lead_id)
    created = client.post("/v1/leads", json={**changed, "created_at": first["as_of"]}).json()
    assert created["conflicting"] == [0], "another creation is another lead"
    assert len(stored) == 2
    newest = stored[0]
    assert newest["points"] == {p["signal"]: p["points"] for p in newest_points(client, lead_id, newest)}
    moved = newest["moved"]
    assert moved["since"] == stored[1]["ledger_id"] == first["ledger_id"]
    assert moved["touches"] > 0
    assert moved["total"] == pytest.approx(newest["score_unclipped"] - stored[1]["score_unclipped"], abs=1e-12)
    assert sum(moved[part] for part in PARTS) == pytest.approx(moved["total"], abs=1e-9)
    assert moved["attributes"] == moved["model"] == 0
    assert abs(moved["corrected"]) < 1e-9
    assert stored[1]["moved"] is None


def newest_points(client: httpx.Client, lead_id: str, newest: Row) -> list[Row]:
    points = score(client, lead_id, as_of=newest["as_of"])["points"]
    assert {p["signal"] for p in points} == set(newest["points"])
    return [{**p, "points": newest["points"][p["signal"]]} for p in points]


def test_a_changed_attribute_is_told_from_a_touch(client: httpx.Client) -> None:
    name, created = f"ledger-{uuid4().hex[:8]}", ago(days=2)
    lead = {"lead_id": name, "created_at": created, "account_id": None, "job_level": "staff"}
    client.post("/v1/leads", json=lead)
    score(client, name)
    assert client.post("/v1/leads", json={**lead, "job_level": "vp"}).json()["stored"] == 1
    score(client, name)
    moved = ledger(client, name)[0]["moved"]
    assert moved["touches"] == 0
    assert abs(moved["attributes"]) > abs(moved["ageing"])
    assert sum(moved[part] for part in PARTS) == pytest.approx(moved["total"], abs=1e-9)


def test_pages_of_the_ledger_follow_one_another(client: httpx.Client, lead_id: str) -> None:
    ids = [score(client, lead_id)["ledger_id"] for _ in range(5)]
    page = client.get(f"/v1/leads/{lead_id}/scores", params={"limit": 2}).json()
    assert [row["ledger_id"] for row in page["scores"]] == ids[:2:-1]
    rest = client.get(f"/v1/leads/{lead_id}/scores", params={"limit": 9, "before": page["next"]}).json()
    assert [row["ledger_id"] for row in rest["scores"]] == ids[2::-1]
    assert rest["next"] is None


def test_a_replay_is_no_news(client: httpx.Client, lead_id: str) -> None:
    now = score(client, lead_id)
    then = score(client, lead_id, as_of=ago(days=1))
    assert then["as_of"] < now["as_of"]
    assert ledger(client, lead_id)[0]["origin"] == "replay"
    shown = next(row for row in queue(client) if row["lead_id"] == lead_id)
    assert shown["ledger_id"] == now["ledger_id"]


def queue(client: httpx.Client, **query: Any) -> list[Row]:
    found: list[Row] = []
    after: str | None = None
    while True:
        page = client.get("/v1/leads", params={"limit": 50, **query, **({"after": after} if after else {})}).json()
        found += page["leads"]
        after = page["next"]
        if after is None:
            return found


@pytest.mark.parametrize("order", ["expected_value", "score"])
def test_the_queue_is_in_order_and_each_lead_is_in_it_once(client: httpx.Client, lead_id: str, order: str) -> None:
    score(client, lead_id)
    found = queue(client, order=order)
    values = [row[order] for row in found]
    assert values == sorted(values, reverse=True)
    assert len({row["lead_id"] for row in found}) == len(found)
    assert lead_id in {row["lead_id"] for row in found}
    assert {row["decision"] for row in queue(client, decision="keep")} <= {"keep"}


def test_a_lead_that_sales_has_is_not_handed_off_again(client: httpx.Client, lead_id: str) -> None:
    hand_off = {"hand_off_id": f"h-{lead_id}", "lead_id": lead_id, "handed_off_at": ago(hours=1)}
    assert client.post("/v1/hand-offs", json=hand_off).json()["stored"] == 1
    assert score(client, lead_id)["decision"] == "already_handed_off"
    back = {"lead_id": lead_id, "stage": "recycled", "entered_at": ago(seconds=1)}
    client.post("/v1/stages", json=back)
    assert score(client, lead_id)["decision"] in ("keep", "hand_off")


def test_a_touch_has_the_accounts_other_leads_scored(client: httpx.Client, lead_id: str) -> None:
    other = f"{lead_id}-other"
    client.post("/v1/leads", json={"lead_id": other, "created_at": ago(days=9), "account_id": f"{lead_id}-account"})
    before = score(client, other)["ledger_id"]
    for number in range(6):
        touch = {"lead_id": lead_id, "kind": "form_submit", "happened_at": ago(hours=number, seconds=1)}
        client.post("/v1/touches", json=touch)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        newest = ledger(client, other)[0]
        if newest["ledger_id"] > before:
            break
        time.sleep(0.2)
    assert newest["origin"] == "batch"
    assert newest["moved"]["touches"] != 0


def test_a_lead_that_objects_is_not_scored_and_an_erased_one_is_gone(client: httpx.Client, lead_id: str) -> None:
    score(client, lead_id)
    assert client.post(f"/v1/leads/{lead_id}/objection").status_code == 200
    assert client.post("/v1/score", json={"lead_id": lead_id}).status_code == 409
    given = {"lead": {"lead_id": lead_id, "created_at": ago(days=1)}, "touches": []}
    assert client.post("/v1/score", json=given).status_code == 409
    batch = client.post("/v1/score/batch", json={"lead_ids": [lead_id, "never-heard-of"]}).json()
    assert (batch["answers"], set(batch["unknown"])) == ([], {lead_id, "never-heard-of"})
    receipt = client.delete(f"/v1/leads/{lead_id}").json()
    assert receipt["removed"]["state/ledger"] >= 1
    assert client.get(f"/v1/leads/{lead_id}/scores").status_code == 404
    told = client.post("/v1/touches", json={"lead_id": lead_id, "kind": "visit", "happened_at": ago(seconds=1)}).json()
    assert (told["stored"], told["erased"], told["scores"]) == (0, [0], [])


def test_a_batch_of_ids_is_answered_in_their_order(client: httpx.Client, lead_id: str) -> None:
    other = f"{lead_id}-b"
    client.post("/v1/leads", json={"lead_id": other, "created_at": ago(days=1)})
    answers = client.post("/v1/score/batch", json={"lead_ids": [other, lead_id, other]}).json()["answers"]
    assert [answer["lead_id"] for answer in answers] == [other, lead_id, other]


def test_metrics_tell_of_scores_the_model_and_what_waits(client: httpx.Client, lead_id: str) -> None:
    score(client, lead_id)
    text = client.get("/metrics").text
    for name in ("scores_total", "model_age_seconds", "registry_away", "quarantined_rows", "leads", "webhooks_waiting"):
        assert f"kizashi_{name}" in text
    assert lead_id not in text


def test_metrics_show_the_state_the_model_and_what_was_issued(client: httpx.Client, lead_id: str) -> None:
    """A gauge that cannot be read is left out of the answer: each has to be there."""
    score(client, lead_id)
    lines = [line.rpartition(" ") for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    shown = {name.partition("{")[0]: float(number) for name, _, number in lines}
    assert shown["kizashi_state_log_bytes"] > 0
    assert shown["kizashi_model_age_seconds"] > 0
    assert shown["kizashi_scores_total"] >= 1
    assert shown["kizashi_leads"] >= 1
    assert shown["kizashi_registry_away"] == 0
    assert {"kizashi_quarantined_rows", "kizashi_rescore_queue_entries", "kizashi_webhooks_waiting"} <= shown.keys()
