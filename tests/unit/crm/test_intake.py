"""Taking tables in: nothing is dropped silently, and what is kept can be trusted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.errors import ConfigError, TableError
from crm.intake import take_in
from crm.personal import hash_id
from crm.progress import Silent
from crm.store import Tables
from crm.tables import ACTORS, STAGES, TABLES
from tests.histories import (
    DAY,
    MICROSECOND,
    NOW,
    START,
    MemorySource,
    Row,
    arrow_of,
    config_of,
    raw_tables_of,
    tables_of,
)

LEAD = {"lead_id": "a", "created_at": START}
HOUR = timedelta(hours=1)


def rows_of(tables: Tables, name: str) -> list[dict[str, Any]]:
    return tables.table(name).to_pyarrow().to_pylist()


def taken(name: str, rows: list[Row], **sections: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Take one table in beside a lead 'a'; return its clean rows and the reasons against the others."""
    with tables_of({"leads": [LEAD], name: rows} if name != "leads" else {"leads": rows}, **sections) as tables:
        assert len(rows) == tables.counts[name].read
        return rows_of(tables, name), tables.quarantine().column("reason").to_pylist()


# Raw texts, good and bad, of each type of column.
_IDS = st.sampled_from(["a", "a", "b", "c", "x", "", None])
_TEXTS = {
    "text": st.sampled_from(["one", "two", " one ", "", None]),
    "time": st.sampled_from(
        ["2024-03-05", "2024-03-05T10:00:00Z", "2024-03-06", "1969-01-01", "2099-01-01", "bad", None]
    ),
    "number": st.sampled_from(["1", "2.5", "-3", "nan", "inf", "many", None]),
    "boolean": st.sampled_from(["true", "no", "perhaps", None]),
    "date": st.sampled_from(["2024-03-05", "2024-03-06", "spring", None]),
}  # fmt: skip


@st.composite
def raw_workspaces(draw: st.DrawFn) -> dict[str, pa.Table]:
    """Draw every table of the contract as text, with rows that are good, bad, twice there or of one key."""
    raw: dict[str, pa.Table] = {}
    for schema in TABLES.values():
        columns: dict[str, st.SearchStrategy[Any]] = {}
        for column in schema.columns:
            kind = _IDS if column.name.endswith("lead_id") else _TEXTS[column.type]
            columns[column.name] = st.sampled_from([*column.choices, "none of them", None]) if column.choices else kind
        if schema.name == "leads":
            columns["industry"] = _TEXTS["text"]
        rows = draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=6))
        rows += draw(st.lists(st.sampled_from(rows), max_size=3))
        if schema.name == "leads":
            rows += [{**rows[0], "lead_id": lead, "created_at": "2024-01-01", "recorded_at": None} for lead in "ab"]
        raw[schema.name] = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in columns})
    return raw


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(raw_workspaces())
def test_rows_read_are_kept_or_copies_or_quarantined(raw: dict[str, pa.Table]) -> None:
    with raw_tables_of(raw) as tables:
        quarantine = tables.quarantine().to_pylist()
        leads = {row["lead_id"] for row in rows_of(tables, "leads")}
        merged = {row["from_lead_id"] for row in rows_of(tables, "lead_merges")}
        assert set(tables.counts) == set(TABLES)
        for name, count in tables.counts.items():
            rows, schema = rows_of(tables, name), TABLES[name]
            assert count.read == raw[name].num_rows
            assert count.read == count.kept + count.identical + count.quarantined
            mine = [row for row in quarantine if row["table"] == name]
            assert len(mine) == count.quarantined
            assert all(row["reason"] and 1 <= row["row"] <= count.read for row in mine)
            assert all(json.loads(row["content"]).keys() == set(schema.column_names) for row in mine)
            assert len(rows) == count.kept or (schema.versions and len(rows) >= count.kept)
            keys = [tuple(row[column] for column in schema.key) for row in rows]
            assert len(set(keys)) == len(keys) or schema.versions
            for column in schema.columns:
                values = [row[column.name] for row in rows]
                assert not (column.required and None in values)
                assert not column.choices or set(values) <= {*column.choices, None}
                if column.type == "time":
                    assert all(
                        value is None or datetime(1970, 1, 1, tzinfo=UTC) <= value <= NOW + DAY for value in values
                    )
            if "lead_id" in schema.column_names:
                assert {row["lead_id"] for row in rows} <= leads | merged | {None}


