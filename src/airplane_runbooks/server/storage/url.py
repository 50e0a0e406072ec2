"""URLs of databases: the supported forms, and a form without passwords to show."""

from __future__ import annotations

import os

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from ..._extras import needs_extra
from .errors import DatabaseError

_FORMS = "sqlite:///path, sqlite:// (in memory) or postgresql://user:password@host/name"
_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def parse(url: str) -> sa.URL:
    """Return the URL with its driver, and with an absolute path. Raises DatabaseError, showing nothing of the URL."""
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseError(f"this is not a URL of a database: expected {_FORMS}") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise DatabaseError(f"a database of this kind is not supported: expected {_FORMS}")
    parsed = parsed.set(drivername=driver)
    if driver == "sqlite":
        return _with_path(parsed)
    with needs_extra("postgres", "a PostgreSQL database"):
        parsed.get_dialect().import_dbapi()
    return parsed


def _with_path(url: sa.URL) -> sa.URL:
    if url.host or url.username or url.port:
        raise DatabaseError("the path of an SQLite database follows three slashes: sqlite:///path")
    if url.query or (url.database or "").startswith("file:"):
        raise DatabaseError("the URL of an SQLite database takes no options, and its path no question mark")
    if url.database in (None, "", ":memory:"):
        return sa.URL.create(url.drivername)
    # two names of one file must mean one database, and the working directory may change
    return url.set(database=os.path.realpath(url.database or ""))


def show(url: sa.URL) -> str:
    """Write a URL without its password, and without its options, which may hold passwords too."""
    return url.set(query={}).render_as_string(hide_password=True)
