"""Python's garbage collector under load: no collection walks again what an earlier one found alive.

A full collection walks every object that it may, the model and the leads in memory among them, and answers stall for 50
to 450 ms meanwhile, several times a minute under load. Here whatever survives one is hidden from the next, so that each
collection walks only what was made since the one before, a few milliseconds' worth.

What is hidden is still freed when nothing refers to it any more. Only objects that refer to each other in a circle stay
when they die hidden, and few do: :func:`sweep` finds those, once a night.
"""

from __future__ import annotations

import gc

__all__ = ["release", "settle", "sweep"]

THRESHOLDS = (2_000, 5, 2)
"""New objects until the young are looked at, and how often that is until the older and all others are: what is walked
at once is bounded by the product of the three, each rounded up."""
_BEFORE = gc.get_threshold()


def settle() -> None:
    """Collect once, hide what is alive, and do so after every full collection from now on."""
    if _hide_survivors not in gc.callbacks:
        gc.callbacks.append(_hide_survivors)
    gc.set_threshold(*THRESHOLDS)
    gc.collect()


def sweep() -> None:
    """Collect what died hidden. Answers wait for it, up to a second where many leads are in memory."""
    gc.unfreeze()
    gc.collect()


def release() -> None:
    """Collect as Python does by itself; at exit libraries take what is hidden for leaks, and say so at length."""
    if _hide_survivors in gc.callbacks:
        gc.callbacks.remove(_hide_survivors)
    gc.set_threshold(*_BEFORE)
    gc.unfreeze()


def _hide_survivors(phase: str, about: dict[str, int]) -> None:
    if phase == "stop" and about["generation"] == 2:
        gc.freeze()
