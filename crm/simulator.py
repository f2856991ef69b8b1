# pyright: reportUnknownParameterType=false
# pyarrow publishes no types.
"""The embedded simulator: a CRM whose truth is known, for the demo and as a test bed.

``demo://?leads=20000&seed=7&drift=0`` stands for two years of a company's leads that end at
``OBSERVED_UNTIL``. Hidden intent makes leads read and click; an old points rule hands some of them over;
people follow up, late or never; some leads become SQLs and some of those buy. Causes come before effects:
touches are drawn first, outcomes given the touches, and only touches after a hand-off or an SQL follow from
it. What was hidden lies in :mod:`crm.simulator_truth`, which the product cannot import.

Examples
--------
>>> tables = simulate(parse_demo_url("demo://?leads=200&seed=1"))
>>> tables["leads"].num_rows
200
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pyarrow as pa

from crm.errors import SourceError
from crm.simulator_campaigns import campaign_tables
from crm.simulator_deals import deal_tables
from crm.simulator_difficulty import OBSERVED_UNTIL, difficulty_hash
from crm.simulator_leads import lead_tables, touch_table
from crm.simulator_world import draw_world
from crm.tables import TABLES

__all__ = ["DIFFICULTY_HASH", "OBSERVED_UNTIL", "SimulatorSettings", "parse_demo_url", "simulate"]

DIFFICULTY_HASH: str = difficulty_hash()
"""First 16 hex digits of the SHA-256 over the difficulty; a change of difficulty must be deliberate."""

FEWEST_LEADS = 200
MOST_LEADS = 2_000_000
_LARGEST_SEED = 2**32 - 1
_FORM = "demo://?leads=20000&seed=7&drift=0"


@dataclass(frozen=True)
class SimulatorSettings:
    """Which world to simulate.

    Parameters
    ----------
    leads
        How many leads, 200 to 2,000,000.
    seed
        Same seed, same world.
    drift
        Whether the base rate falls and the mix of sources shifts over the last five months.
    """

    leads: int = 20_000
    seed: int = 7
    drift: bool = False


def parse_demo_url(url: str) -> SimulatorSettings:
    """Read the settings out of a ``demo://`` URL; what is left out keeps its default.

    Raises
    ------
    SourceError
        For another scheme, a key that is unknown or given twice, or a number out of range.

    Examples
    --------
    >>> parse_demo_url("demo://?leads=5000&drift=1")
    SimulatorSettings(leads=5000, seed=7, drift=True)
    """
    parts = urlsplit(url)
    if parts.scheme != "demo" or parts.netloc or parts.path.strip("/") or parts.fragment:
        raise _refuse(f"the source '{url}'", f"a URL such as {_FORM}")
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _refuse(f"'{parts.query}' in the source '{url}'", f"a URL such as {_FORM}") from None
    given: dict[str, int] = {}
    for key, text in pairs:
        if key in given:
            raise _refuse(f"'{key}' twice in the source '{url}'", "each setting once")
        given[key] = _read_number(key, text)
    defaults = SimulatorSettings()
    return SimulatorSettings(
        leads=given.get("leads", defaults.leads),
        seed=given.get("seed", defaults.seed),
        drift=bool(given.get("drift", defaults.drift)),
    )


_BOUNDS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"leads": (FEWEST_LEADS, MOST_LEADS), "seed": (0, _LARGEST_SEED), "drift": (0, 1)}
)


def _read_number(key: str, text: str) -> int:
    if key not in _BOUNDS:
        raise _refuse(f"the unknown setting '{key}' in a demo:// source", "leads, seed and drift")
    least, most = _BOUNDS[key]
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not least <= number <= most:
        raise _refuse(f"'{key}={text}' in a demo:// source", f"a whole number from {least:,} to {most:,}")
    return number


def _refuse(found: str, expected: str) -> SourceError:
    return SourceError(found=found, expected=expected, fix=f"correct [source] url, for example to {_FORM}")


def simulate(settings: SimulatorSettings) -> Mapping[str, pa.Table]:
    """Simulate a CRM.

    Parameters
    ----------
    settings
        Which world.

    Returns
    -------
    Mapping[str, pa.Table]
        The tables of the contract except ``fx_rates`` (all amounts are in USD), as recorded before
        ``OBSERVED_UNTIL``. The attributes of ``leads`` are as entered at creation, so a workspace may list
        them all under ``known_at_creation``; later values stand in ``lead_changes``.
    """
    world = draw_world(settings.leads, settings.seed, drift=settings.drift)
    leads, touches, deals, campaigns = (np.random.default_rng(stream) for stream in world.records.spawn(4))
    tables = {
        **lead_tables(leads, world),
        "touches": touch_table(touches, world),
        **deal_tables(deals, world),
        **campaign_tables(campaigns, world),
    }
    return MappingProxyType({name: tables[name] for name in TABLES if name in tables})
