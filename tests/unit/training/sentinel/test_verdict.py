"""A verdict is as bad as its worst trace, and plain JSON."""

from __future__ import annotations

import json

import pytest

from crm.errors import LeakError
from training.sentinel.run import refuse_traces
from training.sentinel.verdict import Figure, LeakVerdict, SentinelReport, Trace, not_computable, settle

ASKED = LeakVerdict("L5", "One signal", "Does it tell?", "passed", "")
DOUBT = Trace("'a'", "attention", "perhaps", "Look.")
LEAK = Trace("'b'", "failed", "surely", "Leave it out.")
CERTAIN = Trace("'c'", "failed", "without any doubt", "Leave it out.", refuses=True)


def test_nothing_found_is_passed() -> None:
    verdict = settle(ASKED, [], clean="none", figures=[Figure("tried", 3.0, "columns")])
    assert (verdict.status, verdict.found, verdict.todo, verdict.refuses) == ("passed", "none", "", False)


def test_the_worst_comes_first() -> None:
    verdict = settle(ASKED, [DOUBT, LEAK, CERTAIN], clean="none")
    assert verdict.status == "failed"
    assert verdict.refuses
    assert [trace.what for trace in verdict.traces] == ["'c'", "'b'", "'a'"]
    assert verdict.todo == "Leave it out. Look."
    assert settle(ASKED, [DOUBT], clean="none").status == "attention"


def test_the_report_is_plain_json() -> None:
    report = SentinelReport((settle(ASKED, [LEAK], clean=""), not_computable(ASKED, "no touches")))
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [verdict["status"] for verdict in found] == ["failed", "not_computable"]
    assert set(found[0]) == {"check", "title", "asked", "status", "found", "figures", "traces", "todo", "refuses"}
    assert report.of_status("failed")[0].check == "L5"
    with pytest.raises(KeyError):
        report.verdict("L99")


def test_training_is_refused_for_what_is_certain_alone() -> None:
    report = SentinelReport((settle(ASKED, [DOUBT, LEAK, CERTAIN], clean=""),))
    refuse_traces(())
    assert report.refusing == (CERTAIN,)
    with pytest.raises(LeakError, match="'c': without any doubt"):
        refuse_traces(report.refusing)
