"""A server that answers requests on kept-alive connections with bytes made beforehand, as fast as Python can.

A GET is answered with a session, anything else with the start of one.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

NEW, OLD = (
    "ses20220120za1pskd",
    "ses20220120zoldone",
)  # sessions; OLD has timestamps as the API's documentation shows them
HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nServer: canned\r\nX-Request-ID: req20220120za1pskd\r\nCache-Control: no-store\r\n"
    b"Strict-Transport-Security: max-age=31536000\r\nVary: Accept-Encoding\r\n\r\n"
)


def reply(body: bytes) -> bytes:
    return HEAD % len(body) + body


def session(session_id: str, created: str, updated: str) -> bytes:
    """Return a session of 1.2 KB."""
    permissions = [{"action": "sessions.write", "roleID": "task_executer", "subUserID": f"usr{n}"} for n in range(3)]
    parameters = [
        {
            "slug": slug,
            "name": slug.title(),
            "type": "string",
            "desc": f"The {slug} of the invoice that is to be refunded, as the customer wrote it",
            "component": "textarea",
            "constraints": {"optional": False, "regex": ""},
        }
        for slug in ("customer", "invoice", "reason")
    ]
    found = {
        "id": session_id,
        "name": "Refund an invoice",
        "runbookID": "rbk20220120z15kl79",
        "status": "Active",
        "paramValues": {
            "customer": "ada@example.com",
            "invoice": "inv_1042",
            "reason": "Ordered twice, sent back once",
        },
        "params": parameters,
        "isPrivate": False,
        "permissions": permissions,
        "teamID": "tea20220120zvx0k2",
        "createdAt": created,
        "createdBy": "usr20220120z0ck",
        "updatedAt": updated,
        "updatedBy": "usr20220120z1ck",
    }
    return json.dumps(found, separators=(",", ":")).encode()


STARTED = reply(b'{"sessionID":"ses20220120za1pskd","runID":"run20220120zbjiz2l"}')
SESSION = reply(session(NEW, "2022-01-20T22:32:45.601486Z", "2022-01-20T22:32:46.112233Z"))
OLD_SESSION = reply(session(OLD, "2022-01-20 22:32:45.601486+00", "2022-01-20 22:32:46.112233+00"))
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Endpoint(NamedTuple):
    """Address of a canned server. `ca` is the file of the certificate that TLS needs; empty without TLS."""

    port: int
    ca: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.ca else 'http'}://127.0.0.1:{self.port}"

    def certificate(self) -> bytes:
        """Return the certificate to trust, as PEM."""
        return Path(self.ca).read_bytes()

    def context(self) -> ssl.SSLContext:
        """Return TLS settings that trust the server and nothing else."""
        return ssl.create_default_context(cafile=self.ca)


@contextmanager
def canned_server() -> Iterator[Endpoint]:
    """Run the server in a process of its own."""
    with running() as port:
        yield Endpoint(port)


@contextmanager
def canned_tls_server() -> Iterator[Endpoint]:
    """Run the server behind TLS, in a process of its own."""
    import trustme

    authority = trustme.CA()
    with TemporaryDirectory() as folder:
        ca, certificate = Path(folder, "ca.pem"), Path(folder, "server.pem")
        authority.cert_pem.write_to_path(str(ca))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        with running(str(certificate)) as port:
            yield Endpoint(port, str(ca))


@contextmanager
def running(*arguments: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def main(certificate: str | None = None) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    if certificate is None:
        serve(listener)
    else:
        serve_tls(listener, certificate)


def serve(listener: socket.socket) -> None:
    listener.setblocking(False)  # noqa: FBT003  # the socket's own signature
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ, bytearray())
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    accept(listener, selector)
                else:
                    answer(key.fileobj, key.data, selector)  # type: ignore[arg-type]  # only sockets are registered


def accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(sock, selectors.EVENT_READ, bytearray())


def answer(sock: socket.socket, pending: bytearray, selector: selectors.BaseSelector) -> None:
    try:
        data = sock.recv(65536)
    except OSError:
        data = b""
    if not data:
        selector.unregister(sock)
        sock.close()
        return
    pending += data
    for request in taken(pending):
        sock.sendall(answer_to(request))


def serve_tls(listener: socket.socket, certificate: str) -> None:
    """Serve each connection on a thread, which is simpler than TLS without blocking."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=converse, args=(sock, context), daemon=True).start()


def converse(sock: socket.socket, context: ssl.SSLContext) -> None:
    pending = bytearray()
    with suppress(OSError), context.wrap_socket(sock, server_side=True) as secured:
        while data := secured.recv(65536):
            pending += data
            for request in taken(pending):
                secured.sendall(answer_to(request))


def answer_to(request: bytes) -> bytes:
    if request.startswith(b"GET"):
        return OLD_SESSION if OLD.encode() in request else SESSION
    return STARTED


def taken(pending: bytearray) -> Iterator[bytes]:
    """Take the whole requests off the front of what has come; yield how each begins."""
    while (end := pending.find(b"\r\n\r\n")) >= 0:
        length = LENGTH.search(pending, 0, end)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(pending) < size:
            break
        begins = bytes(pending[:64])
        del pending[:size]
        yield begins


if __name__ == "__main__":
    main(*sys.argv[1:])
