"""Command `doctor`: the connection to a server, one check after the other, and what to do about each problem."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment, urlopen  # type: ignore[attr-defined]  # no stub

import click
import msgspec
from rich.console import Console
from rich.text import Text

from .. import (
    NO_RETRY,
    Airplane,
    AirplaneError,
    APIError,
    CallOptions,
    ConfigurationError,
    ConnectError,
    Forbidden,
    Headers,
    NotSupported,
    Settings,
    TransportError,
    Unauthorized,
    __version__,
)
from ..errors import escape_controls
from ..models import ListSessions, Model
from ..operations import LIST_SESSIONS, Operation
from ..options import DEFAULT_BASE_URL, is_on_this_machine
from .arguments import name_options
from .connection import connected_without_key, has_key
from .exits import Exit
from .output import json_option, write_json

_TIMEOUT = 15.0
_KEY_ADVICE = "Set AIRPLANE_API_KEY, or --api-key-file, to a key of this server."
_READY_ADVICE = {
    "store_unavailable": "Look at the server's log, which says what is wrong with its database.",
    "no_worker": "Give the steps a timeout, and start the server again.",
    "closing": "Try again once the server has started again.",
}
_LONGEST_ANSWER = 10_000  # bytes
_MOST_SKEW = 30.0  # seconds by which clocks may differ without harm


class GetVersion(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Query of `server.version`, which has no parameters."""


class ServerVersion(Model, frozen=True, kw_only=True, omit_defaults=True):
    """Reply of `server.version`."""

    version: str = ""


GET_VERSION = Operation(
    name="server.version",
    method="GET",
    path="/version",
    request=GetVersion,
    reply=ServerVersion,
    is_optional=True,
    is_extension=True,
)


class Readiness(msgspec.Struct, frozen=True):
    """Reply of the server's /readyz."""

    status: str = ""
    error: str = ""
    code: str = ""


class Check(msgspec.Struct, frozen=True):
    """One check.

    Attributes:
        check: Its name.
        ok: Whether all is well.
        found: A description of the state.
        advice: What to do about it, empty if all is well.
    """

    check: str
    ok: bool
    found: str
    advice: str = ""


@click.command()
@json_option
@connected_without_key
def doctor(airplane: Airplane, *, as_json: bool) -> None:
    """Check the connection: address, proxy, TLS, key, clock, version, and whether the server can work.

    It says what to do about each problem.

    The exit status is 3 if anything is wrong.
    """
    given = click.get_current_context().params
    url = given["base_url"] or Settings.from_env().base_url or DEFAULT_BASE_URL
    failed = False
    for check in _checks(airplane, url, is_keyed=has_key(given["api_key_file"])):
        failed = failed or not check.ok
        if as_json:
            write_json(check)
        else:
            _show(check)
    if failed:
        raise click.exceptions.Exit(Exit.UNREACHABLE)


def _checks(airplane: Airplane, url: str, *, is_keyed: bool) -> Iterator[Check]:
    yield Check("address", ok=True, found=url)
    yield proxy_check(url, getproxies_environment())
    options = CallOptions(retry=NO_RETRY, timeout=_TIMEOUT)
    before = time.time()
    is_answered = False
    try:
        headers = airplane.call(LIST_SESSIONS, ListSessions(limit=1), options=options).response.headers
    except APIError as error:
        headers = error.headers
        yield from answer_checks(url, error, is_keyed=is_keyed)
        if _is_page(error):  # of a proxy, whose clock tells nothing of the server's
            return
    except AirplaneError as error:
        yield connection_check(url, error)
        return
    else:
        is_answered = is_keyed
        yield from answer_checks(url, None, is_keyed=is_keyed)
    yield clock_check(headers, before, time.time())
    if is_answered:
        yield _version(airplane, options)
    yield ready_check(url)


def proxy_check(url: str, proxies: dict[str, str]) -> Check:
    """Tell which proxy leads to a server. Its user info is not shown."""
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or is_on_this_machine(url):
        return Check("proxy", ok=True, found="none")
    if proxy_bypass_environment(parts.netloc, {"no": proxies.get("no", "")}):
        return Check("proxy", ok=True, found="none for this host, by no_proxy")
    return Check("proxy", ok=True, found=proxy.rpartition("@")[2])


def connection_check(url: str, error: AirplaneError) -> Check:
    """Tell why no answer has come, and what to do about that."""
    text = str(error).lower()
    if isinstance(error, ConfigurationError):
        advice = "Mend the setting that the message names."
    elif "certificate" in text:
        advice = (
            "Check the host name and the certificate's dates. If an authority of your own has signed it, "
            "name its file in SSL_CERT_FILE, and the certificate's own file if it is self-signed."
        )
    elif isinstance(error, ConnectError):
        advice = f"Check that the server runs, and that {urlsplit(url).netloc} is its address. A proxy is named above."
    elif isinstance(error, TransportError):
        advice = "Check that an API of runbooks answers there, and no other service or proxy."
    else:
        advice = "Try again. If the server stays slow, look at its log."
    return Check("connection", ok=False, found=name_options(str(error)), advice=advice)


