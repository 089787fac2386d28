"""One view decides what may train: every thumb, pick and better answer, with all that its use depends on.

It knows no settings and no clock: which sources and which version of the consent count, and how old a judgement must
be, is asked of it (`core.store.trainable`). A later revision that rebuilds one of its tables drops it first and makes
it anew: SQLite renames no table that a view reads.
"""

from __future__ import annotations

from alembic import op

revision = "20261129_view_trainable_feedback"
down_revision = "20261129_note_marks"
branch_labels = None
depends_on = None

# What comes from anywhere else, an unknown platform too, trains only with people's consent.
CLEAN = "('playground', 'terminal', 'api', 'author')"
FIRST_HASH = {
    "sqlite": "json_extract(e.adapters, '$[0].content_hash')",
    "postgresql": "e.adapters -> 0 ->> 'content_hash'",
}


def least(one: str, other: str) -> str:
    """The smaller number; NULL counts as none. The dialects have no function in common for it."""
    return f"CASE WHEN {other} IS NULL OR {one} <= {other} THEN {one} ELSE {other} END"


def consent_of(words: str, giver: str) -> str:
    """The oldest version of the consent that somebody involved agrees to; 0 is no consent, NULL that none is needed."""
    return f"CASE WHEN {words} IS NULL THEN {giver} ELSE {least(words, giver)} END"


def view(dialect: str) -> str:
    """The statement that makes it.

    `agreed` is what each person agrees to now. `answered` is an exchange; its `consent` is of everybody whose words it
    holds, which is nobody's where it does not say whom it quotes. `version` is the adapter version that answered alone.
    """
    giver = f"CASE WHEN given.source IN {CLEAN} THEN NULL ELSE COALESCE(agreed.version, 0) END"
    asker_or_quoted = least("COALESCE(asker.version, 0)", "COALESCE(quoted.version, 0)")
    return f"""
CREATE VIEW trainable_feedback AS
WITH agreed AS (
    SELECT said.user_id, said.version FROM consents said
    WHERE said.is_given AND NOT EXISTS (
        SELECT 1 FROM consents later WHERE later.user_id = said.user_id AND later.id > said.id
    )
), quoted AS (
    SELECT q.exchange_id, MIN(COALESCE(agreed.version, 0)) AS version
    FROM quotes q LEFT JOIN agreed ON agreed.user_id = q.user_id
    WHERE q.user_id <> '' GROUP BY q.exchange_id
), answered AS (
    SELECT e.id, e.source, e.model, e.base_model, e.finish_reason, e.prompt, e.reply, v.version,
        CASE WHEN e.source IN {CLEAN} THEN NULL ELSE {asker_or_quoted} END AS consent
    FROM exchanges e
    LEFT JOIN agreed asker ON asker.user_id = e.user_id
    LEFT JOIN quoted ON quoted.exchange_id = e.id
    LEFT JOIN adapter_versions v ON v.persona = e.model AND v.base_model = e.base_model
        AND v.content_hash = {FIRST_HASH[dialect]}
    WHERE e.status = 'succeeded'
)
SELECT 'thumb' AS kind, given.user_id, given.source, given.given_at, given.label, CAST(NULL AS VARCHAR) AS text,
    a.id AS exchange_id, a.source AS exchange_source, a.model, a.base_model, a.version, a.finish_reason, a.prompt,
    a.reply, CAST(NULL AS VARCHAR) AS rejected_id, a.source AS rejected_source, a.model AS rejected_model,
    a.base_model AS rejected_base_model, a.version AS rejected_version, a.finish_reason AS rejected_finish_reason,
    a.reply AS rejected_reply, {consent_of("a.consent", giver)} AS consent
FROM feedback given JOIN answered a ON a.id = given.exchange_id
LEFT JOIN agreed ON agreed.user_id = given.user_id
UNION ALL
SELECT 'pick', given.user_id, given.source, given.given_at, CAST(NULL AS BOOLEAN), NULL,
    a.id, a.source, a.model, a.base_model, a.version, a.finish_reason, a.prompt, a.reply,
    r.id, r.source, r.model, r.base_model, r.version, r.finish_reason, r.reply,
    {consent_of(f"({consent_of('a.consent', 'r.consent')})", giver)}
FROM preferences given JOIN answered a ON a.id = given.chosen_id JOIN answered r ON r.id = given.rejected_id
LEFT JOIN agreed ON agreed.user_id = given.user_id
UNION ALL
SELECT 'correction', given.user_id, given.source, given.given_at, CAST(NULL AS BOOLEAN), given.text,
    a.id, a.source, a.model, a.base_model, a.version, a.finish_reason, a.prompt, a.reply,
    NULL, a.source, a.model, a.base_model, a.version, a.finish_reason, a.reply, {consent_of("a.consent", giver)}
FROM corrections given JOIN answered a ON a.id = given.exchange_id
LEFT JOIN agreed ON agreed.user_id = given.user_id
"""  # noqa: S608 - all of it ours


def upgrade() -> None:
    op.execute(view(op.get_bind().dialect.name))


def downgrade() -> None:
    op.execute("DROP VIEW trainable_feedback")
