"""Leaks planted into a simulated CRM, and honest CRMs that look as strange: what the sentinel is tried on."""

# pyarrow publishes no types.
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from crm.simulator import parse_demo_url, simulate
from crm.tables import TABLES

DAY = pd.Timedelta(days=1)
MINUTE = pd.Timedelta(minutes=1)


@dataclass(frozen=True)
class Crm:
    """Raw tables as frames, and the columns that are said to be known at creation."""

    tables: Mapping[str, pd.DataFrame]
    known: tuple[str, ...]

    def with_table(self, name: str, frame: pd.DataFrame) -> Crm:
        return replace(self, tables={**self.tables, name: frame})

    def with_rows(self, name: str, rows: pd.DataFrame) -> Crm:
        both = pd.concat([self.tables[name], rows], ignore_index=True)
        return self.with_table(name, both.sort_values("recorded_at", kind="stable"))

    def with_column(self, name: str, values: Any) -> Crm:
        known = self.known if name in self.known else (*self.known, name)
        return replace(self.with_table("leads", self.leads.assign(**{name: values})), known=known)

    @property
    def leads(self) -> pd.DataFrame:
        return self.tables["leads"]

    @property
    def sql_at(self) -> pd.Series:
        """Earliest SQL by row of leads, missing for none."""
        stages, deals = self.tables["stages"], self.tables.get("opportunities")
        moments = stages[stages["stage"].isin(["sql", "opportunity", "closed_won"])][["lead_id", "entered_at"]]
        if deals is not None:
            opened = deals[["lead_id", "created_at"]].rename(columns={"created_at": "entered_at"})
            moments = pd.concat([moments, opened])
        return self.leads["lead_id"].map(moments.groupby("lead_id")["entered_at"].min())

    @property
    def end_at(self) -> pd.Series:
        """First hand-off or SQL by row of leads, missing while open."""
        hand_offs = self.tables["hand_offs"].groupby("lead_id")["handed_off_at"].min()
        return pd.concat([self.sql_at, self.leads["lead_id"].map(hand_offs)], axis=1).min(axis=1)

    @property
    def has_sql(self) -> np.ndarray:
        return self.sql_at.notna().to_numpy()

    @property
    def is_won(self) -> np.ndarray:
        stages = self.tables["stages"]
        return self.leads["lead_id"].isin(stages[stages["stage"] == "closed_won"]["lead_id"]).to_numpy()

    def arrow(self) -> dict[str, pa.Table]:
        return {name: arrow_of(frame) for name, frame in self.tables.items()}


def arrow_of(frame: pd.DataFrame) -> pa.Table:
    return pa.table({str(name): column_of(frame[name]) for name in frame.columns})


def column_of(values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        return pa.array(naive, pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))
    if values.dtype.kind in "fib":
        return pa.array(values.to_numpy(), from_pandas=True)
    return pa.array([None if pd.isna(value) else value for value in values.tolist()])


def made(leads: int, seed: int) -> Crm:
    """Simulate a CRM."""
    raw = simulate(parse_demo_url(f"demo://?leads={leads}&seed={seed}"))
    declared = TABLES["leads"].column_names
    known = tuple(name for name in raw["leads"].column_names if name not in declared)
    return Crm({name: table.to_pandas() for name, table in raw.items()}, known)


def touches_at(crm: Crm, rows: np.ndarray, happened: Any, **columns: Any) -> pd.DataFrame:
    """Make touches of leads by row, by default as visits of the web site, recorded at once, with ids of their own."""
    moments = pd.to_datetime(pd.Series(happened).to_numpy(), utc=True)
    frame = pd.DataFrame(
        {
            "touch_id": [f"B{n:06}" for n in range(len(rows))],
            "lead_id": crm.leads["lead_id"].to_numpy()[rows],
            "happened_at": moments,
            "recorded_at": moments,
            "kind": "visit",
            "actor": "lead",
            "content_id": "page-pricing",
            "campaign_id": None,
            "channel": "web",
            "value": 2.0,
        }
    )
    return frame.assign(**columns)


