"""Settings of a client and of a single call, and their precedence."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeAlias
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from .errors import ConfigurationError
from .http import IDEMPOTENCY_HEADER, Fields, Headers, is_header_name, is_header_value
from .policy import RetryPolicy

DEFAULT_BASE_URL = "https://api.airplane.dev/v0"
DEFAULT_TIMEOUT = 60.0
DEFAULT_ATTEMPT_TIMEOUT = 30.0

# Ten years, in seconds. A longer timeout counts as none: it would overflow the timers of some systems.
_LONGEST = 315_360_000


class Secret:
    """A string that is hidden in its repr and in formatted text, and that cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        problem = _secret_problem(value)
        if problem:
            del value  # a traceback that shows local variables must not show this one
            raise ConfigurationError(problem)
        self._value = value

    def reveal(self) -> str:
        """Return the string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")


def _secret_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"the API key must be a string, not {type(value).__name__}"
    if not value.strip():
        return "the API key is empty"
    if not is_header_value(value):
        return "the API key has a character that no header can carry"
    return None


ApiKey = str | Callable[[], str]

# Seconds; None for no limit, UNSET to inherit it.
Timeout: TypeAlias = float | UnsetType | None


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of one call. They take precedence over the client's; an option that is not set is inherited.

    Attributes:
        timeout: Seconds for the whole call: attempts, waits between them, and bodies. None sets no limit.
        attempt_timeout: Seconds for one attempt. None sets no limit.
        retry: When to try again; `NO_RETRY` never does.
        headers: Further request headers.
        idempotency_key: Key to send instead of a new one, to repeat an earlier call safely.
        env_slug: Environment, by slug. It replaces the client's environment, by slug and by ID.
        env_id: Environment, by ID. It replaces the client's environment, by slug and by ID.
    """

    timeout: Timeout = UNSET
    attempt_timeout: Timeout = UNSET
    retry: RetryPolicy | UnsetType = UNSET
    headers: Mapping[str, str] | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    env_slug: str | UnsetType | None = UNSET
    env_id: str | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if isinstance(self.headers, Mapping):
            msgspec.structs.force_setattr(self, "headers", Fields(self.headers))  # hides credentials in the repr

    def over(self, base: CallOptions) -> CallOptions:
        """Return these options with those of `base` where none is set; headers are merged."""
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        if not given:
            return base
        if "headers" in given and base.headers:
            given["headers"] = Fields({**base.headers, **given["headers"]})
        if "env_slug" in given or "env_id" in given:
            given = {"env_slug": None, "env_id": None, **given}
        return msgspec.structs.replace(base, **given)


def checked_options(options: object) -> CallOptions:
    """Return the options of a call. Raises ConfigurationError for any other type."""
    if not isinstance(options, CallOptions):
        raise ConfigurationError(f"options must be CallOptions, not {type(options).__name__}")
    return options


def check_shared(options: CallOptions) -> None:
    """Raise ConfigurationError if options hold an idempotency key, which belongs to a single call."""
    names = options.headers if isinstance(options.headers, Mapping) else ()
    if options.idempotency_key is not UNSET or any(str(name).lower() == IDEMPOTENCY_HEADER for name in names):
        raise ConfigurationError(
            "an idempotency key cannot be that of all calls, of which all but the first would count as repetitions: "
            "pass idempotency_key in the options of each call"
        )


class RenderedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Checked options of calls, with their request headers built once for all of these calls."""

    timeout: float | None
    attempt_timeout: float | None
    retry: RetryPolicy
    idempotency_key: str | None
    env_slug: str | None
    get_headers: Headers
    post_headers: Headers

    def with_timeout(self, timeout: float | None) -> RenderedOptions:
        """Return these options with another timeout. Raises ConfigurationError if it cannot work."""
        return msgspec.structs.replace(self, timeout=_seconds("timeout", timeout, DEFAULT_TIMEOUT))


def render(options: CallOptions, user_agent: str) -> RenderedOptions:
    """Check options and fill in the defaults. Raises ConfigurationError naming the option that cannot work."""
    headers = Fields({"user-agent": user_agent, "accept": "application/json", "accept-encoding": "gzip"})
    key = _given_key(options.idempotency_key)
    env_slug = options.env_slug or None
    if env_slug:
        headers["x-airplane-env-slug"] = env_slug
    if options.env_id:
        headers["x-airplane-env-id"] = options.env_id
    if not isinstance(options.headers, Mapping | UnsetType):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(options.headers).__name__}")
    for name in options.headers or ():
        if not is_header_name(name):
            raise ConfigurationError(f"{name!r} cannot name a header")
    headers.update((name.lower(), value) for name, value in (options.headers or {}).items())
    _check_headers(Fields({**headers, "idempotency-key": key or ""}))
    return RenderedOptions(
        timeout=_seconds("timeout", options.timeout, DEFAULT_TIMEOUT),
        attempt_timeout=_seconds("attempt_timeout", options.attempt_timeout, DEFAULT_ATTEMPT_TIMEOUT),
        retry=_policy(options.retry),
        idempotency_key=key or headers.get("idempotency-key"),
        env_slug=env_slug,
        get_headers=Headers(headers),
        post_headers=Headers({**headers, "content-type": "application/json"}),
    )


# The library sets these: they frame the message, or name its sender.
_RESERVED = frozenset({"connection", "content-length", "host", "transfer-encoding", "x-airplane-api-key"})


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in headers:
        if name in _RESERVED:
            raise ConfigurationError(f"header {name!r} is set by the library and cannot be given")
        if not isinstance(headers[name], str) or not is_header_value(headers[name]):
            raise ConfigurationError(f"the value of header {name!r} has a character that headers cannot carry")


def _given_key(key: str | UnsetType | None) -> str | None:
    if isinstance(key, str) and not key.strip(" \t"):
        raise ConfigurationError("idempotency_key is empty, which does not protect the call: leave it out, or pass one")
    return key or None


def _policy(retry: object) -> RetryPolicy:
    if retry is UNSET:
        return RetryPolicy()
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, such as NO_RETRY, not {type(retry).__name__}")
    return retry


def _seconds(name: str, value: Timeout, default: float) -> float | None:
    if value is UNSET:
        return default
    if value is not None and (isinstance(value, bool) or not (isinstance(value, int | float) and value > 0)):
        raise ConfigurationError(f"{name} must be a positive number of seconds or None, not {value!r}")
    return None if value is None or value > _LONGEST else float(value)


def check_compress_from(size: object) -> None:
    """Raise ConfigurationError for a size that cannot be that of the smallest body to compress."""
    if size is not None and not (isinstance(size, int) and size > 0):
        raise ConfigurationError(f"compress_from must be a positive number of bytes or None, not {size!r}")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings from environment variables. Explicit arguments take precedence over them."""

    api_key: Secret | None = None
    base_url: str | None = None
    env_slug: str | None = None
    env_id: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read AIRPLANE_API_KEY, AIRPLANE_API_HOST, AIRPLANE_ENV_SLUG and AIRPLANE_ENV_ID.

        AIRPLANE_API_HOST is an origin such as `https://api.airplane.dev`, to which `/v0` is added if missing, or a
        bare host name, which means https unless it is this machine. Empty variables count as unset.
        """
        environ = os.environ if environ is None else environ
        try:
            host = environ.get("AIRPLANE_API_HOST")
            return cls(
                api_key=Secret(environ["AIRPLANE_API_KEY"]) if environ.get("AIRPLANE_API_KEY") else None,
                base_url=_base_url_of(host) if host else None,
                env_slug=environ.get("AIRPLANE_ENV_SLUG") or None,
                env_id=environ.get("AIRPLANE_ENV_ID") or None,
            )
        finally:
            del environ  # a traceback that shows local variables must not show the key in it


def _base_url_of(host: str) -> str:
    if "://" not in host:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            raise ConfigurationError("AIRPLANE_API_HOST is neither an origin nor a host name") from None
        host = ("http://" if is_loopback(name) else "https://") + host
    return host.rstrip("/").removesuffix("/v0") + "/v0"


def is_loopback(host: str) -> bool:
    """Tell whether a host can only mean this machine: `localhost`, ::1, or an address in 127.0.0.0/8, written in full.

    Names below `.localhost` and other spellings, such as 127.1, do not count: resolvers differ on their meaning.
    """
    return host.lower().removesuffix(".") == "localhost" or _is_loopback_address(host)


def is_address_of(host: str, address: str) -> bool:
    """Tell whether a connection for `host` may lead to `address`: a resolver may send `localhost` anywhere."""
    return not is_loopback(host) or _is_loopback_address(address)


def _is_loopback_address(address: str) -> bool:
    import ipaddress  # only for clients of plain http, so not at import

    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


_VISIBLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[\w.:-]+")
_REG_NAME = re.compile(r"(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)  # RFC 3986, section 3.2.2
_VERSION = re.compile(r"/[vV][0-9]+$")


UNIX_SCHEME = "http+unix"

# Bytes that the system has room for, without the one that ends the path.
_LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103


class BaseURL(msgspec.Struct, frozen=True):
    """A checked base URL: the origin, and the path before every other path.

    The host of a Unix-domain socket is the path of its file. It has no port.
    """

    origin: str
    path: str
    host: str
    port: int | None

    @property
    def url(self) -> str:
        """The URL itself."""
        return self.origin + self.path

    @property
    def has_version(self) -> bool:
        """True if the path ends in a version, such as `/v0`."""
        return _VERSION.search(self.path) is not None

    @property
    def extensions_path(self) -> str | None:
        """The path of extensions, `/ext/v0` beside `/v0`; None if the path does not end in `/v0`."""
        prefix, version, rest = self.path.rpartition("/v0")
        return f"{prefix}/ext/v0" if version and not rest else None


def parse_base_url(url: str, *, allow_insecure_http: bool) -> BaseURL:
    """Split a base URL. Raises ConfigurationError, without showing user info, if it cannot or must not be used."""
    if not isinstance(url, str):
        raise ConfigurationError(f"base_url must be a string, not {type(url).__name__}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # The original message is not shown: it repeats the text in place of the host or port, which may be a secret.
        raise ConfigurationError("base_url is not a URL: its host or port is malformed") from None
    is_unix = parts.scheme == UNIX_SCHEME
    if not _VISIBLE.fullmatch(url) or not (is_unix or (parts.scheme in ("http", "https") and _HOST.fullmatch(host))):
        raise ConfigurationError("base_url must be an absolute http or https URL in ASCII, such as " + DEFAULT_BASE_URL)
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("base_url must not carry user info, a query or a fragment")
    if is_unix:
        socket_path = socket_path_of(f"{UNIX_SCHEME}://{parts.netloc}") or ""
        origin = f"{UNIX_SCHEME}://{quote(socket_path, safe='')}"
        return BaseURL(origin=origin, path=parts.path.rstrip("/"), host=socket_path, port=None)
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(host):
        raise ConfigurationError(
            f"plain http would send the API key to {host} in the clear; use https, or allow_insecure_http=True"
        )
    shown = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    default = 443 if parts.scheme == "https" else 80
    return BaseURL(origin=origin, path=parts.path.rstrip("/"), host=host, port=port if port is not None else default)


def is_on_this_machine(url: str) -> bool:
    """Return True if a URL leads to a loopback address or to a Unix-domain socket, which no proxy is asked for."""
    parts = urlsplit(url)
    return parts.scheme == UNIX_SCHEME or is_loopback(parts.hostname or "")


def socket_path_of(origin: str) -> str | None:
    """Return the path of the Unix-domain socket that an origin names; None if the origin is on a network.

    Raises ConfigurationError if no socket can have that path.
    """
    scheme, _, name = origin.partition("://")
    if scheme != UNIX_SCHEME:
        return None
    path = unquote_to_bytes(name).decode("utf-8", "replace")
    if not _REG_NAME.fullmatch(name) or not path.startswith("/") or not path.isprintable() or "\ufffd" in path:
        raise ConfigurationError(
            f"a {UNIX_SCHEME} URL must hold the absolute path of a socket, percent-encoded, in place of a host: "
            f"{UNIX_SCHEME}://%2Frun%2Frunbooks.sock/v0"
        )
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise ConfigurationError(f"the path of a Unix socket has at most {_LONGEST_SOCKET_PATH} bytes: {path}")
    return path


def as_secret_source(api_key: ApiKey | Secret) -> Callable[[], Secret]:
    """Turn a key, or a callable that returns the current one, into a callable that returns a Secret."""
    if callable(api_key):
        return functools.partial(_ask, api_key)
    try:
        secret = api_key if isinstance(api_key, Secret) else Secret(api_key)
    finally:
        del api_key
    return lambda: secret


def _ask(provider: Callable[[], str]) -> Secret:
    return Secret(provider())