class TestKeys:
    def test_identical_copies_count_once(self) -> None:
        touch = {"touch_id": "t", "lead_id": "a", "happened_at": START, "kind": "visit"}
        with tables_of({"leads": [LEAD, LEAD], "touches": [touch, touch, touch]}) as tables:
            assert (tables.counts["leads"].kept, tables.counts["leads"].identical) == (1, 1)
            assert (tables.counts["touches"].kept, tables.counts["touches"].identical) == (1, 2)
            assert tables.quarantine().num_rows == 0

    def test_of_different_rows_with_one_key_the_first_stays(self) -> None:
        rows, reasons = taken("leads", [{**LEAD, "source": source} for source in ("web", "fair", "web")])
        assert [row["source"] for row in rows] == ["web"]
        assert reasons == ["duplicate key: the row before it with the same lead_id was kept"]

    def test_a_bad_row_does_not_take_the_key_of_a_good_one(self) -> None:
        rows, reasons = taken("leads", [{**LEAD, "created_at": NOW + 2 * DAY}, LEAD])
        assert [row["created_at"] for row in rows] == [START]
        assert len(reasons) == 1

    def test_touches_without_an_id_are_all_kept(self) -> None:
        touch = {"lead_id": "a", "happened_at": START, "kind": "visit"}
        assert len(taken("touches", [touch, touch])[0]) == 2

    def test_touches_with_a_missing_id_among_others_are_all_kept(self) -> None:
        touch = {"lead_id": "a", "happened_at": START, "kind": "visit"}
        rows, reasons = taken("touches", [{**touch, "touch_id": name} for name in ("t", None, None)])
        assert (len(rows), reasons) == (3, [])

    def test_quarantine_shows_key_row_and_content(self) -> None:
        rows = [LEAD, {"lead_id": "b", "created_at": NOW + 2 * DAY, "source": "web"}]
        with tables_of({"leads": rows}) as tables:
            (row,) = tables.quarantine().to_pylist()
        assert (row["table"], row["row"], row["key"]) == ("leads", 2, "b")
        assert json.loads(row["content"])["source"] == "web"


class TestLeadsOfOtherTables:
    def test_an_unknown_lead_is_quarantined(self) -> None:
        touch = {"lead_id": "nobody", "happened_at": START, "kind": "visit"}
        assert taken("touches", [touch])[1] == ["unknown lead: nobody"]

    def test_a_lead_known_by_a_merge_alone_is_known(self) -> None:
        rows = {
            "leads": [LEAD],
            "lead_merges": [{"from_lead_id": "old", "into_lead_id": "a", "recorded_at": START}],
            "touches": [{"lead_id": "old", "happened_at": START, "kind": "visit"}],
        }
        with tables_of(rows) as tables:
            assert tables.counts["touches"].kept == 1

    def test_merges_must_lead_somewhere(self) -> None:
        merges = [("a", "a"), ("x", "y"), ("p", "q"), ("q", "a"), ("a", "elsewhere")]
        rows = [
            {"from_lead_id": one, "into_lead_id": two, "recorded_at": START + n * HOUR}
            for n, (one, two) in enumerate(merges)
        ]
        kept, reasons = taken("lead_merges", rows)
        assert [(row["from_lead_id"], row["into_lead_id"]) for row in kept] == merges[2:]
        assert reasons == ["a lead cannot be merged into itself", "unknown lead: y"]

    def test_an_opportunity_of_an_account_needs_no_lead(self) -> None:
        rows, reasons = taken(
            "opportunities",
            [
                {"opportunity_id": "o", "account_id": "A", "created_at": START},
                {"opportunity_id": "p", "created_at": START},
                {"opportunity_id": "q", "lead_id": "nobody", "account_id": "A", "created_at": START},
            ],
        )
        assert [row["opportunity_id"] for row in rows] == ["o"]
        assert reasons == ["neither lead_id nor account_id", "unknown lead: nobody"]


