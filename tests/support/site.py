"""A server of the example runbooks behind nginx, as an operations team has it: TLS, a path prefix, a user."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import urllib3

from airplane_runbooks import Airplane, webhooks
from airplane_runbooks.transports.urllib3 import Urllib3Transport
from tests.support.browsing import Browser
from tests.support.processes import running
from tests.support.receivers import SECRET, HookReceiver, Message
from tests.support.reverse_proxies import nginx
from tests.support.timing import PATIENCE, eventually

PROJECT = Path(__file__).parents[2] / "examples" / "runbooks"
PROGRAM = (sys.executable, "-m", "airplane_runbooks")
KEY = "tkn_of_the_server_itself"
ADA = "tkn_ada_has_a_long_key"
A_DAY = 86_400  # seconds


class Site(NamedTuple):
    """The address of the site, and its folder with the database, the certificate and the outside world."""

    url: str
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment of Ada's commands."""
        certificate = {"SSL_CERT_FILE": str(self.folder / "authority.pem")}
        return {"AIRPLANE_API_KEY": ADA, "AIRPLANE_API_HOST": self.url, "AIRPLANE_ENV_SLUG": "", **certificate}

    def command(self, *words: str, key: str = ADA) -> str:
        """Run a command to its end, and return its output."""
        env = {**os.environ, **self.env, "AIRPLANE_API_KEY": key}
        return subprocess.run(
            (*PROGRAM, *words), env=env, cwd=self.folder, capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout

    def browser(self) -> Browser:
        """Return a browser in which Ada has signed in."""
        browser = Browser(self.url)
        browser.pool = urllib3.PoolManager(ssl_context=self._trust(), retries=False, timeout=PATIENCE)
        assert browser.sign_in(ADA).status == 303
        return browser

    def client(self) -> Airplane:
        """Return a client with Ada's key."""
        return Airplane(ADA, base_url=f"{self.url}/v0", transport=Urllib3Transport(ssl_context=self._trust()))

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "authority.pem")

    def world(self, name: str) -> Path:
        """Return a file of the outside world."""
        return self.folder / "world" / name


def deploy(folder: Path, changes: Mapping[str, str] = {}) -> None:
    """Put the example runbooks into a folder. Each of the changes has to find its place in the onboarding."""
    shutil.copytree(PROJECT / "ops", folder / "ops", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "ops" / "onboarding.py"
    text = path.read_text("utf-8")
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text, "utf-8")


def told(hooks: HookReceiver, session_id: str, event_type: webhooks.EventType) -> webhooks.EventData:
    """Wait until the receiver has a message of this type about a session, verify it, and return what it tells."""

    def find(messages: list[Message]) -> webhooks.EventData | None:
        events = (webhooks.verify(one.body, one.headers, SECRET, tolerance=A_DAY) for one in messages)
        return next((one.data for one in events if (one.type, one.data.session.id) == (event_type, session_id)), None)

    found = find(hooks.wait_until(find))
    assert found is not None
    return found


@contextmanager
def listening() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the sockets on which nginx listens, which outlive it."""
    with socket.create_server(("127.0.0.1", 0)) as secure, socket.create_server(("127.0.0.1", 0)) as plain:
        yield secure, plain


@contextmanager
def site(folder: Path, sockets: tuple[socket.socket, socket.socket], hooks: HookReceiver) -> Iterator[Site]:
    """Serve the runbooks and the database in a folder until the end of a `with` statement, and tell a receiver."""
    (folder / "notify.json").write_text(json.dumps([{"kind": "webhook", "url": hooks.url, "secret": SECRET}]))
    (folder / "users.json").write_text(json.dumps([{"email": "ada@example.com", "apiKey": ADA}]))
    url = f"https://localhost:{sockets[0].getsockname()[1]}/tools"
    files = ("--users-file", "users.json", "--notify-file", "notify.json")
    options = ("--port", "0", *files, "--public-url", url, "--trusted-proxies", "127.0.0.1")
    env = {**os.environ, "RUNBOOKS_WORLD": str(folder / "world"), "AIRPLANE_API_KEY": KEY}
    with (folder / "server.log").open("a+") as log:
        start = log.tell()
        command = (*PROGRAM, "serve", "ops", *options)
        with running(command, cwd=folder, env=env, stderr=log) as server:
            upstream = _address(server, folder / "server.log", start)
            with nginx(*sockets, {"127.0.0.1:8080": upstream}) as authority:
                authority.cert_pem.write_to_path(folder / "authority.pem")
                yield Site(url, folder)
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0


def _address(server: subprocess.Popen[str], log: Path, start: int) -> str:
    """Wait for the address on which a server listens."""

    def found() -> re.Match[str] | None:
        assert server.poll() is None, log.read_text()
        return re.search(r"http://(127\.0\.0\.1:\d+)", log.read_text()[start:])

    return eventually(found)[1]
