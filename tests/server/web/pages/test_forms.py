"""Values survive forms: what a schema allows gets into the controls, and out again as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from airplane_runbooks.models import Component, Constraints, Parameter, ParameterType
from airplane_runbooks.schema.problems import UnreadableText, ValueProblem
from airplane_runbooks.schema.reading import CheckedValues, ValueReader
from airplane_runbooks.server.storage.encoding import encode
from airplane_runbooks.server.web.pages import forms
from airplane_runbooks.server.web.pages.rendering import load_templates
from airplane_runbooks.server.web.pages.widgets import widget_for
from tests.support.browsing import Form

UNTIMED = settings(deadline=None)
TEMPLATE = load_templates(lambda name: name).from_string(
    '{% import "_field.html" as parts %}{% for field in fields %}{{ parts.field(field) }}{% endfor %}'
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lines = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
upload_ids = st.from_regex(r"[0-9A-Za-z]{1,20}", fullmatch=True)
numbers = st.integers(-(2**63), 2**63)
floats = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
moments = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001  # the zone is another strategy's
    datetime(9999, 12, 29),  # noqa: DTZ001  # likewise
    timezones=st.just(UTC) | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
SCALARS = [
    (ParameterType.STRING, texts),
    (ParameterType.BOOLEAN, st.booleans()),
    (ParameterType.INTEGER, numbers | numbers.map(float)),
    (ParameterType.FLOAT, floats | st.integers(-(2**53), 2**53)),
    (ParameterType.DATE, st.dates().map(str) | moments.map(lambda moment: moment.isoformat())),
    (ParameterType.DATETIME, moments.map(lambda moment: moment.isoformat())),
    (ParameterType.CONFIGVAR, texts | texts.map(lambda name: {"__airplaneType": "configvar", "name": name})),
    (
        ParameterType.UPLOAD,
        upload_ids | upload_ids.map(lambda one: {"__airplaneType": "upload", "id": one, "url": None}),
    ),
    (ParameterType.JSON, json_values),
    (ParameterType.ANY, json_values),
    (ParameterType("to come"), json_values),
    (ParameterType.MAP, st.dictionaries(texts, json_values, max_size=3)),
    (ParameterType.OBJECT, st.dictionaries(texts, json_values, max_size=3)),
    (ParameterType.LIST, st.lists(json_values, max_size=3)),
]


@st.composite
def fittings(draw: st.DrawFn) -> tuple[Parameter, Any]:
    """Draw a parameter and a value that fits it."""
    kind, values = draw(st.sampled_from(SCALARS))
    limits = Constraints(optional=draw(st.booleans()))
    if kind not in (ParameterType.LIST, ParameterType.MAP, ParameterType.OBJECT) and draw(st.booleans()):
        chosen = draw(st.lists(values, min_size=1, max_size=8))
        limits = msgspec.structs.replace(limits, options=[{"label": "An option", "value": one} for one in chosen])
        values = st.sampled_from(chosen)
    multi = kind not in (ParameterType.LIST, ParameterType.MAP, ParameterType.OBJECT) and draw(st.booleans())
    parameter = Parameter(
        slug="p",
        name=draw(texts),
        desc=draw(texts),
        type=kind,
        multi=multi,
        component=draw(st.sampled_from(Component)),
        constraints=limits,
    )
    value = draw(st.lists(values, max_size=4) if multi else values)
    try:
        encode(value)
        meaning(parameter, value)
    except ValueProblem:
        assume(False)
    return parameter, value


def meaning(parameter: Parameter, value: Any) -> Any:
    """Return the Python values that a runbook would get."""
    return ValueReader(strict=True).read_members([parameter], {} if value is None else {"p": value})


def json_of(filled: forms.Filled) -> Any:
    """Return the JSON values of a form."""
    return filled.values.json if isinstance(filled.values, CheckedValues) else filled.values


def submit(fields: Any) -> dict[str, list[str]]:
    """Return what a browser posts of an untouched form."""
    return Form(TEMPLATE.render(fields=fields)).by_name()


@given(fittings())
@example((Parameter(slug="p", type=ParameterType.STRING), "\n\n begins with an empty line"))
@example((Parameter(slug="p", type=ParameterType.STRING, multi=True), ["what browsers\rchange"]))
@UNTIMED
def test_an_untouched_form_says_the_defaults(fitting):
    parameter, value = fitting
    assume(value is not None)
    parameter = msgspec.structs.replace(parameter, default=value)
    filled = forms.fill([parameter], submit(forms.blank([parameter])))
    assert [field.error for field in filled.fields] == [""]
    assert meaning(parameter, json_of(filled)["p"]) == meaning(parameter, value)


@given(fittings())
@example((Parameter(slug="p", type=ParameterType.DATETIME), "2024-01-31T12:00:00.123Z"))
@UNTIMED
def test_a_value_that_a_control_can_hold_survives_the_form(fitting):
    parameter, value = fitting
    shown = widget_for(parameter).show(value)
    assume(shown is not None)
    assume(not widget_for(parameter).is_empty(shown))
    filled = forms.fill([parameter], {"field-p": shown})
    assert not filled.errors
    assert meaning(parameter, json_of(filled)["p"]) == meaning(parameter, value)
    again = forms.fill([parameter], submit(filled.fields))
    assert json_of(again) == json_of(filled)


@given(fittings(), st.lists(texts | lines, max_size=3))
@UNTIMED
def test_a_posted_form_gives_a_value_that_fits_or_an_error(fitting, posted):
    parameter, _ = fitting
    filled = forms.fill([parameter], {"field-p": posted})
    if not filled.errors:
        meaning(parameter, json_of(filled).get("p"))
        encode(json_of(filled))
    TEMPLATE.render(fields=filled.fields)


def one(kind="string", **fields):
    limits = Constraints(**{name: fields.pop(name) for name in list(fields) if name in Constraints.__struct_fields__})
    return Parameter(slug="p", name="P", type=ParameterType(kind), constraints=limits, **fields)


def filled_in(parameter, *posted):
    filled = forms.fill([parameter], {"field-p": posted} if posted else {})
    return filled.errors[0].error if filled.errors else json_of(filled)["p"]


@pytest.mark.parametrize(
    ("parameter", "posted", "result"),
    [
        (one(), ["  x "], "  x "),
        (one(), ["a\r\nb"], "a\nb"),
        (one(), [""], "Enter a value."),
        (one(), [], "Enter a value."),
        (one(optional=True), [""], None),
        (one(default="x"), [""], ""),
        (one(default="x", optional=True), [""], ""),
        (one(default="x", secret=True), [""], None),
        (one(regex="[a-z]+"), ["A"], "The value does not match [a-z]+."),
        (one("boolean"), [], "Choose one."),
        (one("boolean"), ["on"], "Choose one of those on the list."),
        (one("boolean"), ["0"], True),
        (one("boolean"), ["1"], False),
        (one("boolean", default=False), ["on"], True),
        (one("boolean", default=True), [], False),
        (one("boolean", optional=True), [""], None),
        (one("boolean", optional=True), ["0"], True),
        (one("boolean", optional=True), ["1"], False),
        (one("integer"), [" -42 "], -42),
        (one("integer"), ["4.5"], "Enter a whole number, such as 42."),
        (one("integer"), ["1_000"], "Enter a whole number, such as 42."),
        *((one("integer"), [text], "Enter a whole number, such as 42.") for text in ("1e5", "0x10", "nan", "4.0")),
        (one("integer"), ["9007199254740993"], 2**53 + 1),
        (one("integer"), ["٣"], "Enter a whole number, such as 42."),
        (one("integer", default=5), [""], 5),
        (one("integer"), ["9" * 5000], "Enter a whole number, such as 42."),
        (one("float"), ["2.5"], 2.5),
        (one("float"), ["1e3"], 1000.0),
        (one("float"), ["2,5"], "Enter a number, such as 2.5."),
        (one("float"), [" +.5 "], 0.5),
        (one("float"), ["9007199254740993"], "This number has more digits than can be kept."),
        (one("float"), ["0.1000000000000000055"], "This number has more digits than can be kept."),
        *(
            (one("float"), [text], "Enter a number, such as 2.5.")
            for text in ("1_0.5", "\u0663", "inf", "0x1p3", "1e", ".")
        ),
        (one("float"), ["nan"], "Enter a number, such as 2.5."),
        (one("float"), ["1e999"], "Enter a number, such as 2.5."),
        (one("date"), ["2024-02-29"], "2024-02-29"),
        (one("date"), ["2023-02-29"], "Enter a date, such as 2024-01-31."),
        *(
            (one("date"), [text], "Enter a date, such as 2024-01-31.")
            for text in (
                "20240229",
                "20240229aa",
                "2024-W01-1",
                "2024-060ab",
                "2024-02-29T00:00",
                "2024-02-29T00:00:00Z",
                "2024-02-29 ",
                " 2024-02-29",
                "2024-02-30",
                "0000-01-01",
                "10000-01-01",
                "2024/02/29",
                "+2024-02-2",
                "\u0662\u0660\u0662\u0664-02-29",
                "\uff12\uff10\uff12\uff14-02-29",
            )
        ),
        (one("date", multi=True), ["2024-02-29\n2024-W01-1"], "Line 2: Enter a date, such as 2024-01-31."),
        (one("datetime"), ["2024-02-29T12:30"], "2024-02-29T12:30:00Z"),
        (one("datetime"), ["2024-02-29 12:30:01.5Z"], "2024-02-29T12:30:01.500000Z"),
        *(
            (one("datetime"), [text], "Enter a date and a time, such as 2024-01-31 16:30.")
            for text in (
                "2024-02-29",
                "2024-02-29T24:00",
                "2024-02-29T12:30+01:00",
                "2024-W09-4T12:30",
                "2024-02-30T12:30",
            )
        ),
        (one("datetime"), ["2024-02-29T25:00"], "Enter a date and a time, such as 2024-01-31 16:30."),
        (one(options=["a", "b"]), ["1"], "b"),
        (one(options=["a", "b"]), [], "Choose one."),
        (one(options=["a", "b"]), ["b"], "Choose one of those on the list."),
        (one(options=["a", "b"], optional=True), [""], None),
        (one("integer", options=[{"label": "Ten", "value": 10}]), ["0"], 10),
        (one("any", options=[1, True, "1"]), ["1"], True),
        (one(options={"slug": "list_options"}), ["free"], "free"),
        (one(multi=True), ["a\r\n\r\n  \r\nb c\r\n"], ["a", "b c"]),
        (one(multi=True), [""], []),
        (one(multi=True, optional=True), [" \n"], None),
        (one(multi=True, optional=True, default=["a"]), [""], []),
        (one(multi=True, options=["a", "b", "c"]), ["2", "0"], ["c", "a"]),
        (one(multi=True, options=["a"]), [], []),
        (one(multi=True, options=["a"], optional=True), [], None),
        (one("integer", multi=True), ["1\r\nx"], "Line 2: Enter a whole number, such as 42."),
        (one(multi=True, regex="[a-z]"), ["a\nB"], "[1]: the value does not match [a-z]."),
        (one("boolean", multi=True), ["yes\nFALSE"], [True, False]),
        (one("json"), ["null"], None),
        (one("json"), [" "], "Enter JSON."),
        (one("json"), ["{'a': 1}"], 'This is not JSON. Texts need double quotes: "like this".'),
        (one("json"), ["[" * 5000], 'This is not JSON. Texts need double quotes: "like this".'),
        (one("json"), ["[" * 300 + "]" * 300], "This cannot be kept: it is too large, too deep or not text."),
        (one("map", values=one("integer")), ['{"a": "x"}'], "In a: expected an integer, got a string."),
        (one("list"), ["{}"], "Expected an array, got an object."),
        (one("configvar"), [" db "], "db"),
        (one("upload"), ["upl1"], "upl1"),
        (one(multi=True, secret=True), ['["a"]'], ["a"]),
    ],
)
def test_a_typed_text_is_read_by_the_schema(parameter, posted, result):
    assert filled_in(parameter, *posted) == result


@pytest.mark.parametrize(
    ("parameter", "control"),
    [
        (one(), "text"),
        (one(component=Component.TEXTAREA), "area"),
        (one(default="two\nlines"), "area"),
        (one(default="\r"), "area"),
        (one(secret=True), "password"),
        (one("json", secret=True), "password"),
        (one("boolean"), "radios"),
        (one("boolean", default=False), "checkbox"),
        (one("boolean", optional=True), "radios"),
        (one("integer"), "text"),
        (one("float"), "text"),
        (one("date"), "date"),
        (one("datetime"), "datetime"),
        (one("datetime", default="2024-01-31T12:00:00.000001Z"), "area"),
        (one(options=list("abcde")), "radios"),
        (one(options=list("abcdef")), "select"),
        (one(options=["a"], multi=True), "checkboxes"),
        (one("integer", multi=True), "area"),
        (one("configvar"), "text"),
        (one("upload"), "file"),
        (one("upload", multi=True), "files"),
        *((one(kind), "area") for kind in ("list", "map", "object", "json", "any", "to come")),
    ],
)
def test_each_type_has_its_control(parameter, control):
    (field,) = forms.blank([parameter])
    assert field.control == control
    assert "p" in field.name


@pytest.mark.parametrize(
    "parameter", [one(secret=True, default="hush-hush"), one("json", secret=True, default=["hush-hush"])]
)
def test_secrets_are_neither_shown_as_defaults_nor_echoed(parameter):
    assert "hush" not in TEMPLATE.render(fields=forms.blank([parameter]))
    bad = msgspec.structs.replace(parameter, constraints=Constraints(regex="[0-9]"))
    (again,) = forms.fill([bad], {"field-p": ['"hush-hush']}).fields
    assert "hush" not in TEMPLATE.render(fields=[again])
    assert "hush" not in repr(again)
    html = TEMPLATE.render(fields=forms.blank([parameter]))
    assert 'type="password"' in html
    assert 'autocomplete="off"' in html


def test_a_time_too_fine_for_the_control_is_not_cut():
    assert widget_for(one("datetime")).show("2024-01-31T12:00:00.000001Z") is None
    assert widget_for(one("datetime")).show("2024-01-31T12:00:00.123+01:00") == ["2024-01-31T11:00:00.123"]


def test_a_secret_choice_is_not_preselected():
    for options in (["a", "b"], list("abcdefgh")):
        parameter = one(secret=True, default="b", options=options)
        posted = submit(forms.blank([parameter]))
        assert posted == {"field-p": [""]}
        assert json_of(forms.fill([parameter], posted)) == {"p": None}


def test_a_wrong_text_is_shown_again_with_its_error():
    parameters = [one("integer"), msgspec.structs.replace(one(desc="About"), slug="q")]
    filled = forms.fill(parameters, {"field-p": ["<b>'\""], "field-q": ["kept"]})
    html = TEMPLATE.render(fields=filled.fields)
    controls = Form(html).controls
    assert controls["field-p"]["value"] == "<b>'\""
    assert controls["field-p"]["aria-invalid"] == "true"
    assert controls["field-p"]["aria-describedby"] == "field-p-hint field-p-error"
    assert controls["field-q"]["value"] == "kept"
    assert controls["field-q"]["aria-describedby"] == "field-q-about"
    assert 'id="field-p-error"' in html
    assert "<b>" not in html


def test_fields_say_whether_they_have_to_be_filled_in():
    required = {
        name: forms.blank([parameter])[0].required
        for name, parameter in {
            "bare": one(),
            "optional": one(optional=True),
            "default": one(default="x"),
            "list": one(multi=True),
            "flag": one("boolean"),
            "choice": one(options=["a"]),
        }.items()
    }
    assert [name for name, needed in required.items() if needed] == ["bare", "flag", "choice"]


def test_a_flag_without_a_default_begins_with_nothing_chosen():
    assert submit(forms.blank([one("boolean")])) == {}
    assert submit(forms.blank([one("boolean", default=True)])) == {"field-p": ["on"]}


@pytest.mark.parametrize(
    ("parameters", "is_decision"),
    [
        ([one("boolean")], True),
        ([one("boolean", optional=True)], False),
        ([one("boolean", default=False)], False),
        ([one("boolean", multi=True)], False),
        ([one(options=["a", "b"])], False),
        ([one("boolean"), msgspec.structs.replace(one(), slug="q")], False),
        ([], False),
    ],
)
def test_a_single_required_flag_makes_a_form_a_decision(parameters, is_decision):
    assert forms.is_decision(parameters) is is_decision


@pytest.mark.parametrize(
    ("parameter", "hint"),
    [
        (one("datetime"), "In UTC."),
        (one("integer", default=5), "Left empty, it is 5."),
        (one("json", default={"a": 1}), "Left empty, it is the default."),
        (one(secret=True, default="hush"), "Left empty, it is the default."),
        (one(regex="[a-z]+"), "Has to match [a-z]+"),
        (one("date", multi=True), "One on each line."),
    ],
)
def test_hints_mention_defaults_regexes_and_units(parameter, hint):
    assert hint in forms.blank([parameter])[0].hints


def test_a_control_that_cannot_hold_a_default_is_replaced():
    assert widget_for(one(multi=True, default=["a\nb"])).show(["a\nb"]) == ['[\n  "a\\nb"\n]']
    with pytest.raises(UnreadableText):
        widget_for(one(multi=True, default=["a\nb"])).read(["a\nb"])
