"""Issued scores: decisions that remember, the ledger and what follows from it, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from crm.config_crm import CrmConfig
from crm.lead_hashes import lead_hash
from crm.ledger import current_scores, ledger_of_lead
from crm.state_tables import CURRENT_SCORES, LEDGER, METADATA, OBJECTIONS, OUTBOX, TOMBSTONES
from models.line import Band, Line
from serving.issuing import Issue, Issuer

NOW_US = 1_780_000_000_000_000
DAY_US = 86_400_000_000
Row = dict[str, Any]


def line(**changes: Any) -> Line:
    return Line(
        **{
            "price": 100.0,
            "margin": 1.0,
            "touch_cost": 0.0,
            "capacity_per_week": 5.0,
            "currency": "EUR",
            "quantiles": (0.0, 100.0),
            "median_mql_value": None,
            "equivalent_p_won": None,
            "crossings_per_week": 5.0,
            "weeks": 8,
            "leads_at_risk": 9,
            "set_as_of": datetime(2026, 1, 1, tzinfo=UTC),
            "hysteresis": 0.1,
        }
        | changes
    )


def issue(value: float, lead_id: str = "a", *, at_us: int = NOW_US, **changes: Any) -> Issue:
    answer = {
        "lead_id": lead_id, "model_version": "1", "line_version": "l", "score_outcome": "won", "score": value / 2,
        "score_unclipped": value / 2, "base": 1.0, "p_sql": 0.1, "p_won": 0.05, "expected_revenue": value,
        "expected_value": value, "percentile": 50.0, "grade": "B", "is_mql": value > 100, "points": [],
        "reasons": ["a visit (+1.0)"], "as_of": "2026-05-28T20:26:40+00:00",
    }  # fmt: skip
    plain: Row = {
        "excluded_by": None, "is_with_sales": False, "is_stored": True, "account_id": None, "input_hmac": "h",
        "origin": "served",
    }  # fmt: skip
    return Issue(answer, at_us, at_us, **{**plain, **changes})


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.begin() as opened:
        yield opened
    engine.dispose()


def issuer(crms: bool = False, **changes: Any) -> Issuer:
    told = line(**changes)
    hub = CrmConfig(kind="hubspot", token="not-used")
    return Issuer(told, b"secret", {"hub": hub} if crms else {})


def decisions(connection: sa.Connection, maker: Issuer, *issues: Issue) -> list[str]:
    named = [Issue(**{**one.__dict__, "answer": {**one.answer, "line_version": maker.line.version}}) for one in issues]
    return [maker.issue(connection, [one])[0]["decision"] for one in named]


def test_a_lead_that_has_crossed_does_not_fall_back_for_a_small_step_down(connection: sa.Connection) -> None:
    values = [105.0, 111.0, 95.0, 89.0, 105.0]
    found = decisions(connection, issuer(), *(issue(value, at_us=NOW_US + n) for n, value in enumerate(values)))
    assert found == ["keep", "hand_off", "hand_off", "keep", "keep"]


def test_under_another_line_a_lead_begins_anew(connection: sa.Connection) -> None:
    assert decisions(connection, issuer(), issue(120.0)) == ["hand_off"]
    assert decisions(connection, issuer(price=101.0), issue(105.0, at_us=NOW_US + 1)) == ["keep"]


def test_a_lead_that_came_back_from_sales_begins_anew(connection: sa.Connection) -> None:
    found = decisions(
        connection,
        issuer(),
        issue(120.0),
        issue(120.0, at_us=NOW_US + 1, is_with_sales=True),
        issue(95.0, at_us=NOW_US + 2),
    )
    assert found == ["hand_off", "already_handed_off", "keep"]


def test_an_excluded_lead_is_told_by_which_rule(connection: sa.Connection) -> None:
    (answer,) = issuer().issue(connection, [issue(500.0, excluded_by="customers", is_with_sales=True)])
    assert (answer["decision"], answer["excluded_by"], answer["is_mql"]) == ("excluded", "customers", False)


def test_in_the_band_a_known_share_gets_the_other_decision(connection: sa.Connection) -> None:
    band = Band(share=0.5, width=0.3)
    maker = issuer(band=band, hysteresis=0.0)
    answers = maker.issue(connection, [issue(110.0, f"lead-{number}") for number in range(400)])
    held = sum(answer["decision"] == "held_by_band" for answer in answers)
    assert 150 < held < 250
    rows = connection.execute(sa.select(LEDGER.c.propensity, LEDGER.c.is_above)).all()
    assert {tuple(row) for row in rows} == {(0.5, True)}


def test_the_ledger_and_the_newest_score_have_one_number(connection: sa.Connection) -> None:
    maker = issuer()
    first = maker.issue(connection, [issue(10.0), issue(20.0, "b")])
    second = maker.issue(connection, [issue(30.0, at_us=NOW_US + 1)])
    assert [row["ledger_id"] for row in (*first, *second)] == [1, 2, 3]
    assert {lead: row["seq"] for lead, row in current_scores(connection, ["a", "b"]).items()} == {"a": 3, "b": 2}
    assert [row["seq"] for row in ledger_of_lead(connection, "a", limit=9)] == [3, 1]


@pytest.mark.parametrize("changes", [{"is_stored": False}, {"origin": "replay"}, {"at_us": NOW_US - DAY_US}])
def test_what_is_no_news_stays_in_the_ledger_alone(connection: sa.Connection, changes: Row) -> None:
    maker = issuer(crms=True)
    maker.issue(connection, [issue(10.0)])
    maker.issue(connection, [issue(90.0, **changes)])
    assert current_scores(connection, ["a"])["a"]["seq"] == 1
    assert len(ledger_of_lead(connection, "a", limit=9)) == 2


def test_what_nobody_asked_for_is_issued_only_when_it_moved(connection: sa.Connection) -> None:
    maker = issuer()
    maker.issue(connection, [issue(10.0), issue(20.0, "b")])
    later = [issue(10.1, at_us=NOW_US + 1), issue(40.0, "b", at_us=NOW_US + 1), issue(5.0, "c", at_us=NOW_US + 1)]
    assert [row["lead_id"] for row in maker.issue(connection, later, only_moved=True)] == ["b", "c"]


def test_a_score_that_a_crm_is_to_be_told_waits_in_the_outbox(connection: sa.Connection) -> None:
    maker = issuer(crms=True)
    maker.issue(connection, [issue(10.0), issue(20.0, "b", is_stored=False)])
    waiting = connection.execute(sa.select(OUTBOX.c.crm, OUTBOX.c.lead_id, OUTBOX.c.seq)).all()
    assert [tuple(row) for row in waiting] == [("hub", "a", 1)]


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize(("table", "moment"), [(OBJECTIONS, "objected_us"), (TOMBSTONES, "erased_us")])
@pytest.mark.parametrize("others", [0, 1_000])
def test_a_lead_that_objects_or_is_erased_after_it_was_scored_is_not_issued(
    connection: sa.Connection, table: sa.Table, moment: str, is_stored: bool, others: int
) -> None:
    connection.execute(sa.insert(table).values({"lead_hash": lead_hash(b"secret", "a"), moment: NOW_US}))
    many = [issue(90.0, f"other-{number}") for number in range(others)]
    issued = issuer(crms=True).issue(
        connection, [issue(120.0, is_stored=is_stored), issue(90.0, "b", is_stored=is_stored), *many]
    )
    assert [answer["lead_id"] for answer in issued][:2] == ["b", *(one.answer["lead_id"] for one in many[:1])]
    for kept in (LEDGER, CURRENT_SCORES, OUTBOX):
        assert "a" not in set(connection.execute(sa.select(kept.c.lead_id)).scalars())


@pytest.mark.parametrize("count", [1, 2, 700])
def test_numbers_of_the_ledger_are_those_of_the_rows_however_many_are_written(
    connection: sa.Connection, count: int
) -> None:
    issuer().issue(connection, [issue(1.0, "before")])
    answers = issuer().issue(connection, [issue(float(number), f"n{number}") for number in range(count)])
    told = {answer["ledger_id"]: answer["lead_id"] for answer in answers}
    rows = connection.execute(sa.select(LEDGER.c.seq, LEDGER.c.lead_id).where(LEDGER.c.lead_id != "before"))
    assert told == {row.seq: row.lead_id for row in rows}
    assert len(told) == count
