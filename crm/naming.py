"""Whether a text names a lead, whatever the text is: JSON, a list of keys, somebody else's message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from markupsafe import escape

__all__ = ["LEAD_COLUMNS", "Naming", "leads_of_row"]

LEAD_COLUMNS = ("lead_id", "from_lead_id", "into_lead_id")
"""Columns of the contract that hold ids of leads."""


class Naming:
    r"""Finds the ids of some leads in texts and bytes, as words of their own: L1 is not found in L10, nor 7 in 61.7.

    A number may still mean something else, so a row goes by its columns (:func:`leads_of_row`), and only what may be
    emptied without harm goes by this.

    Parameters
    ----------
    ids
        Of the leads.

    Examples
    --------
    >>> naming = Naming(["L1", "リード"])
    >>> naming.is_in('{"lead_id": "L1"}'), naming.is_in("L10 L1-2"), naming.is_in('"\\u30ea\\u30fc\\u30c9"')
    (True, False, True)
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self.forms = tuple(sorted({form for lead in ids for form in _forms(lead)}))
        forms = "|".join(re.escape(form) for form in self.forms)
        pattern = rf"(?<![\w-])(?<!\d\.)(?:{forms})(?![\w-])(?!\.\d)"
        self._text = re.compile(pattern)
        self._bytes = re.compile(pattern.encode())

    def is_in(self, text: str | None) -> bool:
        """Tell whether a text names one of them."""
        return text is not None and self._text.search(text) is not None

    def is_in_bytes(self, content: bytes) -> bool:
        """Tell whether the content of a file names one of them."""
        return self._bytes.search(content) is not None


def leads_of_row(content: str | None) -> set[str]:
    """Return the ids of the leads that a row of the contract, kept as JSON, is about.

    Examples
    --------
    >>> leads_of_row('{"lead_id": "7", "value": 8}'), leads_of_row(None)
    ({'7'}, set())
    """
    row = json.loads(content) if content is not None else {}
    return {str(row[name]) for name in LEAD_COLUMNS if row.get(name) is not None}


def _forms(lead: str) -> tuple[str, ...]:
    """Return how JSON, CSV, addresses and pages write an id."""
    in_json = (json.dumps(lead)[1:-1], json.dumps(lead, ensure_ascii=False)[1:-1])
    return (lead, *in_json, lead.replace('"', '""'), quote(lead, safe=""), str(escape(lead)))
