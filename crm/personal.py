"""What may not become a feature: personal data, and fields that are written after the hand-off.

The guard goes by name and by pattern. It errs on the side of refusal; ``[columns] allow_personal`` lifts it for a column
that only looks personal.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

__all__ = ["EMAIL", "forbidden_reason", "hash_id", "looks_personal", "personal_name_reason"]

_PERSONAL_NAME = re.compile(
    r"(^|_)(e?_?mail|email_address|phone|mobile|tel|telephone|fax|first_?name|last_?name|full_?name|given_?name|"
    r"family_?name|surname|middle_?name|contact_?name|lead_?name|person_?name|birth(day|date|_date)?|dob|"
    r"street|address(_?line)?\d*|postal_?address|passport|ssn|my_?number|ip_?address|氏名|名前|電話|メール|住所)($|_)",
    re.IGNORECASE,
)
_NAME_ITSELF = re.compile(r"^(name|姓|名)$", re.IGNORECASE)
EMAIL = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
"""Pattern of an e-mail address, for Python and DuckDB alike."""
_EMAIL = re.compile(EMAIL)
_PHONE = re.compile(r"^\+?\d[\d\s().-]{7,16}\d$")

# L6 of methods 1.5: fields that sales or the system writes after the hand-off.
_AFTER_HAND_OFF = re.compile(
    r"^(lead_)?(status|stage|owner|owner_id|disposition|tags?|lost_?reason|loss_?reason|close_?reason|rejection_?reason|"
    r"last_(notable_)?activity(_.*)?|last_modified.*|converted.*|is_converted|opportunity.*|opp_.*|quote.*|deal_.*|"
    r"is_won|won|closed.*|is_closed|merged?_.*|is_merged|is_deleted|sql_.*|mql_.*)$",
    re.IGNORECASE,
)


def personal_name_reason(name: str) -> str | None:
    """Say why a column of this name is taken for personal data, or None.

    Examples
    --------
    >>> personal_name_reason("Work_Email")
    'its name says e-mail, phone, name or address'
    >>> personal_name_reason("email_clicks") is None
    True
    """
    plain = re.sub(r"[^0-9A-Za-z\u3040-\u9fff]+", "_", name).strip("_")
    if re.search(
        r"(count|clicks?|opens?|sent|rate|share|days|opt_?(in|out)|domain|type|source|quality|score)",
        plain,
        re.I,
    ):
        return None
    if _PERSONAL_NAME.search(plain) or _NAME_ITSELF.match(plain):
        return "its name says e-mail, phone, name or address"
    return None


def looks_personal(values: Iterable[str]) -> str | None:
    """Say which pattern a column's values follow (at least one in twenty), or None.

    Examples
    --------
    >>> looks_personal(["a@example.com", "b@example.com"])
    'its values look like e-mail addresses'
    >>> looks_personal(["ACME", "12", "2024-01-01"]) is None
    True
    """
    sample = [value.strip() for value in values if value and value.strip()]
    if not sample:
        return None
    if sum(bool(_EMAIL.search(value)) for value in sample) * 20 >= len(sample):
        return "its values look like e-mail addresses"
    phones = sum(bool(_PHONE.match(value)) and len(set(value) & set("+ ().-")) > 0 for value in sample)
    dates = sum(bool(re.match(r"^\d{4}-\d{1,2}-\d{1,2}", value)) for value in sample)
    if (phones - dates) * 20 >= len(sample):
        return "its values look like phone numbers"
    return None


def forbidden_reason(name: str) -> str | None:
    """Say why a field of this name is written after the hand-off, or None.

    Examples
    --------
    >>> forbidden_reason("Lost Reason")
    'fields of this name are filled in after the hand-off'
    >>> forbidden_reason("industry") is None
    True
    """
    plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
    return "fields of this name are filled in after the hand-off" if _AFTER_HAND_OFF.match(plain) else None


def hash_id(value: str, key: str) -> str:
    """Return the keyed hash that stands for an id when ``hash_ids = true`` (32 hex digits).

    Examples
    --------
    >>> len(hash_id("a@example.com", "secret"))
    32
    """
    return hashlib.sha256(f"{key}\x1f{value}".encode()).hexdigest()[:32]
