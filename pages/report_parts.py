"""The parts that a report page is put together from: tables, figures, tiles, sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pages.formats import Formats
from pages.report_data import EndpointReport, ModelReport
from pages.words import Words

__all__ = [
    "Badge",
    "Block",
    "Cell",
    "Column",
    "Context",
    "Definition",
    "Figure",
    "Figures",
    "Folded",
    "Heading",
    "Items",
    "Panel",
    "Panels",
    "Rows",
    "Search",
    "Section",
    "Slider",
    "Table",
    "Tile",
    "columns",
    "make_table",
]


@dataclass(frozen=True)
class Badge:
    """A verdict in a cell: text and tone (``good``, ``care`` or ``plain``)."""

    text: str
    tone: str


Cell = str | tuple[str, ...] | Badge


@dataclass(frozen=True)
class Context:
    """What every section needs: the report, its reader's words, and how numbers are written."""

    report: ModelReport
    words: Words
    formats: Formats

    def endpoint(self, outcome: str) -> EndpointReport | None:
        """Return the endpoint of an outcome, None when the report has none."""
        return next((endpoint for endpoint in self.report.endpoints if endpoint.outcome == outcome), None)

    def outcome(self, outcome: str) -> dict[str, str]:
        """Return the words for an outcome that sentences are filled in with."""
        names = ("name", "noun", "reaches", "reached", "reached_many", "rate")
        return {name: self.words(f"outcome.{outcome}.{name}") for name in names}

    def days(self, days: float) -> str:
        """Return a number of days without its unit."""
        return self.formats.count(days)


@dataclass(frozen=True)
class Column:
    """Head of a column; ``kind`` is ``text``, ``number``, ``date`` or ``wide``, ``key`` its name in a CSV file."""

    text: str
    kind: str = "text"
    key: str = ""


@dataclass(frozen=True)
class Table:
    """A table: caption, columns, rows of cells (a tuple is a list inside a cell).

    ``stacks`` turns each row into a card on a phone; other tables scroll sideways there. ``has_total`` marks
    the last row. ``name`` is that of its CSV file, the same in every run; without one there is no file.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    stacks: bool = False
    has_total: bool = False
    name: str = ""

    kind: ClassVar[str] = "table"

    @property
    def file(self) -> str:
        """Path of the CSV file among the run's artifacts; empty where there is none."""
        return f"tables/{self.name}.csv" if self.name else ""

    @property
    def csv(self) -> str:
        """Name of the CSV file."""
        return f"{self.name}.csv"

    @property
    def is_wide(self) -> bool:
        """Whether a column holds sentences, so that the table takes the whole width."""
        return any(column.kind == "wide" for column in self.columns)


@dataclass(frozen=True)
class Figure:
    """A chart with its title, how to read it, and the numbers behind it."""

    title: str
    svg: str
    caption: str
    numbers: Table | None


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str

    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    sentences: tuple[str, ...]

    kind: ClassVar[str] = "items"


@dataclass(frozen=True)
class Figures:
    """Figures side by side; ``is_small`` for many small ones without a table each."""

    figures: tuple[Figure, ...]
    is_small: bool = False

    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Folded:
    """A table that a reader opens; printed in full nowhere, as its CSV file is."""

    summary: str
    table: Table

    kind: ClassVar[str] = "folded"


@dataclass(frozen=True)
class Slider:
    """Steps of the slider as JSON, and where it stands at first.

    ``steps`` is a list of [capacity, price, first crossings a week, expected value a week], as written for the reader.
    """

    steps: str
    count: int
    start: int

    kind: ClassVar[str] = "slider"


@dataclass(frozen=True)
class Definition:
    """What a number means, one click away."""

    term: str
    sentences: tuple[str, ...]

    kind: ClassVar[str] = "definition"


@dataclass(frozen=True)
class Panel:
    """One of several that a reader chooses from; without a script all are shown."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Panels:
    """Panels under one choice; ``name`` is unique within the page."""

    name: str
    label: str
    panels: tuple[Panel, ...]

    kind: ClassVar[str] = "panels"


@dataclass(frozen=True)
class Search:
    """A field that leaves the rows of a table that hold a text; ``table`` is the table's name."""

    label: str
    table: str

    kind: ClassVar[str] = "search"


@dataclass(frozen=True)
class Rows:
    """Links to CSV files of rows behind the numbers."""

    label: str
    files: tuple[str, ...]

    kind: ClassVar[str] = "rows"


Block = str | Slider | Heading | Items | Table | Figures | Folded | Definition | Panels | Search | Rows
"""What a section is made of; a plain text is a paragraph."""


@dataclass(frozen=True)
class Section:
    """One section of a page: where links lead, heading, and blocks in reading order."""

    anchor: str
    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """One headline: label, value, sentence, and a verdict (text and ``good``, ``care`` or ``plain``)."""

    label: str
    value: str
    sentence: str
    verdict: str = ""
    tone: str = "plain"


def columns(words: Words, section: str, *names: str) -> tuple[Column, ...]:
    """Return column heads by their keys in a section; ``:n`` marks a number, ``:d`` a date, ``:w`` a text."""
    kinds = {"n": "number", "w": "wide", "d": "date", "": "text"}
    parts = (name.partition(":") for name in names)
    return tuple(Column(words(f"{section}.{name}"), kinds[kind], name) for name, _, kind in parts)


def make_table(
    caption: str, heads: Sequence[Column], rows: Iterable[Sequence[Cell]], *, stacks: bool = False, name: str = ""
) -> Table:
    """Return a table of these rows; with a name it is a CSV file too."""
    return Table(caption, tuple(heads), tuple(tuple(row) for row in rows), stacks, name=name)
