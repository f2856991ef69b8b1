"""Whether a text names a lead, whatever the text is: JSON, a list of keys, somebody else's message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["Naming"]


class Naming:
    r"""Finds the ids of some leads in texts and bytes, as words of their own: L1 is not found in L10.

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
        pattern = rf"(?<![\w-])(?:{'|'.join(re.escape(form) for form in self.forms)})(?![\w-])"
        self._text = re.compile(pattern)
        self._bytes = re.compile(pattern.encode())

    def is_in(self, text: str | None) -> bool:
        """Tell whether a text names one of them."""
        return text is not None and self._text.search(text) is not None

    def is_in_bytes(self, content: bytes) -> bool:
        """Tell whether the content of a file names one of them."""
        return self._bytes.search(content) is not None


def _forms(lead: str) -> tuple[str, ...]:
    """Return how JSON, CSV and addresses write an id."""
    in_json = (json.dumps(lead)[1:-1], json.dumps(lead, ensure_ascii=False)[1:-1])
    return (lead, *in_json, lead.replace('"', '""'), quote(lead, safe=""))
