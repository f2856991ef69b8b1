"""The score of an account: that of its best lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AccountRow", "best_of_accounts"]


@dataclass(frozen=True)
class AccountRow:
    """One scored lead.

    Parameters
    ----------
    account_id
        Its account; None for a lead without one, which is an account of its own.
    lead_id
        The lead.
    as_of
        The moment of scoring: only scores of one moment are compared.
    score
        0 to 100.
    counts
        Whether it may stand for its account; an excluded lead may not.
    """

    account_id: str | None
    lead_id: str
    as_of: str
    score: float
    counts: bool = True


def best_of_accounts(rows: Sequence[AccountRow]) -> list[AccountRow | None]:
    """Give, for each row, the best row of its account at its moment.

    The account's score is the maximum over its leads; of leads with one score the first by id gives it. None where no
    lead of the account counts.

    Examples
    --------
    >>> rows = [AccountRow("A", "L1", "today", 40.0), AccountRow("A", "L2", "today", 55.0)]
    >>> [best.lead_id for best in best_of_accounts(rows)]
    ['L2', 'L2']
    """
    best: dict[tuple[bool, str, str], AccountRow] = {}
    for row in rows:
        if not row.counts:
            continue
        before = best.get(_account(row))
        if before is None or (-row.score, row.lead_id) < (-before.score, before.lead_id):
            best[_account(row)] = row
    return [best.get(_account(row)) for row in rows]


def _account(row: AccountRow) -> tuple[bool, str, str]:
    """Return what rows of one account and moment share; an account and a lead may have the same id."""
    return row.account_id is None, row.lead_id if row.account_id is None else row.account_id, row.as_of
