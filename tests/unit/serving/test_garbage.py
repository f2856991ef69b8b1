"""The garbage collector walks nothing twice while the service runs, and is as before when it has stopped."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from serving.garbage import release, settle, sweep


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    release()
    assert gc.get_threshold() == thresholds
    assert gc.callbacks == callbacks
    assert gc.get_freeze_count() == 0


class Circle:
    def __init__(self) -> None:
        self.itself = self


def is_walked(wanted: object) -> bool:
    return any(one is wanted for one in gc.get_objects())


def test_what_survives_a_full_collection_is_hidden_from_the_next() -> None:
    settle()
    kept = Circle()
    assert is_walked(kept)
    gc.collect()
    assert not is_walked(kept)


def test_to_settle_twice_is_to_settle_once() -> None:
    settle()
    before = len(gc.callbacks)
    settle()
    assert len(gc.callbacks) == before


def test_what_dies_hidden_in_a_circle_is_found_by_the_sweep() -> None:
    settle()
    circle = Circle()
    gc.collect()
    gone = weakref.ref(circle)
    del circle
    gc.collect()
    assert gone() is not None
    sweep()
    assert gone() is None
