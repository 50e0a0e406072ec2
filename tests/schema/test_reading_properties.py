"""Values that fit a schema come out as the Python values they are, before and after the wire; the rest is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeAlias

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import ConfigVar, ParamValueError, Upload
from airplane_runbooks.models import Constraints, Parameter, ParameterSchema, ParameterType
from airplane_runbooks.schema.encoding import encode_params

Fitting: TypeAlias = tuple[Parameter, st.SearchStrategy[Any]]  # a parameter, and values that fit it

texts = st.text(st.characters(exclude_categories=["Cs"]))
slugs = st.from_regex("[a-z][a-z0-9_]{0,5}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
moments = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001  # the zone is another strategy's
    datetime(9999, 12, 29),  # noqa: DTZ001  # likewise
    timezones=st.just(UTC) | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone),
)
SCALARS: list[Fitting] = [
    (Parameter(type=ParameterType.STRING), texts),
    (Parameter(type=ParameterType.BOOLEAN), st.booleans()),
    (Parameter(type=ParameterType.INTEGER), st.integers()),
    (Parameter(type=ParameterType.FLOAT), st.floats(allow_nan=False, allow_infinity=False)),
    (Parameter(type=ParameterType.DATE), st.dates()),
    (Parameter(type=ParameterType.DATETIME), moments),
    (Parameter(type=ParameterType.CONFIGVAR), texts.map(ConfigVar)),
    (Parameter(type=ParameterType.UPLOAD), texts.map(Upload)),
    (Parameter(type=ParameterType.JSON), json_values),
    (Parameter(type=ParameterType.ANY), json_values),
    (Parameter(type=ParameterType("to come")), json_values),
    (
        Parameter(type=ParameterType.STRING, constraints=Constraints(options=["a", {"value": "b"}])),
        st.sampled_from("ab"),
    ),
    (Parameter(type=ParameterType.STRING, constraints=Constraints(regex="[a-c]*")), st.text("abc")),
]


def optional(fitting: Fitting) -> Fitting:
    parameter, values = fitting
    limits = msgspec.structs.replace(parameter.constraints, optional=True)
    return msgspec.structs.replace(parameter, constraints=limits), st.none() | values


def repeated(fitting: Fitting) -> Fitting:
    parameter, values = fitting
    return msgspec.structs.replace(parameter, multi=True), st.lists(values, max_size=3)


def listed(fitting: Fitting) -> Fitting:
    parameter, values = fitting
    return Parameter(type=ParameterType.LIST, values=parameter), st.lists(values, max_size=3)


def mapped(fitting: Fitting) -> Fitting:
    parameter, values = fitting
    return Parameter(type=ParameterType.MAP, values=parameter), st.dictionaries(texts, values, max_size=3)


def joined(members: dict[str, Fitting]) -> Fitting:
    parameters = tuple(msgspec.structs.replace(one, slug=slug) for slug, (one, _) in members.items())
    values = st.fixed_dictionaries({slug: values for slug, (_, values) in members.items()})
    return Parameter(type=ParameterType.OBJECT, parameters=parameters), values


def containers_of(inner: st.SearchStrategy[Fitting]) -> st.SearchStrategy[Fitting]:
    one = inner | inner.map(optional)
    objects = st.dictionaries(slugs, one, min_size=1, max_size=3).map(joined)
    return one.map(listed) | one.map(mapped) | objects


fittings = st.recursive(st.sampled_from(SCALARS), containers_of, max_leaves=4)
parameters = fittings | fittings.map(optional) | st.sampled_from(SCALARS).map(repeated)


@st.composite
def schemas(draw: st.DrawFn) -> tuple[ParameterSchema, dict[str, Any]]:
    """Draw a schema, and values that fit it."""
    described, values = joined(draw(st.dictionaries(slugs, parameters, max_size=3)))
    return ParameterSchema(parameters=described.members), draw(values)


def exact(value: Any) -> Any:
    """Return a form that is equal only for values of the same types, and for the same moments."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return [*map(exact, value)] if isinstance(value, list) else (type(value), value)


@given(schemas())
def test_fitting_values_come_out_as_they_are(pair):
    schema, values = pair

    assert exact(schema.validate(values)) == exact(values)


@given(schemas())
def test_values_read_the_same_before_and_after_the_wire(pair):
    schema, values = pair
    arrived = msgspec.json.decode(encode_params(values))

    assert exact(schema.validate(arrived)) == exact(schema.validate(values))


@given(schemas())
def test_a_schema_is_the_same_after_the_wire(pair):
    schema, values = pair
    arrived = msgspec.json.decode(msgspec.json.encode(schema), type=ParameterSchema)

    assert arrived.validate(values) == schema.validate(values)


@given(schemas(), st.data())
def test_a_value_left_out_is_none_or_missing(pair, data):
    schema, values = pair
    if not values:
        return
    slug = data.draw(st.sampled_from(sorted(values)))
    (parameter,) = (one for one in schema.parameters if one.slug == slug)
    rest = {other: value for other, value in values.items() if other != slug}

    if parameter.constraints.optional:
        assert exact(schema.validate(rest)) == exact({**values, slug: None})
    else:
        assert refusal(schema, rest) == f"values.{slug}: a value is required"


def refusal(schema: ParameterSchema, values: Any) -> str:
    try:
        schema.validate(values)
    except ParamValueError as problem:
        return str(problem)
    return ""


wild = st.deferred(
    lambda: st.fixed_dictionaries(
        {},
        optional={
            "slug": st.sampled_from("abc"),
            "type": st.sampled_from([*ParameterType, "to come"]),
            "default": json_values,
            "multi": st.booleans(),
            "values": wild,
            "params": st.lists(wild, max_size=2),
            "constraints": st.fixed_dictionaries(
                {},
                optional={
                    "optional": st.booleans(),
                    "options": json_values | st.lists(st.fixed_dictionaries({"value": json_values}), max_size=3),
                    "regex": st.text("ab()[]|*+?{}1,^$\\", max_size=5),
                    "allowUnknownKeys": st.booleans(),
                },
            ),
        },
    )
)
references = st.fixed_dictionaries(
    {"__airplaneType": st.sampled_from(["configvar", "upload"])},
    optional={"name": json_values, "id": json_values, "url": json_values},
)
anything = st.dictionaries(st.sampled_from("abcd"), json_values | references | st.dates().map(str), max_size=3)


@given(st.lists(wild, max_size=3), anything | json_values)
def test_any_json_against_any_schema_is_read_or_refused(described, values):
    schema = msgspec.convert({"parameters": described}, ParameterSchema)
    if message := refusal(schema, values):
        assert message.startswith("values")
    else:
        assert {one.slug for one in schema.parameters} == set(schema.validate(values))
