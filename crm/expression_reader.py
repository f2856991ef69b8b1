"""From the syntax tree of an expression to SQL for DuckDB, and to the kind of every part.

What is not named here is refused, so that nothing new in a parser or an engine opens a door.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlglot import exp

from crm.parsing import quote

__all__ = ["KIND_WORDS", "ColumnKind", "ExpressionError", "ExpressionReader", "Kind", "short"]

Kind = Literal["text", "number", "boolean"]
ColumnKind = Literal["text", "number", "boolean", "any"]
KIND_WORDS: Mapping[ColumnKind, str] = {
    "text": "text",
    "number": "a number",
    "boolean": "true or false",
    "any": "anything",
}
MAX_SQL = 50_000
"""Longest SQL that an expression may become; some functions name what they read twice."""
ALLOWED = (
    "AND OR NOT = <> < <= > >= + - * / || IN BETWEEN LIKE ILIKE IS CASE, and lower upper trim length split_part "
    "starts_with ends_with contains regexp_matches abs greatest least coalesce nullif CAST(... AS DOUBLE)"
)


class ExpressionError(ValueError):
    """An expression that is not taken; the message says why."""


@dataclass
class _Unknown:
    """A kind that may still be settled; kinds that must agree share one root."""

    kind: Kind | None = None
    parent: _Unknown | None = None
    is_bound: bool = False  # some other part must have the same kind

    @property
    def root(self) -> _Unknown:
        return self if self.parent is None else self.parent.root


@dataclass(frozen=True)
class _Part:
    sql: str
    unknown: _Unknown


def _of(kind: Kind, sql: str) -> _Part:
    return _Part(sql, _Unknown(kind))


_COMPARISONS: Mapping[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_ARITHMETIC: Mapping[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_LIKES: Mapping[type[exp.Expression], str] = {exp.Like: "LIKE", exp.ILike: "ILIKE"}
# SQL name, what it gives, and what each argument is. A text in quotes must stand for the pattern of regexp_matches.
_FUNCTIONS: Mapping[type[exp.Expression], tuple[str, Kind, tuple[tuple[str, Kind], ...]]] = {
    exp.Lower: ("lower", "text", (("this", "text"),)),
    exp.Upper: ("upper", "text", (("this", "text"),)),
    exp.Trim: ("trim", "text", (("this", "text"),)),
    exp.Abs: ("abs", "number", (("this", "number"),)),
    exp.StartsWith: ("starts_with", "boolean", (("this", "text"), ("expression", "text"))),
    exp.EndsWith: ("ends_with", "boolean", (("this", "text"), ("expression", "text"))),
    exp.Contains: ("contains", "boolean", (("this", "text"), ("expression", "text"))),
}
_SAME_KIND: Mapping[type[exp.Expression], str] = {
    exp.Coalesce: "coalesce",
    exp.Greatest: "greatest",
    exp.Least: "least",
    exp.Nullif: "nullif",
}
# What sqlglot notes beside the arguments, and what is the same for every call.
_SILENT = {"safe", "typed", "ignore_nulls", "json_scope"}


@dataclass
class ExpressionReader:
    """Walks one syntax tree: writes its SQL anew and settles kinds.

    Parameters
    ----------
    columns
        The columns met so far.
    """

    columns: dict[str, _Unknown] = field(default_factory=dict)

    def column_kinds(self) -> dict[str, ColumnKind]:
        """Return every column that was read, with what it is taken for; ``ExpressionError`` where that is open."""
        kinds: dict[str, ColumnKind] = {}
        for name, unknown in self.columns.items():
            if unknown.root.kind is None and unknown.root.is_bound:
                raise ExpressionError(
                    f"whether '{name}' is text or a number cannot be told; compare it with a value, or for a number "
                    f"in text write CAST({name} AS DOUBLE)"
                )
            kinds[name] = unknown.root.kind or "any"
        return kinds

    def whole(self, node: exp.Expression, kind: Kind) -> str:
        """Return the SQL of the whole expression, whose value must be of this kind; ``ExpressionError`` otherwise."""
        part = self._read(node)
        found = part.unknown.root.kind
        if found not in (None, kind):
            raise ExpressionError(f"its value is {KIND_WORDS[found]}; expected {KIND_WORDS[kind]}")
        part.unknown.root.kind = kind
        return part.sql

    def _read(self, node: exp.Expression) -> _Part:
        for kinds, handle in self._handlers():
            if isinstance(node, kinds):
                part = handle(node)
                if len(part.sql) > MAX_SQL:
                    raise ExpressionError("it is nested too deeply; split it into several")
                return part
        raise ExpressionError(_refusal(node))

    def _handlers(self) -> Sequence[tuple[tuple[type[exp.Expression], ...], Callable[[exp.Expression], _Part]]]:
        return (
            ((exp.Column,), self._column),
            ((exp.Literal, exp.Boolean, exp.Null), self._constant),
            ((exp.Paren,), lambda node: self._read(_only(node, "this").this)),
            ((exp.And, exp.Or), self._connector),
            ((exp.Not,), lambda node: self._prefix(node, "NOT", "boolean")),
            ((exp.Neg,), lambda node: self._prefix(node, "-", "number")),
            ((exp.Is,), self._is),
            (tuple(_COMPARISONS), self._comparison),
            ((exp.In,), self._in),
            ((exp.Between,), self._between),
            (tuple(_ARITHMETIC), lambda node: self._infix(node, _ARITHMETIC[type(node)], "number", "number")),
            ((exp.DPipe,), lambda node: self._infix(node, "||", "text", "text")),
            (tuple(_LIKES), lambda node: self._infix(node, _LIKES[type(node)], "text", "boolean")),
            ((exp.Case, exp.If), self._case),
            ((exp.Cast,), self._cast),
            ((exp.Length,), self._length),
            ((exp.SplitPart,), self._split_part),
            ((exp.RegexpLike,), self._regexp),
            (tuple(_FUNCTIONS), self._function),
            (tuple(_SAME_KIND), self._same_kind),
        )

    def _as(self, node: exp.Expression, kind: Kind) -> str:
        part = self._read(node)
        _agree(part, _of(kind, ""), node)
        return part.sql

    def _column(self, node: exp.Expression) -> _Part:
        _only(node, "this")
        if not isinstance(node.this, exp.Identifier):
            raise ExpressionError(_refusal(node))
        name = node.name
        return _Part(quote(name), self.columns.setdefault(name, _Unknown()))

    def _constant(self, node: exp.Expression) -> _Part:
        if isinstance(node, exp.Null):
            return _Part("NULL", _Unknown())
        if isinstance(node, exp.Boolean):
            return _of("boolean", "TRUE" if node.this else "FALSE")
        if node.is_string:
            return _of("text", "'" + str(node.this).replace("'", "''") + "'")
        return _of("number", _number(str(node.this)))

    def _connector(self, node: exp.Expression) -> _Part:
        _only(node, "this", "expression")
        word = "AND" if isinstance(node, exp.And) else "OR"
        return _of("boolean", f"({self._as(node.this, 'boolean')} {word} {self._as(node.expression, 'boolean')})")

    def _prefix(self, node: exp.Expression, word: str, kind: Kind) -> _Part:
        return _of(kind, f"({word} {self._as(_only(node, 'this').this, kind)})")

    def _infix(self, node: exp.Expression, word: str, taken: Kind, given: Kind) -> _Part:
        _only(node, "this", "expression")
        return _of(given, f"({self._as(node.this, taken)} {word} {self._as(node.expression, taken)})")

    def _is(self, node: exp.Expression) -> _Part:
        _only(node, "this", "expression")
        if isinstance(node.expression, exp.Null):
            return _of("boolean", f"({self._read(node.this).sql} IS NULL)")
        if isinstance(node.expression, exp.Boolean):
            word = "TRUE" if node.expression.this else "FALSE"
            return _of("boolean", f"({self._as(node.this, 'boolean')} IS {word})")
        raise ExpressionError(_refusal(node))

    def _comparison(self, node: exp.Expression) -> _Part:
        _only(node, "this", "expression")
        left, right = self._values(node, (node.this, node.expression))
        return _of("boolean", f"({left.sql} {_COMPARISONS[type(node)]} {right.sql})")

    def _in(self, node: exp.Expression) -> _Part:
        if node.args.get("query") is not None:
            raise ExpressionError(_refusal(node.args["query"]))
        _only(node, "this", "expressions")
        first, *others = self._values(node, (node.this, *node.expressions))
        return _of("boolean", f"({first.sql} IN ({', '.join(part.sql for part in others)}))")

    def _between(self, node: exp.Expression) -> _Part:
        _only(node, "this", "low", "high")
        value, low, high = self._values(node, (node.this, node.args["low"], node.args["high"]))
        return _of("boolean", f"({value.sql} BETWEEN {low.sql} AND {high.sql})")

    def _values(self, node: exp.Expression, nodes: Sequence[exp.Expression]) -> list[_Part]:
        """Read what is compared: all of one kind, and no NULL, with which nothing is ever equal."""
        if any(isinstance(one, exp.Null) for one in nodes):
            raise ExpressionError("a comparison with NULL is never true; write IS NULL or IS NOT NULL")
        return self._alike(node, nodes)

    def _alike(self, node: exp.Expression, nodes: Sequence[exp.Expression]) -> list[_Part]:
        parts = [self._read(one) for one in nodes]
        for part in parts[1:]:
            _agree(parts[0], part, node)
        return parts

    def _case(self, node: exp.Expression) -> _Part:
        if isinstance(node, exp.If):
            _only(node, "this", "true", "false")
            branches, subject, otherwise = [node], None, node.args.get("false")
        else:
            _only(node, "this", "ifs", "default")
            branches, subject, otherwise = node.args["ifs"], node.this, node.args.get("default")
        if subject is None:
            conditions = [self._as(branch.this, "boolean") for branch in branches]
        else:
            first, *others = self._values(node, (subject, *(branch.this for branch in branches)))
            conditions = [f"{first.sql} = {part.sql}" for part in others]
        values = self._alike(node, [*(branch.args["true"] for branch in branches), otherwise or exp.Null()])
        whens = (f"WHEN {condition} THEN {value.sql}" for condition, value in zip(conditions, values, strict=False))
        return _Part(f"(CASE {' '.join(whens)} ELSE {values[-1].sql} END)", values[0].unknown)

    def _cast(self, node: exp.Expression) -> _Part:
        _only(node, "this", "to")
        if not node.args["to"].is_type("double"):
            raise ExpressionError(f"a cast to {node.args['to'].sql()} is not taken; only text is cast, AS DOUBLE")
        # NaN and the infinities are no numbers, as in the tables; what is no number at all is NULL.
        number = f"TRY_CAST({self._as(node.this, 'text')} AS DOUBLE)"
        return _of("number", f"(CASE WHEN isfinite({number}) THEN {number} END)")

    def _length(self, node: exp.Expression) -> _Part:
        return _of("number", f"CAST(length({self._as(_only(node, 'this').this, 'text')}) AS DOUBLE)")

    def _split_part(self, node: exp.Expression) -> _Part:
        _only(node, "this", "delimiter", "part_index")
        index = node.args["part_index"]
        if not (isinstance(index, exp.Literal) and str(index.this).isdigit() and 0 < int(index.this) < 100):
            raise ExpressionError("the third argument of split_part must be a whole number from 1 to 99")
        text, delimiter = self._as(node.this, "text"), self._as(node.args["delimiter"], "text")
        # DuckDB 2.0 fails on split_part(x, ...) = '...' where no row has an x; inside a CASE it does not.
        return _of(
            "text", f"(CASE WHEN {text} IS NOT NULL THEN split_part({text}, {delimiter}, {int(index.this)}) END)"
        )

    def _regexp(self, node: exp.Expression) -> _Part:
        _only(node, "this", "expression")
        if not (isinstance(node.expression, exp.Literal) and node.expression.is_string):
            raise ExpressionError("the pattern of regexp_matches must be a text in quotes")
        return _of("boolean", f"regexp_matches({self._as(node.this, 'text')}, {self._as(node.expression, 'text')})")

    def _function(self, node: exp.Expression) -> _Part:
        name, given, arguments = _FUNCTIONS[type(node)]
        _only(node, *(argument for argument, _ in arguments))
        taken = ", ".join(self._as(node.args[argument], kind) for argument, kind in arguments)
        return _of(given, f"{name}({taken})")

    def _same_kind(self, node: exp.Expression) -> _Part:
        _only(node, "this", "expression", "expressions")
        last = [node.expression] if node.args.get("expression") is not None else node.expressions
        parts = self._alike(node, [node.this, *last])
        return _Part(f"{_SAME_KIND[type(node)]}({', '.join(part.sql for part in parts)})", parts[0].unknown)


def _agree(left: _Part, right: _Part, node: exp.Expression) -> None:
    one, two = left.unknown.root, right.unknown.root
    if one is two:
        return
    if one.kind and two.kind and one.kind != two.kind:
        raise ExpressionError(
            f"{short(node.sql('duckdb', comments=False))} mixes {KIND_WORDS[one.kind]} and {KIND_WORDS[two.kind]}"
        )
    one.kind, one.is_bound, two.parent = one.kind or two.kind, True, one


def _only(node: exp.Expression, *names: str) -> exp.Expression:
    """Refuse what would otherwise be passed over in silence, such as the flags of a function."""
    more = [name for name, value in node.args.items() if value not in (None, [], False) and name not in names]
    if set(more) - _SILENT:
        raise ExpressionError(f"{short(node.sql('duckdb', comments=False))} has more parts than are taken")
    return node


def _number(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:
        raise ExpressionError(f"{short(text)} is no number")
    return f"CAST({number!r} AS DOUBLE)"


def _refusal(node: exp.Expression) -> str:
    if isinstance(node, exp.Query | exp.Subquery | exp.Exists):
        return "a subquery is not taken; an expression reads the columns of one lead"
    return f"{short(node.sql('duckdb', comments=False))} is not taken; an expression may hold {ALLOWED}"


def short(text: str) -> str:
    """Return a text in quotes on one line, cut where it is long."""
    flat = " ".join(text.split())
    return f"'{flat if len(flat) <= 60 else flat[:59] + '…'}'"
