"""Spellings of a secret: encodings that programs use to put one text into another. Pure functions.

They are those that log maskers of CI systems know: parts, escapes, quotes, URLs, HTML, base64 and hexadecimal
digits. A secret that was encrypted, compressed, hashed, split or written in another case cannot be found.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias
from urllib.parse import quote, quote_plus

SHORTEST = 4  # characters; masking each "no" inside of texts would make a session unreadable
LONGEST = 512  # characters of a secret that is searched for in every encoding

_TWICE = 128  # characters of a secret that is searched for in one encoding inside of another
_LONGEST_WITH_LINES = 16 * 1024  # characters of a line that is searched for by itself
_LONGEST_NUMBER = 300  # characters
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = str.maketrans("+/", "-_")

_DIGITS_OF_ESCAPES = re.compile(
    r"(?<=%)[0-9a-fA-F]{2}|(?<=\\x)[0-9a-fA-F]{2}|(?<=\\u)[0-9a-fA-F]{4}|(?<=\\U)[0-9a-fA-F]{8}|(?<=&#x)[0-9a-fA-F]+(?=;)"
)


def _escaping(characters: str) -> Callable[[str], str]:
    """Return a function that puts a backslash in front of characters of a class."""
    return partial(re.compile(f"([{characters}])").sub, r"\\\1")


def _replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


_Encoding: TypeAlias = Callable[[str], str]

_COMMON: tuple[_Encoding, ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: text.replace("\n", "\r\n"),
    lambda text: quote(_utf8(text), safe=""),
    lambda text: quote_plus(_utf8(text)),
    html.escape,
    _replacing("'", "'\"'\"'"),  # as shlex.quote does
    _replacing("'", "'\\''"),
)
_ENCODINGS: tuple[_Encoding, ...] = (
    *_COMMON,
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1].replace("/", "\\/"),
    lambda text: re.sub("[<>&']", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text)[1:-1]),
    lambda text: repr(f"'\"{text}")[4:-1],  # beside both kinds of quotes
    lambda text: ascii(text)[1:-1],
    lambda text: repr(_utf8(text))[2:-1],
    _escaping(r"\\'"),
    _escaping(r'\\"'),
    _escaping(r'\\$`"'),
    _escaping(r'\\$`"!'),
    _escaping(r"^\w@%+=:,./-"),  # as Bash's printf %q does
    _replacing("'", "''"),  # SQL, PowerShell
    _replacing('"', '""'),  # CSV
    _replacing("$", "$$"),
    lambda text: quote(_utf8(text)),
    lambda text: quote(_utf8(text), safe="!'()*"),  # encodeURIComponent
    lambda text: quote(_utf8(text), safe="!#$&'()*+,/:;=?@"),  # encodeURI
    lambda text: quote(_utf8(text), safe="!#$%&'()*+,/:;=?@[]~"),  # of texts that may be encoded already
    lambda text: quote_plus(_utf8(text), safe="/"),
    partial(html.escape, quote=False),
    lambda text: html.escape(text, quote=False).replace('"', "&quot;").replace("\n", "&#10;"),  # XML
    lambda text: html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    lambda text: html.escape(text).replace("&#x27;", "&apos;"),
    lambda text: " ".join(text.split()),
)


def parts(secret: str) -> set[str]:
    """Return the parts of a secret to hide by themselves: all of it and each line, with and without margins."""
    whole = {secret, *(secret.splitlines() if len(secret) <= _LONGEST_WITH_LINES else ())}
    bare = {text.strip() for text in whole}
    found = whole | bare | {text.strip("\"'") for text in bare}
    return {text for text in found if len(text) >= SHORTEST and not text.isspace()}


def disguises(part: str) -> set[str]:
    """Return the encodings of a part: each one alone, and each inside of a common one."""
    if part.isascii() and part.isalnum():
        return {part}
    if len(part) > LONGEST:
        return {part, *(encode(part) for encode in _COMMON)}
    found = {part, *(encode(part) for encode in _ENCODINGS)}
    found |= {encode(text) for text in found for encode in (_COMMON if len(part) <= _TWICE else _COMMON[:1])}
    cased = {_DIGITS_OF_ESCAPES.sub(case, text) for text in found for case in (_as_it_is, _upper, _lower)}
    return {text for text in cased if len(text) >= SHORTEST}


def in_base64(part: str) -> Iterator[tuple[str, str]]:
    """Return a part in base64, at any offset of an encoded text: the digits that depend on the part alone, and a regex.

    The regex stands for the digit after them, which may hold bits of the following text as well. Of the digit before
    them, the part has only the highest bits of its first byte, which reveal little.
    """
    data = part.encode(errors="surrogatepass")
    for before in range(3):
        skipped = -(-8 * before // 6)  # digits that are not the part's alone
        digits = b64encode(bytes(before) + data).decode().rstrip("=")
        rest, ends = 8 * (before + len(data)) % 6, ""
        if rest:
            last = _BASE64.index(digits[-1])
            digits, ends = digits[:-1], _BASE64[last : last + (1 << (6 - rest))]
        core = digits[skipped:]
        behind = f"(?:[{re.escape(ends + ends.translate(_URL_SAFE))}]|%2[bBfF])" if rest else ""
        for plus, slash in (("+", "/"), ("-", "_"), ("+", "\\/"), ("%2B", "%2F"), ("%2b", "%2f")):
            yield core.replace("+", plus).replace("/", slash), behind


def in_hexadecimal(part: str) -> Iterator[str]:
    """Return a part in hexadecimal digits."""
    digits = part.encode(errors="surrogatepass").hex()
    yield from (digits, digits.upper())


def numbers(part: str) -> Iterator[int | float]:
    """Return the numbers that a part can be read as."""
    if len(part) > _LONGEST_NUMBER:
        return
    for kind in (int, float):
        try:
            yield kind(part)
        except ValueError:
            continue


def in_digits(number: float) -> Iterator[str]:
    """Return a number as texts have it."""
    texts = {str(number)} if isinstance(number, float) else {str(number), f"{number:,}", f"{number:_}"}
    yield from (text for text in texts if len(text) >= SHORTEST)


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _as_it_is(digits: re.Match[str]) -> str:
    return digits[0]


def _upper(digits: re.Match[str]) -> str:
    return digits[0].upper()


def _lower(digits: re.Match[str]) -> str:
    return digits[0].lower()
