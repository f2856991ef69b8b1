"""Write docs/reference/ from the code, so that it cannot say something else than the program does.

``python docs/generate.py`` writes the pages; ``--check`` exits 1 and names those that are stale. Names
behind it (``workspace``, ``tables``, ``command-line``) limit it to these pages.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crm.config import WorkspaceConfig
from crm.config_values import Currency, Moment, Points, Predicate, Select, Zone
from crm.tables import TABLES, TableSchema

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
HELP_WIDTH = 100
NESTED = ("sla",)
"""Tables of the workspace file whose inner tables have a section of their own."""

# What a row of each table stands for. A table without a sentence here fails the check.
ROWS = {
    "leads": "A person who shows interest, before there is an opportunity. Any other column is an attribute.",
    "lead_changes": "A new value of one attribute of a lead.",
    "lead_merges": "One lead that went into another: a merge of duplicates, or a conversion in the CRM.",
    "touches": "One thing that happened between a lead and us: a visit, a download. `kind` is an open set.",
    "stages": "A lead's entry into a stage of the funnel.",
    "opportunities": "A priced deal. It belongs to a lead, or to an account alone.",
    "hand_offs": "Marketing passed a lead to sales, and what sales made of it.",
    "campaigns": "A campaign and what it cost.",
    "expectations": "What one team expected of a campaign, written down before the results.",
    "content": "A text, page, video or event that leads meet, and who made it.",
    "fx_rates": "What one unit of a currency is worth in the workspace's currency on a day.",
}

# What a key takes, where the model has a name for it. The rest follows from its type and limits.
NAMED_TYPES = (
    (Zone, "IANA time zone"),
    (Currency, "three capital letters"),
    (Select, "one SELECT"),
    (Predicate, "one SQL expression, true or false"),
    (Points, "points"),
    (Moment, "date or time"),
    (str, "text"),
    (float, "number"),
    (int, "whole number"),
    (bool, "true or false"),
    (date, "date"),
    (time, "time of day"),
)


def notice(source: str) -> str:
    """Return the line that tells a reader of the page where to change it."""
    return f"<!-- Written by docs/generate.py from {source}. Change the code, then run: make docs -->\n"


def workspace_page() -> str:
    """Return the page on ``kizashi.toml``, one section a table of the file."""
    parts = [
        "# The workspace file, `kizashi.toml`\n",
        notice("crm/config.py"),
        "A workspace is a folder with this file. Unknown keys are refused. All mistakes are reported at "
        "once, each with its line.\n",
        "`${NAME}` and `${NAME:-default}` stand for environment variables in `[source] url` and in the addresses "
        "and secrets of `[serve]` and `[crm.NAME]`, never in SQL. Messages and logs show `***` in place of what they "
        "held.\n",
        *(workspace_section(name, field) for name, field in WorkspaceConfig.model_fields.items()),
    ]
    return "\n".join(parts)


def workspace_section(name: str, field: FieldInfo) -> str:
    """Return one table of the workspace file; one without keys of its own takes any name."""
    model = field.annotation
    if get_origin(model) is not None and (inner := model_in(model)):
        name, model = (f"{name}.NAME" if get_origin(model) is Mapping else name), inner
    return "\n".join(model_sections(name, model))


def model_sections(name: str, model: Any) -> list[str]:
    """Return one table and, below it, the tables inside of it."""
    lines = [f"## `[{name}]`", ""]
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        meaning = described_names(WorkspaceConfig).get(name, "")
        return [*lines, f"{meaning} Takes {type_words(model)}.".strip(), ""]
    meanings = {name: text for one in reversed(model.__mro__) for name, text in described_names(one).items()}
    lines += [summary(model), "", "| key | type | default | meaning |", "|---|---|---|---|"]
    inside: list[str] = []
    for key, item in model.model_fields.items():
        inner = model_in(item.annotation)
        if inner is not None and name in NESTED:
            is_named = get_origin(item.annotation) is Mapping
            inside += ["", *model_sections(f"{name}.{key}.NAME" if is_named else f"{name}.{key}", inner)]
        kind = Annotated[(item.annotation, *item.metadata)] if item.metadata else item.annotation
        lines.append(f"| `{key}` | {type_words(kind)} | {default_words(item)} | {meanings.get(key, '')} |")
    return [*lines, *inside, *([] if inside else [""])]


def model_in(kind: Any) -> type[BaseModel] | None:
    """Return the model that a type is made of: of a table that may be left out, or of several under names."""
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return kind
    return next((found for part in get_args(kind) if (found := model_in(part))), None)


def summary(model: type[BaseModel]) -> str:
    """Return a docstring's prose, without the ``[name]:`` that it opens with and without its sections."""
    text = re.split(r"\n\n(?:Attributes|Parameters)\n-+\n", inspect.getdoc(model) or "")[0]
    text = re.sub(r"^``\[[\w.]+\]``:\s*", "", text)
    return to_markdown(text[:1].upper() + text[1:])


def described_names(model: type) -> Mapping[str, str]:
    """Return what the Attributes section of a docstring says of each name in it."""
    found = re.search(
        r"\n\n(?:Attributes|Parameters)\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)",
        inspect.getdoc(model) or "",
        re.DOTALL,
    )
    entries = re.findall(r"^(\S.*)\n((?:[ ]+\S.*(?:\n|\Z)|\n)+)", found[1] if found else "", re.MULTILINE)
    return {name.strip(): to_markdown(" ".join(text.split())) for names, text in entries for name in names.split(",")}


