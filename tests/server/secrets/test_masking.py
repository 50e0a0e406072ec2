from __future__ import annotations

import base64
import html
import json
import re
import shlex
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlencode
from xml.sax import saxutils

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from airplane_runbooks.models import Parameter, ParameterType
from airplane_runbooks.server import Field
from airplane_runbooks.server.authoring.fields import parameter
from airplane_runbooks.server.secrets.masking import (
    MASK,
    Secrets,
    hide,
    masked_values,
    reveal,
)

PARAMETERS = (
    Parameter(slug="token", type=ParameterType.STRING, secret=True),
    Parameter(slug="name", type=ParameterType.STRING),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(JSON, st.sampled_from(["hunter2!", 'qu"ote\\', "söcret", "line\nend"]))
def test_a_secret_is_masked_wherever_it_stands_in_a_document(document, secret):
    secrets = Secrets.of(PARAMETERS, {"token": secret, "name": "public"})
    around = {"a": [document, f"<{secret}>"], secret: secret}
    masked = secrets.mask_json(msgspec.json.encode(around))
    decoded = msgspec.json.decode(masked)
    assert secret not in repr_texts(decoded)
    assert decoded == {
        "a": [msgspec.json.decode(secrets.mask_json(msgspec.json.encode(document))), f"<{MASK}>"],
        MASK: MASK,
    }


def repr_texts(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(map(repr_texts, [*value.keys(), *value.values()]))
    return "".join(map(repr_texts, value)) if isinstance(value, list) else str(value)


@given(JSON)
def test_a_document_without_secrets_stays_as_it_is_to_the_byte(document):
    encoded = msgspec.json.encode(document)
    assert Secrets().mask_json(encoded) is encoded
    assert Secrets(["nowhere to be found"]).mask_json(encoded) is encoded


def test_the_longest_secret_is_masked_first():
    assert Secrets(["secret", "secret-two"]).mask("my secret-two secret") == f"my {MASK} {MASK}"


def test_a_short_secret_is_masked_as_a_whole_value_only():
    secrets = Secrets.of(PARAMETERS, {"token": "no"})
    document = b'{"no":["no",{"answer":"no","text":"no news"}],"number":0}'
    assert secrets.mask("no") == "no"
    assert secrets.mask_json(b'"no news"') == b'"no news"'
    assert msgspec.json.decode(secrets.mask_json(document)) == {
        "no": [MASK, {"answer": MASK, "text": "no news"}],
        "number": 0,
    }
    assert masked_values(PARAMETERS, {"token": "no", "name": "no"}) == {"token": MASK, "name": "no"}
    assert masked_values(PARAMETERS, {"token": None}) == {"token": None}


def test_nothing_is_shown_of_secrets():
    assert repr(Secrets(["hunter2!"])) == "<Secrets: 1>"


AWKWARD = [
    "hunter2!",
    "padded\n",
    'it\'s "so" \\ hard',
    "sö crét/+&<é>%",
    "a$b`c!d",
    "'; DROP TABLE--",
    "471100",
    "\t\ttab\x00",
]


def basic(text: str) -> str:
    return base64.b64encode(f"user:{text}".encode()).decode()


SPELLED: dict[str, Callable[[str], str]] = {
    "itself": str,
    "stripped": str.strip,
    "JSON": json.dumps,
    "JSON in letters of its own": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON inside of JSON": lambda text: json.dumps(json.dumps({"body": text})),
    "JSON as Go writes it": lambda text: (
        json.dumps(text).replace("<", "\\u003c").replace("&", "\\u0026").replace(">", "\\u003e")
    ),
    "repr": repr,
    "repr of a list": lambda text: repr([text, "'", '"']),
    "repr beside quotes": lambda text: repr(f"'{text}\""),
    "repr of bytes": lambda text: repr(text.encode()),
    "ascii": ascii,
    "shell": shlex.quote,
    "JSON in a shell": lambda text: shlex.quote(json.dumps({"token": text})),
    "URL": lambda text: quote(text, safe=""),
    "path": quote,
    "URL in small letters": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "form": quote_plus,
    "query": lambda text: urlencode({"token": text}),
    "query in a query": lambda text: quote_plus(urlencode({"token": text})),
    "JSON in a form": lambda text: quote_plus(json.dumps({"token": text})),
    "HTML": html.escape,
    "XML": saxutils.quoteattr,
    "markup": lambda text: str(Markup.escape(text)),
    "SQL": lambda text: text.replace("'", "''"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 without its padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 of credentials": basic,
    "hexadecimal": lambda text: text.encode().hex(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper(),
}


@pytest.mark.parametrize("secret", AWKWARD)
@pytest.mark.parametrize("spell", SPELLED.values(), ids=SPELLED)
def test_a_secret_is_masked_in_every_spelling(secret, spell):
    spelled = spell(secret)
    masked = Secrets([secret]).mask(f"<{spelled}>")
    assert MASK in masked
    for rest in re.split(re.escape(MASK), masked):
        assert len(rest) < len(spelled) + 2
        assert secret.strip() not in rest
    assert spelled not in masked


@settings(deadline=None)  # some regexes take a while to compile on a busy machine
@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40).filter(
        lambda text: len(text.strip(" '\"\n")) > 3
    ),
    spell=st.sampled_from(
        [SPELLED[name] for name in ("JSON", "repr", "ascii", "shell", "URL", "form", "HTML", "hexadecimal")]
    ),
)
def test_any_secret_is_masked_in_the_common_spellings(secret, spell):
    assert spell(secret) not in Secrets([secret]).mask(f"<{spell(secret)}>")


@settings(deadline=None)
@given(st.binary(max_size=9), st.text("abc+/~?é", min_size=4, max_size=30), st.binary(max_size=9), st.booleans())
def test_a_secret_is_masked_at_any_place_of_what_is_encoded(before, secret, behind, for_urls):
    encode = base64.urlsafe_b64encode if for_urls else base64.b64encode
    masked = Secrets([secret]).mask(encode(before + secret.encode() + behind).decode())
    known = len(encode(before).rstrip(b"=")) + len(encode(behind).rstrip(b"=")) + 1
    assert MASK in masked
    assert len(masked.replace(MASK, "").rstrip("=")) <= known


def test_long_base64_is_masked_over_its_line_breaks():
    secret = "".join(map(chr, range(48, 120))) * 2
    masked = Secrets([secret]).mask(base64.encodebytes(b"x" + secret.encode()).decode())
    assert len(masked) <= len(MASK) + 4


def test_each_line_of_a_secret_is_one():
    secrets = Secrets(["-----BEGIN-----\n  abcdefgh\r\nijklmnop\nxyz\n"])
    assert secrets.mask("abcdefgh, ijklmnop, xyz") == f"{MASK}, {MASK}, xyz"
    assert secrets.mask("-----BEGIN-----\n  abcdefgh\nijklmnop\nxyz") == f"{MASK}\n{MASK}\n{MASK}\nxyz"


@pytest.mark.parametrize(
    ("secret", "document", "masked"),
    [
        ("1234", b'[1234,1234.0,"1234",12345,true]', [MASK, MASK, MASK, 12345, True]),
        ("0042", b"[42,42.0,420]", [MASK, MASK, 420]),
        ("1234", b"1234", MASK),
        ("0042", b"42", MASK),
        ("no", b'"no"', MASK),
        ("-12.50", b'[-12.5,"-12.5"]', [MASK, MASK]),
        ("4111111111111111", b"[4111111111111111,4111111111111111.0]", [MASK, MASK]),
        ("004711", b'["is 4711","is 4,711","is 14711"]', [f"is {MASK}", f"is {MASK}", "is 14711"]),
        ("1", b'{"a":1,"b":true,"c":"1","d":"10"}', {"a": MASK, "b": True, "c": MASK, "d": "10"}),
        (" no\n", b'{"a":"no"," no":"noon"}', {"a": MASK, " no": "noon"}),
        ("    ", b'{"a":"    ","b":"     x"}', {"a": MASK, "b": "     x"}),
    ],
)
def test_numbers_are_masked_and_short_secrets_as_whole_values(secret, document, masked):
    assert msgspec.json.decode(Secrets([secret]).mask_json(document)) == masked


def test_a_secret_of_regex_syntax_is_masked_as_fast_as_any():
    for secret in ("'" * 40 + "x", "\\" * 40 + "x", "%" * 40 + "x", "&" * 40 + "x"):
        text = secret[:-1] * 2000
        started = time.process_time()
        assert Secrets([secret]).mask(text + secret).endswith(MASK)
        assert time.process_time() - started < 20  # an exponential search would not end


def test_a_long_secret_is_masked_in_a_long_document():
    secret = "\n".join(f'"line" {number}' for number in range(100_000))
    secrets = Secrets([secret])
    for text in (secret, json.dumps(secret), quote_plus(secret), base64.b64encode(secret.encode()).decode()):
        assert len(secrets.mask(f"<{text}>")) < 20


def secret_field(**options):
    return parameter("token", Field(str, secret=True, **options))


def test_options_and_regex_of_a_secret_parameter_are_not_shown():
    shown = hide(secret_field(default="hush", options=["hush", "sh"], regex="hush|sh"))
    assert b"sh" not in msgspec.json.encode(shown).replace(b"hush_", b"")
    assert hide(secret_field()) == secret_field()


def test_an_answer_to_what_is_shown_is_one_to_what_was_asked():
    asked = (
        parameter("one", Field(str, options=["public", "hunter2!", "my hunter2!"], default="hunter2!")),
        parameter("some", Field(list[str], options=["public", "hunter2!"])),
        parameter("text", Field(str, default="https://hunter2!@host")),
        parameter("number", Field(int, default=1234, options=[1234, 5])),
        parameter("nested", Field(dict[str, str], default={"a": "hunter2!"})),
        parameter("matched", Field(str, regex="hunter2!|x", default="hunter2!")),
        secret_field(default="x"),
    )
    secrets = Secrets(["hunter2!", "1234"])
    shown = secrets.mask_parameters(asked)
    text = msgspec.json.encode(shown).decode()
    assert "hunter2" not in text
    assert "1234" not in text
    one, _, line, number, nested, matched, token = shown
    values = [option["value"] for option in one.constraints.options]
    assert values == ["public", f"{MASK} 2", f"{MASK} 3"]
    assert number.constraints.options is None
    for left_out in (number, nested, matched):
        assert left_out.constraints.optional
        assert left_out.default is None
    answer = {"one": values[2], "some": ["public", f"{MASK} 2"], "text": line.default, "number": 5, "token": MASK}
    assert reveal(shown, asked, answer) == {
        "one": "my hunter2!",
        "some": ["public", "hunter2!"],
        "text": "https://hunter2!@host",
        "number": 5,
        "token": "x",
    }
    assert reveal(shown, asked, {"one": "hunter2!", "text": "mine"}) == {"one": "hunter2!", "text": "mine"}
    assert token.default == MASK


def test_a_schema_keeps_its_shape_whatever_is_secret():
    fields = (parameter("slug", str), parameter("value", Field(str, options=["label", "x"])))
    shown = Secrets(["slug", "type", "string", "value", "label", "name", "constraints"]).mask_parameters(fields)
    assert [one.slug for one in shown] == ["slug", "value"]
    assert [one.type for one in shown] == [ParameterType.STRING] * 2
