"""What is known as of a moment, relation by relation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import ibis.expr.types as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.known import (
    account_leads_known,
    attributes_known,
    from_micros,
    members_known,
    merge_paths,
    moments_table,
    stages_known,
    to_micros,
    touches_known,
)
from crm.store import Tables
from tests.histories import DAY, MICROSECOND, START, Row, moments_of, tables_of

LEADS = [{"lead_id": name, "created_at": START, "account_id": "A"} for name in "abcd"]

ANY = st.sampled_from("abcd")
LINKS = st.tuples(ANY, ANY, st.integers(0, 9)).filter(lambda link: link[0] != link[1])


def merges(*links: tuple[str, str, int]) -> list[Row]:
    return [{"from_lead_id": one, "into_lead_id": two, "recorded_at": START + days * DAY} for one, two, days in links]


def paths_of(*links: tuple[str, str, int]) -> dict[tuple[str, str], int]:
    with tables_of({"leads": LEADS, "lead_merges": merges(*links)}) as tables:
        rows = merge_paths(tables).to_pylist()
    assert len({(row["from_lead_id"], row["into_lead_id"]) for row in rows}) == len(rows)
    return {(row["from_lead_id"], row["into_lead_id"]): (from_micros(row["merged_us"]) - START) // DAY for row in rows}


def at(tables: Tables, lead: str, *moments: datetime) -> ir.Table:
    return moments_table(tables, moments_of((lead, to_micros(moment)) for moment in moments))


def per_row(relation: ir.Table, column: str, count: int) -> list[list[Any]]:
    """Return the values of a column by row, each row's sorted."""
    found: list[list[Any]] = [[] for _ in range(count)]
    for row in relation.to_pyarrow().to_pylist():
        found[row["row_id"]].append(row[column])
    return [sorted(values) for values in found]


class TestMoments:
    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    def test_microseconds_there_and_back(self, moment: datetime) -> None:
        assert from_micros(to_micros(moment)) == moment
        assert to_micros(moment + MICROSECOND) == to_micros(moment) + 1


class TestMergePaths:
    def test_without_merges_there_are_none(self) -> None:
        with tables_of({"leads": LEADS}) as tables:
            assert merge_paths(tables).num_rows == 0
        assert paths_of() == {}

    def test_a_chain_is_known_with_its_last_link(self) -> None:
        assert paths_of(("a", "b", 5), ("b", "c", 2)) == {("a", "b"): 5, ("b", "c"): 2, ("a", "c"): 5}
        assert paths_of(("a", "b", 2), ("b", "c", 5)) == {("a", "b"): 2, ("b", "c"): 5, ("a", "c"): 5}

    def test_of_two_ways_the_earlier_known_counts(self) -> None:
        links = (("a", "b", 1), ("b", "d", 9), ("a", "c", 3), ("c", "d", 4))
        assert paths_of(*links)["a", "d"] == 4
        assert paths_of(*links[::-1])["a", "d"] == 4

    def test_the_same_merge_twice_is_known_from_the_first(self) -> None:
        assert paths_of(("a", "b", 5), ("a", "b", 2)) == {("a", "b"): 2}

    @pytest.mark.parametrize("links", [(("a", "b", 1), ("b", "a", 2)), (("a", "b", 1), ("b", "c", 2), ("c", "b", 3))])
    def test_circles_end_and_nobody_goes_into_itself(self, links: tuple[tuple[str, str, int], ...]) -> None:
        assert all(one != two for one, two in paths_of(*links))

    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(st.lists(LINKS, max_size=6, unique_by=lambda link: (link[0], link[2])))
    def test_they_are_the_shortest_waits_of_the_graph(self, links: list[tuple[str, str, int]]) -> None:
        best: dict[tuple[str, str], int] = {}
        for one, two, days in links:
            best[one, two] = min(days, best.get((one, two), 99))
        for middle in "abcd":
            for one in "abcd":
                for two in "abcd":
                    if (one, middle) in best and (middle, two) in best and one != two:
                        way = max(best[one, middle], best[middle, two])
                        best[one, two] = min(way, best.get((one, two), 99))
        assert paths_of(*links) == best


