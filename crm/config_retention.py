"""``[retention]``: how long the service keeps what it holds."""

from __future__ import annotations

from crm.config_values import Days, Section

__all__ = ["RetentionConfig"]


class RetentionConfig(Section):
    """``[retention]``: after how many days what the service holds is deleted; kept for ever where nothing is given.

    Attributes
    ----------
    ledger_days
        Scores that were issued, from their issue.
    touches_days
        Touches that were posted or pulled, from the day they happened. Features look back at most so far then.
    hook_events_days
        Webhooks that were worked on, from their arrival. A replay of an older one is taken for new.
    dead_letters_days
        Scores that a CRM refused for good.
    audit_days
        Rows of the audit.
    """

    ledger_days: Days | None = None
    touches_days: Days | None = None
    hook_events_days: Days | None = 30
    dead_letters_days: Days | None = 90
    audit_days: Days | None = None
