"""What a request asks for beside its body."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from features.feature import Language

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """One request.

    Parameters
    ----------
    now
        The clock. Timezone-aware.
    language
        Of reasons.
    as_of
        Moment of scoring where it is not now.
    request_id
        Under which it is found in the log.
    started
        ``time.perf_counter()`` when it came.
    is_rehearsal
        Everything is done as for any other, and nothing of it is kept.
    """

    now: datetime
    language: Language
    as_of: datetime | None = None
    request_id: str = ""
    started: float = 0.0
    is_rehearsal: bool = False
