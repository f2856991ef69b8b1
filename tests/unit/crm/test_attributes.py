"""Which attributes of a lead are used, of what type, and why the others are refused."""

from __future__ import annotations

from typing import Any

import pytest

from crm.store import Attribute
from tests.histories import START, Row, tables_of

HISTORY = "no history in lead_changes and not in [columns] known_at_creation"


def attribute_of(
    name: str, values: list[Any], changes: list[str | None] | None = None, **columns: Any
) -> Attribute | None:
    """Take leads with one attribute in; return what became of it, None when it is left out."""
    leads = [{"lead_id": f"L{n}", "created_at": START, name: value} for n, value in enumerate(values)]
    rows: dict[str, list[Row]] = {"leads": leads if values else [{"lead_id": "L0", "created_at": START}]}
    if changes is not None:
        rows["lead_changes"] = [
            {"lead_id": "L0", "field": name, "value": value, "recorded_at": START.replace(minute=n)}
            for n, value in enumerate(changes)
        ]
    with tables_of(rows, columns={"known_at_creation": (name,), **columns}) as tables:
        return next((attribute for attribute in tables.attributes if attribute.name == name), None)


class TestUse:
    def test_history_or_creation_must_vouch_for_it(self) -> None:
        found = attribute_of("industry", ["x"], known_at_creation=())
        assert found == Attribute("industry", "text", False, False, HISTORY)
        assert attribute_of("industry", ["x"]) == Attribute("industry", "text", True, False)
        found = attribute_of("industry", ["x"], ["y"], known_at_creation=())
        assert found == Attribute("industry", "text", False, True)
        assert attribute_of("industry", [], ["y"]) == Attribute("industry", "text", False, True)

    def test_the_source_is_an_attribute_known_at_creation(self) -> None:
        assert attribute_of("source", ["web"], known_at_creation=()) == Attribute("source", "text", True, False)
        assert attribute_of("source", [None], known_at_creation=()) is None
        assert attribute_of("source", [None], ["web"], known_at_creation=()) == Attribute("source", "text", True, True)

    def test_ignored_columns_are_left_out(self) -> None:
        assert attribute_of("industry", ["x"], ignore=("industry",)) is None

    @pytest.mark.parametrize("name", ["status", "Lost Reason", "email", "MobilePhone"])
    def test_names_are_guarded_even_when_they_are_listed(self, name: str) -> None:
        found = attribute_of(name, ["x"])
        assert found is not None
        assert found.refused

    def test_personal_values_are_refused_under_any_name(self) -> None:
        for values, changes in ((["a@example.com"], None), (["x"] * 3, ["a@example.com"]), ([], ["a@example.com"])):
            found = attribute_of("contact", values, changes)
            assert found is not None
            assert found.refused == "its values look like e-mail addresses"

    def test_what_only_looks_personal_may_be_allowed(self) -> None:
        found = attribute_of("email", ["a@example.com"], allow_personal=("email",))
        assert found is not None
        assert not found.refused

    def test_a_late_field_may_not(self) -> None:
        found = attribute_of("status", ["x"], allow_personal=("status",))
        assert found is not None
        assert found.refused == "fields of this name are filled in after the hand-off"

    def test_times_are_refused(self) -> None:
        found = attribute_of("joined", [START])
        assert found is not None
        assert found.refused == "a time is not an attribute; select an age or a weekday instead"

    def test_a_history_that_differs_by_case_alone_is_refused(self) -> None:
        rows = {
            "leads": [{"lead_id": "a", "created_at": START, "industry": "x"}],
            "lead_changes": [{"lead_id": "a", "field": "Industry", "value": "y", "recorded_at": START}],
        }
        with tables_of(rows, columns={"known_at_creation": ("industry",)}) as tables:
            assert [(a.name, a.refused) for a in tables.attributes] == [
                ("industry", ""),
                ("Industry", "its name differs from 'industry' by upper and lower case alone"),
            ]

    @pytest.mark.parametrize("name", ["row_id", "created_us", "account_id", "CHANGE_ROW"])
    def test_a_history_of_a_name_used_inside_is_refused(self, name: str) -> None:
        found = attribute_of(name, [], ["1"])
        assert found is not None
        assert found.refused == "its name is used inside"

    def test_entries_that_name_no_column_are_told(self) -> None:
        rows = {"leads": [{"lead_id": "a", "created_at": START}]}
        with tables_of(rows, columns={"known_at_creation": ("industri",), "ignore": ("plan",)}) as tables:
            assert tables.notes == (
                "[columns] names 'industri', which no table has.",
                "[columns] names 'plan', which no table has.",
            )


class TestTypes:
    @pytest.mark.parametrize(
        ("values", "changes", "kind"),
        [
            ([1, 2], None, "number"),
            ([1.5, float("nan")], None, "number"),
            ([True, None], None, "boolean"),
            (["x", None], None, "text"),
            (["1", "2"], None, "text"),
            ([], ["1", "2.5", None], "number"),
            ([], ["1", "many"], "text"),
            ([], [None], "text"),
            ([None, None], ["x"], "text"),
            ([None, None], ["7"], "number"),
            ([True], ["true"], "boolean"),
            ([["a", "b"]], None, "text"),
        ],
    )
    def test_the_values_tell(self, values: list[Any], changes: list[str | None] | None, kind: str) -> None:
        found = attribute_of("plan", values, changes)
        assert found is not None
        assert found.type == kind

    def test_numbers_that_are_not_finite_and_blank_texts_are_missing(self) -> None:
        leads = [
            {"lead_id": "a", "created_at": START, "size": float("inf"), "industry": " \u3000"},
            {"lead_id": "b", "created_at": START, "size": 2.0, "industry": " x "},
        ]
        with tables_of({"leads": leads}, columns={"known_at_creation": ("size", "industry")}) as tables:
            rows = tables.table("leads").order_by("lead_id").to_pyarrow().to_pylist()
        assert [(row["size"], row["industry"]) for row in rows] == [(None, None), (2.0, "x")]
