"""A PostgreSQL of our own, on a socket in a temporary folder, with fresh databases at will, and gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from airplane_runbooks.server.storage.postgresql_notifications import APPLICATION
from tests.support.servers import eventually
from tests.support.supervised import free_port

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # these tests cut no power
    "shared_buffers": "32MB",
    "max_connections": "200",
    "deadlock_timeout": "100ms",
}


class Postgres:
    """A running server. Its URLs hold in this process and in children."""

    def __init__(self, binaries: Path, folder: Path, owner: dict[str, object], settings: dict[str, str]) -> None:
        self._binaries = binaries
        self._folder = folder
        self._owner = owner
        self._settings = settings
        self.log = folder / "log"
        self._names = (f"test_{number}" for number in count())
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """ID of the process that is the parent of all others of the cluster."""
        assert self._process is not None
        return self._process.pid

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's programs, of the version of the server."""
        return self._binaries / name

    def fresh(self) -> str:
        """Make an empty database and return its URL."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, connections included."""
        name = url.partition("?")[0].rpartition("/")[2]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Execute a statement as the superuser, outside of a transaction."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        """Start, and return once it answers."""
        settings = [f"--{key}={value}" for key, value in self._settings.items()]
        command = [
            self._binaries / "postgres",
            "-D",
            self._folder / "data",
            f"--unix_socket_directories={self._folder}",
            *settings,
        ]
        log = self.log.open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._owner)
        eventually(self._answers, deadline=100)

    def stop(self) -> None:
        """Cut all connections and stop."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        import psycopg

        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def running(**settings: str):
    """Make a cluster, run it, and remove it; skip the test where PostgreSQL's programs are missing.

    Settings replace those that suit tests.
    """
    binaries = _binaries()
    if binaries is None:
        pytest.skip("the programs of a PostgreSQL server (initdb, postgres) are not installed")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    # reachable for the user that runs it instead of root, and short enough for the name of a socket
    folder = Path(tempfile.mkdtemp(prefix="runbook-pg-", dir="/tmp" if os.geteuid() == 0 else None))
    try:
        owner = own(folder)
        command = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **owner)
        server = Postgres(binaries, folder, owner, _SETTINGS | settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def cut_listeners(postgres: Postgres, url: str) -> None:
    """Cut the connections on which servers receive notifications."""
    name = url.partition("?")[0].rpartition("/")[2]
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name}' AND application_name = '{APPLICATION}'"
    )


@contextmanager
def pgbouncer(postgres_url, mode, **settings):
    """Run PgBouncer before a database, and yield a URL by way of it, on a free port or on `listen_port`."""
    import psycopg

    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed (package pgbouncer)")
    name = postgres_url.partition("?")[0].rpartition("/")[2]
    port = settings.pop("listen_port", None) or free_port()
    folder = Path(tempfile.mkdtemp(prefix="runbook-pooler-", dir="/tmp" if os.geteuid() == 0 else None))
    lines = [
        "[databases]",
        f"{name} = host={postgres_url.partition('?host=')[2]} user=postgres dbname={name}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        f"pool_mode = {mode}",
        *(f"{key} = {value}" for key, value in settings.items()),
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    log = (folder / "log").open("wb")
    owner = own(folder)  # it refuses to run as root, too
    process = subprocess.Popen([program, folder / "pgbouncer.ini"], stdout=log, stderr=log, cwd=folder, **owner)
    url = f"postgresql://postgres@127.0.0.1:{port}/{name}"
    try:

        def answers():
            assert process.poll() is None, (folder / "log").read_text()
            try:
                psycopg.connect(url, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)  # leave it the processor
                return False
            return True

        eventually(answers)
        yield url
    finally:
        process.terminate()
        process.wait()
        log.close()
        shutil.rmtree(folder)


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    installed = [Path(found).resolve().parent] if found else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))[::-1]
    return next((path for path in installed if (path / "initdb").exists() and (path / "postgres").exists()), None)


def own(folder: Path) -> dict[str, object]:
    """Give the folder to another user if this is root, as PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres():
    """A running PostgreSQL, shared by all tests."""
    with running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres):
    """The URL of a fresh database on PostgreSQL."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture
def another_postgres_url(postgres):
    """The URL of one more fresh database on PostgreSQL."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)
