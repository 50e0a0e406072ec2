"""The tables on SQLite and PostgreSQL. Columns have the keys of the records' fields; see `rows` for their values.

A field that was renamed keeps its old column name in the database, and `key` is the new one.

`seq` numbers the rows in the order of their insertion. Times are microseconds since 1970. JSON is stored as it came.
Large columns come last, since SQLite reads a row from its beginning.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()


# A code point that Unicode reserves for internal use. It and U+0000, which PostgreSQL does not accept, are written
# as two characters each, so every text comes back and equal texts stay equal; other rows are read as they are.
_ESCAPE = "\ufdd0"


def on_postgres(text: str) -> str:
    """Return a text in the form in which PostgreSQL stores it."""
    return text.replace(_ESCAPE, _ESCAPE + "1").replace("\0", _ESCAPE + "0")


def from_postgres(text: str) -> str:
    """Return a text that PostgreSQL has stored in this form."""
    return text.replace(_ESCAPE + "0", "\0").replace(_ESCAPE + "1", _ESCAPE)


class _PostgresText(sa.TypeDecorator[str]):
    """Any text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - the base class's
        return value and on_postgres(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - likewise
        return value and from_postgres(value)


_TEXT = sa.Text().with_variant(_PostgresText(), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers rows by columns of just this type
_LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # whose integers have 64 bits all the same
_MOMENT = sa.BigInteger()
_JSON = sa.LargeBinary()

LONGEST_INDEXED = 200  # characters


def _column(name: str, kind: Any, *items: Any, key: str | None = None, server_default: Any = None) -> sa.Column[Any]:
    return sa.Column(name, kind, *items, key=key, nullable=False, server_default=server_default)


def _optional(name: str, kind: Any, *items: Any, key: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, kind, *items, key=key, nullable=True)


def _of(column: str) -> sa.ForeignKey:
    return sa.ForeignKey(column, ondelete="CASCADE")


def _index(
    table: sa.Table,
    *names: str,
    where: sa.ColumnElement[bool] | None = None,
    unique: bool = False,
    dialect: str | None = None,
) -> None:
    index = sa.Index(
        f"{table.name}_by_{table.c[names[0]].name}",
        *(table.c[name] for name in names),
        unique=unique,
        sqlite_where=where,
        postgresql_where=where,
    )
    if dialect is not None:
        index.ddl_if(dialect)


def is_short(text: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a text is short enough to be indexed by PostgreSQL."""
    return sa.func.length(text) <= sa.literal_column(str(LONGEST_INDEXED))


def unindexed(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return the value of a column in a form for which no index is used."""
    return sa.func.coalesce(column, column)


VERSIONS = sa.Table("runbook_version", METADATA, _column("version", sa.Integer))

RUNS = sa.Table(
    "runbook_runs",
    METADATA,
    sa.Column("seq", _SEQ, primary_key=True),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    _column("kind", _TEXT),
    _optional("parent_id", _TEXT, _of("runbook_runs.id"), key="root_id"),
    _optional("session_id", _TEXT),
    _column("task_id", _TEXT),
    _column("slug", _TEXT),
    _column("name", _TEXT),
    _column("status", _TEXT),
    _column("env_slug", _TEXT),
    _column("created_at", _MOMENT),
    _column("updated_at", _MOMENT),
    _optional("active_at", _MOMENT),
    _optional("ended_at", _MOMENT),
    _column("created_by", _TEXT),
    _optional("cancelled_by", _TEXT),
    _column("position", _TEXT),
    _column("attempt", sa.Integer),
    _column("stretch", sa.Integer, key="segment"),
    _column("woken", sa.Boolean, key="answered_meanwhile"),
    _optional("due_at", _MOMENT),
    _column("epoch", _LONG, key="fencing_token"),
    _column("crashes", sa.Integer, key="failed_starts"),
    _column("source", _TEXT),
    _column("trace_context", _TEXT),
    _column("ended_seed", _TEXT),
    _column("param_values", _JSON),
    _column("params", _JSON),
    _column("resources", _JSON),
    _column("output", _JSON),
    _optional("failure", _JSON),
    _optional("sealed_values", sa.LargeBinary),
    _optional("sealed_output", sa.LargeBinary),
    _optional("digests", sa.LargeBinary),
    _optional("timeout", sa.Double),
    _column("spent", sa.BigInteger, server_default="0"),
    _optional("held", _TEXT),
    _column("leased", sa.Boolean, server_default=sa.false()),
    _optional("earlier_failures", _JSON),
)

SESSIONS = sa.Table(
    "runbook_sessions",
    METADATA,
    sa.Column("seq", _SEQ, primary_key=True),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    sa.Column("run_id", _TEXT, _of("runbook_runs.id"), nullable=False, unique=True),
    _column("runbook_id", _TEXT),
    _column("name", _TEXT),
    _column("status", _TEXT),
    _column("created_by", _TEXT),
    _column("created_at", _MOMENT),
    _column("updated_at", _MOMENT),
    _column("param_values", _JSON),
    _column("params", _JSON),
)

PROMPTS = sa.Table(
    "runbook_prompts",
    METADATA,
    sa.Column("seq", _SEQ, primary_key=True),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    _column("run_id", _TEXT, _of("runbook_runs.id")),
    _column("parent_id", _TEXT, _of("runbook_runs.id"), key="root_id"),
    _column("confirm_text", _TEXT),
    _column("cancel_text", _TEXT),
    _column("created_at", _MOMENT),
    _optional("submitted_at", _MOMENT),
    _optional("cancelled_at", _MOMENT),
    _optional("answered_by", _TEXT),
    _column("answered_seed", _TEXT),
    _optional("expires_at", _MOMENT),
    _column("description", _TEXT),
    _column("parameters", _JSON),
    _column("reviewers", _JSON),
    _column("values", _JSON),
    _optional("sealed", sa.LargeBinary),
)

KEYS = sa.Table(
    "runbook_keys",
    METADATA,
    sa.Column("key", _TEXT, primary_key=True),
    _column("fingerprint", sa.LargeBinary),
    _column("seed", _TEXT),
    _column("since", sa.Double),
    _column("leased", sa.Double),
    _optional("status", sa.Integer),
    _optional("body", sa.LargeBinary),
)

SERVER_LEASE = 8.0  # seconds that a server counts as alive after it was seen

SERVERS = sa.Table(
    "runbook_servers",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    _column("seen_at", sa.DateTime(timezone=True)),
    _optional("catalog", _JSON),
)

FACTS = sa.Table(  # facts about the database as a whole, on which its servers must agree
    "runbook_facts",
    METADATA,
    sa.Column("name", _TEXT, primary_key=True),
    _column("value", sa.LargeBinary),
)

SIGN_OUTS = sa.Table(  # sign-ins that have been ended before their time, until that time
    "runbook_sign_outs",
    METADATA,
    sa.Column("id", _TEXT, primary_key=True),
    _column("until", _MOMENT),
)

LOGS = sa.Table(  # what steps and tasks write; a row has many lines, and is never changed
    "runbook_logs",
    METADATA,
    _column("run_id", _TEXT, _of("runbook_runs.id")),
    _column("at", _MOMENT),
    _column("lines", _JSON),
    sa.PrimaryKeyConstraint("run_id", "at"),
)

UPLOADS = sa.Table(  # files; `used` says whether a session has ever had it
    "runbook_uploads",
    METADATA,
    sa.Column("id", _TEXT, primary_key=True),
    _column("name", _TEXT),
    _column("size", sa.BigInteger),
    _column("received", sa.BigInteger),
    _column("created_by", _TEXT),
    _column("created_at", _MOMENT),
    _column("used", sa.Boolean),
)

UPLOAD_CHUNKS = sa.Table(  # the contents of files; `position` is that of the first byte
    "runbook_upload_chunks",
    METADATA,
    _column("upload_id", _TEXT, _of("runbook_uploads.id")),
    _column("position", sa.BigInteger),
    _column("content", sa.LargeBinary),
    sa.PrimaryKeyConstraint("upload_id", "position"),
)

UPLOAD_USES = sa.Table(  # which root runs have which files
    "runbook_upload_uses",
    METADATA,
    _column("run_id", _TEXT, _of("runbook_runs.id")),
    _column("upload_id", _TEXT, _of("runbook_uploads.id")),
    sa.PrimaryKeyConstraint("run_id", "upload_id"),
)

DELIVERIES = sa.Table(  # messages to the outside; a row goes once its receiver has got the message
    "runbook_deliveries",
    METADATA,
    sa.Column("seq", _SEQ, primary_key=True),
    sa.Column("id", _TEXT, nullable=False, unique=True),
    _column("target", _TEXT),
    _column("event_type", _TEXT),
    _column("session_id", _TEXT),  # of a session that may have been dropped meanwhile
    _column("created_at", _MOMENT),
    _optional("due_at", _MOMENT),
    _column("leased", sa.Boolean),
    _column("fencing_token", _LONG),
    _column("attempts", sa.Integer),
    _optional("given_up_at", _MOMENT),
    _column("problem", _TEXT),
    _column("body", _JSON),
)

IS_OPEN = PROMPTS.c.submitted_at.is_(None) & PROMPTS.c.cancelled_at.is_(None)
HAS_ENDED = RUNS.c.root_id.is_(None) & RUNS.c.ended_at.is_not(None)
IS_UNFINISHED = RUNS.c.root_id.is_(None) & RUNS.c.ended_at.is_(None)
IS_AT_WORK = RUNS.c.root_id.is_(None) & (RUNS.c.ended_at.is_(None) | RUNS.c.due_at.is_not(None))

# Each commit writes the indexes that its rows are in: on SQLite a page of each, on PostgreSQL an entry of each for
# every update, since all updates change a column that some index has. So each index serves a statement that needs it.
_index(RUNS, "root_id", "position", where=RUNS.c.root_id.is_not(None), unique=True)
_index(RUNS, "task_id", "seq")
_index(RUNS, "slug", "seq", where=is_short(RUNS.c.slug))
_index(RUNS, "env_slug", "seq", where=is_short(RUNS.c.env_slug), dialect="postgresql")
_index(RUNS, "updated_at", "seq", dialect="postgresql")
_index(RUNS, "due_at", "seq", where=IS_AT_WORK)
_index(RUNS, "ended_at", "seq", where=HAS_ENDED)
_index(SESSIONS, "runbook_id", "seq")
_index(SESSIONS, "status", "seq", dialect="postgresql")
_index(SESSIONS, "updated_at", "seq", dialect="postgresql")
_index(PROMPTS, "run_id", "seq")
_index(PROMPTS, "root_id")
_index(PROMPTS, "expires_at", "seq", where=IS_OPEN & PROMPTS.c.expires_at.is_not(None))
_index(KEYS, "since")
_index(SIGN_OUTS, "until")
_index(UPLOADS, "created_by", "size")
_index(UPLOADS, "created_at")
_index(UPLOAD_USES, "upload_id")
_index(DELIVERIES, "due_at", "seq", where=DELIVERIES.c.due_at.is_not(None))
_index(DELIVERIES, "session_id")
_index(DELIVERIES, "given_up_at", "seq", where=DELIVERIES.c.given_up_at.is_not(None))
# SQLite finds what is left by reading an index from the newest row on, until the page is full: at worst 10 to 25 ms for
# 100,000 rows. There are few environments and statuses, so most pages are full long before.
_index(RUNS, "seq", "updated_at", "env_slug", dialect="sqlite")
_index(SESSIONS, "seq", "updated_at", "status", dialect="sqlite")
