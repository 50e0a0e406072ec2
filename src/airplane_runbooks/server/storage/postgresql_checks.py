"""Requirements of a PostgreSQL database, checked before anything else is done with it."""

from __future__ import annotations

import sqlalchemy as sa

from .errors import DatabaseError

CONNECTIONS = 24  # of one server, at most
_OLDEST = 13

_LOOK = sa.text("""
    SELECT current_setting('server_version_num')::int / 10000 AS version,
        getdatabaseencoding() AS encoding,
        pg_is_in_recovery() AS is_standby,
        current_setting('default_transaction_read_only') = 'on' AS is_read_only,
        session_user AS role,
        current_database() AS database,
        coalesce(current_schema(), 'public') AS schema,
        (SELECT CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END FROM pg_roles WHERE rolname = session_user)
            AS of_role,
        (SELECT CASE WHEN rolsuper THEN -1 ELSE datconnlimit END FROM pg_roles, pg_database
            WHERE rolname = session_user AND datname = current_database()) AS of_database,
        current_schema() IS NOT NULL AND has_schema_privilege(current_schema(), 'CREATE') AS may_make_tables,
        to_regclass('runbook_version') IS NOT NULL AS has_tables
""")


def check(engine: sa.Engine, connection: sa.Connection) -> None:
    """Raise DatabaseError, with advice, if the database would fail a server later."""
    found = connection.execute(_LOOK).one()
    database, role, schema = (_quoted(engine, name) for name in (found.database, found.role, found.schema))
    if found.version < _OLDEST:
        raise DatabaseError(f"PostgreSQL {found.version} is too old: at least {_OLDEST} is needed")
    if found.encoding != "UTF8":
        raise DatabaseError(
            f"the database {database} has the encoding {found.encoding}, which cannot hold all texts: use another one, "
            f"such as by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    if found.is_standby or found.is_read_only:
        kind = "is on a standby" if found.is_standby else "is read-only for this role (default_transaction_read_only)"
        raise DatabaseError(f"the database {database} {kind}: a server writes to it")
    if not found.may_make_tables and not found.has_tables:
        raise DatabaseError(
            f"the role {role} may not make tables: GRANT CREATE, USAGE ON SCHEMA {schema} TO {role} is needed"
        )
    for limit, what in ((found.of_role, f"ROLE {role}"), (found.of_database, f"DATABASE {database}")):
        if 0 <= limit < CONNECTIONS:
            raise DatabaseError(
                f"a server makes up to {CONNECTIONS} connections, and the limit is {limit}: ALTER {what} CONNECTION "
                f"LIMIT {CONNECTIONS} is needed, and as much again for each further server"
            )


def explain(reason: str) -> str:
    """Return advice for a refused connection, after a semicolon; the empty string if there is none."""
    if "database" in reason and "does not exist" in reason:
        return "; make one by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
    return next((f"; {advice}" for words, advice in _ADVICE.items() if words in reason), "")


_ADVICE = {
    "unsupported startup parameter": "a pooler refuses a parameter of the URL: let it ignore that (PgBouncer's "
    "ignore_startup_parameters), or leave it out of the URL",
    "password authentication failed": "check the role and the password in the URL",
    "does not exist": "check the role in the URL",
    "no password supplied": "the URL names no password: postgresql://user:password@host/name",
    "no pg_hba.conf entry": "PostgreSQL's pg_hba.conf must let this role and host in",
    "too many connections for": f"a server makes up to {CONNECTIONS} connections: raise the CONNECTION LIMIT",
    "permission denied for database": "GRANT CONNECT ON DATABASE to the role is needed",
}


def _quoted(engine: sa.Engine, name: str) -> str:
    return engine.dialect.identifier_preparer.quote(name)
