"""Credentials in any spelling that a decoder turns back: none is left in what has been redacted."""

from __future__ import annotations

import base64
import html
import json
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from airplane_runbooks._responses.redaction import MASK, Redactor, redactor_of
from airplane_runbooks.http import Headers, Response

# What a header carries, with all that JSON, URLs and HTML escape; no blank at its ends, which servers drop.
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)
words = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF), max_size=12)

Spell = Callable[[str], str]

SPELLINGS: dict[str, Spell] = {
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, slashes too": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, all escaped": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "JSON, escaped in capitals": lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text),
    "JavaScript": lambda text: "".join(f"\\x{ord(letter):02x}" for letter in text),
    "JavaScript, by code points": lambda text: "".join(f"\\u{{{ord(letter):x}}}" for letter in text),
    "octal": lambda text: "".join(f"\\{ord(letter):03o}" for letter in text),
    "URL": lambda text: quote(text, safe=""),
    "URL, all escaped": lambda text: "".join(f"%{ord(letter):02x}" for letter in text),
    "URL, escaped in capitals": lambda text: "".join(f"%{ord(letter):02X}" for letter in text),
    "HTML": html.escape,
    "HTML, by numbers": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML, in hexadecimal": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "UTF-16": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "every second letter": lambda text: "".join(
        f"\\u{ord(letter):04x}" if at % 2 or letter == "\\" else letter for at, letter in enumerate(text)
    ),
    "hexadecimal": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 within more": lambda text: base64.b64encode(f"user:{text}.".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"a{text}".encode()).decode(),
    "other case": str.swapcase,
}
# Those that can be put over one another: they leave nothing that a decoder would read in another way.
ESCAPES = [name for name in SPELLINGS if not name.startswith(("base64", "hexadecimal", "every", "other", "UTF"))]


def readings(text: str) -> set[str]:
    """Return all that decoders make of a text, one after another in any order."""
    found, waiting = {text}, [text]
    while waiting:
        current = waiting.pop()
        for decode in (as_json, unquote, html.unescape):
            if (plain := decode(current)) not in found:
                found.add(plain)
                waiting.append(plain)
    return found


def as_json(text: str) -> str:
    try:
        plain = json.loads(f'"{text}"')
    except ValueError:
        return text
    return plain if isinstance(plain, str) else text


def shows(text: str, key: str) -> bool:
    return any(key in plain for plain in readings(text))


@given(keys, st.sampled_from(sorted(SPELLINGS)), st.lists(st.sampled_from(ESCAPES), max_size=2), words, words)
@example(key="00000000", spelling="UTF-16", further=["HTML, by numbers"], before="x", after="x")
def test_a_key_in_any_spelling_is_masked(key: str, spelling: str, further: list[str], before: str, after: str) -> None:
    spelled = SPELLINGS[spelling](key)
    for name in further:
        spelled = SPELLINGS[name](spelled)
    clean = Redactor([key]).text(f"{before} {spelled} {after}")
    assert spelled not in clean
    assert not shows(clean, key)
    assert MASK in clean


@given(keys, st.sampled_from(ESCAPES), words)
@example(key='"\\/<>&%25', spelling="JSON", word="x")
def test_a_json_body_stays_json_and_keeps_the_rest(key: str, spelling: str, word: str) -> None:
    raw = b'{"error":"bad key %s","n":1,"rest":%s}' % (spelled_for_json(key, spelling), json.dumps(word).encode())
    clean = Redactor([key]).data(raw)
    read = json.loads(clean)
    assert not shows(clean.decode(), key)
    if key not in word and MASK not in word:
        assert read == {"error": f"bad key {MASK}", "n": 1, "rest": word} or MASK in read["error"]


def spelled_for_json(key: str, spelling: str) -> bytes:
    spelled = SPELLINGS[spelling](key)
    return (spelled if spelling in ("JSON", "JSON, slashes too") else json.dumps(spelled)[1:-1]).encode()


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(words, children, max_size=3),
    max_leaves=8,
)


@given(anything)
def test_what_holds_no_key_stays_the_same_object(value: Any) -> None:
    redactor = Redactor(["tkn_longer-than-any-of-the-words"])
    raw = msgspec.json.encode(value)
    assert redactor.value(value) is value
    assert redactor.data(raw) is raw


@given(
    st.dictionaries(words, st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")), max_size=4), keys, st.data()
)
def test_no_response_still_holds_the_key(headers: dict[str, str], key: str, data: st.DataObject) -> None:
    body = data.draw(st.lists(st.binary(max_size=20), max_size=4).map(key.encode().join))
    headers["x-echo"] = data.draw(words) + key
    headers[key] = "1"
    clean = Redactor([key]).response(Response(status=400, headers=Headers(headers), body=body))
    assert key.lower() not in f"{dict(clean.headers)}".lower()
    assert key.encode() not in clean.body
    assert key.encode() not in pickle.dumps(clean)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=7), words)
def test_a_short_key_is_masked_as_a_whole_word_only(key: str, word: str) -> None:
    redactor = redactor_of([Headers({"x-airplane-api-key": key})])
    assert redactor.text(f" {key} ") == f" {MASK} "
    assert redactor.text(f"a{key}b") == f"a{key}b" or not (key[0].isalnum() and key[-1].isalnum())
