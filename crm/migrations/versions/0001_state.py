"""The first form of the state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go to this form."""
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("lead_hash", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(op.f("ix_audit_at_us"), "audit", ["at_us"], unique=False)
    op.create_table(
        "current_scores",
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("line_version", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("expected_value", sa.Double(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("is_above", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id"),
    )
    op.create_index("ix_current_scores_queue", "current_scores", ["decision", "expected_value"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("ledger_seq", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(op.f("ix_dead_letters_lead_id"), "dead_letters", ["lead_id"], unique=False)
    op.create_table(
        "expectations",
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("registered_us", sa.BigInteger(), nullable=False),
        sa.Column("mqls", sa.Double(), nullable=True),
        sa.Column("sqls", sa.Double(), nullable=True),
        sa.Column("won", sa.Double(), nullable=True),
        sa.Column("revenue", sa.Double(), nullable=True),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "team", "registered_us"),
    )
    op.create_table(
        "hand_offs",
        sa.Column("hand_off_id", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("handed_off_us", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("accepted_us", sa.BigInteger(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("disposition_reason", sa.Text(), nullable=True),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hand_off_id", "recorded_us"),
    )
    op.create_index("ix_hand_offs_lead_id", "hand_offs", ["lead_id"], unique=False)
    op.create_table(
        "hook_events",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_us", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("leads", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id"),
    )
    op.create_index(op.f("ix_hook_events_received_us"), "hook_events", ["received_us"], unique=False)
    op.create_table(
        "lead_changes",
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by_team", sa.Text(), nullable=True),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", "field", "recorded_us"),
    )
    op.create_table(
        "lead_merges",
        sa.Column("from_lead_id", sa.Text(), nullable=False),
        sa.Column("into_lead_id", sa.Text(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("from_lead_id", "recorded_us"),
    )
    op.create_index("ix_lead_merges_into_lead_id", "lead_merges", ["into_lead_id"], unique=False)
    op.create_table(
        "leads",
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id"),
    )
    op.create_index("ix_leads_account_id", "leads", ["account_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "ledger",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("issued_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("is_stored", sa.Boolean(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("line_version", sa.Text(), nullable=False),
        sa.Column("score_outcome", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("score_unclipped", sa.Double(), nullable=False),
        sa.Column("base", sa.Double(), nullable=False),
        sa.Column("p_sql", sa.Double(), nullable=False),
        sa.Column("p_won", sa.Double(), nullable=False),
        sa.Column("expected_revenue", sa.Double(), nullable=False),
        sa.Column("expected_value", sa.Double(), nullable=False),
        sa.Column("percentile", sa.Double(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("is_mql", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("excluded_by", sa.Text(), nullable=True),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("is_above", sa.Boolean(), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("input_hmac", sa.Text(), nullable=False),
        sa.Column("latency_us", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ledger_lead_id", "ledger", ["lead_id", "seq"], unique=False)
    op.create_table(
        "objections",
        sa.Column("lead_hash", sa.Text(), nullable=False),
        sa.Column("objected_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lead_hash"),
    )
    op.create_table(
        "opportunities",
        sa.Column("opportunity_id", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=True),
        sa.Column("is_won", sa.Boolean(), nullable=True),
        sa.Column("amount", sa.Double(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("opportunity_id", "recorded_us"),
    )
    op.create_index("ix_opportunities_account_id", "opportunities", ["account_id"], unique=False)
    op.create_index("ix_opportunities_lead_id", "opportunities", ["lead_id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("queued_us", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_us", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("crm", "lead_id"),
    )
    op.create_index("ix_outbox_due", "outbox", ["crm", "next_try_us"], unique=False)
    op.create_index(op.f("ix_outbox_queued_us"), "outbox", ["queued_us"], unique=False)
    op.create_table(
        "pulls",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("pulled_us", sa.BigInteger(), nullable=True),
        sa.Column("news", sa.Integer(), nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("unread", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("crm"),
    )
    op.create_table(
        "pushed",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("is_mql", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("pushed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "lead_id"),
    )
    op.create_table(
        "rescore_queue",
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("queued_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", "account_id"),
    )
    op.create_index(op.f("ix_rescore_queue_queued_us"), "rescore_queue", ["queued_us"], unique=False)
    op.create_table(
        "shadow_scores",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("score_unclipped", sa.Double(), nullable=False),
        sa.Column("p_sql", sa.Double(), nullable=False),
        sa.Column("p_won", sa.Double(), nullable=False),
        sa.Column("expected_value", sa.Double(), nullable=False),
        sa.Column("is_mql", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq", "model_version"),
    )
    op.create_index(op.f("ix_shadow_scores_lead_id"), "shadow_scores", ["lead_id"], unique=False)
    op.create_table(
        "stages",
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("entered_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", "stage", "entered_us"),
    )
    op.create_table(
        "told_quarantine",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("table", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "tombstones",
        sa.Column("lead_hash", sa.Text(), nullable=False),
        sa.Column("erased_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lead_hash"),
    )
    op.create_table(
        "touches",
        sa.Column("touch_id", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("happened_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("content_id", sa.Text(), nullable=True),
        sa.Column("campaign_id", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("arrived_us", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("touch_id"),
    )
    op.create_index("ix_touches_lead_id", "touches", ["lead_id"], unique=False)


def downgrade() -> None:
    """Go back to the form before it."""
    op.drop_index("ix_touches_lead_id", table_name="touches")
    op.drop_table("touches")
    op.drop_table("tombstones")
    op.drop_table("told_quarantine")
    op.drop_table("stages")
    op.drop_index(op.f("ix_shadow_scores_lead_id"), table_name="shadow_scores")
    op.drop_table("shadow_scores")
    op.drop_index(op.f("ix_rescore_queue_queued_us"), table_name="rescore_queue")
    op.drop_table("rescore_queue")
    op.drop_table("pushed")
    op.drop_table("pulls")
    op.drop_index(op.f("ix_outbox_queued_us"), table_name="outbox")
    op.drop_index("ix_outbox_due", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index("ix_opportunities_lead_id", table_name="opportunities")
    op.drop_index("ix_opportunities_account_id", table_name="opportunities")
    op.drop_table("opportunities")
    op.drop_table("objections")
    op.drop_index("ix_ledger_lead_id", table_name="ledger")
    op.drop_table("ledger")
    op.drop_table("leases")
    op.drop_index("ix_leads_account_id", table_name="leads")
    op.drop_table("leads")
    op.drop_index("ix_lead_merges_into_lead_id", table_name="lead_merges")
    op.drop_table("lead_merges")
    op.drop_table("lead_changes")
    op.drop_index(op.f("ix_hook_events_received_us"), table_name="hook_events")
    op.drop_table("hook_events")
    op.drop_index("ix_hand_offs_lead_id", table_name="hand_offs")
    op.drop_table("hand_offs")
    op.drop_table("expectations")
    op.drop_index(op.f("ix_dead_letters_lead_id"), table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_index("ix_current_scores_queue", table_name="current_scores")
    op.drop_table("current_scores")
    op.drop_index(op.f("ix_audit_at_us"), table_name="audit")
    op.drop_table("audit")
    op.drop_table("api_keys")