class TestTimes:
    @pytest.mark.parametrize(
        ("time", "reason"),
        [
            (NOW + DAY + MICROSECOND, "lies in the future"),
            (datetime(1969, 12, 31, 23, tzinfo=UTC), "lies before 1970"),
            (datetime(9999, 12, 31, tzinfo=UTC), "lies in the future"),
        ],
    )
    def test_impossible_times_are_quarantined(self, time: datetime, reason: str) -> None:
        (found,) = taken("touches", [{"lead_id": "a", "happened_at": time, "kind": "visit"}])[1]
        assert found.startswith(f"happened_at {reason}: ")

    @pytest.mark.parametrize("time", [NOW + DAY, datetime(1970, 1, 1, tzinfo=UTC)])
    def test_the_borders_are_possible(self, time: datetime) -> None:
        assert len(taken("touches", [{"lead_id": "a", "happened_at": time, "kind": "visit"}])[0]) == 1

    def test_a_recording_may_run_ahead_by_a_day_and_no_more(self) -> None:
        touch = {"lead_id": "a", "happened_at": START + DAY, "kind": "visit"}
        rows, reasons = taken(
            "touches", [{**touch, "recorded_at": START}, {**touch, "recorded_at": START - MICROSECOND}]
        )
        assert len(rows) == 1
        assert reasons == ["recorded_at lies over a day before happened_at"]

    @pytest.mark.parametrize("name", ["hand_offs", "opportunities"])
    def test_the_same_holds_for_versions(self, name: str) -> None:
        row = (
            {"hand_off_id": "h", "handed_off_at": START}
            if name == "hand_offs"
            else {"opportunity_id": "h", "created_at": START}
        )
        _, (reason,) = taken(name, [{**row, "lead_id": "a", "recorded_at": START - 2 * DAY}])
        assert reason.startswith("recorded_at lies over a day before ")

    def test_lag_stands_for_a_missing_recording_time(self) -> None:
        touches = [
            {"lead_id": "a", "happened_at": START, "kind": "visit", "recorded_at": at} for at in (None, START + DAY)
        ]
        rows, _ = taken("touches", touches, source={"lag": {"touches": 36.0}})
        assert [row["recorded_at"] - START for row in rows] == [36 * HOUR, DAY]


class TestChoices:
    def test_actors_and_stages_are_closed_sets_whose_case_does_not_matter(self) -> None:
        touch = {"lead_id": "a", "happened_at": START, "kind": "visit"}
        rows, reasons = taken("touches", [{**touch, "actor": actor} for actor in (*ACTORS, "LEAD", None, "human")])
        assert [row["actor"] for row in rows] == [*ACTORS, "lead", "lead"]
        assert reasons == ["actor is none of lead, sales, system, bot: human"]
        stages = [
            {"lead_id": "a", "stage": stage, "entered_at": START} for stage in (*STAGES, "Closed_Won", "contacted")
        ]
        rows, reasons = taken("stages", stages)
        assert [row["stage"] for row in rows] == list(STAGES)
        assert reasons[0].startswith("stage is none of mql, accepted, sql, ")
        assert reasons[0].endswith(": contacted")

    def test_kinds_of_touches_are_an_open_set(self) -> None:
        rows, _ = taken("touches", [{"lead_id": "a", "happened_at": START, "kind": "資料請求"}])
        assert rows[0]["kind"] == "資料請求"

    def test_a_reason_of_a_stage_is_kept(self) -> None:
        rows, _ = taken("stages", [{"lead_id": "a", "stage": "disqualified", "entered_at": START, "reason": "student"}])
        assert rows[0]["reason"] == "student"


class TestContentIds:
    @pytest.mark.parametrize(
        ("raw", "clean"),
        [
            ("/paper?email=a@example.com", "/paper"),
            ("/paper#top", "/paper"),
            ("/paper?a=1#b", "/paper"),
            ("/paper?a\nb", "/paper"),
            ("?utm=1", None),
            ("/paper", "/paper"),
        ],
    )
    def test_query_strings_are_cut(self, raw: str, clean: str | None) -> None:
        touch = {"lead_id": "a", "happened_at": START, "kind": "visit", "content_id": raw}
        assert taken("touches", [touch])[0][0]["content_id"] == clean

    def test_content_itself_is_named_the_same_way(self) -> None:
        assert taken("content", [{"content_id": "/paper?x=1", "title": "t"}])[0][0]["content_id"] == "/paper"


