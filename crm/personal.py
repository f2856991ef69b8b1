"""What may not become a feature: personal data, and fields that are written after the hand-off.

The guard goes by name and by pattern. It errs on the side of refusal; ``[columns] allow_personal`` lifts it for a
column that only looks personal.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["EMAIL", "forbidden_reason", "hash_id", "looks_personal", "personal_name_reason"]

_PERSONAL_NAME = re.compile(
    r"(^|_)(e?_?mails?(_?address(es)?)?|((mobile|home|work|office|cell|tele|other)_?)?phones?|mobile|cell|tel|fax|"
    r"contact_?(no|num|number)|"
    r"(first|last|full|given|family|middle|contact|lead|person|user|nick|maiden)_?names?|surname|"
    r"birth_?(day|date)?|date_of_birth|dob|street|address(es)?(_?line)?|passport|ssn|my_?number|ip_?address(es)?|ip|"
    r"linked_?in|twitter|facebook)_?\d*($|_)",
    re.IGNORECASE,
)
_NAME_ITSELF = re.compile(r"^(name|(姓|名|セイ|メイ)(_.*)?)$", re.IGNORECASE)
_PERSONAL_JAPANESE = re.compile(
    r"氏名|姓名|苗字|名字|お?名前|担当者名|フリガナ|ふりがな|電話|携帯|連絡先|メールアドレス|メアド|^e?メール(_.*)?$|担当者e?メール|"
    r"住所|番地|郵便番号|生年月日|誕生日|FAX|^TEL(?![a-z])",
    re.IGNORECASE,
)
# Words of columns that only count or describe such data. "Full Name Source" may still hold a name: of names and phones
# nothing but a count or a type is harmless.
_COUNTS = re.compile(r"(^|_)(counts?|number_of|has|is|types?)($|_)|^num_", re.IGNORECASE)
_HARMLESS = re.compile(
    r"(^|_)(clicks?|clicked|opens?|opened|sent|bounces?|bounced|rate|share|days?|opt_?(in|out)|domain|"
    r"source|quality|score|do_not)($|_)",
    re.IGNORECASE,
)
_NEVER_HARMLESS = re.compile(
    r"(^|_)((first|last|full|given|family|middle|nick|maiden)_?names?|names?|surname|phones?|mobile|cell|tel)($|_)",
    re.IGNORECASE,
)
EMAIL = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
"""Pattern of an e-mail address, for Python and DuckDB alike."""
_EMAIL = re.compile(EMAIL)
# A date, an amount in groups of three, a range such as 1000-5000.
_NO_PHONE = re.compile(r"^(\d{4}-\d{1,2}(-\d{1,2}.*)?|[1-9]\d{0,2}( \d{3})+|[1-9]\d* ?- ?\d+)$")
_BARE_PHONE = re.compile(r"^0\d{9,10}$")
_PHONE = re.compile(r"^\+?\(?\d[\d\s().-]{7,16}\d$")

# L6 of methods 1.5: fields that sales or the system writes after the hand-off.
_AFTER_HAND_OFF = re.compile(
    r"^((lead|hs|hubspot|crm|contact|account|sales|current|latest|hs_lead)_)?(status|status_code|stage|stage_name|"
    r"life_?cycle_?stage(_.*)?|owner|owner_?id|owner_name|assigned_to|assignee|disposition|tags?|"
    r"(lost|loss|close|closed|rejection|disqualification|unqualified|won)_?reasons?|last_?(notable_)?activity(_.*)?|"
    r"last_?modified.*|last_?contacted.*|notes_last.*|converted.*|is_converted|opportunit.*|opps?|opp_.*|quotes?|quote_.*|"
    r"deals?|deal_.*|recent_deal.*|first_deal.*|associated_deals?|num_associated_deals|total_revenue|is_won|won|won_.*|"
    r"close_?date|closed.*|is_closed|days_to_close|win_probability|forecast.*|merged?|merged?_.*|is_merged|"
    r"master_record.*|is_deleted|sql_.*|mql_.*)$",
    re.IGNORECASE,
)
_AFTER_HAND_OFF_JAPANESE = re.compile(
    r"ステータス$|^フェーズ$|^ステージ$|所有者|^(営業)?担当者?$|失注|受注|成約|商談|見積|最終(活動|更新|接触)|^タグ$|マージ"
)


def _plain(name: str) -> str:
    """Return a name as words joined by underscores: ``WorkEmail``, ``work email`` and ``work_email`` are one."""
    text = unicodedata.normalize("NFKC", name)
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(r"[^0-9A-Za-z\u3040-\u9fff]+", "_", text).strip("_")


def personal_name_reason(name: str) -> str | None:
    """Say why a column of this name is taken for personal data, or None.

    Examples
    --------
    >>> personal_name_reason("Work_Email")
    'its name says e-mail, phone, name or address'
    >>> personal_name_reason("email_clicks") is None
    True
    """
    plain = _plain(name)
    if _PERSONAL_JAPANESE.search(plain) and not re.search(r"数$|率$|回数|可否|種別", plain):
        return "its name says e-mail, phone, name or address"
    if _COUNTS.search(plain) or (_HARMLESS.search(plain) and not _NEVER_HARMLESS.search(plain)):
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
    phones = sum(_is_phone(value) for value in sample)
    if phones * 20 >= len(sample):
        return "its values look like phone numbers"
    return None


def _is_phone(value: str) -> bool:
    """Tell whether digits are grouped or led by + or 0 as in a phone number, and are no date, amount or range."""
    if _BARE_PHONE.match(value):
        return True
    if not _PHONE.match(value) or not set(value) & set("+ ()-"):
        return False
    return _NO_PHONE.match(value) is None


def forbidden_reason(name: str) -> str | None:
    """Say why a field of this name is written after the hand-off, or None.

    Examples
    --------
    >>> forbidden_reason("Lost Reason")
    'fields of this name are filled in after the hand-off'
    >>> forbidden_reason("industry") is None
    True
    """
    plain = _plain(name)
    is_written_later = _AFTER_HAND_OFF.match(plain) or _AFTER_HAND_OFF_JAPANESE.search(plain)
    return "fields of this name are filled in after the hand-off" if is_written_later else None


def hash_id(value: str, key: str) -> str:
    """Return the keyed hash that stands for an id when ``hash_ids = true`` (32 hex digits).

    Examples
    --------
    >>> len(hash_id("a@example.com", "secret"))
    32
    """
    return hashlib.sha256(f"{key}\x1f{value}".encode()).hexdigest()[:32]
