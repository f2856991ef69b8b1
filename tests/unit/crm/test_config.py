"""The workspace file: every problem at once, each with its place; secrets stay secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm.config import SnapshotsConfig, Workspace, load_workspace, mask_secrets
from crm.config_old_rule import OldRuleConfig
from crm.config_serve import ServeConfig
from crm.errors import ConfigError, KizashiError, WorkspaceError
from crm.expression_reader import ALLOWED

SOURCE = '[source]\nurl = "dir:data"\n[source.tables]\nleads = "SELECT 1"\n'


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Workspace:
    (folder / "kizashi.toml").write_text(text, encoding="utf-8")
    return load_workspace(folder, environ=environ or {})


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environ)
    return caught.value.problems


class TestDefaults:
    def test_a_source_is_enough(self, tmp_path: Path) -> None:
        config = load(tmp_path, SOURCE).config
        assert (config.workspace.timezone, config.workspace.currency, config.workspace.language) == ("UTC", "USD", "en")
        assert (config.outcome.sql_horizon_days, config.outcome.won_horizon_days) == (30, 90)
        assert config.snapshots.is_default
        assert config.value.weekly_capacity is None

    def test_the_demo_needs_no_tables(self, tmp_path: Path) -> None:
        assert load(tmp_path, '[source]\nurl = "demo://"\n').config.source.tables == {}

    def test_the_source_zone_is_the_workspace_zone_unless_said(self, tmp_path: Path) -> None:
        zone = '[workspace]\ntimezone = "Asia/Tokyo"\n'
        assert load(tmp_path, zone + SOURCE).config.source_timezone == "Asia/Tokyo"
        own = SOURCE.replace("[source.tables]", 'timezone = "UTC"\n[source.tables]')
        assert load(tmp_path, zone + own).config.source_timezone == "UTC"

    def test_paths_are_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        load(tmp_path, SOURCE)
        monkeypatch.chdir(tmp_path)
        workspace = load_workspace(Path())
        assert workspace.folder == tmp_path.resolve()
        assert workspace.tracking_uri == f"sqlite:///{tmp_path.resolve()}/mlruns/mlflow.db"
        for path in (workspace.artifacts_folder, workspace.tables_folder, workspace.line_path):
            assert path.is_relative_to(tmp_path.resolve())

    def test_naming_any_moment_replaces_the_default_ones(self) -> None:
        assert not SnapshotsConfig(creation=True).is_default


class TestProblems:
    def test_all_are_reported_at_once_in_order_of_lines(self, tmp_path: Path) -> None:
        text = (
            '[workspace]\nlanguage = "de"\ntimezone = "Tokyo"\n'
            + SOURCE
            + '[value]\nmargn = 0.3\ntouch_cost = -1\n[outcome]\nwon_horizon_days = "long"\n'
        )
        assert problems(tmp_path, text) == (
            "line 2, workspace.language: expected 'en' or 'ja', found 'de'",
            "line 3, workspace.timezone: 'Tokyo' is no time zone; expected an IANA name such as 'Asia/Tokyo'",
            "line 9, value.margn: unknown key; did you mean 'margin'?",
            "line 10, value.touch_cost: expected greater than or equal to 0, found -1",
            "line 12, outcome.won_horizon_days: expected a number, found 'long'",
        )

    def test_the_message_says_found_expected_and_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(KizashiError) as caught:
            load(tmp_path, SOURCE + "[value]\nmargin = 2\n[serve]\nport = 0\n")
        text = str(caught.value)
        assert text.startswith(f"Found 2 problems in {tmp_path / 'kizashi.toml'}; expected the keys of docs/")
        assert " To go on: correct what follows; nothing was read or changed:\n  - line 6, value.margin" in text

    def test_a_missing_section_is_named(self, tmp_path: Path) -> None:
        assert problems(tmp_path, "") == ("source: this key is required and missing",)

    def test_a_missing_key_is_placed_in_its_section(self, tmp_path: Path) -> None:
        found = problems(tmp_path, "[value]\nmargin = 1\n[source]\n")
        assert found == ("line 3, source.url: this key is required and missing",)

    def test_leads_are_required(self, tmp_path: Path) -> None:
        found = problems(tmp_path, '[source]\nurl = "dir:x"\n[source.tables]\ntouches = "SELECT 1"\n')
        assert found == ("line 1, source: tables: a SELECT for 'leads' is missing",)

    @pytest.mark.parametrize(
        ("table", "hint"), [("lead", "did you mean 'leads'?"), ("zzz", "expected one of leads, lead_changes")]
    )
    def test_an_unknown_table_is_suggested_for(self, tmp_path: Path, table: str, hint: str) -> None:
        (found,) = problems(tmp_path, f'{SOURCE}{table} = "SELECT 1"\n')
        assert found.startswith(f"line 5, source.tables.{table}: unknown table; {hint}")

    def test_a_key_far_from_every_other_lists_them(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, SOURCE + "[serve]\nxyzzy = 1\n")
        assert found == f"line 6, serve.xyzzy: unknown key; expected one of {', '.join(ServeConfig.model_fields)}"

    @pytest.mark.parametrize("sql", ["DELETE FROM leads", "-- note\nUPDATE x SET a = 1", "/* x */ COPY a TO 'b'"])
    def test_only_a_select_may_read(self, tmp_path: Path, sql: str) -> None:
        (found,) = problems(tmp_path, SOURCE.replace('"SELECT 1"', f'"""{sql}"""'))
        assert "source.tables.leads: expected one SELECT, found a text that starts with" in found

    @pytest.mark.parametrize("sql", ["SELECT 1", "-- a\n/* b */ WITH x AS (SELECT 1) FROM x", "(SELECT 1)", "from 'x'"])
    def test_every_form_of_a_select_may(self, tmp_path: Path, sql: str) -> None:
        assert load(tmp_path, SOURCE.replace('"SELECT 1"', f'"""{sql}"""')).config.source.tables["leads"] == sql

    @pytest.mark.parametrize("value", ["5", "true", '"soon"', "[2026]"])
    def test_a_moment_is_a_date(self, tmp_path: Path, value: str) -> None:
        (found,) = problems(tmp_path, f"{SOURCE}[outcome]\nobserved_until = {value}\n")
        assert "line 6, outcome.observed_until: expected a date such as 2026-01-31 or a date-time" in found

    @pytest.mark.parametrize("value", ['"many"', "0", "-3", "true", "nan", "{}", '{ tokyo = "x" }', "{ tokyo = 0 }"])
    def test_capacity_is_one_problem_whatever_is_wrong(self, tmp_path: Path, value: str) -> None:
        (found,) = problems(tmp_path, f"{SOURCE}[value]\ncapacity_per_week = {value}\n")
        assert found.startswith("line 6, value.capacity_per_week: expected a number above 0")

    @pytest.mark.parametrize("line", ["margin = nan", "margin = true", 'margin = "0.3"', "touch_cost = inf"])
    def test_numbers_are_numbers(self, tmp_path: Path, line: str) -> None:
        (found,) = problems(tmp_path, f"{SOURCE}[value]\n{line}\n")
        assert "number" in found

    def test_the_observed_span_runs_forward(self, tmp_path: Path) -> None:
        span = "[outcome]\nobserved_from = 2026-02-01\nobserved_until = 2026-02-01\n"
        assert problems(tmp_path, SOURCE + span) == (
            "line 5, outcome: observed_from does not lie before observed_until",
        )


class TestFile:
    def test_a_missing_file_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(WorkspaceError, match="'kizashi init' writes one"):
            load_workspace(tmp_path)

    def test_broken_toml_names_its_line(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, "[source]\nurl = = 1\n")
        assert found.startswith("not valid TOML: ")
        assert "line 2" in found

    def test_shift_jis_names_its_byte(self, tmp_path: Path) -> None:
        (tmp_path / "kizashi.toml").write_bytes('[workspace]\nname = "兆し"\n'.encode("cp932"))
        with pytest.raises(ConfigError, match="is not UTF-8; save the file as UTF-8"):
            load_workspace(tmp_path)

    def test_a_byte_order_mark_is_no_problem(self, tmp_path: Path) -> None:
        (tmp_path / "kizashi.toml").write_text(SOURCE, encoding="utf-8-sig")
        assert load_workspace(tmp_path).config.source.url == "dir:data"

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        assert problems(tmp_path, SOURCE + "#" * 1_000_001) == ("the file is over 1,000,000 bytes",)


class TestEnvironment:
    url = SOURCE.replace("dir:data", "${SCHEME:-postgres}://app:${PASSWORD}@db/crm")

    def test_variables_are_put_into_the_url_and_remembered_as_secrets(self, tmp_path: Path) -> None:
        workspace = load(tmp_path, self.url, {"PASSWORD": "hunter2!"})
        assert workspace.config.source.url == "postgres://app:hunter2!@db/crm"
        assert workspace.secrets == ("hunter2!",)
        assert "hunter2!" not in repr(workspace).replace(repr(workspace.config), "")

    def test_a_missing_one_is_a_problem_beside_the_others(self, tmp_path: Path) -> None:
        found = problems(tmp_path, self.url + "[serve]\nport = 0\n")
        assert found[0].startswith("source.url: environment variable PASSWORD is not set; set it or write ${PASSWORD:-")
        assert len(found) == 2

    def test_an_empty_default_is_a_default(self, tmp_path: Path) -> None:
        assert load(tmp_path, SOURCE.replace("dir:data", "dir:${X:-}y")).config.source.url == "dir:y"

    def test_sql_with_a_variable_is_refused(self, tmp_path: Path) -> None:
        (found,) = problems(tmp_path, SOURCE.replace("SELECT 1", "SELECT ${X}"), {"X": "1"})
        assert "variables are not allowed in SQL" in found

    def test_nothing_else_is_expanded(self, tmp_path: Path) -> None:
        workspace = load(tmp_path, '[workspace]\nname = "${X}"\n' + SOURCE, {"X": "1"})
        assert workspace.config.workspace.name == "${X}"

    def test_a_folder_is_no_secret(self, tmp_path: Path) -> None:
        assert load(tmp_path, SOURCE.replace("data", "${X}"), {"X": str(tmp_path)}).secrets == ()

    def test_a_wrong_url_is_never_shown(self, tmp_path: Path) -> None:
        text = self.url.replace('"$', '["$').replace('crm"', 'crm"]')
        assert "hunter2" not in "".join(problems(tmp_path, text, {"PASSWORD": "hunter2!"}))


class TestMasking:
    def test_a_secret_that_begins_another_does_not_bare_its_end(self) -> None:
        assert mask_secrets("key abcdefgh", ("abcd", "abcdefgh")) == "key ***"

    def test_short_values_do_not_blot_out_words(self) -> None:
        assert mask_secrets("a cat sat", ("a",)) == "a cat sat"

    @pytest.mark.parametrize("url", ["postgres://app:pw@db/crm", "redis://:pw@db"])
    def test_passwords_of_urls_are_masked_even_when_nobody_declared_them(self, url: str) -> None:
        masked = mask_secrets(f"no connection to {url}", ())
        assert "pw" not in masked
        assert "***@db" in masked


def test_a_date_is_midnight_utc_and_a_time_without_zone_is_utc(tmp_path: Path) -> None:
    span = "[outcome]\nobserved_from = 2026-01-31\nobserved_until = 2026-02-01T10:00:00+09:00\n"
    outcome = load(tmp_path, SOURCE + span).config.outcome
    assert outcome.observed_from == datetime(2026, 1, 31, tzinfo=UTC)
    assert outcome.observed_until == datetime(2026, 2, 1, 1, tzinfo=UTC)
    local = load(tmp_path, SOURCE + "[outcome]\nobserved_from = 2026-01-31T05:00:00\n").config.outcome
    assert local.observed_from == datetime(2026, 1, 31, 5, tzinfo=UTC)


def test_capacity_adds_up_over_teams(tmp_path: Path) -> None:
    assert (
        load(tmp_path, SOURCE + "[value]\ncapacity_per_week = { a = 3, b = 4.5 }\n").config.value.weekly_capacity == 7.5
    )
    assert load(tmp_path, SOURCE + "[value]\ncapacity_per_week = 40\n").config.value.weekly_capacity == 40


DEMO = '[source]\nurl = "demo://"\n'


class TestRules:
    def test_names_keep_their_order_and_may_be_japanese(self, tmp_path: Path) -> None:
        text = DEMO + '[exclude]\ncustomers = "is_customer"\n"退会 済み" = "状態 = \'退会\'"\nstaff = "x > 1"\n'
        config = load(tmp_path, text + '[segments]\n"中小企業" = "employees < 100"\n').config
        assert list(config.exclude) == ["customers", "退会 済み", "staff"]
        assert dict(config.segments) == {"中小企業": "employees < 100"}

    def test_what_is_no_expression_is_refused_at_its_line(self, tmp_path: Path) -> None:
        text = DEMO + '[exclude]\ncustomers = "a = 1); DROP TABLE leads"\nstaff = "id IN (SELECT 1)"\nn = 3\n'
        assert problems(tmp_path, text + '[segments]\n"a;b" = "x"\nfiles = "read_csv(\'x\') = \'y\'"\n') == (
            "line 4, exclude.customers: expected one SQL expression over columns of a lead, found "
            "'a = 1); DROP TABLE leads'",
            "line 5, exclude.staff: a subquery is not taken; an expression reads the columns of one lead, found "
            "'id IN (SELECT 1)'",
            "line 6, exclude.n: expected a text, found 3",
            "line 7, segments.a;b: a name has 1 to 40 letters, digits, blanks, - and _, and begins and ends with one "
            "of the first, found 'a;b'",
            f"line 9, segments.files: 'READ_CSV('x')' is not taken; an expression may hold {ALLOWED}, found "
            "\"read_csv('x') = 'y'\"",
        )

    def test_a_column_is_one_thing_in_all_rules(self, tmp_path: Path) -> None:
        text = DEMO + '[exclude]\na = "x = \'y\'"\n[segments]\nb = "x > 3"\n'
        assert problems(tmp_path, text) == (
            "line 3, exclude: 'x' is taken for text by one rule, for a number by another (of [exclude] and [segments])",
        )

    @pytest.mark.parametrize(
        "rule",
        [
            "[exclude]\na = \"account_id = 'ACME'\"",
            "[segments]\na = \"lead_id LIKE 'test%'\"",
            '[old_rule]\nsql = "account_id IS NOT NULL"',
        ],
    )
    def test_where_ids_are_hashed_no_rule_may_name_one(self, tmp_path: Path, rule: str) -> None:
        (problem,) = problems(tmp_path, "[workspace]\nhash_ids = true\n" + DEMO + rule + "\n")
        assert "is hashed (hash_ids = true)" in problem
        load(tmp_path, DEMO + rule + "\n")


class TestOldRule:
    def old_rule(self, tmp_path: Path, text: str) -> OldRuleConfig:
        return load(tmp_path, DEMO + "[old_rule]\n" + text).config.old_rule

    def test_there_are_three_forms(self, tmp_path: Path) -> None:
        points = (
            "threshold = 9\nwindow_days = 30\n[old_rule.touches]\nvisit = 1\n[old_rule.attributes.job_level]\nvp = 15\n"
        )
        for text, form in (
            ("", "stage"),
            ('stage = "sql"\n', "stage"),
            (points, "points"),
            ("sql = \"job_level = 'vp'\"\n", "sql"),
            ('sql = "employees * 2"\nthreshold = 100\n', "sql"),
        ):
            assert self.old_rule(tmp_path, text).form == form
        assert self.old_rule(tmp_path, points).attributes == {"job_level": {"vp": 15.0}}

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ('stage = "mqll"', "stage: 'mqll' is none of mql, accepted"),
            ('sql = "a"\nstage = "mql"', "expected one definition"),
            ("threshold = 3", "threshold: there are no points"),
            ("[old_rule.touches]\nvisit = 1", "threshold: how many points"),
            ("[old_rule.touches]\nvisit = true", "expected a number"),
            ("threshold = 1\nwindow_days = 3\n[old_rule.attributes.a]\nb = 1", "window_days: only points of touches"),
            ("sql = \"read_csv('x') = 'y'\"", "sql: 'READ_CSV('x')' is not taken"),
            ("sql = \"a = 'x'\"\nthreshold = 1", "sql: its value is true or false; expected a number"),
            ('sql = "a > 1; DELETE FROM leads"', "sql: expected one SQL expression"),
        ],
    )
    def test_what_is_none_of_them_is_refused(self, tmp_path: Path, text: str, why: str) -> None:
        (problem,) = problems(tmp_path, DEMO + "[old_rule]\n" + text + "\n")
        assert why in problem