def to_markdown(text: str) -> str:
    """Turn the roles and double back-quotes of a docstring into Markdown."""
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", text).replace("``", "`")


def type_words(kind: Any) -> str:
    """Say in words what a key takes; the limits are the model's own."""
    for known, words in NAMED_TYPES:
        if kind == known:
            return words
    origin, arguments = get_origin(kind), get_args(kind)
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return "a table"
    if origin is Annotated:
        return type_words(arguments[0]) + limit_words(arguments[1:])
    if origin in (Union, UnionType):
        return " or ".join(type_words(part) for part in arguments if part is not type(None))
    if origin is Literal:
        return " or ".join(f"`{toml(value)}`" for value in arguments)
    if origin is tuple:
        return f"a list of {type_words(arguments[0])}"
    return f"several NAME = {type_words(arguments[1])}"


def limit_words(checks: Iterable[Any]) -> str:
    """Say the bounds of a number."""
    flat = [part for check in checks for part in getattr(check, "metadata", [check])]
    signs = (("gt", "over"), ("ge", "from"), ("lt", "under"), ("le", "to"))
    found = [f"{word} {getattr(check, sign):,}" for sign, word in signs for check in flat if hasattr(check, sign)]
    return f", {' '.join(found)}" if found else ""


def default_words(field: FieldInfo) -> str:
    """Say what holds when the key is absent."""
    if isinstance(field.default, BaseModel):
        levels = field.default.model_dump()
        is_short = levels and all(isinstance(one, float) for one in levels.values())
        return f"`{toml_table(levels)}`" if is_short else "none"
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    return "none" if value in (None, {}, ()) else f"`{toml(value)}`"


def toml(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, time):
        return f'"{value:%H:%M}"'
    if isinstance(value, tuple):
        return f"[{', '.join(toml(one) for one in value)}]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def toml_table(values: Mapping[str, float]) -> str:
    """Write an inline table as TOML does."""
    return "{ " + ", ".join(f"{key} = {value}" for key, value in values.items()) + " }"


def tables_page() -> str:
    """Return the page on the tables that kizashi reads."""
    parts = [
        "# Tables\n",
        notice("crm/tables.py"),
        "Each key under `[source.tables]` is one of these tables. Its value is a SELECT in the source's own "
        "SQL that names the columns below. Only `leads`, touches or attributes, and one table of outcomes "
        "(`stages` or `opportunities`) are needed. Each report says what it could not compute and which "
        "table would allow it.\n",
        "Two clocks run beside each other: a table's own clock says when something was so, `recorded_at` "
        "when the system knew it. Without a `recorded_at`, it is the row's own clock plus the table's "
        "`lag`. Times without a zone are in `[source] timezone`. A date without a time stands at 00:00 of "
        "that day for a cause, at the next 00:00 for an outcome, and is recorded at the next 00:00.\n",
        "A row with an unknown lead, an impossible time, a duplicate key or a value of the wrong type goes "
        "to quarantine with its reason; `kizashi check` counts them. Identical copies of a row count "
        "once.\n",
        *(table_section(schema) for schema in TABLES.values()),
    ]
    return "\n".join(parts)


def table_section(schema: TableSchema) -> str:
    """Return one table: what a row is, key, clocks, columns."""
    facts = [ROWS[schema.name], f"Key: {', '.join(f'`{name}`' for name in schema.key)}."]
    if schema.clock:
        facts.append(f"Own clock: `{schema.clock}`, {'a cause' if schema.moment == 'cause' else 'an outcome'}.")
    if schema.versions:
        facts.append("Rows are versions: the newest one recorded by a moment is what is known then.")
    lines = [f"## `{schema.name}`", "", " ".join(facts), ""]
    lines += ["| column | type | required | values |", "|---|---|---|---|"]
    for column in schema.columns:
        values = ", ".join(f"`{choice}`" for choice in column.choices)
        values += f"; default `{column.default}`" if column.default else ""
        lines.append(f"| `{column.name}` | {column.type} | {'yes' if column.required else ''} | {values} |")
    return "\n".join([*lines, ""])


def command_line_page() -> str:
    """Return the page on the command line: the help of every command, as a terminal shows it."""
    group: click.Group = importlib.import_module("cli.main").main
    parts = [
        "# The command line, `kizashi`\n",
        notice("cli/"),
        "In a checkout the command is `.venv/bin/kizashi`.\n",
    ]
    for context in contexts(click.Context(group, info_name="kizashi", **group.context_settings)):
        text = "\n".join(line.rstrip() for line in context.command.get_help(context).splitlines())
        parts.append(f"## `{context.command_path}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Walk through a command and those below it, hidden ones left out."""
    context.terminal_width = context.max_content_width = HELP_WIDTH
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            child = context.command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from contexts(click.Context(child, info_name=name, parent=context))


PAGES: Mapping[str, Callable[[], str]] = {
    "workspace": workspace_page,
    "tables": tables_page,
    "command-line": command_line_page,
}


def main() -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/reference/ from the code.")
    parser.add_argument("pages", nargs="*", default=list(PAGES), help=f"{', '.join(PAGES)} (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    options = parser.parse_args()
    stale: list[str] = []
    for name in options.pages:
        path, text = FOLDER / f"{name}.md", PAGES[name]()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.relative_to(ROOT).as_posix())
            if not options.check:
                path.write_text(text, encoding="utf-8")
    if stale:
        sys.stdout.write(f"{'Stale; run make docs' if options.check else 'Written'}: {', '.join(stale)}\n")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
