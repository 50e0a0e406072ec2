"""Real reverse proxies in front of a server, with the very configuration that the documentation shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.support.timing import eventually

EXAMPLES = Path(__file__).parents[2] / "docs" / "operate" / "deploy"
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
NGINX = shutil.which("nginx", path=PATH)
CADDY = shutil.which("caddy", path=PATH)

_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def example(name: str, changes: Mapping[str, str]) -> str:
    """Return an example of the documentation with these changes, each of which has to find its place."""
    text = (EXAMPLES / name).read_text("utf-8")
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


@contextmanager
def nginx(secure: socket.socket, plain: socket.socket, changes: Mapping[str, str]) -> Iterator[trustme.CA]:
    """Let nginx listen on these sockets, unprivileged, with the site of the example. Yields its authority.

    It inherits the sockets, as from the nginx that it replaces at an upgrade, so no port is guessed.
    """
    assert NGINX is not None
    with _folder() as folder, _certificate(folder) as authority:
        site = {
            "listen 443 ssl": f"listen 127.0.0.1:{secure.getsockname()[1]} ssl",
            "listen 80": f"listen 127.0.0.1:{plain.getsockname()[1]}",
            "runbooks.example.com;": "localhost;",
            "/etc/ssl/runbooks": str(folder),
        }
        (folder / "site.conf").write_text(example("nginx.conf", {**site, **changes}))
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
        inherited = [secure.fileno(), plain.fileno()]
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        environment = {**os.environ, "NGINX": ";".join(map(str, inherited)) + ";"}
        with _running(command, secure, pass_fds=inherited, env=environment, cwd=folder):
            yield authority


@contextmanager
def caddy(secure: socket.socket, plain: socket.socket, changes: Mapping[str, str]) -> Iterator[trustme.CA]:
    """Let Caddy listen on the ports of these sockets, unprivileged, with the example. Yields its authority.

    Sockets that are bound without listening keep the ports for it, since all of them have SO_REUSEPORT.
    """
    assert CADDY is not None
    with _folder() as folder, _certificate(folder) as authority:
        certificate = f"tls {folder}/fullchain.pem {folder}/privkey.pem"
        site = {"runbooks.example.com {": f"localhost {{\n\t{certificate}\n\tbind 127.0.0.1"}
        options = f"admin off\n\thttps_port {secure.getsockname()[1]}\n\thttp_port {plain.getsockname()[1]}"
        (folder / "Caddyfile").write_text(f"{{\n\t{options}\n}}\n{example('Caddyfile', {**site, **changes})}")
        command = [CADDY, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
        environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        with _running(command, secure, env=environment, cwd=folder):
            yield authority


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that an unprivileged process may use, too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        yield folder


@contextmanager
def _certificate(folder: Path) -> Iterator[trustme.CA]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "privkey.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    for path in folder.iterdir():
        if os.geteuid() == 0:
            shutil.chown(path, "nobody")
    yield authority


@contextmanager
def _running(command: list[str], listener: socket.socket, **options: object) -> Iterator[None]:
    if os.geteuid() == 0:
        options |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options) as process:  # type: ignore[call-overload]
        try:
            eventually(lambda: process.poll() is not None or _answers(listener))
            assert process.poll() is None, process.stderr.read()
            yield
        finally:
            process.terminate()
            process.communicate()


def _answers(listener: socket.socket) -> bool:
    """Tell whether a process accepts connections: a TLS server answers a plain request."""
    try:
        with socket.create_connection(listener.getsockname(), timeout=1) as probe:
            probe.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return probe.recv(1) != b""
    except OSError:
        return False