class TestMoney:
    deal: ClassVar[Any] = {
        "opportunity_id": "o",
        "lead_id": "a",
        "created_at": START,
        "closed_at": START + 10 * DAY,
        "is_won": True,
    }

    def amounts(self, deals: list[Row], rates: list[Row] | None = None) -> tuple[list[float | None], list[str]]:
        rows: dict[str, list[Row]] = {"leads": [LEAD], "opportunities": [{**self.deal, **deal} for deal in deals]}
        if rates:
            rows["fx_rates"] = rates
        with tables_of(rows, workspace={"currency": "JPY"}) as tables:
            amounts = {row["opportunity_id"]: row["amount"] for row in rows_of(tables, "opportunities")}
            reasons = [row["reason"] for row in tables.quarantine().to_pylist()]
        return list(amounts.values()), reasons

    @staticmethod
    def rate(days: int, rate: float | None, currency: str = "USD") -> Row:
        return {"currency": currency, "on": (START + days * DAY).date(), "rate": rate}

    def test_the_newest_rate_of_the_closing_day_or_before_it_counts(self) -> None:
        rates = [self.rate(0, 100.0), self.rate(10, 150.0), self.rate(11, 999.0)]
        assert self.amounts([{"amount": 2.0, "currency": "usd"}], rates) == ([300.0], [])

    def test_an_open_deal_takes_the_rate_of_its_creation(self) -> None:
        open_deal = {"amount": 2.0, "currency": "USD", "closed_at": None, "is_won": None}
        assert self.amounts([open_deal], [self.rate(0, 100.0), self.rate(10, 150.0)]) == ([200.0], [])

    def test_without_a_rate_an_amount_is_quarantined_and_never_summed_raw(self) -> None:
        reason = "amount in USD without a rate to the workspace currency"
        assert self.amounts([{"amount": 2.0, "currency": "USD"}]) == ([], [reason])
        assert self.amounts([{"amount": 2.0, "currency": "USD"}], [self.rate(11, 100.0)]) == ([], [reason])
        assert self.amounts([{"amount": 2.0, "currency": "USD"}], [self.rate(0, 1.0, "EUR")]) == ([], [reason])

    def test_no_amount_needs_no_rate_and_no_currency_is_the_workspace_currency(self) -> None:
        deals = [
            {"opportunity_id": "p", "currency": "USD"},
            {"amount": 5.0},
            {"opportunity_id": "q", "amount": 7.0, "currency": "JPY"},
        ]
        amounts, reasons = self.amounts(deals)
        assert (sorted(amounts, key=str), reasons) == ([5.0, 7.0, None], [])

    @pytest.mark.parametrize("rate", [0.0, -3.0, float("nan"), None])
    def test_a_rate_is_above_zero(self, rate: float | None) -> None:
        amounts, reasons = self.amounts([{"amount": 2.0, "currency": "USD"}], [self.rate(0, rate)])
        assert amounts == []
        assert reasons[0] in ("rate is not above 0", "rate is missing")

    def test_negative_amounts_and_deals_closed_before_they_began_are_quarantined(self) -> None:
        early = {"opportunity_id": "p", "closed_at": START - 2 * DAY}
        assert self.amounts([{"amount": -1.0}, early])[1] == ["amount is negative", "closed_at lies before created_at"]

    def test_costs_of_campaigns_are_converted_too(self) -> None:
        campaigns = [
            {"campaign_id": "a", "cost": 2.0, "currency": "USD", "starts_on": (START + 5 * DAY).date()},
            {"campaign_id": "b", "cost": 2.0, "currency": "USD"},
            {"campaign_id": "c", "cost": 2.0, "currency": "EUR"},
        ]
        rates = [self.rate(0, 100.0), self.rate(9, 150.0)]
        with tables_of(
            {"leads": [LEAD], "campaigns": campaigns, "fx_rates": rates}, workspace={"currency": "JPY"}
        ) as tables:
            assert [row["cost"] for row in rows_of(tables, "campaigns")] == [200.0, 300.0]
            assert tables.quarantine().column("reason").to_pylist() == [
                "cost in EUR without a rate to the workspace currency"
            ]


