"""What one running service holds: its workspace, its state, its model, and who may ask."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import IO, Any

import sqlalchemy as sa

from crm.api_keys import ApiKey, list_keys
from crm.clients.waiting import Waiting
from crm.config import Workspace, load_workspace
from crm.config_crm import CrmConfig
from crm.config_sections import STATE_URL
from crm.erasure import erase_listed
from crm.errors import KizashiError
from crm.held import HeldRows
from crm.known import to_micros
from crm.lead_hashes import lead_hash
from crm.mirror import mirror_path, write_mirror
from crm.packed import WORKSPACE_VARIABLE, load_packed, packed_at, state_folder
from crm.progress import Progress, Silent
from crm.pull_places import pull_mark
from crm.pulling import Puller
from crm.reread import reread
from crm.state import State, hold_alone, open_state, state_secret
from crm.state_tables import OBJECTIONS, TOMBSTONES
from crm.told import Teller
from crm.workspace_tables import open_tables
from crm.workspace_teller import workspace_teller
from models.registry import load_model
from models.scoring import LoadedModel
from serving.access import Access
from serving.asked import Asked
from serving.bodies import ScoreBody
from serving.champions import Champions
from serving.held_leads import HeldLeads
from serving.issuing import Issuer
from serving.keys import check_someone_may_ask, key_digest
from serving.live import Live
from serving.rates import Rates
from serving.refusals import Refusals
from serving.scorer import WARM_UP, Scorer
from serving.tokens import TokenIssuer, jwks_reader
from serving.watch import describe_failure
from serving.writer import Writer

__all__ = ["WORKSPACE_VARIABLE", "Runtime", "Settings", "settings_from"]

logger = logging.getLogger("kizashi.model")
EARLIER_MODELS = 4
"""Versions kept in memory beside the one in force, for whoever asks why a score moved."""


@dataclass(frozen=True)
class Settings:
    """What a service is started with.

    Parameters
    ----------
    workspace
        Folder and configuration.
    key_sha256
        Digest of the key in the environment, which may do everything; None without one.
    """

    workspace: Workspace
    key_sha256: bytes | None = None


class Runtime:
    """Settings and model, each read once and no earlier than needed: importing the service does no work.

    Parameters
    ----------
    read_settings
        Called once.
    progress
        Where to report what takes a while before the service is ready.
    """

    def __init__(self, read_settings: Callable[[], Settings], progress: Progress | None = None) -> None:
        self._read_settings = read_settings
        self._progress = progress or Silent()
        self._live: Live | None = None
        self._alone: IO[bytes] | None = None
        self._left_out: frozenset[str] = frozenset()
        self._erased: frozenset[str] = frozenset()
        self._not_caught_up: frozenset[str] = frozenset()
        self.shadow: Live | None = None
        self._pull_mark: Mapping[str, int] = {}
        self._earlier: dict[str, LoadedModel | None] = {}
        self.on_issued: list[Callable[[Sequence[Mapping[str, Any]]], None]] = []

    @cached_property
    def settings(self) -> Settings:
        """What the service was started with; ``KizashiError`` when that cannot be used."""
        return self._read_settings()

    @property
    def live(self) -> Live:
        """What answers now; ``KizashiError`` when there is no champion: nothing else is ever served in its place."""
        if self._live is None:
            self._live = self.make_live(self.champions.first())
        return self._live

    @property
    def scorer(self) -> Scorer:
        """The champion."""
        return self.live.scorer

    def make_live(self, model: LoadedModel) -> Live:
        """Make a model ready to answer; what is made on first use is made now."""
        scorer = Scorer(model, self.settings.workspace.config)
        issuer = Issuer(model.line, self.secret, self.settings.workspace.config.crm)
        live = Live(scorer, HeldLeads(self.rows, scorer.reading, keeps=self.state.is_sqlite), issuer)
        now = datetime.now(UTC)
        body = scorer.read_score(json.dumps(WARM_UP).encode(), now)
        if isinstance(body, ScoreBody):
            for language in ("en", "ja"):
                live.score_given([body], Asked(now, language))
        return live

    def model_of(self, version: str) -> LoadedModel | None:
        """Return a version that once was in force; None when it is no longer to be had."""
        if version == self.live.scorer.model.version:
            return self.live.scorer.model
        if version not in self._earlier:
            try:
                self._earlier[version] = load_model(self.settings.workspace, alias=version)
            except KizashiError:
                self._earlier[version] = None
            while len(self._earlier) > EARLIER_MODELS:
                self._earlier.pop(next(iter(self._earlier)))
        return self._earlier[version]

    def look_for_challenger(self) -> None:
        """Compare with the registry's challenger from now on, or with nothing when there is none."""
        model = self.champions.challenger(self.live.scorer.model)
        self.shadow = None if model is None else self.make_live(model)

    def put_live(self, live: Live) -> None:
        """Answer with another model from the next request on."""
        self._live = live

    @cached_property
    def champions(self) -> Champions:
        """Which version should answer."""
        return Champions(self.settings.workspace)

    def forget(self, lead_ids: Collection[str]) -> None:
        """Gather leads anew the next time: something was told of them."""
        for live in (self.live, self.shadow):
            if live is not None:
                live.held.forget(lead_ids)

    def refresh_rows(self) -> None:
        """Read the copy of the source anew if it was replaced."""
        if self.rows.refresh():
            self._forget_all()

    @cached_property
    def rows(self) -> HeldRows:
        """Rows of leads that are held here."""
        rows = HeldRows(self.settings.workspace, self.state)
        rows.refresh()
        return rows

    @cached_property
    def secret(self) -> bytes:
        """Key of hashes and draws."""
        return state_secret(self.settings.workspace)

    @cached_property
    def teller(self) -> Teller:
        """How rows that are told are taken in."""
        return workspace_teller(self.settings.workspace)

    @property
    def crms(self) -> Mapping[str, CrmConfig]:
        """CRMs of the workspace file, by name."""
        return self.settings.workspace.config.crm

    def left_out(self, lead_ids: Collection[str]) -> set[str]:
        """Return those of some leads, as they are held, that are not scored: they objected, or were erased."""
        if not self._left_out:
            return set()
        return {one for one in lead_ids if lead_hash(self.secret, one) in self._left_out}

    def refresh_left_out(self) -> None:
        """Read anew who is not scored."""
        with self.state.reading() as connection:
            erased = frozenset(connection.execute(sa.select(TOMBSTONES.c.lead_hash)).scalars())
            found = erased | set(connection.execute(sa.select(OBJECTIONS.c.lead_hash)).scalars())
        if found != self._left_out:
            self._left_out = found
            self._forget_all()  # another process may have erased a lead whose touches other leads are known by

    def catch_up_with_erasures(self) -> None:
        """Take out of the files here who was erased elsewhere, or by a process that did not come to an end.

        Files are not read again before another lead is erased: of a state that is a file, after the start, they need
        not be, as whoever erases there goes through them.
        """
        with self.state.reading() as connection:
            erased = frozenset(connection.execute(sa.select(TOMBSTONES.c.lead_hash)).scalars())
        if erased <= self._erased:
            return
        try:
            gone = erase_listed(self.settings.workspace, erased)
        except (OSError, ValueError, SqliteError) as error:  # tried again; scoring goes on
            if self._not_caught_up != erased:  # said once
                logger.error("erased leads may still be in files here: %s", describe_failure(error))
            self._not_caught_up = erased
            return
        self._erased = erased
        if gone:
            logger.info("files here had rows of %d leads that were erased", gone)
            self.refresh_rows()

    def _forget_all(self) -> None:
        for live in (self._live, self.shadow):
            if live is not None:
                live.held.forget_all()

    def reread(self, crm: str, lead_ids: Collection[str]) -> None:
        """Read leads of a CRM anew, as a webhook says that something of them has changed."""
        workspace = self.settings.workspace
        puller = Puller(self.state, self.teller, self.rows, Waiting(), workspace.secrets)
        told = reread(puller, crm, lead_ids, datetime.now(UTC))
        if told:
            self.rows.forget_merges()
            self.forget(told)

    def refresh_pulled(self) -> None:
        """Gather leads anew if a pull, which is another process, has told something since the last look."""
        with self.state.reading() as connection:
            mark = pull_mark(connection)
        if mark != self._pull_mark:
            self._pull_mark = mark
            self.rows.forget_merges()
            for live in (self.live, self.shadow):
                if live is not None:
                    live.held.forget_all()

    @cached_property
    def writer(self) -> Writer:
        """The one thread that writes."""
        return Writer(self.state)

    def issued(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Take note of scores that were issued."""
        for note in self.on_issued:
            note(answers)

    def close(self) -> None:
        """Finish what is to be written, and close the state."""
        for name in ("writer", "rows", "state"):
            if name in self.__dict__:
                self.__dict__[name].close()
        if self._alone is not None:
            self._alone.close()

    @cached_property
    def state(self) -> State:
        """What the service was told and what it answered; ``StateError`` when it cannot be opened."""
        return open_state(self.settings.workspace, checkpoints_at_commits=False)  # Background does it

    @cached_property
    def access(self) -> Access:
        """Who may ask."""
        jwt, folder = self.settings.workspace.config.serve.jwt, self.settings.workspace.folder
        issuer = TokenIssuer(jwt, jwks_reader(jwt, folder)) if jwt else None
        return Access(self._keys, self.settings.key_sha256, issuer)

    @cached_property
    def rates(self) -> Rates:
        """How much callers have asked lately."""
        return Rates(self.settings.workspace.config.serve.rate_per_minute)

    @cached_property
    def refusals(self) -> Refusals:
        """Where refused keys are audited."""
        return Refusals(lambda: self.state)

    def copy_source(self) -> None:
        """Copy the source's rows to where leads are read from, unless that was done before: the night does it again.

        A packed service has no source, and a source without tables needs no copy.
        """
        workspace = self.settings.workspace
        is_needed = workspace.config.source.url != STATE_URL and self.champions.origin != "packed"
        if is_needed and not mirror_path(workspace).is_file():
            with open_tables(workspace, datetime.now(UTC), self._progress) as tables:
                write_mirror(workspace, tables, self._progress)

    def start(self) -> None:
        """Read settings, state and model now, so that a service that could answer nobody does not start."""
        now_us = to_micros(datetime.now(UTC))
        check_someone_may_ask(
            has_environment_key=self.settings.key_sha256 is not None,
            has_live_key=any(key.is_live(now_us) for key in self._keys()),
            has_issuer=self.settings.workspace.config.serve.jwt is not None,
        )
        if self.state.is_sqlite and self._alone is None:
            self._alone = hold_alone(self.settings.workspace)
        self.refresh_left_out()
        _ = self.live
        self.copy_source()
        self.catch_up_with_erasures()
        self.refresh_rows()
        _ = self.writer, self.teller, self.access, self.rates
        logger.info(
            "version %s answers (%s), by the code in %s; the workspace is %s",
            self.live.scorer.model.version,
            self.champions.origin,
            Path(__file__).parents[1],
            self.settings.workspace.folder,
        )

    def _keys(self) -> list[ApiKey]:
        return list_keys(self.state)


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Read the settings out of ``KIZASHI_WORKSPACE`` (default: the current folder) and ``KIZASHI_API_KEY``.

    In a bento the workspace file is the packed one, and ``KIZASHI_WORKSPACE`` says where the state goes.

    Raises
    ------
    KizashiError
        When the key is too short or the workspace file cannot be used.
    """
    digest = key_digest(environ)
    packed = packed_at()
    if packed is not None:
        return Settings(load_packed(packed, state_folder(packed, environ), environ), digest)
    return Settings(load_workspace(Path(environ.get(WORKSPACE_VARIABLE, ".")), environ=environ), digest)