def like_the_others(crm: Crm, rng: np.random.Generator, touches: pd.DataFrame) -> pd.DataFrame:
    """Give touches the lags and ids that the tracker's own have."""
    lag = pd.to_timedelta(rng.exponential(10.0, len(touches)), unit="s").round("us")
    first = 9_000_000
    ids = [f"T{first + n:07}" for n in range(len(touches))]
    return touches.assign(touch_id=ids, recorded_at=touches["happened_at"] + lag)


# Leaks. Each takes a CRM and a generator of random numbers, and gives the CRM with the leak.


def column_filled_at_the_sale(crm: Crm, rng: np.random.Generator) -> Crm:
    filled = crm.has_sql & (rng.random(len(crm.leads)) < 0.6)
    return crm.with_column("paper", np.where(filled, "sent", None))


def number_known_at_the_sale(crm: Crm, rng: np.random.Generator) -> Crm:
    size = len(crm.leads)
    return crm.with_column("seats", rng.lognormal(2, 1, size) + np.where(crm.has_sql, 80.0, 0.0))


def running_total(crm: Crm, rng: np.random.Generator) -> Crm:
    counts = crm.leads["lead_id"].map(crm.tables["touches"].groupby("lead_id").size()).fillna(0)
    return crm.with_column("page_views", counts + rng.integers(0, 2, len(crm.leads)))


def missing_when_lost(crm: Crm, rng: np.random.Generator) -> Crm:
    emptied = ~crm.has_sql & (rng.random(len(crm.leads)) < 0.6)
    return crm.with_column("industry", crm.leads["industry"].mask(emptied))


def account_given_at_conversion(crm: Crm, rng: np.random.Generator) -> Crm:
    kept = crm.has_sql | (rng.random(len(crm.leads)) < 0.15)
    return (
        crm.with_column("account_id", crm.leads["account_id"].where(kept))
        if False
        else crm.with_table("leads", crm.leads.assign(account_id=crm.leads["account_id"].where(kept)))
    )


def account_updated_after_the_win(crm: Crm, rng: np.random.Generator) -> Crm:
    owners = set(crm.leads.loc[crm.is_won, "account_id"].dropna())
    tier = np.where(crm.leads["account_id"].isin(owners), "gold", rng.choice(["silver", "bronze"], len(crm.leads)))
    return crm.with_column("tier", tier)


def status_column(crm: Crm, rng: np.random.Generator) -> Crm:
    return crm.with_column("lead_status", np.where(crm.has_sql, "working", rng.choice(["new", "open"], len(crm.leads))))


def lost_reason_in_japanese(crm: Crm, rng: np.random.Generator) -> Crm:
    reason = np.where(crm.has_sql & ~crm.is_won, rng.choice(["価格", "競合"], len(crm.leads)), None)
    return crm.with_column("失注理由", reason)


def stage_for_a_value(crm: Crm, rng: np.random.Generator) -> Crm:
    known = rng.random(len(crm.leads)) < 0.7
    return crm.with_column(
        "区分", np.where(crm.is_won & known, "受注", np.where(crm.has_sql & known, "失注", "その他"))
    )


def new_kind_of_touch_back_filled(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql)
    moments = crm.end_at.iloc[rows] - pd.to_timedelta(rng.uniform(0.01, 2.0, len(rows)), unit="D").round("us")
    return crm.with_rows("touches", touches_at(crm, rows, moments, kind="form_contact"))


