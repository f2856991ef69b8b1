"""How kinds of touches and facts are called, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["kind_words"]

_KINDS: Mapping[str, tuple[str, str]] = {
    "visit": ("visits", "サイト訪問"),
    "form_submit": ("form fills", "フォーム送信"),
    "download": ("downloads", "資料ダウンロード"),
    "email_open": ("e-mail opens", "メール開封"),
    "email_click": ("e-mail clicks", "メールクリック"),
    "event_attend": ("event visits", "イベント参加"),
    "webinar": ("webinars", "ウェビナー参加"),
    "webinar_attend": ("webinars", "ウェビナー参加"),
    "meeting": ("meetings", "商談・面談"),
    "call": ("calls", "電話"),
    "chat": ("chats", "チャット"),
    "cart_add": ("items put in the cart", "カート追加"),
    "search": ("searches", "検索"),
    "pricing_view": ("pricing-page visits", "料金ページ閲覧"),
    "demo_request": ("demo requests", "デモ依頼"),
    "trial_start": ("trial starts", "トライアル開始"),
    "any": ("touches", "接触"),
    "other": ("other touches", "その他の接触"),
}


def kind_words(kind: str, language: str) -> str:
    """Return what a kind of touch is called; an unknown kind keeps its own name.

    Examples
    --------
    >>> kind_words("download", "ja")
    '資料ダウンロード'
    >>> kind_words("vehicle_added", "en")
    'vehicle added'
    """
    plain = kind.removeprefix("kind.")  # as features call a kind that is named like a pool of kinds
    english, japanese = _KINDS.get(plain, (plain.replace("_", " "), plain.replace("_", " ")))
    return japanese if language == "ja" else english