def answer_checks(url: str, error: APIError | None, *, is_keyed: bool = True) -> Iterator[Check]:
    """Tell how the server has answered: None means well. Without a key, servers refuse what they are asked."""
    tls = "with TLS; the certificate is valid" if url.startswith("https:") else "without TLS"
    yield Check("connection", ok=True, found=tls)
    if not is_keyed and isinstance(error, Unauthorized | Forbidden | None):
        yield Check("key", ok=False, found="missing", advice=_KEY_ADVICE)
    elif error is None:
        yield Check("key", ok=True, found="accepted")
    elif isinstance(error, Unauthorized):
        yield Check("key", ok=False, found=str(error), advice=_KEY_ADVICE)
    elif isinstance(error, Forbidden):
        yield Check("key", ok=False, found=str(error), advice="Ask for permission, or use the key of another user.")
    else:
        yield Check("answer", ok=False, found=_describe(error), advice=_answer_advice(url, error))


def _is_page(error: APIError) -> bool:
    """Tell whether an answer is not the API's, which is JSON: a proxy has made it, or another server."""
    return "json" not in error.headers.get("content-type", "").lower()


def _describe(error: APIError) -> str:
    """Describe an answer: the API's by its message, a page by the program that has sent it."""
    if _is_page(error):
        sender = error.headers.get("server", "a server without a name")[:60]
        return f"{error.status}, not from the API but from {sender}"
    return f"{error.status}: {error.message}" + (f" [{error.code}]" if error.code else "")


def _answer_advice(url: str, error: APIError) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    if path.endswith("/v0/v0"):
        return "Leave /v0 out of AIRPLANE_API_HOST, which is the address without it; --base-url is the one with it."
    if location := error.headers.get("location", ""):
        return _redirect_advice(origin + location if location.startswith("/") else location)
    if _is_page(error) and error.status >= 500:
        return (
            "The proxy answers, and the server behind it does not: check that it runs, at the proxy's address for it."
        )
    if path.endswith("/v0") and _is_page(error):
        return f"Check the host, and whether the proxy's path prefix is missing or wrong, as in {origin}/tools/v0."
    if path.endswith("/v0") and path != "/v0" and error.code == "route_not_found":
        prefix = path.removesuffix("/v0")
        return f"The server does not know this path prefix: set its public_url to {origin}{prefix}."
    return "Check that the address ends in /v0, and that the server is well: its /readyz says so."


def _redirect_advice(location: str) -> str:
    base, is_same, _ = location.partition(f"/v0{LIST_SESSIONS.path}")
    if is_same:
        return f"It redirects to another address, which is the one to use: {base[:200]}/v0."
    return f"It redirects to {location[:200]}. Let the proxy pass calls of the API on, without a sign-in of its own."


def clock_check(headers: Headers, before: float, after: float) -> Check:
    """Compare this machine's clock with the server's, which has told its time between two moments."""
    try:
        told = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return Check("clock", ok=True, found="the server does not tell its time")
    ahead = max(before - told - 1, 0.0) + min(after - told, 0.0)  # whole seconds are told, cut off
    if abs(ahead) <= _MOST_SKEW:
        return Check("clock", ok=True, found="agrees with the server's")
    found = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
    return Check("clock", ok=False, found=found, advice="Set the clock of this machine or of the server, by NTP.")


def _version(airplane: Airplane, options: CallOptions) -> Check:
    try:
        server = airplane.call(GET_VERSION, GetVersion(), options=options).data.version
    except (NotSupported, ConfigurationError):
        return Check("version", ok=True, found=f"client {__version__}; the server does not tell its own")
    except AirplaneError as error:
        return Check("version", ok=False, found=str(error), advice="See the checks above.")
    return version_check(server, __version__)


def version_check(server: str, client: str) -> Check:
    """Compare the versions. Servers and clients of one minor version go together."""
    same = server.split(".")[:2] == client.split(".")[:2]
    advice = "" if same else "Update the older one: they may lack what the other one has."
    return Check("version", ok=same, found=f"server {server}, client {client}", advice=advice)


def ready_check(url: str) -> Check:
    """Ask the server whether it can work, which takes no key. Others than our server do not tell."""
    status, body = _probe(url)
    with suppress(msgspec.DecodeError, msgspec.ValidationError):
        answer = msgspec.json.decode(body, type=Readiness)
        if status == 200 and answer.status == "ready":
            return Check("ready", ok=True, found="the server can work")
        if status == 503 and answer.code:
            advice = _READY_ADVICE.get(answer.code, "Try again, and look at the server's log.")
            return Check("ready", ok=False, found=f"503: {answer.error} [{answer.code}]", advice=advice)
    return Check("ready", ok=True, found="the server does not tell")


def _probe(url: str) -> tuple[int, bytes]:
    """Return the status and body of the server's /readyz, beside /v0; zero and nothing without an answer."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return 0, b""
    address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v0')}/readyz"
    try:
        with urlopen(address, timeout=_TIMEOUT) as answer:  # noqa: S310 - its scheme was checked
            return answer.status, answer.read(_LONGEST_ANSWER)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(_LONGEST_ANSWER)
    except (OSError, HTTPException, ValueError):
        return 0, b""


def _show(check: Check) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    mark = Text("ok   " if check.ok else "wrong", style="green" if check.ok else "red")
    console.print(mark, f" {check.check}: {escape_controls(check.found)}", soft_wrap=True, sep="")
    if check.advice:
        console.print(f"       {escape_controls(check.advice)}", soft_wrap=True)
