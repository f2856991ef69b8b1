"""The demo's content library: what leads can read, watch or fill in, and what it does to them.

Most items do nothing. A few raise the log-odds that a lead becomes an SQL, once for each lead that consumed
the item before its reference time. Items are read by intent (``low`` and ``high`` are the weights for casual
and for buying-minded touches), so some items that do nothing, the pricing page above all, are read mostly by
leads who buy.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONTENT", "ContentItem"]


@dataclass(frozen=True)
class ContentItem:
    """One item of the library.

    Parameters
    ----------
    name
        Its ``content_id``.
    kind
        What it is: page, form, ebook, case_study, webinar, video, ...
    topic, stage, made_by, cost
        As in table ``content``; cost in USD.
    touch
        The kind of touch that consumes it.
    low, high
        Weight among the items of the same touch for casual touches and for buying-minded ones.
    effect
        True effect on the SQL log-odds of having consumed it.
    """

    name: str
    kind: str
    topic: str
    stage: str
    made_by: str
    cost: float
    touch: str
    low: float
    high: float
    effect: float = 0.0


CONTENT: tuple[ContentItem, ...] = (
    ContentItem("page-home", "page", "brand", "awareness", "marketing", 4000, "visit", 30, 8),
    ContentItem("page-blog-trends", "page", "trends", "awareness", "marketing", 900, "visit", 16, 2),
    ContentItem("page-blog-howto", "page", "practice", "awareness", "marketing", 900, "visit", 14, 3),
    ContentItem("page-blog-news", "page", "brand", "awareness", "marketing", 600, "visit", 10, 1),
    ContentItem("page-careers", "page", "brand", "awareness", "marketing", 1500, "visit", 9, 1),
    ContentItem("page-about", "page", "brand", "awareness", "marketing", 1200, "visit", 7, 3),
    ContentItem("page-product", "page", "product", "consideration", "marketing", 6000, "visit", 8, 20),
    ContentItem("page-integrations", "page", "product", "consideration", "marketing", 3500, "visit", 3, 14),
    ContentItem("page-customers", "page", "proof", "consideration", "marketing", 3000, "visit", 4, 12),
    ContentItem("page-docs", "page", "product", "consideration", "marketing", 5000, "visit", 4, 10),
    ContentItem("page-pricing", "page", "price", "decision", "marketing", 2500, "visit", 3, 24),
    ContentItem("page-security", "page", "security", "decision", "sales", 1800, "visit", 1, 7, 0.2),
    ContentItem("form-newsletter", "form", "brand", "awareness", "marketing", 300, "form_submit", 60, 5),
    ContentItem("form-survey", "form", "trends", "awareness", "marketing", 1500, "form_submit", 25, 5),
    ContentItem("form-contact", "form", "product", "consideration", "marketing", 300, "form_submit", 10, 40),
    ContentItem("form-demo-request", "form", "product", "decision", "marketing", 300, "form_submit", 5, 50),
    ContentItem("ebook-basics", "ebook", "practice", "awareness", "marketing", 7000, "download", 22, 3),
    ContentItem("ebook-trends", "ebook", "trends", "awareness", "marketing", 8000, "download", 20, 3),
    ContentItem("report-benchmark", "report", "trends", "awareness", "marketing", 15000, "download", 16, 6),
    ContentItem("template-plan", "template", "practice", "consideration", "marketing", 2500, "download", 12, 8, 0.25),
    ContentItem("template-budget", "template", "price", "consideration", "marketing", 2500, "download", 9, 9),
    ContentItem("whitepaper-method", "whitepaper", "practice", "consideration", "marketing", 9000, "download", 10, 8),
    ContentItem("case-manufacturing", "case_study", "proof", "decision", "sales", 3000, "download", 3, 12, 0.45),
    ContentItem("case-finance", "case_study", "proof", "decision", "sales", 3000, "download", 3, 10),
    ContentItem("case-retail", "case_study", "proof", "decision", "marketing", 5000, "download", 3, 8),
    ContentItem("guide-comparison", "guide", "product", "decision", "sales", 1500, "download", 2, 13, 0.4),
    ContentItem("calculator-return", "calculator", "price", "decision", "sales", 6000, "download", 2, 11, 0.35),
    ContentItem("datasheet-product", "datasheet", "product", "consideration", "sales", 1200, "download", 3, 9),
    ContentItem("mail-newsletter", "email", "brand", "awareness", "marketing", 400, "email_click", 45, 15),
    ContentItem("mail-invitation", "email", "practice", "awareness", "marketing", 400, "email_click", 25, 15),
    ContentItem("mail-nurture-basics", "email", "practice", "consideration", "marketing", 1200, "email_click", 20, 25),
    ContentItem("mail-nurture-proof", "email", "proof", "consideration", "marketing", 1200, "email_click", 10, 45),
    ContentItem("webinar-trends", "webinar", "trends", "awareness", "marketing", 6000, "webinar_attend", 45, 10),
    ContentItem(
        "webinar-practice",
        "webinar",
        "practice",
        "consideration",
        "marketing",
        6000,
        "webinar_attend",
        35,
        25,
    ),
    ContentItem("webinar-live-demo", "webinar", "product", "decision", "marketing", 4000, "webinar_attend", 8, 45, 0.4),
    ContentItem("webinar-questions", "webinar", "product", "decision", "sales", 1500, "webinar_attend", 7, 20),
    ContentItem("video-brand", "video", "brand", "awareness", "marketing", 18000, "video_view", 60, 10),
    ContentItem("video-product-tour", "video", "product", "consideration", "marketing", 9000, "video_view", 25, 50),
    ContentItem("video-customer", "video", "proof", "decision", "sales", 5000, "video_view", 15, 40),
    ContentItem("fair-stand", "event", "brand", "awareness", "marketing", 30000, "event_attend", 100, 100),
)
