"""The version of the tables: new databases get today's tables, older ones are upgraded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from .errors import DatabaseError, DatabaseTooNew
from .ids import now
from .rows import to_microseconds
from .tables import METADATA, VERSIONS

logger = logging.getLogger(__name__)

Upgrade = Callable[[sa.Connection], None]

_DBOS_TABLES = (  # those that refer to another one first
    "operation_outputs",
    "workflow_output",
    "workflow_input",
    "workflow_events_history",
    "workflow_events",
    "streams",
    "notifications",
    "workflow_schedules",
    "application_versions",
    "queues",
    "workflow_status",
    "dbos_migrations",
)


def _keep_digests_timeouts_and_facts(connection: sa.Connection) -> None:
    binary, number = ("BYTEA", "DOUBLE PRECISION") if connection.dialect.name == "postgresql" else ("BLOB", "DOUBLE")
    unfinished = "parent_id IS NULL AND ended_at IS NULL"
    for statement in (
        f"ALTER TABLE runbook_prompts ADD COLUMN sealed {binary}",
        f"ALTER TABLE runbook_runs ADD COLUMN digests {binary}",
        f"ALTER TABLE runbook_runs ADD COLUMN timeout {number}",
        "ALTER TABLE runbook_runs ADD COLUMN spent BIGINT DEFAULT '0' NOT NULL",
        "ALTER TABLE runbook_runs ADD COLUMN held TEXT",
        f"CREATE INDEX runbook_runs_by_source ON runbook_runs (source, task_id) WHERE {unfinished}",
        f"ALTER TABLE runbook_servers ADD COLUMN catalog {binary}",
        f"CREATE TABLE runbook_facts (name TEXT NOT NULL PRIMARY KEY, value {binary} NOT NULL)",
        "CREATE TABLE runbook_sign_outs (id TEXT NOT NULL PRIMARY KEY, until BIGINT NOT NULL)",
        "CREATE INDEX runbook_sign_outs_by_until ON runbook_sign_outs (until)",
    ):
        connection.exec_driver_sql(statement)


def _set_leases(connection: sa.Connection) -> None:
    """Give root runs leases, and make those due that a server of an older version has begun and not left.

    Only DBOS knew those, which has nothing to do any more. Indexes that cost more than they serve are replaced.
    Raises DatabaseError.
    """
    shared = connection.dialect.name == "postgresql"
    if shared:
        _refuse_older_servers(connection)
    connection.exec_driver_sql("ALTER TABLE runbook_runs ADD COLUMN leased BOOLEAN DEFAULT false NOT NULL")
    connection.exec_driver_sql(f"ALTER TABLE runbook_runs ADD COLUMN earlier_failures {'BYTEA' if shared else 'BLOB'}")
    if shared:
        connection.exec_driver_sql("ALTER TABLE runbook_runs ALTER COLUMN epoch TYPE BIGINT")
        connection.exec_driver_sql("DROP SCHEMA IF EXISTS runbook_dbos CASCADE")
    elif sa.inspect(connection).has_table(_DBOS_TABLES[-1]):
        for name in _DBOS_TABLES:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.execute(
        sa.text(
            "UPDATE runbook_runs SET due_at = :moment WHERE parent_id IS NULL AND due_at IS NULL AND held IS NULL AND ("
            " (ended_at IS NULL AND id NOT IN (SELECT run_id FROM runbook_sessions WHERE status = 'Waiting'))"
            " OR id IN (SELECT run_id FROM runbook_sessions WHERE status = 'Cancelling'))"
        ),
        {"moment": to_microseconds(now())},
    )
    _replace_indexes(connection, shared=shared)


def _replace_indexes(connection: sa.Connection, *, shared: bool) -> None:
    at_work = "parent_id IS NULL AND (ended_at IS NULL OR due_at IS NOT NULL)"
    without = ["runbook_runs_by_session_id", "runbook_runs_by_source", "runbook_runs_by_due_at"]
    instead = [f"runbook_runs_by_due_at ON runbook_runs (due_at, seq) WHERE {at_work}"]
    if not shared:
        without += ["runbook_runs_by_env_slug", "runbook_runs_by_seq"]
        without += ["runbook_sessions_by_status", "runbook_sessions_by_seq"]
        instead += ["runbook_runs_by_seq ON runbook_runs (seq, updated_at, env_slug)"]
        instead += ["runbook_sessions_by_seq ON runbook_sessions (seq, updated_at, status)"]
    for name in without:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    for index in instead:
        connection.exec_driver_sql(f"CREATE INDEX {index}")


def _refuse_older_servers(connection: sa.Connection) -> None:
    alive = "SELECT count(*) FROM runbook_servers WHERE seen_at > now() - interval '5 seconds'"
    if running := connection.scalar(sa.text(alive)):
        raise DatabaseError(
            f"{running} server(s) of an older version use the database, and its upgrade would break them: stop them, "
            f"make a backup, and start again"
        )


def _keep_logs(connection: sa.Connection) -> None:
    binary = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    connection.exec_driver_sql(
        f"CREATE TABLE runbook_logs (run_id TEXT NOT NULL, at BIGINT NOT NULL, lines {binary} NOT NULL,"
        " PRIMARY KEY (run_id, at), FOREIGN KEY(run_id) REFERENCES runbook_runs (id) ON DELETE CASCADE)"
    )


def _keep_uploads(connection: sa.Connection) -> None:
    shared = connection.dialect.name == "postgresql"
    binary, cascade = "BYTEA" if shared else "BLOB", "ON DELETE CASCADE"
    uploads = "id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, size BIGINT NOT NULL, received BIGINT NOT NULL"
    uploads += ", created_by TEXT NOT NULL, created_at BIGINT NOT NULL, used BOOLEAN NOT NULL"
    of_upload = f"FOREIGN KEY(upload_id) REFERENCES runbook_uploads (id) {cascade}"
    chunks = f"upload_id TEXT NOT NULL, position BIGINT NOT NULL, content {binary} NOT NULL"
    chunks += f", PRIMARY KEY (upload_id, position), {of_upload}"
    uses = "run_id TEXT NOT NULL, upload_id TEXT NOT NULL, PRIMARY KEY (run_id, upload_id)"
    uses += f", FOREIGN KEY(run_id) REFERENCES runbook_runs (id) {cascade}, {of_upload}"
    for statement in (
        f"CREATE TABLE runbook_uploads ({uploads})",
        f"CREATE TABLE runbook_upload_chunks ({chunks})",
        f"CREATE TABLE runbook_upload_uses ({uses})",
        "CREATE INDEX runbook_uploads_by_created_by ON runbook_uploads (created_by, size)",
        "CREATE INDEX runbook_uploads_by_created_at ON runbook_uploads (created_at)",
        "CREATE INDEX runbook_upload_uses_by_upload_id ON runbook_upload_uses (upload_id)",
    ):
        connection.exec_driver_sql(statement)


def _keep_deliveries(connection: sa.Connection) -> None:
    shared = connection.dialect.name == "postgresql"
    key, binary = ("BIGSERIAL", "BYTEA") if shared else ("INTEGER", "BLOB")
    table = (
        f"CREATE TABLE runbook_deliveries (seq {key} NOT NULL, id TEXT NOT NULL, target TEXT NOT NULL,"
        " event_type TEXT NOT NULL, session_id TEXT NOT NULL, created_at BIGINT NOT NULL, due_at BIGINT,"
        f" leased BOOLEAN NOT NULL, fencing_token {'BIGINT' if shared else 'INTEGER'} NOT NULL,"
        " attempts INTEGER NOT NULL, given_up_at BIGINT, problem TEXT NOT NULL,"
        f" body {binary} NOT NULL, PRIMARY KEY (seq), UNIQUE (id))"
    )
    given_up = "runbook_deliveries (given_up_at, seq) WHERE given_up_at IS NOT NULL"
    for statement in (
        table,
        "CREATE INDEX runbook_deliveries_by_due_at ON runbook_deliveries (due_at, seq) WHERE due_at IS NOT NULL",
        f"CREATE INDEX runbook_deliveries_by_given_up_at ON {given_up}",
        "CREATE INDEX runbook_deliveries_by_session_id ON runbook_deliveries (session_id)",
    ):
        connection.exec_driver_sql(statement)


# From version 1 to 2, from 2 to 3, and so on. A released one is never changed or removed; `tables` always
# has the last version.
UPGRADES: tuple[Upgrade, ...] = (
    _keep_digests_timeouts_and_facts,
    _set_leases,
    _keep_logs,
    _keep_uploads,
    _keep_deliveries,
)

_LOCK = 7261_4401  # an advisory lock of PostgreSQL's


def migrate(connection: sa.Connection, upgrades: Sequence[Upgrade] = UPGRADES, *, must_exist: bool = False) -> None:
    """Make or upgrade the tables, in the transaction that has begun.

    Raises DatabaseError, also where there are no tables to upgrade if there must be some.
    """
    if connection.dialect.name == "postgresql":  # one of the servers that start together does it
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    newest = 1 + len(upgrades)
    if not sa.inspect(connection).has_table(VERSIONS.name):
        if must_exist:
            raise DatabaseError("the database has no tables of runbooks: nothing was restored into it")
        METADATA.create_all(connection)
        connection.execute(sa.insert(VERSIONS), {"version": newest})
        return
    version = connection.scalar(sa.select(VERSIONS.c.version)) or 0
    if version > newest:
        raise DatabaseTooNew(f"the database has version {version}, and this package supports versions up to {newest}")
    if version < newest:
        logger.warning(
            "the tables are upgraded from version %d to %d: only a backup taken before leads back", version, newest
        )
    for upgrade in upgrades[version - 1 :]:
        upgrade(connection)
    if version < newest:
        connection.execute(sa.update(VERSIONS), {"version": newest})