class TestVersions:
    deal = TestMoney.deal

    def versions(self, **deal: Any) -> list[tuple[timedelta, bool | None, timedelta | None]]:
        lag = {"lag": {"opportunities": 24.0, "hand_offs": 24.0}}
        rows, _ = taken("opportunities", [{**self.deal, **deal}], source=lag)
        rows.sort(key=lambda row: row["recorded_at"])
        return [
            (row["recorded_at"] - START, row["is_won"], row["closed_at"] and row["closed_at"] - START) for row in rows
        ]

    def test_a_closed_deal_without_recording_time_was_open_before(self) -> None:
        assert self.versions() == [(DAY, None, None), (11 * DAY, True, 10 * DAY)]

    def test_an_open_one_is_one_version(self) -> None:
        assert self.versions(closed_at=None, is_won=None) == [(DAY, None, None)]

    def test_one_that_closed_as_it_began_is_one_version(self) -> None:
        assert self.versions(closed_at=START) == [(DAY, True, timedelta(0))]
        assert self.versions(closed_at=START - HOUR) == [(DAY, True, -HOUR)]

    def test_a_recording_time_makes_it_one_version_as_it_stands(self) -> None:
        assert self.versions(recorded_at=START + 12 * DAY) == [(12 * DAY, True, 10 * DAY)]

    def test_a_win_at_an_unknown_time_is_quarantined_not_forgotten(self) -> None:
        reasons = taken("opportunities", [{**self.deal, "closed_at": None}])[1]
        assert reasons == ["won, but when is not known: closed_at and recorded_at are missing"]

    def test_what_became_of_a_hand_off_is_not_known_before_it_was_accepted(self) -> None:
        hand_off = {
            "hand_off_id": "h",
            "lead_id": "a",
            "handed_off_at": START,
            "owner": "kim",
            "disposition": "working",
        }
        rows, _ = taken("hand_offs", [{**hand_off, "accepted_at": START + DAY}])
        rows.sort(key=lambda row: row["recorded_at"])
        assert [(row["recorded_at"] - START, row["disposition"]) for row in rows] == [
            (timedelta(0), None),
            (DAY, "working"),
        ]
        assert len(taken("hand_offs", [hand_off])[0]) == 1

    def test_outcomes_tell_until_when_they_were_recorded(self) -> None:
        stages = [{"lead_id": "a", "stage": "mql", "entered_at": START + 3 * DAY}]
        with tables_of({"leads": [LEAD], "stages": stages, "opportunities": [self.deal]}) as tables:
            assert tables.observed_until_recorded == START + 10 * DAY
        with tables_of({"leads": [LEAD]}) as tables:
            assert tables.observed_until_recorded is None


class TestIds:
    mails: ClassVar[Any] = [{"lead_id": f"user{n}@example.com", "created_at": START} for n in range(3)]
    hashed: ClassVar[Any] = {"workspace": {"hash_ids": True}}

    def test_ids_that_are_mail_addresses_are_refused(self) -> None:
        with pytest.raises(
            TableError, match=r"ids in leads.lead_id that are personal data \(its values look like e-mail"
        ):
            tables_of({"leads": self.mails})

    def test_ids_of_accounts_and_of_other_tables_as_well(self) -> None:
        with pytest.raises(TableError, match=r"ids in leads.account_id"):
            tables_of({"leads": [{**LEAD, "account_id": "+81 3-1234-5678"}]})
        merge = {"from_lead_id": "old@example.com", "into_lead_id": "a", "recorded_at": START}
        with pytest.raises(TableError, match=r"ids in lead_merges.from_lead_id"):
            tables_of({"leads": [LEAD], "lead_merges": [merge]})

    def test_a_single_one_among_many_is_quarantined(self) -> None:
        leads = [{"lead_id": f"L{n}", "created_at": START} for n in range(30)]
        with tables_of({"leads": [*leads, self.mails[0]]}) as tables:
            assert tables.counts["leads"].kept == 30
            assert tables.quarantine().column("reason").to_pylist() == ["lead_id is an e-mail address"]

    def test_hashed_ids_are_the_keyed_hash_in_every_table(self) -> None:
        rows = {
            "leads": [{**row, "account_id": "Ann's, Inc"} for row in self.mails],
            "touches": [{"lead_id": " user1@example.com ", "happened_at": START, "kind": "visit"}],
            "opportunities": [{"opportunity_id": "o", "account_id": "Ann's, Inc", "created_at": START}],
            "lead_merges": [
                {"from_lead_id": "old@example.com", "into_lead_id": "user0@example.com", "recorded_at": START}
            ],
        }
        source = MemorySource({name: arrow_of(name, table) for name, table in rows.items()})
        key = "it's a key"
        with take_in(source, config_of(**self.hashed), now=NOW, progress=Silent(), id_key=key) as tables:
            assert not tables.quarantine().num_rows
            assert rows_of(tables, "touches")[0]["lead_id"] == hash_id("user1@example.com", key)
            assert rows_of(tables, "opportunities")[0]["account_id"] == hash_id("Ann's, Inc", key)
            assert rows_of(tables, "lead_merges")[0]["from_lead_id"] == hash_id("old@example.com", key)

    def test_no_key_is_no_hash(self) -> None:
        with pytest.raises(TableError, match=r"hash_ids = true without a key.*KIZASHI_ID_KEY"):
            tables_of({"leads": self.mails}, **self.hashed)


