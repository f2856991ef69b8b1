"""The board over HTTP: who sees what, the login and its cookie, and rows that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from crm.api_keys import revoke_keys
from serving.board_session import COOKIE, LIFETIME, make_session
from serving.rates import WRONG_KEYS_PER_MINUTE
from tests.fakes.board import HOSTILE, BoardService, board_service


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardService]:
    with board_service(tmp_path_factory.mktemp("board")) as service:
        yield service


@pytest.fixture(scope="module")
def keys(board: BoardService) -> dict[str, str]:
    scopes = {
        "page": ("board",),
        "rows": ("board", "board:rows"),
        "owners": ("board", "board:rows", "board:owners"),
        "other": ("score", "read", "ingest"),
    }
    return {name: board.key(name, *given) for name, given in scopes.items()}


def get(board: BoardService, path: str, key: str | None = None, **headers: str) -> httpx.Response:
    shown = {"X-API-Key": key} if key else {}
    return httpx.get(board.url + path, headers={**shown, **headers}, follow_redirects=False)


def test_each_scope_opens_its_own_door(board: BoardService, keys: dict[str, str]) -> None:
    doors = ("/board", "/board/rows/leads.csv")
    seen = {name: [get(board, path, key).status_code for path in doors] for name, key in keys.items()}
    assert seen == {"page": [200, 403], "rows": [200, 200], "owners": [200, 200], "other": [403, 403]}
    assert [get(board, path).status_code for path in doors] == [401, 401]


def test_owners_are_numbers_but_for_who_may_see_their_names(board: BoardService, keys: dict[str, str]) -> None:
    for key, is_named in ((keys["rows"], False), (keys["owners"], True)):
        page = get(board, "/board", key).text
        rows = get(board, "/board/rows/hand_offs.csv", key).text
        assert ("Owner 1" in page) is not is_named
        assert ("SUM(1+1)*owner" in page) is is_named
        assert ("SUM(1+1)*owner" in rows) is is_named


def test_both_languages(board: BoardService, keys: dict[str, str]) -> None:
    english, japanese = (get(board, f"/board?lang={language}", keys["page"]).text for language in ("en", "ja"))
    assert '<html lang="en">' in english
    assert '<html lang="ja">' in japanese
    assert 'href="board?lang=ja"' in english
    by_header = get(board, "/board", keys["page"], **{"Accept-Language": "ja"})
    assert '<html lang="ja">' in by_header.text


def test_a_page_may_load_nothing_from_anyone(board: BoardService, keys: dict[str, str]) -> None:
    answer = get(board, "/board", keys["page"])
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    loaded = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert loaded
    assert all(re.match(r"#|board/rows/[a-z0-9_]+\.csv$|board\?lang=", place) for place in loaded), loaded
    assert "http://www.w3.org/2000/svg" in answer.text
    assert not re.findall(r'https?://(?!www\.w3\.org/2000/svg")', answer.text)


def test_every_file_that_the_page_links_is_there(board: BoardService, keys: dict[str, str]) -> None:
    page = get(board, "/board", keys["page"]).text
    files = sorted(set(re.findall(r'href="(board/rows/[^"]+)"', page)))
    assert len(files) > 40
    for file in files:
        answer = get(board, f"/{file}", keys["rows"])
        assert answer.status_code == 200, file
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert len(rows) > 1, file
        assert {len(row) for row in rows} == {len(rows[0])}, file


def test_what_a_spreadsheet_would_run_is_inert(board: BoardService, keys: dict[str, str]) -> None:
    cells: list[str] = []
    folder = board.workspace.board_folder / "owners" / "rows"
    for path in folder.glob("*.csv"):
        answer = get(board, f"/board/rows/{path.name}", keys["owners"])
        cells += [cell for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))) for cell in row]
    risky = [cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "-", "@", "\t")]
    assert [cell for cell in risky if not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", cell)] == []
    for name in ("lead", "owner", "source", "reason"):
        assert f"'{HOSTILE[name]}" in cells, name


def test_each_download_is_in_the_audit(board: BoardService, keys: dict[str, str]) -> None:
    before = len(board.audit("board_rows"))
    get(board, "/board/rows/campaigns.csv", keys["owners"])
    get(board, "/board/rows/campaigns.csv", keys["page"])  # refused
    new = board.audit("board_rows")[before:]
    assert [json.loads(row["detail"]) for row in new] == [{"table": "campaigns", "owners": True}]
    assert new[0]["key_id"] == keys["owners"].split("_")[1]


@pytest.mark.parametrize(
    "name",
    ["..%2Fboard.en.html", "%2e%2e%2fowners%2frows%2fleads.csv", "nothing.csv", "leads", "LEADS.CSV", "leads.csv%00"],
)
def test_rows_are_files_of_the_board_alone(board: BoardService, keys: dict[str, str], name: str) -> None:
    assert get(board, f"/board/rows/{name}", keys["rows"]).status_code == 404


# --- login -----------------------------------------------------------------------------------------------------------


def login(board: BoardService, key: str, *, as_form: bool = False, **headers: str) -> httpx.Response:
    body = {"data": {"key": key}} if as_form else {"json": {"key": key}}
    return httpx.post(f"{board.url}/board/login", headers=headers, follow_redirects=False, **body)  # pyright: ignore[reportArgumentType]


def test_a_key_is_traded_for_a_cookie_that_scripts_and_other_sites_do_not_get(
    board: BoardService, keys: dict[str, str]
) -> None:
    answer = login(board, keys["page"])
    assert answer.status_code == 204
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/board", "max-age=43200"} <= parts
    value = answer.cookies[COOKIE]
    assert keys["page"] not in value
    assert keys["page"].split("_")[-1] not in answer.headers["set-cookie"]
    shown = httpx.get(f"{board.url}/board", cookies={COOKIE: value})
    assert shown.status_code == 200
    assert board.audit("board_login")


def test_a_form_is_sent_on_to_the_board_or_back_to_the_login(board: BoardService, keys: dict[str, str]) -> None:
    right, wrong, lacking = (login(board, key, as_form=True) for key in (keys["page"], "kzs_a_b", keys["other"]))
    assert (right.status_code, right.headers["location"]) == (303, "/board")
    assert (wrong.status_code, wrong.headers["location"]) == (303, "/board/login?wrong=1")
    assert lacking.headers["location"] == "/board/login?wrong=1"
    assert "set-cookie" not in wrong.headers
    page = httpx.get(f"{board.url}/board/login?wrong=1")
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert "script-src" not in page.headers["content-security-policy"]


def test_a_browser_without_a_key_is_sent_to_the_login(board: BoardService) -> None:
    answer = get(board, "/board", Accept="text/html,application/xhtml+xml")
    assert (answer.status_code, answer.headers["location"]) == (303, "/board/login")


def test_a_wrong_key_and_one_without_the_scope_are_refused(board: BoardService, keys: dict[str, str]) -> None:
    assert [login(board, key).status_code for key in ("kzs_a_b", "ü", "x" * 4000)] == [401] * 3
    assert [login(board, key, as_form=True).status_code for key in ("", "x" * 5000)] == [303] * 2
    refused = login(board, keys["other"])
    assert refused.status_code == 403
    assert "'board'" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"[1]", "application/json", 422),
        (b"{}", "application/json", 422),
        (b'{"key": ""}', "application/json", 422),
        (b'{"key": "%s"}' % (b"x" * 4001), "application/json", 422),
        (b"", "application/json", 400),
        (b"key=a", "text/plain", 415),
    ],
)
def test_a_login_without_a_key_in_it_is_refused_whatever_key_the_headers_have(
    board: BoardService, keys: dict[str, str], body: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {keys['page']}"}
    answer = httpx.post(f"{board.url}/board/login", content=body, headers=headers)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers


def test_a_language_that_the_board_has_not_is_refused(board: BoardService, keys: dict[str, str]) -> None:
    assert get(board, "/board?lang=fr", keys["page"]).status_code == 422
    assert httpx.get(f"{board.url}/board/login?lang=fr").status_code == 422


def test_a_session_may_what_its_key_may_and_no_longer_than_it(board: BoardService) -> None:
    key = board.key("leaver", "board", "board:rows")
    cookies = {COOKIE: login(board, key).cookies[COOKIE]}
    rows = f"{board.url}/board/rows/campaigns.csv"
    assert httpx.get(rows, cookies=cookies).status_code == 200
    revoke_keys(board.runtime.state, "leaver", now=datetime.now(UTC))
    board.read_keys_again()
    assert httpx.get(rows, cookies=cookies).status_code == 401


def test_a_cookie_that_is_over_or_forged_opens_nothing(board: BoardService, keys: dict[str, str]) -> None:
    key_id = keys["rows"].split("_")[1]
    now, secret = datetime.now(UTC), board.runtime.secret
    old = make_session(secret, key_id, now - LIFETIME - timedelta(seconds=1))
    forged = make_session(b"another secret", key_id, now)
    good = make_session(secret, key_id, now)
    content, _, signature = good.partition(".")
    values = [old, forged, content, f"{content}.", f"{content[:-2]}AA.{signature}", "", "a.b", "\"'", good + "x"]
    for value in values:
        answer = httpx.get(f"{board.url}/board/rows/leads.csv", headers={"Cookie": f"{COOKIE}={value}"})
        assert answer.status_code == 401, value
    assert httpx.get(f"{board.url}/board", cookies={COOKIE: good}).status_code == 200


def test_a_cookie_is_for_the_board_and_for_reading_alone(board: BoardService, keys: dict[str, str]) -> None:
    cookies = {COOKIE: make_session(board.runtime.secret, keys["owners"].split("_")[1], datetime.now(UTC))}
    assert httpx.get(f"{board.url}/v1/line", cookies=cookies).status_code == 401
    assert httpx.post(f"{board.url}/board/login", json={"key": "x"}, cookies=cookies).status_code == 401


def test_before_the_first_board_it_says_how_to_make_one(tmp_path: Path) -> None:
    with board_service(tmp_path, with_board=False) as board:
        answer = get(board, "/board", board.key("a", "board"))
        assert answer.status_code == 404
        assert "kizashi align" in answer.json()["detail"]


def test_a_session_of_the_environments_key_ends_with_that_key(tmp_path: Path) -> None:
    with board_service(tmp_path) as board:
        board.runtime.access._environment = sha256(b"the first key").digest()
        cookies = {COOKIE: login(board, "the first key").cookies[COOKIE]}
        assert httpx.get(f"{board.url}/board", cookies=cookies).status_code == 200
        board.runtime.access._environment = sha256(b"the next key").digest()
        assert httpx.get(f"{board.url}/board", cookies=cookies).status_code == 401


def test_wrong_keys_are_audited_and_slowed_down(tmp_path: Path) -> None:
    with board_service(tmp_path, with_board=False) as board:
        answers = [login(board, f"kzs_a_{number}").status_code for number in range(WRONG_KEYS_PER_MINUTE + 2)]
        assert answers[:WRONG_KEYS_PER_MINUTE] == [401] * WRONG_KEYS_PER_MINUTE
        assert answers[-1] == 429
        assert board.audit("key_refused")


def test_another_site_cannot_log_a_browser_in(board: BoardService, keys: dict[str, str]) -> None:
    assert login(board, keys["page"], Origin="https://elsewhere.example").status_code == 403
    assert login(board, keys["page"], Origin=board.url).status_code == 204
    for site, status in (("same-origin", 204), ("cross-site", 403), (None, 403)):  # from a page without a referrer
        headers = {"Origin": "null"} | ({"Sec-Fetch-Site": site} if site else {})
        answer = httpx.post(f"{board.url}/board/login", headers=headers, json={"key": keys["page"]})
        assert answer.status_code == status


def test_asking_for_the_head_of_a_file_is_no_download(board: BoardService, keys: dict[str, str]) -> None:
    before = len(board.audit("board_rows"))
    answer = httpx.head(f"{board.url}/board/rows/leads.csv", headers={"X-API-Key": keys["rows"]})
    assert answer.status_code == 200
    assert len(board.audit("board_rows")) == before