def visits_back_filled_in_another_form(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.repeat(np.flatnonzero(crm.has_sql), 2)
    moments = crm.end_at.iloc[rows] - pd.to_timedelta(rng.uniform(0.1, 10.0, len(rows)), unit="D").round("us")
    return crm.with_rows("touches", touches_at(crm, rows, moments))


def visits_recorded_after_the_sale(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.repeat(np.flatnonzero(crm.has_sql), 3)
    sold = crm.sql_at.iloc[rows]
    moments = sold - pd.to_timedelta(rng.uniform(0.1, 15.0, len(rows)), unit="D").round("us")
    rows_made = like_the_others(crm, rng, touches_at(crm, rows, moments))
    later = sold.reset_index(drop=True) + pd.to_timedelta(rng.uniform(1, 5, len(rows)), unit="D").round("us")
    rows_made = rows_made.assign(recorded_at=later.to_numpy())
    return crm.with_rows("touches", rows_made)


def visits_at_a_fixed_distance(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql)
    return crm.with_rows("touches", like_the_others(crm, rng, touches_at(crm, rows, crm.sql_at.iloc[rows] - DAY)))


def forms_in_the_minute_of_the_outcome(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql)
    moments = crm.sql_at.iloc[rows] - pd.to_timedelta(rng.uniform(1, 40, len(rows)), unit="s").round("us")
    made_up = touches_at(crm, rows, moments, kind="form_submit", content_id="form-contact", value=None)
    return crm.with_rows("touches", like_the_others(crm, rng, made_up))


def sales_as_lead(crm: Crm, rng: np.random.Generator) -> Crm:
    touches = crm.tables["touches"]
    return crm.with_table("touches", touches.assign(actor=touches["actor"].replace("sales", "lead")))


def sales_as_lead_under_another_name(crm: Crm, rng: np.random.Generator) -> Crm:
    touches = crm.tables["touches"]
    by_sales = touches["actor"] == "sales"
    return crm.with_table(
        "touches",
        touches.assign(
            kind=touches["kind"].mask(by_sales, "interaction"), actor=touches["actor"].mask(by_sales, "lead")
        ),
    )


def merged_in_hindsight(crm: Crm, rng: np.random.Generator) -> Crm:
    """Duplicates of those who bought, found at the sale and merged as if from the start."""
    rows = np.flatnonzero(crm.has_sql)
    born = crm.leads["created_at"].iloc[rows]
    twins = crm.leads.iloc[rows].assign(lead_id=[f"L9{n:05}" for n in range(len(rows))])
    merges = pd.DataFrame(
        {
            "from_lead_id": twins["lead_id"].to_numpy(),
            "into_lead_id": crm.leads["lead_id"].to_numpy()[rows],
            "recorded_at": pd.to_datetime((born + MINUTE).to_numpy(), utc=True),
        }
    )
    return crm.with_rows("leads", twins).with_rows("lead_merges", merges)


def merged_ids_without_merges(crm: Crm, rng: np.random.Generator) -> Crm:
    """Touches of earlier duplicates already stand under the id that won."""
    rows = np.repeat(np.flatnonzero(crm.has_sql), 3)
    born = crm.leads["created_at"].iloc[rows]
    moments = born - pd.to_timedelta(rng.uniform(20, 90, len(rows)), unit="D").round("us")
    return crm.with_rows("touches", like_the_others(crm, rng, touches_at(crm, rows, moments)))


def renamed(crm: Crm, ids: Mapping[str, str], column: str = "lead_id") -> Crm:
    """Give records other ids in every table."""
    tables = dict(crm.tables)
    for name, frame in tables.items():
        for found in (column, f"from_{column}", f"into_{column}"):
            if found in frame:
                tables[name] = frame = frame.assign(**{found: frame[found].map(ids).fillna(frame[found])})
    return replace(crm, tables=tables)


def id_prefix_of_winners(crm: Crm, rng: np.random.Generator) -> Crm:
    ids = crm.leads["lead_id"]
    changed = np.where(crm.has_sql & (rng.random(len(ids)) < 0.7), "C" + ids.str[1:], ids)
    return renamed(crm, dict(zip(ids, changed, strict=True)))


def ids_numbered_by_outcome(crm: Crm, rng: np.random.Generator) -> Crm:
    order = np.lexsort((rng.random(len(crm.leads)), ~crm.has_sql))
    ids = crm.leads["lead_id"].to_numpy()
    return renamed(crm, {ids[row]: f"L{n:06}" for n, row in enumerate(order)})


def created_at_the_sale(crm: Crm, rng: np.random.Generator) -> Crm:
    late = crm.has_sql & (rng.random(len(crm.leads)) < 0.3)
    created = crm.leads["created_at"].mask(late, crm.end_at.where(crm.end_at == crm.sql_at, crm.sql_at) - MINUTE)
    leads = crm.leads.assign(created_at=created, recorded_at=created)
    gone = set(crm.leads.loc[late, "lead_id"])
    tables = {**crm.tables, "leads": leads}
    for name in ("hand_offs",):
        tables[name] = tables[name][~tables[name]["lead_id"].isin(gone)]
    stages = tables["stages"]
    early = stages["stage"].isin(["mql", "accepted"]) & stages["lead_id"].isin(gone)
    return replace(crm, tables={**tables, "stages": stages[~early]})


def entered_after_the_sale(crm: Crm, rng: np.random.Generator) -> Crm:
    late = crm.has_sql & (rng.random(len(crm.leads)) < 0.3)
    return crm.with_table(
        "leads", crm.leads.assign(recorded_at=crm.leads["recorded_at"].mask(late, crm.sql_at + 2 * DAY))
    )


def columns_of_today(crm: Crm, rng: np.random.Generator) -> Crm:
    changes = crm.tables["lead_changes"].sort_values("recorded_at")
    leads = crm.leads
    for field, rows in changes.groupby("field"):
        newest = rows.groupby("lead_id")["value"].last()
        leads = leads.assign(**{str(field): leads["lead_id"].map(newest).fillna(leads[str(field)])})
    return crm.with_table("leads", leads)


def outcomes_recorded_in_one_import(crm: Crm, rng: np.random.Generator) -> Crm:
    stages, deals = crm.tables["stages"], crm.tables["opportunities"]
    moment = stages["recorded_at"].max()
    deals = deals.sort_values("recorded_at").drop_duplicates("opportunity_id", keep="last")
    return crm.with_table("stages", stages.assign(recorded_at=moment)).with_table(
        "opportunities", deals.assign(recorded_at=moment)
    )


def one_person_in_two_accounts(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(rng.random(len(crm.leads)) < 0.1)
    ids = crm.leads["lead_id"].to_numpy()[rows]
    copies = {lead: f"L8{n:05}" for n, lead in enumerate(ids)}
    found = crm
    for name, key in (("leads", None), ("touches", "touch_id"), ("stages", None), ("hand_offs", "hand_off_id")):
        rows_of = crm.tables[name][crm.tables[name]["lead_id"].isin(copies)]
        rows_of = rows_of.assign(lead_id=rows_of["lead_id"].map(copies))
        if name == "leads":
            rows_of = rows_of.assign(account_id=[f"A8{n:05}" for n in range(len(rows_of))])
        if key:
            rows_of = rows_of.assign(**{key: rows_of[key].str[0] + "8" + rows_of[key].str[1:]})
        found = found.with_rows(name, rows_of)
    return found


def page_of_winners(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql & (rng.random(len(crm.leads)) < 0.5))
    moments = crm.end_at.iloc[rows] - pd.to_timedelta(rng.uniform(0.01, 3.0, len(rows)), unit="D").round("us")
    made_up = touches_at(crm, rows, moments, content_id="page-contract")
    return crm.with_rows("touches", like_the_others(crm, rng, made_up))


def campaign_of_winners(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql & (rng.random(len(crm.leads)) < 0.5))
    moments = crm.leads["created_at"].iloc[rows] + pd.to_timedelta(rng.uniform(0, 600, len(rows)), unit="s").round("us")
    made_up = touches_at(crm, rows, moments, campaign_id="welcome-customers", kind="email_click", channel="email")
    return crm.with_rows("touches", like_the_others(crm, rng, made_up))


def changes_of(crm: Crm, rows: np.ndarray, recorded: Any, field: str, value: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lead_id": crm.leads["lead_id"].to_numpy()[rows],
            "field": field,
            "value": value,
            "recorded_at": pd.to_datetime(pd.Series(recorded).to_numpy(), utc=True),
            "changed_by_team": "sales",
        }
    )


def change_dated_back(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql)
    return crm.with_rows("lead_changes", changes_of(crm, rows, crm.leads["created_at"].iloc[rows], "budget", "yes"))


def change_in_the_minute_of_the_outcome(crm: Crm, rng: np.random.Generator) -> Crm:
    rows = np.flatnonzero(crm.has_sql)
    moments = crm.sql_at.iloc[rows] - pd.to_timedelta(rng.uniform(1, 30, len(rows)), unit="s").round("us")
    return crm.with_rows("lead_changes", changes_of(crm, rows, moments, "budget", "yes"))


def visits_recorded_after_the_win(crm: Crm, rng: np.random.Generator) -> Crm:
    """A visit five days before each win, written down a week after it."""
    stages = crm.tables["stages"]
    won = stages[stages["stage"] == "closed_won"].groupby("lead_id")["entered_at"].min()
    at = crm.leads["lead_id"].map(won)
    rows = np.flatnonzero(at.notna())
    moments = at.iloc[rows] - pd.to_timedelta(rng.uniform(4, 6, len(rows)), unit="D").round("us")
    made_up = like_the_others(crm, rng, touches_at(crm, rows, moments, kind="download", content_id="guide-roi"))
    return crm.with_rows("touches", made_up.assign(recorded_at=made_up["happened_at"] + 12 * DAY))


def amount_in_the_touch(crm: Crm, rng: np.random.Generator) -> Crm:
    touches = crm.tables["touches"]
    winners = touches["lead_id"].isin(set(crm.leads.loc[crm.has_sql, "lead_id"]))
    return crm.with_table("touches", touches.assign(value=touches["value"].mask(winners, touches["value"] + 500.0)))


def old_rule_back_filled(crm: Crm, rng: np.random.Generator) -> Crm:
    """Whoever became an SQL is made an MQL of the first hour."""
    stages = crm.tables["stages"]
    rows = np.flatnonzero(crm.has_sql)
    born = pd.to_datetime((crm.leads["created_at"].iloc[rows] + 10 * MINUTE).to_numpy(), utc=True)
    rows_made = pd.DataFrame(
        {
            "lead_id": crm.leads["lead_id"].to_numpy()[rows],
            "stage": "mql",
            "entered_at": born,
            "recorded_at": born,
            "reason": None,
        }
    )
    return crm.with_table("stages", pd.concat([stages[stages["stage"] != "mql"], rows_made], ignore_index=True))


def calls_as_chats_of_leads(crm: Crm, rng: np.random.Generator) -> Crm:
    touches = crm.tables["touches"]
    calls = touches["kind"] == "call"
    return crm.with_table(
        "touches",
        touches.assign(kind=touches["kind"].mask(calls, "chat"), actor=touches["actor"].mask(calls, "lead")),
    )


def imported_with_their_deals(crm: Crm, rng: np.random.Generator) -> Crm:
    """Leads that came with an import of deals have whole days for dates."""
    came = crm.has_sql & (rng.random(len(crm.leads)) < 0.4)
    created = crm.leads["created_at"].mask(came, crm.leads["created_at"].dt.floor("D"))
    return crm.with_table("leads", crm.leads.assign(created_at=created, recorded_at=created))


def touches_of_lost_leads_deleted(crm: Crm, rng: np.random.Generator) -> Crm:
    gone = set(crm.leads.loc[~crm.has_sql & (rng.random(len(crm.leads)) < 0.6), "lead_id"])
    touches = crm.tables["touches"]
    return crm.with_table("touches", touches[~touches["lead_id"].isin(gone)])


Plant = Callable[[Crm, np.random.Generator], Crm]
LEAKS: Mapping[Plant, tuple[str, ...]] = {
    column_filled_at_the_sale: ("L5",),
    number_known_at_the_sale: ("L5",),
    missing_when_lost: ("L5",),
    account_given_at_conversion: ("L5",),
    account_updated_after_the_win: ("L5",),
    amount_in_the_touch: ("L5",),
    old_rule_back_filled: ("L5",),
    status_column: ("L6",),
    lost_reason_in_japanese: ("L6",),
    stage_for_a_value: ("L5", "L6"),
    merged_in_hindsight: ("L10",),
    id_prefix_of_winners: ("L10",),
    ids_numbered_by_outcome: ("L10",),
    new_kind_of_touch_back_filled: ("L11",),
    visits_back_filled_in_another_form: ("L11",),
    visits_recorded_after_the_sale: ("L11",),
    visits_recorded_after_the_win: ("L11",),
    visits_at_a_fixed_distance: ("L11",),
    forms_in_the_minute_of_the_outcome: ("L11",),
    merged_ids_without_merges: ("L11",),
    page_of_winners: ("L11",),
    campaign_of_winners: ("L11",),
    sales_as_lead: ("L12",),
    sales_as_lead_under_another_name: ("L12",),
    calls_as_chats_of_leads: ("L12",),
    created_at_the_sale: ("L13",),
    entered_after_the_sale: ("L13",),
    imported_with_their_deals: ("L13",),
    running_total: ("L14",),
    columns_of_today: ("L14",),
    change_dated_back: ("L5", "L14"),
    change_in_the_minute_of_the_outcome: ("L14",),
    outcomes_recorded_in_one_import: ("L15",),
    one_person_in_two_accounts: ("L16",),
}
"""Each leak, and the checks of which at least one has to fail."""
DOUBTS: Mapping[Plant, str] = {touches_of_lost_leads_deleted: "L5"}
"""What only a person can tell from an honest CRM, and the check that has to ask for one."""


# Honest CRMs.


def as_simulated(crm: Crm, rng: np.random.Generator) -> Crm:
    return crm


def rare_and_strong(crm: Crm, rng: np.random.Generator) -> Crm:
    """Two leads of three with the flag become SQLs; few have it."""
    size = len(crm.leads)
    base = crm.has_sql.mean()
    share = 0.15
    has = rng.random(size) < np.where(crm.has_sql, share, share * base / (1 - base) / 2)
    return crm.with_column("asked_for_trial", np.where(has, "yes", "no"))


def strong_number(crm: Crm, rng: np.random.Generator) -> Crm:
    """An honest number with an AUC of 0.8."""
    return crm.with_column("fit", rng.normal(0, 1, len(crm.leads)) + 1.19 * crm.has_sql)


def seasonal(crm: Crm, rng: np.random.Generator) -> Crm:
    """Leads of two quarters of the year hardly ever become anything."""
    is_winter = crm.leads["created_at"].dt.quarter.isin([1, 4]).to_numpy()
    gone = set(crm.leads.loc[is_winter & (rng.random(len(crm.leads)) < 0.75), "lead_id"])
    stages, deals = crm.tables["stages"], crm.tables["opportunities"]
    later = ["sql", "opportunity", "closed_won", "closed_lost"]
    stages = stages[~(stages["lead_id"].isin(gone) & stages["stage"].isin(later))]
    month = crm.leads["created_at"].dt.month_name()
    return (
        crm.with_table("stages", stages)
        .with_table("opportunities", deals[~deals["lead_id"].isin(gone)])
        .with_column("month", month)
    )


def late_by_a_constant(crm: Crm, rng: np.random.Generator) -> Crm:
    """Every touch arrives two days after it happened."""
    touches = crm.tables["touches"]
    return crm.with_table("touches", touches.assign(recorded_at=touches["happened_at"] + 2 * DAY))


def late_for_everybody(crm: Crm, rng: np.random.Generator) -> Crm:
    """One touch in ten arrives up to a month late, whosever it is."""
    touches = crm.tables["touches"]
    late = pd.to_timedelta(rng.uniform(0, 30, len(touches)) * (rng.random(len(touches)) < 0.1), unit="D").round("us")
    recorded = touches["recorded_at"] + late
    kept = recorded < pd.Timestamp("2026-07-01", tz="UTC")
    return crm.with_table("touches", touches.assign(recorded_at=recorded)[kept])


def missing_at_random(crm: Crm, rng: np.random.Generator) -> Crm:
    size = len(crm.leads)
    industry = crm.leads["industry"].mask(rng.random(size) < 0.5)
    employees = crm.leads["employees"].mask(rng.random(size) < 0.6)
    return crm.with_table("leads", crm.leads.assign(industry=industry, employees=employees))


def missing_by_source(crm: Crm, rng: np.random.Generator) -> Crm:
    """Bought lists carry no job level; they also convert less."""
    bought = crm.leads["source"].isin(["outbound_list", "content_syndication"])
    emptied = rng.random(len(crm.leads)) < np.where(bought, 0.97, 0.02)
    return crm.with_table("leads", crm.leads.assign(job_level=crm.leads["job_level"].mask(emptied)))


def field_of_last_year(crm: Crm, rng: np.random.Generator) -> Crm:
    """A question that the form asks for a year now."""
    asked = crm.leads["created_at"] > pd.Timestamp("2025-07-01", tz="UTC")
    return crm.with_column("heard_from", np.where(asked, rng.choice(["friend", "web", "event"], len(crm.leads)), None))


def honest_merges(crm: Crm, rng: np.random.Generator) -> Crm:
    """Duplicates are found at random, and merged when they are found."""
    born = crm.leads["created_at"]
    found_at = born + pd.to_timedelta(rng.exponential(20.0, len(born)), unit="D").round("us")
    open_then = crm.end_at.isna() | (found_at < crm.end_at)
    rows = np.flatnonzero(open_then.to_numpy() & (rng.random(len(born)) < 0.06))
    twins = crm.leads.iloc[rows].assign(lead_id=[f"L9{n:05}" for n in range(len(rows))])
    merges = pd.DataFrame(
        {
            "from_lead_id": twins["lead_id"].to_numpy(),
            "into_lead_id": crm.leads["lead_id"].to_numpy()[rows],
            "recorded_at": pd.to_datetime(found_at.iloc[rows].to_numpy(), utc=True),
        }
    )
    merges = merges[merges["recorded_at"] < pd.Timestamp("2026-07-01", tz="UTC")]
    return crm.with_rows("leads", twins).with_rows("lead_merges", merges)


def few_outcomes(crm: Crm, rng: np.random.Generator) -> Crm:
    """The first leads alone, of which some sixty became SQLs."""
    count = int(np.searchsorted(np.cumsum(crm.has_sql), 75)) + 1
    kept = set(crm.leads["lead_id"].sample(frac=1.0, random_state=int(rng.integers(1 << 31))).head(count))
    tables = {}
    for name, frame in crm.tables.items():
        key = next((c for c in ("lead_id", "from_lead_id") if c in frame), None)
        tables[name] = frame[frame[key].isin(kept)] if key else frame
    merges = tables["lead_merges"]
    tables["lead_merges"] = merges[merges["into_lead_id"].isin(kept)]
    return replace(crm, tables=tables)


def japanese_columns(crm: Crm, rng: np.random.Generator) -> Crm:
    names = {
        "industry": "業種",
        "company_size": "企業規模",
        "job_level": "担当者役職",
        "country": "国",
        "region": "地域",
        "employees": "従業員数",
    }
    changes = crm.tables["lead_changes"]
    changes = changes.assign(field=changes["field"].replace(names))
    renamed_leads = crm.leads.rename(columns=names)
    crm = crm.with_table("leads", renamed_leads).with_table("lead_changes", changes)
    return replace(crm, known=tuple(names.get(name, name) for name in crm.known))


def large_accounts(crm: Crm, rng: np.random.Generator) -> Crm:
    """Sixty accounts hold half of the leads."""
    number = rng.integers(0, 60, len(crm.leads))
    large = rng.random(len(crm.leads)) < 0.5
    account = crm.leads["account_id"].mask(large, pd.Series([f"A9{n:04}" for n in number], index=crm.leads.index))
    deals = crm.tables["opportunities"]
    deals = deals.assign(account_id=deals["lead_id"].map(dict(zip(crm.leads["lead_id"], account, strict=True))))
    return crm.with_table("leads", crm.leads.assign(account_id=account)).with_table("opportunities", deals)


def hot_pricing_pages(crm: Crm, rng: np.random.Generator) -> Crm:
    """Buyers read prices in their last days, and so do others in days of their own."""
    rows = np.repeat(np.flatnonzero(crm.has_sql), rng.poisson(2.0, int(crm.has_sql.sum())))
    hot = crm.end_at.iloc[rows] - pd.to_timedelta(rng.exponential(1.0, len(rows)) + 0.002, unit="D").round("us")
    others = np.repeat(np.flatnonzero(~crm.has_sql), rng.poisson(0.5, int((~crm.has_sql).sum())))
    cool = crm.leads["created_at"].iloc[others] + pd.to_timedelta(rng.exponential(15, len(others)), unit="D").round(
        "us"
    )
    rows, moments = np.concatenate([rows, others]), pd.concat([hot, cool])
    kept = (
        (moments >= crm.leads["created_at"].iloc[rows]) & (moments < pd.Timestamp("2026-06-29", tz="UTC"))
    ).to_numpy()
    made_up = touches_at(crm, rows[kept], moments[kept], value=rng.integers(1, 6, int(kept.sum())).astype(float))
    return crm.with_rows("touches", like_the_others(crm, rng, made_up))


def demo_requests(crm: Crm, rng: np.random.Generator) -> Crm:
    """A new kind of touch: four of ten buyers ask for a demo beforehand, and four of a hundred others."""
    asks = rng.random(len(crm.leads)) < np.where(crm.has_sql, 0.4, 0.04)
    rows = np.flatnonzero(asks)
    born = crm.leads["created_at"].iloc[rows]
    span = (crm.end_at.iloc[rows].fillna(born + 30 * DAY) - born) * 0.9
    moments = born + (span * rng.random(len(rows))).dt.round("us")
    made_up = touches_at(crm, rows, moments, kind="demo_request", content_id="form-demo", value=None)
    made_up = made_up[made_up["happened_at"] < pd.Timestamp("2026-06-29", tz="UTC")]
    return crm.with_rows("touches", like_the_others(crm, rng, made_up))


def random_ids(crm: Crm, rng: np.random.Generator) -> Crm:
    ids = {lead: rng.bytes(8).hex() for lead in crm.leads["lead_id"]}
    return renamed(crm, ids)


def days_alone(crm: Crm, rng: np.random.Generator) -> Crm:
    """The tracker and the CRM keep the day only."""
    touches, stages = crm.tables["touches"], crm.tables["stages"]
    tables = {
        "touches": touches.assign(
            happened_at=touches["happened_at"].dt.floor("D"), recorded_at=touches["recorded_at"].dt.ceil("D")
        ),
        "stages": stages.assign(
            entered_at=stages["entered_at"].dt.ceil("D"), recorded_at=stages["recorded_at"].dt.ceil("D")
        ).drop_duplicates(["lead_id", "stage", "entered_at"]),
        "leads": crm.leads.assign(
            created_at=crm.leads["created_at"].dt.floor("D"), recorded_at=crm.leads["created_at"].dt.ceil("D")
        ),
    }
    return replace(crm, tables={**crm.tables, **tables})


def customers_flagged_at_creation(crm: Crm, rng: np.random.Generator) -> Crm:
    """Leads that come after their account has bought are marked as customers from the start."""
    stages = crm.tables["stages"]
    won = stages[stages["stage"] == "closed_won"].groupby("lead_id")["entered_at"].min()
    bought = crm.leads["lead_id"].map(won).groupby(crm.leads["account_id"]).min()
    since = crm.leads["account_id"].map(bought)
    return crm.with_column("relation", np.where(since < crm.leads["created_at"], "customer", "prospect"))


def stages_alone(crm: Crm, rng: np.random.Generator) -> Crm:
    """No opportunities, hand-offs, changes or merges, and no recording times."""
    tables = {name: crm.tables[name] for name in ("leads", "touches", "stages")}
    return replace(crm, tables={name: frame.drop(columns="recorded_at") for name, frame in tables.items()})


def deals_of_accounts_alone(crm: Crm, rng: np.random.Generator) -> Crm:
    """Opportunities name no lead: what an account reaches, all its leads share; some accounts are large."""
    found = large_accounts(crm, rng)
    deals = found.tables["opportunities"]
    return found.with_table("opportunities", deals.assign(lead_id=None)[deals["account_id"].notna()])


def lists_uploaded_weekly(crm: Crm, rng: np.random.Generator) -> Crm:
    """Downloads and webinars come as lists, every Monday at nine."""
    touches = crm.tables["touches"]
    monday = touches["happened_at"].dt.floor("D") + pd.to_timedelta(7 - touches["happened_at"].dt.day_of_week, unit="D")
    listed = touches["kind"].isin(["download", "webinar_attend"])
    recorded = touches["recorded_at"].mask(listed, monday + pd.Timedelta(hours=9))
    kept = recorded < pd.Timestamp("2026-07-01", tz="UTC")
    return crm.with_table("touches", touches.assign(recorded_at=recorded)[kept])


CLEAN: tuple[Plant, ...] = (
    as_simulated,
    rare_and_strong,
    strong_number,
    seasonal,
    late_by_a_constant,
    late_for_everybody,
    missing_at_random,
    missing_by_source,
    field_of_last_year,
    honest_merges,
    few_outcomes,
    japanese_columns,
    large_accounts,
    deals_of_accounts_alone,
    hot_pricing_pages,
    demo_requests,
    random_ids,
    days_alone,
    customers_flagged_at_creation,
    stages_alone,
    lists_uploaded_weekly,
)
"""Honest CRMs: no check may fail."""
