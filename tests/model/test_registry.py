"""The registry: nothing but what was registered is loaded, and champions come and go by the book."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm.errors import BundleError, RegistryError
from crm.known import from_micros, to_micros
from crm.progress import Silent
from crm.workspace_tables import open_tables
from features.known import DAY_US
from models import registry
from models.bundle import file_hashes
from models.champions import note_champion, promote_version, roll_back
from models.gain import compare_rules
from models.gain_file import read_gain_moments
from models.logistic import LogisticMember
from models.registry import find_version, list_versions, load_gain, load_model, open_store, run_folder, set_alias
from models.unseen import read_unseen
from models.verdict import Verdict
from tests.model.conftest import KEY, Copy, Trained
from training.migration import migrate
from training.prepare import settle_observation
from training.promotion import Asked, ask_gate, carry_out
from training.unseen import issued_rows

NOW = datetime(2026, 9, 2, tzinfo=UTC)
pytestmark = pytest.mark.slow  # all of them need the trained workspace
SIGNED = {"KIZASHI_SIGNING_KEY": KEY}


@pytest.fixture
def never_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes through to the parser is too late to refuse."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("parsed before it was verified")

    monkeypatch.setattr(registry, "parse_bundle", fail)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def change_tree(copy: Copy) -> None:
    append(next(copy.bundle.glob("shallow-*.txt")))


def change_one_leaf(copy: Copy) -> None:
    path = next(copy.bundle.glob("shallow-*.txt"))
    text = path.read_text(encoding="utf-8")
    at = text.index("leaf_value=") + len("leaf_value=")
    path.write_text(text[:at] + "9" + text[at + 1 :], encoding="utf-8")


def change_mlmodel(copy: Copy) -> None:
    append(copy.model / "MLmodel")


def change_line(copy: Copy) -> None:
    path = copy.bundle / "line.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "price": 0.0}), encoding="utf-8")


def add_file(copy: Copy) -> None:
    (copy.bundle / "extra.pkl").write_bytes(b"x")


def add_link(copy: Copy) -> None:
    (copy.model / "link").symlink_to(copy.bundle / "line.json")


def change_unseen_weeks(copy: Copy) -> None:
    append(copy.bundle / "gain.parquet")


def remove_file(copy: Copy) -> None:
    next(copy.bundle.glob("shallow-*.txt")).unlink()


def break_document(copy: Copy) -> None:
    (copy.bundle / "model.json").write_text("{", encoding="utf-8")


def change_fingerprint_and_its_hash(copy: Copy) -> None:
    """Make the folder consistent in itself: its own fingerprint, and its own list of hashes."""
    path = copy.bundle / "model.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["features"] = document["features"][:-1]
    document["fingerprint"] = hashlib.sha256(b"another").hexdigest()
    path.write_text(json.dumps(document), encoding="utf-8")
    (copy.bundle / "hashes.json").write_text(json.dumps(file_hashes(copy.bundle)), encoding="utf-8")


DAMAGES = (
    change_tree,
    change_one_leaf,
    change_mlmodel,
    change_line,
    add_file,
    add_link,
    change_unseen_weeks,
    remove_file,
    break_document,
    change_fingerprint_and_its_hash,
)


def test_a_good_version_loads_by_alias_and_number(copy: Copy) -> None:
    for name in ("champion", "challenger", "1"):
        found = load_model(copy.workspace, alias=name, environ=SIGNED)
        assert found.version == "1"
        assert found.line.model_version == "1"
    assert load_model(copy.workspace, environ={}).version == "1"  # without the key the hashes suffice


def test_trees_of_a_loaded_version_share_what_they_stand_upon(copy: Copy) -> None:
    """It is most of the time that a score takes."""
    for endpoint in (load_model(copy.workspace).bundle.sql, load_model(copy.workspace).bundle.won):
        logistic = next(member for member in endpoint.members if isinstance(member, LogisticMember))
        assert all(getattr(member, "offset", logistic) is logistic for member in endpoint.members)


@pytest.mark.usefixtures("never_parsed")
@pytest.mark.parametrize("environ", [{}, SIGNED], ids=["unsigned", "signed"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_changed_files_are_refused_before_anything_is_parsed(
    copy: Copy, damage: Callable[[Copy], None], environ: dict[str, str]
) -> None:
    damage(copy)
    with pytest.raises(BundleError, match="do not use this model"):
        load_model(copy.workspace, environ=environ)


def test_unseen_weeks_stay_with_the_version_as_numbers(copy: Copy) -> None:
    rows = load_gain(copy.workspace, environ=SIGNED)
    line = load_model(copy.workspace, environ=SIGNED).line
    assert rows is not None
    assert line.gain is not None
    found = compare_rules(rows, margin=0.4, touch_cost=50.0, capacity=20.0)
    assert found.line_gain == line.gain
    assert "string" not in {str(column.type) for column in pq.read_schema(copy.bundle / "gain.parquet")}
    moments = read_gain_moments(copy.workspace.gain_path("1"), len(rows.lead))
    assert moments is not None
    assert len(set(moments[0])) == len(np.unique(rows.lead))


@pytest.mark.usefixtures("never_parsed")
def test_changed_unseen_weeks_are_refused(copy: Copy) -> None:
    change_unseen_weeks(copy)
    with pytest.raises(BundleError, match="do not use this model"):
        load_gain(copy.workspace, environ={})


def test_a_version_of_before_has_no_unseen_weeks(copy: Copy) -> None:
    (copy.bundle / "gain.parquet").unlink()
    recompute_hashes(copy)
    assert load_gain(copy.workspace, environ={}) is None
    assert load_model(copy.workspace, environ={}).version == "1"


def recompute_hashes(copy: Copy) -> None:
    copy.set_tag("kizashi.files", file_hashes(copy.model))


def test_another_fingerprint_is_refused_even_where_all_hashes_were_recomputed(copy: Copy) -> None:
    change_fingerprint_and_its_hash(copy)
    recompute_hashes(copy)
    with pytest.raises(BundleError, match="fingerprint"):
        load_model(copy.workspace, environ={})


@pytest.mark.usefixtures("never_parsed")
def test_recomputed_hashes_do_not_pass_the_signature(copy: Copy) -> None:
    change_line(copy)
    recompute_hashes(copy)
    with pytest.raises(BundleError, match="another signature"):
        load_model(copy.workspace, environ=SIGNED)


@pytest.mark.usefixtures("never_parsed")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kizashi.signature", "0" * 64, "another signature"),
        ("kizashi.signature", None, "no signature"),
        ("kizashi.fingerprint", "0" * 64, "another signature"),
        ("kizashi.files", {}, "another signature"),
    ],
)
def test_changed_tags_are_refused_where_there_is_a_key(copy: Copy, name: str, value: Any, message: str) -> None:
    copy.set_tag(name, value)
    with pytest.raises(BundleError, match=message):
        load_model(copy.workspace, environ=SIGNED)


@pytest.mark.usefixtures("never_parsed")
def test_another_key_is_refused(copy: Copy) -> None:
    with pytest.raises(BundleError, match="another signature"):
        load_model(copy.workspace, environ={"KIZASHI_SIGNING_KEY": "another key"})


@pytest.mark.usefixtures("never_parsed")
@pytest.mark.parametrize("value", [None, {}])
def test_a_version_without_recorded_hashes_is_refused(copy: Copy, value: Any) -> None:
    copy.set_tag("kizashi.files", value)
    with pytest.raises(BundleError, match="no recorded hashes"):
        load_model(copy.workspace, environ={})


def test_no_registry_no_version_and_no_folder_are_said(copy: Copy, trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"no version '9'.*1 \("):
        load_model(copy.workspace, alias="9", environ={})
    copy.model.rename(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="no folder"):
        load_model(copy.workspace, environ={})
    copy.database.unlink()
    with pytest.raises(RegistryError, match="no registry"):
        load_model(copy.workspace, environ={})
    assert load_model(trained.workspace, environ=SIGNED).version == "1"


def test_a_line_set_by_hand_holds_for_its_own_version_alone(copy: Copy) -> None:
    own = load_model(copy.workspace, environ={}).line
    own.model_copy(update={"price": 123.0}).save(copy.workspace.line_path)
    assert load_model(copy.workspace, environ={}).line.price == 123.0
    own.model_copy(update={"price": 123.0, "model_version": "2"}).save(copy.workspace.line_path)
    assert load_model(copy.workspace, environ={}).line == own
    copy.workspace.line_path.write_text("{", encoding="utf-8")
    with pytest.raises(BundleError):
        load_model(copy.workspace, environ={})


# Champions.


def add_versions(copy: Copy, count: int, **tags: str) -> None:
    """Register more versions of the same files, with the tags of the first and these."""
    with open_store(copy.workspace) as client:
        first = client.get_model_version("kizashi", "1")
        for _ in range(count):
            created = client.create_model_version("kizashi", first.source, run_id=first.run_id)
            for name, value in {**first.tags, **tags}.items():
                client.set_model_version_tag("kizashi", str(created.version), name, value)


PASSED = Verdict(True, ())
REFUSED = Verdict(False, ("log-loss: 0.2 nats against 0.1; the limit is P(better) at least 0.9",))


def champion(copy: Copy) -> str:
    with open_store(copy.workspace) as client:
        return find_version(client, "champion").version


def history(copy: Copy) -> list[dict[str, str]]:
    with open_store(copy.workspace) as client:
        return json.loads(client.get_registered_model("kizashi").tags["kizashi.champions"])


def test_a_version_that_passes_is_promoted_and_the_history_says_so(copy: Copy) -> None:
    add_versions(copy, 1)
    found = promote_version(copy.workspace, "2", PASSED, force_reason=None, now=NOW)
    assert (found.promoted, found.version, found.replaced) == (True, "2", "1")
    assert champion(copy) == "2"
    assert [item["version"] for item in history(copy)] == ["1", "2"]
    assert history(copy)[-1] == {"version": "2", "at": "2026-09-02T00:00:00+00:00", "reason": "passed the gate"}


def test_one_that_does_not_pass_is_not_promoted_unless_a_person_says_why(copy: Copy) -> None:
    add_versions(copy, 1)
    found = promote_version(copy.workspace, "2", REFUSED, force_reason=None, now=NOW)
    assert not found.promoted
    assert champion(copy) == "1"
    assert len(history(copy)) == 1
    forced = promote_version(copy.workspace, "2", REFUSED, force_reason="a trial week", now=NOW)
    assert forced.promoted
    assert history(copy)[-1]["reason"] == "a trial week"


def ask(copy: Copy) -> Asked:
    return ask_gate(copy.workspace, "2", as_of=None, now=NOW, progress=Silent())


def test_the_same_model_again_moves_nobody_and_is_no_worse(copy: Copy) -> None:
    add_versions(copy, 1)
    asked = ask(copy)
    found = {item.name: item for item in asked.verdict.conditions}
    assert asked.champion == "1"
    assert asked.verdict.basis is not None
    assert asked.verdict.basis.is_refresh
    assert asked.verdict.basis.rows > 500
    assert found["log-loss"].figures["champion"] == found["log-loss"].figures["challenger"]
    assert found["overlap"].figures == {"overlap": 1.0, "spearman": pytest.approx(1.0), "median_move": 0.0}
    assert {name for name, item in found.items() if item.status == "failed"} <= {"enough rows"}
    assert asked.migration is not None
    assert (asked.migration.up, asked.migration.down, asked.migration.moved) == (0, 0, ())
    assert asked.migration.leads == sum(map(sum, asked.migration.grades))
    assert history(copy)[-1]["version"] == "1"  # asking changes nothing


def test_the_migration_says_that_another_line_or_question_moves_leads_too(copy: Copy) -> None:
    champion = load_model(copy.workspace, environ={})
    line = champion.line.model_copy(update={"basis": "if_worked", "touch_cost": champion.line.touch_cost + 1.0})
    with open_tables(copy.workspace, NOW, Silent()) as tables:
        found = migrate(copy.workspace, tables, champion, replace(champion, line=line), None)
    first, second = found.notes
    assert "leads as things are run, the challenger what working a lead adds" in first
    assert "differ in cost of working a lead" in second


def test_another_recipe_must_be_better_and_a_failed_check_is_named(copy: Copy) -> None:
    add_versions(copy, 1, **{"kizashi.recipe": "another", "kizashi.leaks": '{"L8": "failed"}'})
    asked = ask(copy)
    assert {"log-loss", "leaks"} <= {item.name for item in asked.verdict.conditions if item.status == "failed"}
    assert any("L8" in reason for reason in asked.verdict.reasons)
    found = carry_out(copy.workspace, asked, force_reason="a trial week", now=NOW)
    assert found.promoted
    with open_store(copy.workspace) as client:
        version = find_version(client, "2")
        told = json.loads(version.tags["kizashi.gate_report"])
        folder = run_folder(client, version.run_id) / "gate"
    assert told["conditions"]["leaks"] == "failed"
    assert json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["forced"] == "a trial week"
    assert json.loads((folder / "migration.json").read_text(encoding="utf-8"))["moved"] == []


def test_kept_predictions_name_no_lead_and_are_refused_once_changed(copy: Copy) -> None:
    add_versions(copy, 1)
    file = next(copy.workspace.artifacts_folder.rglob("unseen.parquet"))
    rows = pq.read_table(file)
    with open_store(copy.workspace) as client:
        tags = find_version(client, "2").tags
    artifacts = file.parent.parent
    assert rows.num_rows > 500
    assert not [field for field in rows.schema if field.type == pa.string()]
    assert read_unseen(artifacts, tags, SIGNED) is not None
    with pytest.raises(BundleError, match="signature"):
        read_unseen(artifacts, tags, {"KIZASHI_SIGNING_KEY": "another key"})
    append(file)
    with pytest.raises(BundleError, match="other content"):
        ask(copy)


def test_promoting_an_unknown_version_is_refused(copy: Copy) -> None:
    with pytest.raises(RegistryError):
        promote_version(copy.workspace, "9", PASSED, force_reason="anyway", now=NOW)


def test_the_only_champion_cannot_be_rolled_back(copy: Copy) -> None:
    with pytest.raises(RegistryError, match="only champion"):
        roll_back(copy.workspace, NOW)


def test_rolling_back_leads_to_the_champion_before_and_again_to_the_one_before_that(copy: Copy) -> None:
    add_versions(copy, 2)
    for name in ("2", "3"):
        assert promote_version(copy.workspace, name, PASSED, force_reason=None, now=NOW).promoted
    assert roll_back(copy.workspace, NOW) == ("2", "3")
    assert champion(copy) == "2"
    assert roll_back(copy.workspace, NOW) == ("1", "2")
    assert champion(copy) == "1"
    with pytest.raises(RegistryError, match="only champion"):
        roll_back(copy.workspace, NOW)
    assert [item["version"] for item in history(copy)] == ["1", "2", "3", "2", "1"]
    assert promote_version(copy.workspace, "3", PASSED, force_reason=None, now=NOW).promoted
    assert roll_back(copy.workspace, NOW) == ("1", "3")


def test_the_history_keeps_the_newest_forty_champions(copy: Copy) -> None:
    with open_store(copy.workspace) as client:
        for number in range(45):
            note_champion(client, str(number), NOW, "x" * 900)
    assert [item["version"] for item in history(copy)] == [str(number) for number in range(5, 45)]
    assert len(history(copy)[0]["reason"]) == 500


def test_versions_are_listed_newest_first_with_their_aliases(copy: Copy) -> None:
    add_versions(copy, 10)
    with open_store(copy.workspace) as client:
        set_alias(client, "challenger", "10")
        found = list_versions(client)
    assert [item.version for item in found] == [str(number) for number in range(11, 0, -1)]
    assert found[1].aliases == ("challenger",)
    assert np.all(np.diff([item.created_at_ms for item in found]) <= 0)


def test_no_outcome_after_the_asked_moment_judges_a_shipped_version(copy: Copy) -> None:
    model = load_model(copy.workspace, environ=SIGNED)
    config = copy.workspace.config
    horizon_us = round(min(config.outcome.sql_horizon_days, config.outcome.won_horizon_days) * DAY_US)
    with open_tables(copy.workspace, NOW, Silent()) as tables:
        trained_us = to_micros(settle_observation(tables, config, None).as_of) - 2 * horizon_us

        def newest(as_of: datetime | None) -> int | None:
            rows = issued_rows(tables, config, model.bundle, (trained_us, as_of), b"key")
            return None if rows is None else max(rows["as_of_us"].to_pylist())

        half_us = trained_us + horizon_us * 3 // 2
        half = from_micros(half_us)
        everything, known_by_half, too_early = newest(None), newest(half), newest(from_micros(trained_us + horizon_us))
    assert everything is not None
    assert known_by_half is not None
    assert too_early is None
    assert trained_us <= known_by_half <= half_us - horizon_us < everything
