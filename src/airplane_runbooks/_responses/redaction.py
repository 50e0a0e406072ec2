"""Removes the credentials of a call from everything that goes into errors, spans, logs and pickles.

A careless or hostile server repeats what it was sent, and may spell it in any way that a reader later decodes: JSON's
escapes, percent-encoding, HTML entities, base64. So each text is searched in all of its decoded forms. If only a
decoded form shows a credential, that form is kept, with the credential masked. A text that cannot be searched within
bounds is dropped.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import re
import traceback
import zlib
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

import msgspec

from ..http import (
    API_KEY_HEADER,
    Headers,
    Response,
    is_credential_header,
)

MASK = "[api key]"

# Replaces a text that is too long, or nested too deep, to be searched.
DROPPED = "[dropped: too much to search for credentials]"

_PACKAGE = __name__.partition(".")[0]
_SHORT = 8  # shorter keys are masked as whole words only, or they would blot out parts of ordinary words
_LONGEST = 4 * 1024 * 1024  # characters of a text
_MOST_DECODED = 512 * 1024  # characters that are decoded: a fifth of a second for the worst text
_MOST_FORMS = 64

_BACKSLASH = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|U([0-9A-Fa-f]{8})|([0-7]{3})|(.))", re.DOTALL
)
_PERCENT_U = re.compile(r"%u([0-9A-Fa-f]{4})")
_LAST_CHARACTER = 0x10FFFF


def _without_backslashes(text: str) -> str:
    return _BACKSLASH.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    octal, plain = match[5], match[6]
    if plain is not None:
        return " " if plain in "bfnrt" else plain
    code = int(octal, 8) if octal else int(match[match.lastindex or 0], 16)
    return chr(code) if code <= _LAST_CHARACTER else ""


def _without_percents(text: str) -> str:
    return unquote(_PERCENT_U.sub(lambda match: chr(int(match[1], 16)), text)) if "%" in text else text


def _without_entities(text: str) -> str:
    if "&" not in text:
        return text
    import html  # late: its tables take longer to load than all of this module

    return html.unescape(text)


def _without_nulls(text: str) -> str:
    """Remove nulls, which UTF-16 and UTF-32 put between ASCII letters, and U+FFFD, which HTML reads `&#0;` as."""
    return text.replace("\0", "").replace("\ufffd", "")


_DECODERS = (_without_backslashes, _without_percents, _without_entities, _without_nulls)
_MARK = re.compile("[\\\\%&\0\ufffd]")  # decoders leave a text without any of these unchanged


class Redactor:
    """Masks secrets in texts, bodies, data and exceptions. Its repr does not show them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        patterns: list[str] = []
        needles: set[str] = set()
        for secret in secrets:
            plain = re.escape(secret).replace(r"\ ", "[ +]")
            if len(secret) < _SHORT:
                patterns.append(rf"(?<![\w-]){plain}(?![\w-])")
                needles.add(secret.lower())
                continue
            encoded = list(_encodings(secret.encode("utf-8", "surrogatepass")))
            patterns += [plain, *map(re.escape, encoded)]
            needles.update(word.lower() for word in (secret, secret.replace(" ", "+"), *encoded))
        # The longest first, or a secret that begins another one would leave the other's end.
        self._pattern = re.compile("|".join(sorted(patterns, key=len, reverse=True)), re.IGNORECASE)
        self._needles = tuple(needles)

    def __repr__(self) -> str:
        return "<Redactor>"

    def text(self, text: str) -> str:
        """Return a text without the secrets, decoded as far as masking them requires."""
        if not self._needles:
            return text
        if len(text) > _LONGEST:
            return DROPPED
        text = self._masked(text)
        return self._searched(text) if _MARK.search(text) else text

    def _searched(self, text: str) -> str:
        """Return a text without the secrets in its decoded forms."""
        seen, waiting, left = {text}, [text], _MOST_DECODED
        while waiting:
            current = waiting.pop()
            if not _MARK.search(current):
                continue
            left -= len(current)
            if left < 0 or len(seen) > _MOST_FORMS:
                return DROPPED
            for plain in {decode(current) for decode in _DECODERS} - seen:
                masked = self._masked(plain)
                if masked != plain:
                    text, seen, waiting = masked, {masked}, [masked]
                    break
                seen.add(plain)
                waiting.append(plain)
        return text

    def _masked(self, text: str) -> str:
        folded = text.lower()
        for needle in self._needles:  # many times faster than the pattern, and almost never finds one
            if needle in folded:
                return self._pattern.sub(MASK, text)
        return text

    def data(self, data: bytes) -> bytes:
        """Return a body without the secrets: JSON stays JSON. One that is compressed, or too long, is dropped."""
        if len(data) > _LONGEST or _is_compressed(data):
            return b""
        text = data.decode("utf-8", "surrogateescape")
        clean = self.text(text)
        if clean == text:
            return data
        if clean == DROPPED:
            return b""
        try:
            again: bytes = msgspec.json.encode(self.value(msgspec.json.decode(data)))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            again = b""
        return again if again and self.text(again.decode()) == again.decode() else _as_bytes(clean)

    def headers(self, headers: Headers) -> Headers:
        """Return headers without the secrets, in names or values."""
        return Headers.of({self.text(name): self.text(value) for name, value in headers.raw().items()})

    def response(self, response: Response) -> Response:
        """Return a response without the secrets."""
        return msgspec.structs.replace(response, headers=self.headers(response.headers), body=self.data(response.body))

    def value(self, value: Any) -> Any:
        """Return plain data, or a model, without the secrets; the same object if it holds none."""
        clean = self._clean(value)
        return value if clean is value or clean == value else clean

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean_string(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, msgspec.Raw):
            return msgspec.Raw(self.data(bytes(value)) or msgspec.json.encode(DROPPED))
        if isinstance(value, int | float):
            return MASK if self._masked(str(value)) != str(value) else value
        if isinstance(value, Response):
            return self.response(value)
        if isinstance(value, Headers):
            return self.headers(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(map(self.value, value))
        return self._clean_struct(value) if isinstance(value, msgspec.Struct) else value

    def _clean_string(self, value: str) -> str:
        clean = self.text(value)
        if clean == value or type(value) is str:
            return clean
        try:
            return type(value)(clean)  # an open enum, with a value that the server made up
        except ValueError:
            return clean

    def _clean_struct(self, value: msgspec.Struct) -> msgspec.Struct:
        found = {name: getattr(value, name) for name in value.__struct_fields__}
        changed = {name: clean for name, item in found.items() if (clean := self.value(item)) is not item}
        if changed:
            value = copy.copy(value)
            for name, clean in changed.items():
                msgspec.structs.force_setattr(value, name, clean)
        return value

    def error(self, error: BaseException) -> None:
        """Remove the secrets from an exception, its notes, its causes and its contexts, in place.

        A cause or context that keeps a secret where it cannot be changed is unlinked.
        """
        waiting, seen = [error], {id(error)}
        while self._needles and waiting:
            current = waiting.pop()
            self._clean_error(current)
            for name in ("__cause__", "__context__"):
                link = getattr(current, name)
                if link is None or id(link) in seen:
                    continue
                seen.add(id(link))
                self._clean_error(link)
                if self._still_shows(link):
                    suppressed = current.__suppress_context__
                    setattr(current, name, None)
                    current.__suppress_context__ = suppressed
                else:
                    waiting.append(link)

    def _clean_error(self, error: BaseException) -> None:
        try:
            args = self.value(error.args)
            if args is not error.args:
                error.args = args
            for name, item in vars(error).items():
                if (clean := self.value(item)) is not item:
                    error.__dict__[name] = clean
        except RecursionError:
            error.args = (DROPPED,)
            error.__dict__.clear()

    def _still_shows(self, error: BaseException) -> bool:
        if isinstance(error, UnicodeError):
            return True  # it holds the whole text or body that could not be encoded or decoded
        try:
            shown = f"{error} {error!r}"
        except Exception:  # noqa: BLE001  # of the user's own making
            return True
        return self._masked(shown) != shown


def empty_frames(error: BaseException) -> None:
    """Clear the local variables of our own frames in the tracebacks of an exception, its causes and its contexts.

    They hold the replies of earlier calls of the same operation, which may repeat credentials.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if frame.f_globals.get("__name__", "").startswith(_PACKAGE):
                with contextlib.suppress(RuntimeError):  # the frame is still running
                    frame.clear()


def _is_compressed(data: bytes) -> bool:
    """Tell whether a body is still compressed, because its Content-Encoding was omitted: it cannot be searched then."""
    try:
        return bool(zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(data, 1))
    except zlib.error:
        return False


def _as_bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _encodings(secret: bytes) -> Iterator[str]:
    """Yield the secret in hexadecimal, and in base64 at each offset that it may have in a longer text."""
    yield secret.hex()
    for before in range(3):
        bits = 8 * before, 8 * (before + len(secret))
        inner = slice(-(-bits[0] // 6), bits[1] // 6)  # the first and last characters depend on the neighbours
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + secret).decode()[inner]


@functools.lru_cache(maxsize=16)
def _redactor(secrets: frozenset[str]) -> Redactor:
    return Redactor(secrets)


# The headers that were last asked for, with their redactor: what a call asks for, it mostly asks for again.
_last: list[tuple[tuple[Headers, ...], Redactor]] = [((), Redactor(()))]


def redactor_of(sent: tuple[Headers, ...]) -> Redactor:
    """Return the redactor of the credentials in these request headers."""
    known, redactor = _last[0]
    if known is not sent:
        redactor = _redactor(secrets_in(sent))
        _last[0] = sent, redactor
    return redactor


def secrets_in(sent: Iterable[Headers]) -> frozenset[str]:
    """Return the credentials in request headers."""
    found: set[str] = set()
    for headers in sent:
        for name, value in headers.raw().items():
            if is_credential_header(name):
                found.update(_secrets_of(name, value.strip()))
    return frozenset(found)


def _secrets_of(name: str, value: str) -> list[str]:
    if name == API_KEY_HEADER:
        return [value] if value else []
    if "cookie" in name:
        found = [pair.partition("=")[2].strip() for pair in value.split(";")]
    else:
        found = [value, value.rpartition(" ")[2]]  # with the scheme, such as Bearer, and without
    # Any part of these may be the secret. A short part may be an ordinary word.
    return [secret for secret in found if len(secret) >= _SHORT]
