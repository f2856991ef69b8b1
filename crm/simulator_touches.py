"""What the simulated leads do before any decision: point processes driven by their hidden intent.

A lead leaves visits before it is known, one touch that makes it known, a steady trickle, and a burst around
the peak of its intent that rises and decays. Mail is opened by habit and clicked by the scanners of some
firms. None of this looks at what becomes of the lead: outcomes are drawn afterwards, given these touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from crm.simulator_difficulty import DIFFICULTY, WORLD_DAYS, Difficulty
from crm.simulator_people import Bools, Floats, Ints, People, draw_codes

__all__ = [
    "ACTOR_CODES",
    "CAMPAIGN_CHANNELS",
    "CHANNELS",
    "KINDS",
    "NONE",
    "QUARTERS",
    "QUARTER_DAYS",
    "SOURCE_CAMPAIGN",
    "Touches",
    "draw_touches",
    "join_touches",
    "record_later",
]

KINDS = (
    "visit",
    "email_open",
    "email_click",
    "download",
    "video_view",
    "webinar_attend",
    "event_attend",
    "chat",
    "form_submit",
    "call",
    "meeting",
)
ACTOR_CODES = ("lead", "sales", "system", "bot")
CHANNELS = ("web", "email", "paid_search", "social", "webinar", "event", "content_syndication", "phone")
CAMPAIGN_CHANNELS = ("paid_search", "content_syndication", "webinar", "event", "outbound", "email")
QUARTERS = 8
QUARTER_DAYS = WORLD_DAYS / QUARTERS
NONE = -1
# By source: position of the campaign channel that brought the lead, or NONE.
SOURCE_CAMPAIGN = (NONE, 0, 1, 2, 3, NONE, 4)
_FIRST_KIND = (
    "form_submit",
    "form_submit",
    "download",
    "webinar_attend",
    "event_attend",
    "form_submit",
    "email_click",
)
_SECOND = 1.0 / 86_400.0
_FEW_MINUTES = 300 * _SECOND
_CHANNEL_OF_KIND = {
    "visit": "web",
    "email_open": "email",
    "email_click": "email",
    "download": "web",
    "video_view": "social",
    "webinar_attend": "webinar",
    "event_attend": "event",
    "chat": "web",
    "form_submit": "web",
    "call": "phone",
    "meeting": "phone",
}
_BEFORE_MOST = 60.0
_PAID_VISITS = 0.15
_EVENT_LISTS = 3.0  # attendance lists are uploaded within these days


@dataclass(frozen=True)
class Touches:
    """One entry a touch, in columns.

    ``lead`` is the lead's position in :class:`~crm.simulator_people.People`; ``kind``, ``actor``,
    ``channel``, ``content`` and ``campaign`` are positions too, NONE for none. Times are in days since the
    start of the recorded world; ``value`` is pages of a visit, minutes of a webinar or video, NaN
    otherwise.
    """

    lead: Ints
    happened: Floats
    recorded: Floats
    kind: Ints
    actor: Ints
    channel: Ints
    content: Ints
    campaign: Ints
    value: Floats

    @property
    def count(self) -> int:
        """Number of touches."""
        return len(self.lead)

    def take(self, rows: Ints | Bools) -> Touches:
        """Return the touches at these positions, or where the mask is true."""
        return Touches(*(getattr(self, name)[rows] for name in Touches.__dataclass_fields__))


def join_touches(parts: Sequence[Touches]) -> Touches:
    """Put parts one after the other."""
    return Touches(*(np.concatenate([getattr(part, name) for part in parts]) for name in Touches.__dataclass_fields__))


def draw_touches(rng: np.random.Generator, people: People, difficulty: Difficulty = DIFFICULTY) -> Touches:
    """Draw every touch that is no consequence of a hand-off or a decision, by lead and recording time.

    The process runs past the end of the recorded world; whoever writes the tables cuts it there.
    """
    parts = (
        _before(rng, people, difficulty),
        _first(rng, people, difficulty),
        _steady(rng, people, difficulty),
        _burst(rng, people, difficulty),
        _opens(rng, people, difficulty),
        _scans(rng, people, difficulty),
    )
    touches = join_touches(parts)
    return touches.take(np.lexsort((touches.recorded, touches.lead)))


def record_later(rng: np.random.Generator, happened: Floats, difficulty: Difficulty = DIFFICULTY) -> Floats:
    """Return when touches came to be recorded: seconds later for most, hours to days for some."""
    lag = rng.exponential(10 * _SECOND, len(happened))
    late = np.exp(rng.normal(np.log(difficulty.late_median), difficulty.late_sd, len(happened)))
    is_late = rng.random(len(happened)) < difficulty.late_share
    return happened + np.where(is_late, np.minimum(late, difficulty.late_most), lag)


def _repeat(rng: np.random.Generator, people: People, count: tuple[float, float]) -> Ints:
    mean = count[0] * people.activity * np.exp(count[1] * people.intent)
    return np.repeat(np.arange(people.count), rng.poisson(mean))


def _before(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Touches:
    """Visits of a browser that was nobody yet: known only once the lead is."""
    lead = _repeat(rng, people, difficulty.before_count)
    age = np.minimum(rng.exponential(difficulty.before_mean, len(lead)), _BEFORE_MOST) + _FEW_MINUTES
    buying = _draw_buying(rng, people.intent[lead], difficulty.steady_buying)
    kind = np.full(len(lead), KINDS.index("visit"))
    happened = people.created[lead] - age
    return _finish(rng, (lead, happened, kind, buying), difficulty, recorded=people.created[lead])


def _first(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Touches:
    """Draw what makes a lead known; paid sources get their campaign for it."""
    lead = np.arange(people.count)
    kind = np.array([KINDS.index(kind) for kind in _FIRST_KIND])[people.source]
    buying = _draw_buying(rng, people.intent, difficulty.burst_buying)
    happened = people.created - rng.random(people.count) * _FEW_MINUTES
    touches = _finish(rng, (lead, happened, kind, buying), difficulty, recorded=people.created)
    campaign_channel = np.array(SOURCE_CAMPAIGN)[people.source]
    return replace(touches, campaign=_campaign(campaign_channel, people.created))


def _steady(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Touches:
    lead = _repeat(rng, people, difficulty.steady_count)
    happened = people.created[lead] + rng.exponential(difficulty.steady_mean, len(lead))
    buying = _draw_buying(rng, people.intent[lead], difficulty.steady_buying)
    return _finish(rng, (lead, happened, _draw_kinds(rng, buying, difficulty), buying), difficulty)


def _burst(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Touches:
    lead = _repeat(rng, people, difficulty.burst_count)
    rise, decay = difficulty.burst_rise, difficulty.burst_decay
    rising = rng.random(len(lead)) < rise / (rise + decay)
    offset = rng.exponential(1.0, len(lead)) * np.where(rising, -rise, decay)
    # The part of the rise that would lie before the lead is known is folded over.
    happened = people.created[lead] + np.abs(people.peak[lead] + offset - people.created[lead])
    buying = _draw_buying(rng, people.intent[lead], difficulty.burst_buying)
    return _finish(rng, (lead, happened, _draw_kinds(rng, buying, difficulty), buying), difficulty)


def _opens(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Touches:
    lead = _repeat(rng, people, difficulty.open_count)
    happened = people.created[lead] + rng.exponential(difficulty.mail_mean, len(lead))
    kind = np.full(len(lead), KINDS.index("email_open"))
    return _finish(rng, (lead, happened, kind, np.zeros(len(lead), np.bool_)), difficulty)


def _scans(rng: np.random.Generator, people: People, difficulty: Difficulty) -> Touches:
    """Mail scanners click every link within seconds, whoever the reader is."""
    mails = np.repeat(np.arange(people.count), rng.poisson(difficulty.scan_count, people.count) * people.scanner)
    sent = people.created[mails] + rng.exponential(difficulty.mail_mean, len(mails))
    links = rng.integers(1, 4, len(mails))
    lead = np.repeat(mails, links)
    happened = np.repeat(sent, links) + rng.random(len(lead)) * 4 * _SECOND
    kind = np.full(len(lead), KINDS.index("email_click"))
    touches = _finish(rng, (lead, happened, kind, np.zeros(len(lead), np.bool_)), difficulty)
    return replace(touches, actor=np.full(len(lead), ACTOR_CODES.index("bot")))


def _draw_buying(rng: np.random.Generator, intent: Floats, logit: tuple[float, float]) -> Bools:
    return rng.random(len(intent)) < expit(logit[0] + logit[1] * intent)


def _draw_kinds(rng: np.random.Generator, buying: Bools, difficulty: Difficulty) -> Ints:
    kinds = np.empty(len(buying), np.int64)
    for is_buying, mix in ((False, difficulty.kinds_casual), (True, difficulty.kinds_buying)):
        rows = np.flatnonzero(buying == is_buying)
        codes = np.array([KINDS.index(name) for name, _ in mix])
        kinds[rows] = codes[draw_codes(rng, np.array([weight for _, weight in mix]), len(rows))]
    return kinds


def _draw_content(rng: np.random.Generator, kind: Ints, buying: Bools, difficulty: Difficulty) -> Ints:
    content = np.full(len(kind), NONE, np.int64)
    for code, name in enumerate(KINDS):
        touch = "email_click" if name == "email_open" else name
        items = [place for place, item in enumerate(difficulty.content) if item.touch == touch]
        if not items:
            continue
        for is_buying in (False, True):
            rows = np.flatnonzero((kind == code) & (buying == is_buying))
            field = "high" if is_buying else "low"
            weights = np.array([getattr(difficulty.content[place], field) for place in items], np.float64)
            content[rows] = np.array(items)[draw_codes(rng, weights, len(rows))]
    return content


def _finish(
    rng: np.random.Generator,
    drawn: tuple[Ints, Floats, Ints, Bools],
    difficulty: Difficulty,
    recorded: Floats | None = None,
) -> Touches:
    """Add content, channel, campaign, value and recording time to (lead, happened, kind, buying)."""
    lead, happened, kind, buying = drawn
    if recorded is None:
        recorded = record_later(rng, happened, difficulty)
        lists = rng.random(len(lead)) * _EVENT_LISTS
        recorded = np.where(kind == KINDS.index("event_attend"), happened + lists, recorded)
    channel = np.array([CHANNELS.index(_CHANNEL_OF_KIND[name]) for name in KINDS])[kind]
    paid = (kind == KINDS.index("visit")) & (rng.random(len(lead)) < _PAID_VISITS)
    channel = np.where(paid, CHANNELS.index("paid_search"), channel)
    return Touches(
        lead=lead,
        happened=happened,
        recorded=recorded,
        kind=kind,
        actor=np.zeros(len(lead), np.int64),
        channel=channel,
        content=_draw_content(rng, kind, buying, difficulty),
        campaign=_campaign(_campaign_channel(channel), happened),
        value=_draw_value(rng, kind, buying),
    )


def _campaign_channel(channel: Ints) -> Ints:
    known = [CAMPAIGN_CHANNELS.index(name) if name in CAMPAIGN_CHANNELS else NONE for name in CHANNELS]
    return np.array(known)[channel]


def _campaign(channel: Ints, day: Floats) -> Ints:
    """Each channel runs one campaign a quarter."""
    quarter = np.clip(np.floor(day / QUARTER_DAYS), 0, QUARTERS - 1).astype(np.int64)
    return np.where(channel == NONE, NONE, channel * QUARTERS + quarter)


def _draw_value(rng: np.random.Generator, kind: Ints, buying: Bools) -> Floats:
    pages = 1.0 + rng.poisson(np.where(buying, 2.0, 1.0))
    minutes = np.ceil(rng.gamma(2.0, np.where(buying, 12.0, 8.0)))
    is_long = (kind == KINDS.index("webinar_attend")) | (kind == KINDS.index("video_view"))
    return np.where(kind == KINDS.index("visit"), pages, np.where(is_long, minutes, np.nan))