class TestColumns:
    def test_a_missing_required_column_is_named(self) -> None:
        with pytest.raises(
            TableError,
            match="table 'touches' with the columns lead_id; expected the required columns happened_at, kind",
        ):
            raw_tables_of({"leads": arrow_of("leads", [LEAD]), "touches": pa.table({"lead_id": ["a"]})})

    def test_the_contracts_columns_are_known_in_any_case(self) -> None:
        raw = pa.table({"LEAD_ID": ["a"], "Created_At": [START], "SOURCE": ["web"], "Industry": ["x"]})
        with raw_tables_of({"leads": raw}) as tables:
            assert rows_of(tables, "leads")[0]["source"] == "web"
            assert [attribute.name for attribute in tables.attributes] == ["source", "Industry"]

    @pytest.mark.parametrize("name", ["LEAD_ID", "Industry"])
    def test_two_columns_of_one_name_are_refused(self, name: str) -> None:
        raw = pa.table({"lead_id": ["a"], "created_at": [START], "industry": ["x"], name: ["b"]})
        with pytest.raises(
            TableError, match=f"two columns called '{name}'|two columns called 'lead_id'|names that differ"
        ):
            raw_tables_of({"leads": raw})

    @pytest.mark.parametrize("name", ["row_id", "as_of_us", "reason_", "Created_US"])
    def test_names_used_inside_are_refused(self, name: str) -> None:
        raw = pa.table({"lead_id": ["a"], "created_at": [START], name: ["b"]})
        with pytest.raises(TableError, match="this one is used inside"):
            raw_tables_of({"leads": raw})

    def test_any_other_name_goes(self) -> None:
        names = ["reason", "row", "order", 'say "hi"', "it's", "a;b", "日本語", "table", "x" * 200]
        raw = pa.table({"lead_id": ["a"], "created_at": [START], **{name: ["v"] for name in names}})
        with raw_tables_of({"leads": raw}, columns={"known_at_creation": names}) as tables:
            assert [attribute.name for attribute in tables.used_attributes] == names

    def test_no_usable_lead_says_why(self) -> None:
        with pytest.raises(
            TableError, match=r"no usable row in table 'leads' \(2 read, most often: created_at is missing\)"
        ):
            tables_of({"leads": [{"lead_id": "a", "created_at": None}, {"lead_id": "b", "created_at": None}]})

    def test_no_rows_at_all_is_as_bad(self) -> None:
        with pytest.raises(TableError, match=r"no usable row in table 'leads' \(0 read\)"):
            tables_of({"leads": []})

    def test_a_source_without_leads_is_refused(self) -> None:
        with pytest.raises(TableError, match="no table 'leads' among touches"):
            raw_tables_of({"touches": arrow_of("touches", [])})

    def test_an_empty_table_is_a_table(self) -> None:
        with tables_of({"leads": [LEAD], "touches": [], "stages": [], "opportunities": []}) as tables:
            assert {name: count.read for name, count in tables.counts.items()} == {
                "leads": 1, "touches": 0, "stages": 0, "opportunities": 0
            }  # fmt: skip

    def test_an_unknown_table_is_asked_for_by_name(self) -> None:
        with (
            tables_of({"leads": [LEAD]}) as tables,
            pytest.raises(TableError, match=r"no table 'touches'.*add touches"),
        ):
            tables.table("touches")


def test_outcomes_cannot_be_observed_in_the_future() -> None:
    with pytest.raises(ConfigError, match=r"observed_until.*lies in the future"):
        tables_of({"leads": [LEAD]}, outcome={"observed_until": NOW + DAY})


def test_order_only_data_says_so() -> None:
    with tables_of({"leads": [LEAD]}, source={"order_only": True}) as tables:
        assert tables.notes == ("The data has no dates: times are positions in an order, and weeks are not weeks.",)
