"""How kinds of touches and facts are called, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

__all__ = ["kind_words"]

_KINDS: Mapping[str, tuple[str, str, str]] = {
    "visit": ("visit", "visits", "サイト訪問"),
    "form_submit": ("form fill", "form fills", "フォーム送信"),
    "download": ("download", "downloads", "資料ダウンロード"),
    "email_open": ("e-mail open", "e-mail opens", "メール開封"),
    "email_click": ("e-mail click", "e-mail clicks", "メールクリック"),
    "event_attend": ("event visit", "event visits", "イベント参加"),
    "video_view": ("video view", "video views", "動画視聴"),
    "webinar": ("webinar", "webinars", "ウェビナー参加"),
    "webinar_attend": ("webinar", "webinars", "ウェビナー参加"),
    "meeting": ("meeting", "meetings", "商談・面談"),
    "call": ("call", "calls", "電話"),
    "chat": ("chat", "chats", "チャット"),
    "cart_add": ("item put in the cart", "items put in the cart", "カート追加"),
    "search": ("search", "searches", "検索"),
    "pricing_view": ("pricing-page visit", "pricing-page visits", "料金ページ閲覧"),
    "demo_request": ("demo request", "demo requests", "デモ依頼"),
    "trial_start": ("trial start", "trial starts", "トライアル開始"),
    "any": ("touch", "touches", "接触"),
    "other": ("other touch", "other touches", "その他の接触"),
}


@lru_cache(maxsize=1024)
def kind_words(kind: str, language: str, *, one: bool = False) -> str:
    """Return what a kind of touch is called; an unknown kind keeps its own name.

    Parameters
    ----------
    kind
        As the table ``touches`` names it.
    language
        ``en`` or ``ja``.
    one
        Whether a single one is meant; many otherwise.

    Examples
    --------
    >>> kind_words("download", "en", one=True)
    'download'
    >>> kind_words("download", "ja")
    '資料ダウンロード'
    >>> kind_words("vehicle_added", "en")
    'vehicle added'
    """
    plain = kind.removeprefix("kind.")  # as features call a kind that is named like a pool of kinds
    name = plain.replace("_", " ")
    single, many, japanese = _KINDS.get(plain, (name, name, name))
    if language == "ja":
        return japanese
    return single if one else many
