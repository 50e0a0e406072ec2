"""Takes the credentials of a call out of everything that a server says: for errors, spans, logs and what is pickled.

A careless or hostile server repeats what it was sent, and may spell it in any way that something later turns back:
JSON's escapes, percent-encoding, entities of HTML, base64. So what is searched is each text and all that decoders make
of it; where only a decoded form shows a credential, that form is kept, with the credential masked. What cannot be
searched within bounds is dropped.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import html
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

# Stands for a text that is too long, or nested too deep, to be searched.
DROPPED = "[dropped: too much to search for credentials]"

_PACKAGE = __name__.partition(".")[0]
_SHORT = 8  # shorter keys are masked as whole words only, or they would blot out parts of ordinary words
_LONGEST = 4 * 1024 * 1024  # characters of a text
_MOST_DECODED = 512 * 1024  # characters that are decoded: of the worst text, that is a fifth of a second
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


def _without_nulls(text: str) -> str:
    return text.replace("\0", "")  # which UTF-16 and UTF-32 put between the letters of ASCII


_DECODERS = (_without_backslashes, _without_percents, html.unescape, _without_nulls)
_MARKS = ("\\", "%", "&", "\0")  # without any of which no decoder changes anything


class Redactor:
    """Masks some secrets in whatever it is given. Its repr shows nothing of them."""

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
        """Return a text without the secrets, decoded as far as it takes to mask them."""
        if not self._needles:
            return text
        if len(text) > _LONGEST:
            return DROPPED
        text = self._masked(text)
        seen, waiting, left = {text}, [text], _MOST_DECODED
        while waiting:
            current = waiting.pop()
            if not any(mark in current for mark in _MARKS):
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
        # Looking for whole strings is many times faster than the pattern, and finds nothing nearly always.
        return self._pattern.sub(MASK, text) if any(needle in folded for needle in self._needles) else text

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
            return type(value)(clean)  # an open enum's, with what a server has made up
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
        """Take the secrets out of an exception, its notes, and those that led to it, in place.

        An exception that keeps a secret where it cannot be changed is cut off from those that it led to.
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
            return True  # it holds all that was to be encoded or decoded
        try:
            shown = f"{error} {error!r}"
        except Exception:  # noqa: BLE001  # of the user's own making
            return True
        return self._masked(shown) != shown


def empty_frames(error: BaseException) -> None:
    """Drop the local variables of our own frames that an exception and those that led to it have come through.

    They hold what earlier calls of the same operation have returned, as it came.
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
                with contextlib.suppress(RuntimeError):  # it has not ended yet
                    frame.clear()


def _is_compressed(data: bytes) -> bool:
    """Whether zlib would make something of a body: its content coding was left out, and it cannot be searched."""
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
    """Yield the secret in hexadecimal, and what base64 makes of it wherever in a longer text it begins."""
    yield secret.hex()
    for before in range(3):
        bits = 8 * before, 8 * (before + len(secret))
        inner = slice(-(-bits[0] // 6), bits[1] // 6)  # the rest depends on the neighbours
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + secret).decode()[inner]


@functools.lru_cache(maxsize=16)
def _redactor(secrets: frozenset[str]) -> Redactor:
    return Redactor(secrets)


def redactor_of(sent: Iterable[Headers]) -> Redactor:
    """Return what takes the credentials out of which requests were sent with these headers."""
    return _redactor(secrets_in(sent))


def secrets_in(sent: Iterable[Headers]) -> frozenset[str]:
    """Return the credentials in the headers of requests."""
    return frozenset(
        secret
        for headers in sent
        for name, value in headers.raw().items()
        if is_credential_header(name)
        for secret in _secrets_of(name, value.strip())
    )


def _secrets_of(name: str, value: str) -> list[str]:
    if name == API_KEY_HEADER:
        return [value] if value else []
    if "cookie" in name:
        found = [pair.partition("=")[2].strip() for pair in value.split(";")]
    else:
        found = [value, value.rpartition(" ")[2]]  # with the scheme, such as Bearer, and without
    # Which part of these is secret, nobody can tell: a short one may be a word like any other.
    return [secret for secret in found if len(secret) >= _SHORT]
