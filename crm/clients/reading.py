"""What reading a CRM comes to: pages of rows of the contract, each with the place from which it can go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from crm.attribute_text import attribute_text
from crm.config_crm import CrmConfig
from crm.personal import looks_personal

__all__ = ["CrmReader", "Page", "ReadTerms", "Row", "RowsByTable", "Span", "attribute_of", "gathered"]

Row = dict[str, Any]
RowsByTable = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Page:
    """What one step of reading brought.

    Parameters
    ----------
    rows
        Rows of the contract by table.
    records
        Records of the CRM that they were made of.
    at
        Place in the stream from which to go on once these rows are stored.
    """

    rows: RowsByTable
    records: int
    at: str


@dataclass(frozen=True)
class Span:
    """Changes from ``since`` on (None: from the beginning) and before ``until``; ``at`` is a place within, or None."""

    since: datetime | None
    until: datetime
    at: str | None = None


@dataclass(frozen=True)
class ReadTerms:
    """What a reader has to know of the workspace.

    Parameters
    ----------
    name, config
        ``[crm.NAME]``.
    known_at_creation
        Attributes that hold the value at creation, which counts where the CRM keeps no history.
    timezone
        Of dates without a time.
    """

    name: str
    config: CrmConfig
    known_at_creation: Collection[str] = ()
    timezone: str = "UTC"


class CrmReader(Protocol):
    """A CRM that is read. Not for use by two threads at once.

    Attributes
    ----------
    streams
        Kinds of records, in the order in which they are read.
    optional
        Streams that a pull goes on without where the key may not read them.
    notes
        What a person should know of what was read, or was not.
    """

    streams: tuple[str, ...]
    optional: frozenset[str]
    notes: list[str]

    def pages(self, stream: str, span: Span) -> Iterator[Page]:
        """Yield what changed in a stream, so ordered that it can go on from the ``at`` of any page."""
        ...

    def read(self, lead_ids: Sequence[str], until: datetime) -> RowsByTable:
        """Return the rows of single leads; one that is not there any more gives the row that says so, or none."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def gathered(pairs: Iterable[tuple[str, Row]]) -> RowsByTable:
    """Return rows by table, from pairs of a table and a row.

    Examples
    --------
    >>> gathered([("leads", {"lead_id": "1"}), ("leads", {"lead_id": "2"})])
    {'leads': [{'lead_id': '1'}, {'lead_id': '2'}]}
    """
    found: dict[str, list[Row]] = {}
    for table, row in pairs:
        found.setdefault(table, []).append(row)
    return found


def attribute_of(value: object) -> str | None:
    """Return a CRM's value as an attribute; None also for one that looks like an e-mail address or a phone number."""
    text = attribute_text(value)
    return None if text is not None and looks_personal([text]) else text
