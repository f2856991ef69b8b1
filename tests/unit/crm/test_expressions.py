"""Expressions of the workspace file: what is taken, what is refused, and what it means."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm.expressions import COLUMN_TYPES, ExpressionError, columns_of, parse_expression
from crm.parsing import quote

CONNECTION = duckdb.connect()

REFUSED = {
    "1); DROP TABLE leads": "expected one SQL expression",
    "a = 1; DROP TABLE leads": "expected one SQL expression",
    "a = 1 UNION SELECT 1": "expected one SQL expression",
    "a = 1 FROM leads": "expected one SQL expression",
    "SELECT 1": "expected one SQL expression",
    "a = 1, b = 2": "expected one SQL expression",
    "": "expected one SQL expression",
    "a IN (SELECT lead_id FROM customers)": "a subquery is not taken",
    "(SELECT true)": "a subquery is not taken",
    "a = 1 OR EXISTS (SELECT 1)": "a subquery is not taken",
    "a = (SELECT max(b) FROM leads)": "a subquery is not taken",
    "a = (FROM 'secret.csv')": "a subquery is not taken",
    "read_csv('/etc/passwd') = 'x'": "'READ_CSV('/etc/passwd')' is not taken",
    "a = read_text('/etc/passwd')": "is not taken",
    "a = getenv('HOME')": "'GETENV('HOME')' is not taken",
    "a = query('SELECT 1')": "is not taken",
    "count(*) > a": "is not taken",
    "row_number() OVER () = a": "is not taken",
    "a = repeat('x', 1000000000)": "is not taken",
    "a = $1": "'$1' is not taken",
    "a = random()": "is not taken",
    "a = current_date": "is not taken",
    "columns(*) = 1": "is not taken",
    "a = {'b': 1}": "is not taken",
    "a[1] = 'x'": "is not taken",
    "a->>'b' = 'c'": "is not taken",
    "*": "'*' is not taken",
    "leads.a = 1": "'leads.a' has more parts than are taken",
    "regexp_matches(a, 'x', 'i')": "has more parts than are taken",
    "trim(a, 'x') = 'y'": "has more parts than are taken",
    "regexp_matches(a, b)": "the pattern of regexp_matches must be a text in quotes",
    "regexp_matches(a, '(')": "missing )",
    "CAST(a AS DATE) = 'x'": "a cast to DATE is not taken",
    "split_part(a, '@', -1) = 'x'": "a whole number from 1 to 99",
    "a = NULL": "write IS NULL",
    "a NOT IN ('x', NULL)": "write IS NULL",
    "a = 1e999": "is no number",
    "true": "it reads no column",
    "a + 1": "its value is a number; expected true or false",
    "a = b": "whether 'a' is text or a number cannot be told",
    "a = 'x' AND a > 1": "mixes text and a number",
    "lower(a) > 3": "mixes text and a number",
    "NOT 'x'": "mixes",
    "(" * 900 + "a" + ")" * 900: "nested too deeply",
    "NOT " * 900 + "a": "nested too deeply",
    "split_part(" * 20 + "a" + ", '@', 1)" * 20 + " = 'x'": "nested too deeply",
    "a = '" + "x" * 5_000 + "'": "at most 4,000",
    "a = 'x\x00'": "a control character",
}


@pytest.mark.parametrize(("text", "why"), [(text, why) for text, why in REFUSED.items()], ids=lambda v: str(v)[:30])
def test_what_is_refused_says_why(text: str, why: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a", {"a": "boolean"}),
        ("NOT a OR b IS TRUE", {"a": "boolean", "b": "boolean"}),
        ("a IS NOT NULL", {"a": "any"}),
        ("a IS NULL OR a = 'x'", {"a": "text"}),
        ("業種 = '製造業' AND \"Lead Source\" ILIKE '%展示会%'", {"業種": "text", "Lead Source": "text"}),
        ("employees BETWEEN 1 AND 10", {"employees": "number"}),
        ("CAST(employees AS DOUBLE) < 5", {"employees": "text"}),
        ("lower(split_part(email, '@', 2)) IN ('example.co.jp', 'example.com')", {"email": "text"}),
        ("coalesce(a, b, 0) * 2 > -c", {"a": "number", "b": "number", "c": "number"}),
        ("CASE WHEN a THEN b ELSE 'x' END = 'y'", {"a": "boolean", "b": "text"}),
        ("CASE a WHEN 1 THEN b ELSE false END", {"a": "number", "b": "boolean"}),
        ("a = b AND b = c AND c > 1", {"a": "number", "b": "number", "c": "number"}),
        ("regexp_matches(title, '(?i)student') -- a remark", {"title": "text"}),
    ],
)
def test_kinds_follow_from_use(text: str, columns: dict[str, str]) -> None:
    assert dict(parse_expression(text).columns) == columns


def test_a_column_is_one_thing_in_all_rules() -> None:
    assert columns_of(("a IS NULL", "a > 1", "a IS NULL")) == {"a": "number"}
    with pytest.raises(ExpressionError, match="'a' is taken for a number by one rule, for text by another"):
        columns_of(("a > 1", "a = 'x'"))


def test_text_in_quotes_stays_text() -> None:
    """What ends a quote in the file must not end it in the SQL that is run."""
    nasty = "x'' OR true) --"
    found = parse_expression(f"a = '{nasty}'")
    for value, met in (("x' OR true) --", True), ("x", False)):
        row = CONNECTION.execute(f"SELECT {found.sql} FROM (SELECT ? AS a)", [value]).fetchall()
        assert row == [(met,)]


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(NAMES, st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12))
def test_any_name_and_any_text_mean_themselves(name: str, value: str) -> None:
    found = parse_expression(f"{quote(name)} = '{value.replace(chr(39), chr(39) * 2)}'")
    assert dict(found.columns) == {name: "text"}
    rows = CONNECTION.execute(f"SELECT {found.sql} FROM (SELECT ? AS {quote(name)})", [value]).fetchall()
    assert rows == [(True,)]


ATOMS = (
    "a = 'x'",
    "b > 2",
    "c",
    "a IS NULL",
    "b IN (1, 2)",
    "lower(a) LIKE 'x%'",
    "CASE WHEN c THEN b > 0 ELSE a = 'y' END",
)
TREES = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) AND ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) OR NOT ({two[1]})"),
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(
    TREES,
    st.sampled_from((None, "x", "X1", "y")),
    st.sampled_from((None, 0.0, 1.0, 2.5)),
    st.sampled_from((None, True, False)),
)
def test_it_means_what_the_same_text_means_to_duckdb(text: str, a: str | None, b: float | None, c: bool | None) -> None:
    found = parse_expression(text)
    row = f"(SELECT CAST(? AS {COLUMN_TYPES['text']}) a, CAST(? AS DOUBLE) b, CAST(? AS BOOLEAN) c)"
    ours = CONNECTION.execute(f"SELECT {found.sql} FROM {row}", [a, b, c]).fetchall()
    theirs = CONNECTION.execute(f"SELECT {text} FROM {row}", [a, b, c]).fetchall()
    assert ours == theirs


TEXTS = ("a", "upper(a)", "trim(a)", "split_part(a, '@', 2)", "a || 'x'", "coalesce(a, 'x')", "CASE WHEN c THEN a END")
NUMBERS = ("b", "length(a)", "abs(b)", "b / 0", "greatest(b, 1)", "nullif(b, 0)", "CAST(a AS DOUBLE)")
TESTS = ("{} = 'x'", "{} <> 'x'", "{} > 'x'", "{} NOT IN ('x')", "{} LIKE 'x'", "regexp_matches({}, '^x$')")
EVERY = [test.format(text) for text in TEXTS for test in TESTS] + [f"{number} >= 1" for number in NUMBERS]


@pytest.mark.parametrize("text", EVERY)
def test_a_column_without_any_value_is_no_error(text: str) -> None:
    """DuckDB plans by what a column holds, and has failed on columns that hold nothing."""
    found = parse_expression(text)
    CONNECTION.execute("CREATE OR REPLACE TABLE empty (a VARCHAR, b DOUBLE, c BOOLEAN)")
    for _ in range(2):
        rows = CONNECTION.execute(f"SELECT CASE WHEN {found.sql} THEN 1 ELSE 0 END FROM empty").fetchall()
        assert all(row in ((0,), (1,)) for row in rows)
        CONNECTION.execute("INSERT INTO empty SELECT NULL, NULL, NULL FROM range(5)")
