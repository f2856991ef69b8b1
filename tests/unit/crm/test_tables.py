"""The schemas of the contract hold together."""

from __future__ import annotations

import pytest

from crm.tables import STAGES, TABLES, TableSchema


@pytest.mark.parametrize("schema", TABLES.values(), ids=TABLES)
class TestSchemas:
    def test_keys_and_clocks_are_columns(self, schema: TableSchema) -> None:
        assert set(schema.key) <= set(schema.column_names)
        assert schema.clock is None or schema.column(schema.clock).type == "time"
        assert len(set(schema.column_names)) == len(schema.column_names)

    def test_versions_are_told_apart_by_their_recording(self, schema: TableSchema) -> None:
        assert schema.versions == ("recorded_at" in schema.key and schema.clock not in (None, "recorded_at"))

    def test_times_and_dates_are_named_as_such(self, schema: TableSchema) -> None:
        for column in schema.columns:
            assert (column.type == "time") == column.name.endswith("_at"), column.name
            assert (column.type == "date") == (column.name.endswith("_on") or column.name == "on"), column.name

    def test_a_default_is_a_choice(self, schema: TableSchema) -> None:
        assert all(column.default in column.choices for column in schema.columns if column.default)

    def test_an_unknown_column_is_a_key_error(self, schema: TableSchema) -> None:
        with pytest.raises(KeyError, match="nothing"):
            schema.column("nothing")


def test_stages_are_in_the_order_of_the_funnel() -> None:
    assert STAGES[:5] == ("mql", "accepted", "sql", "opportunity", "closed_won")