class TestRelations:
    edge = START + DAY
    around: ClassVar[list[datetime]] = [edge - MICROSECOND, edge, edge + MICROSECOND]

    def test_members_are_the_lead_and_what_was_merged_into_it_by_then(self) -> None:
        with tables_of({"leads": LEADS, "lead_merges": merges(("b", "a", 1), ("c", "b", 3))}) as tables:
            members = members_known(tables, at(tables, "a", self.edge - MICROSECOND, self.edge, START + 3 * DAY))
            assert per_row(members, "member_id", 3) == [["a"], ["a", "b"], ["a", "b", "c"]]

    def test_touches_obey_both_clocks(self) -> None:
        early, late = {"happened_at": START}, {"recorded_at": self.edge}
        touches = [
            {"lead_id": "a", "happened_at": self.edge, "kind": "happens"},
            {"lead_id": "a", "kind": "arrives", **early, **late},
            {"lead_id": "a", "kind": "by sales", "actor": "sales", **early},
            {"lead_id": "b", "kind": "of another", **early},
        ]
        with tables_of({"leads": LEADS, "touches": touches}) as tables:
            moments = at(tables, "a", *self.around)
            known = touches_known(tables, members_known(tables, moments))
            assert per_row(known, "kind", 3) == [[], ["arrives"], ["arrives", "happens"]]

    def test_stages_obey_both_clocks_and_are_told_apart(self) -> None:
        stages = [
            {"lead_id": "a", "stage": "mql", "entered_at": self.edge},
            {"lead_id": "a", "stage": "mql", "entered_at": START, "recorded_at": self.edge},
            {"lead_id": "a", "stage": "recycled", "entered_at": START},
        ]
        with tables_of({"leads": LEADS, "stages": stages}) as tables:
            known = stages_known(tables, at(tables, "a", *self.around), "mql")
            assert [len(row) for row in per_row(known, "happened_us", 3)] == [0, 1, 2]

    def test_other_leads_of_the_account_are_known_from_their_creation_on(self) -> None:
        leads = [
            *LEADS[:1],
            {**LEADS[1], "created_at": self.edge},
            {**LEADS[2], "account_id": "B"},
            {**LEADS[3], "account_id": None},
        ]
        with tables_of({"leads": leads}) as tables:
            for lead, expected in (("a", [[], ["b"], ["b"]]), ("c", [[], [], []]), ("d", [[], [], []])):
                moments = at(tables, lead, *self.around)
                others = account_leads_known(tables, moments, members_known(tables, moments))
                assert per_row(others, "member_id", 3) == expected

    def test_attributes_are_as_known_then(self) -> None:
        leads = [{**LEADS[0], "size": 5.0, "industry": "x", "vip": True, "hidden": "x"}]
        changes = [
            {"lead_id": "a", "field": field, "value": value, "recorded_at": recorded}
            for field, value, recorded in (
                ("size", "7", self.edge),
                ("size", "huge", self.edge + 2 * DAY),
                ("industry", None, self.edge),
                ("vip", "no", self.edge),
                ("plan", "gold", self.edge),
                ("hidden", "y", self.edge),
            )
        ]
        columns = {"known_at_creation": ("size", "industry", "vip")}
        with tables_of({"leads": leads, "lead_changes": changes}, columns=columns) as tables:
            moments = at(tables, "a", self.edge - MICROSECOND, self.edge, self.edge + timedelta(days=2))
            rows = sorted(attributes_known(tables, moments).to_pyarrow().to_pylist(), key=lambda row: row["row_id"])
        found = [[row[name] for name in ("size", "industry", "vip", "plan", "hidden")] for row in rows]
        assert found == [
            [5.0, "x", True, None, None],
            [7.0, None, False, "gold", "y"],
            [None, None, False, "gold", "y"],
        ]

    def test_a_moment_of_an_unknown_lead_knows_nothing(self) -> None:
        with tables_of({"leads": [{**LEADS[0], "size": 5.0}]}, columns={"known_at_creation": ("size",)}) as tables:
            (row,) = attributes_known(tables, at(tables, "nobody", START)).to_pyarrow().to_pylist()
        assert (row["size"], row["created_us"]) == (None, None)
