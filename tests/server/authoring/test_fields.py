"""Every annotation that describes a parameter works, from the default to the answer typed into a page; others are
refused where they are written."""

from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, Optional, get_args, get_origin

import msgspec
import pytest

from airplane_runbooks import ConfigVar
from airplane_runbooks.models import Component
from airplane_runbooks.schema.encoding import to_json
from airplane_runbooks.server import Context, Field, RunbookServer, runbook
from airplane_runbooks.server.authoring.fields import parameter
from tests.support.browsing import Browser
from tests.support.servers import Client

EAST = timezone(timedelta(hours=5))


class Day(Enum):
    NEW_YEAR = date(2026, 1, 1)
    LEAP = date(2028, 2, 29)


class Moment(Enum):
    NOON = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    EASTERN = datetime(2026, 1, 2, 12, tzinfo=EAST)


class Share(Enum):
    HALF = 0.5
    ALL = 1.0
    TENTH = 0.1


class Answer(Enum):
    YES = True
    NO = False


class Size(IntEnum):
    SMALL = 1
    LARGE = 2**60


class Colour(StrEnum):
    RED = "red"
    ROUGE = RED  # an alias
    EMPTY = ""


class Text(str, Enum):  # noqa: UP042 - as people wrote it before StrEnum
    A = "a"


class Height(float, Enum):
    TALL = 1.5


class Holiday(date, Enum):
    MAY = 2026, 5, 1


class Mode(Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bits(IntFlag):
    ONE = 1
    TWO = 2


class Of(Enum):
    COLOUR = Colour.RED  # the member of another enum, and a string
    NAMED = "named"


class Lenient(Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.A


class Pair(NamedTuple):
    left: int


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


WORKING: list[tuple[Any, Any]] = [
    (Day, Day.NEW_YEAR),
    (Moment, Moment.NOON),
    (Moment, Moment.EASTERN),
    (Share, Share.TENTH),
    (Answer, Answer.NO),
    (Size, Size.LARGE),
    (Colour, Colour.ROUGE),
    (Colour, Colour.EMPTY),
    (Text, Text.A),
    (Height, Height.TALL),
    (Holiday, Holiday.MAY),
    (Mode, Mode.WRITE),
    (Bits, Bits.TWO),
    (Of, Of.COLOUR),
    (Lenient, Lenient.A),
    (Day | None, Day.LEAP),
    (Optional[Moment], Moment.NOON),  # noqa: UP045 - as people wrote it before 3.10
    (Annotated[Share, Field(description="How much")], Share.HALF),
    (list[Day], [Day.LEAP, Day.NEW_YEAR]),
    (list[Answer], [Answer.YES, Answer.YES]),
    (list[Colour | None], [None, Colour.RED]),
    (list[list[Moment]], [[Moment.NOON], []]),
    (dict[str, Share], {"a": Share.ALL}),
    (dict[str, list[Day | None]], {"a": [None, Day.LEAP]}),
    (Literal["a", "b"], "b"),
    (Literal[1, 2], 2),
    (list[Literal["a", "b"]], ["b", "a"]),
    (str, "two\nlines"),
    (bool, True),
    (int, 2**70),
    (float, 0.1),
    (float, 3),
    (date, date(2028, 2, 29)),
    (datetime, datetime(2026, 1, 31, 11, 30, tzinfo=EAST)),
    (ConfigVar, ConfigVar("db", "of db")),
    (Any, {"a": [1, None]}),
    (list, [1, "a"]),
    (list[date], [date(2026, 1, 1)]),
    (list[ConfigVar], [ConfigVar("db", "of db")]),
    (dict, {"a": 1}),
    (dict[str, datetime], {"a": datetime(2026, 1, 1, tzinfo=UTC)}),
    (list[Any], [1, None]),
    (Annotated[date, Field(options=[date(2026, 1, 1), date(2026, 1, 2)])], date(2026, 1, 2)),
    (Annotated[float, Field(options=[0.1, 2])], 0.1),
    (Annotated[ConfigVar, Field(options=[ConfigVar("a"), ConfigVar("b")])], ConfigVar("b", "of b")),
]
SEEN: list[Any] = []


def gets(number: int, annotation: Any, default: Any) -> Any:
    """Return a runbook with a parameter of this type, and a prompt with a field of it."""

    hint, field = annotation, Field()
    if get_origin(annotation) is Annotated:
        hint, field = get_args(annotation)
    field = msgspec.structs.replace(field, type=hint, default=default)

    def subject(context: Context, value: Any = default) -> None:
        SEEN.append(value)
        answer = context.prompt("Well?", value=field)
        SEEN.append(answer["value"])

    subject.__annotations__["value"] = annotation
    return runbook(slug=f"gets_{number}")(subject)


@pytest.fixture(scope="module")
def server():
    made = [gets(number, annotation, value) for number, (annotation, value) in enumerate(WORKING)]
    with RunbookServer(made, config_variables={name: f"of {name}" for name in ("a", "b", "db")}) as server:
        yield server


@pytest.fixture(scope="module")
def api(server):
    client = Client(server)
    yield client
    client.close()


@pytest.fixture(scope="module")
def browser(server):
    browser = Browser(server.base_url, server.api_key)
    yield browser
    browser.close()


@pytest.mark.parametrize("number", range(len(WORKING)), ids=lambda number: repr(WORKING[number])[:60])
@pytest.mark.parametrize("way", ["default", "api", "page"])
def test_a_value_arrives_by_default_by_the_api_and_by_a_page(api, browser, number, way):
    SEEN.clear()
    _, value = WORKING[number]
    values = {} if way == "default" else {"value": to_json({"value": value})["value"]}
    session_id = api.execute(f"gets_{number}", values)
    prompt = api.open_prompt(session_id)
    if way == "page":
        posted = browser.get(f"/prompts/{prompt['id']}").form.by_name()
        fields = {name.removeprefix("field-"): texts for name, texts in posted.items() if name.startswith("field-")}
        assert browser.answer(prompt["id"], **fields).status == 303
    else:
        assert api.post("/prompts/submit", {"id": prompt["id"], "values": values}).status == 200
    api.reaches(session_id, "Succeeded")
    assert SEEN[-1] == SEEN[0] == value
    if isinstance(value, Enum):
        assert SEEN[-1] is SEEN[0] is value


@pytest.mark.parametrize(
    "annotation",
    [
        Enum("Empty", {}),
        Enum("Mixed", {"A": 1, "B": "b"}),
        Enum("Halves", {"A": 1, "B": 2.5}),
        Enum("Tuples", {"A": (1, 2)}),
        Enum("Nothing", {"A": None}),
        Enum("Bytes", {"A": b"a"}),
        Enum("Points", {"A": Point(1)}),
        Enum("Pairs", {"A": Pair(1)}),
        Enum("Decimals", {"A": Decimal("1.5")}),
        Enum("Spans", {"A": timedelta(1)}),
        Enum("Other", {"A": Day.LEAP}),
        Enum("Endless", {"A": float("inf")}),
        Enum("Zoneless", {"A": datetime(2026, 1, 1)}),  # noqa: DTZ001 - that is what is wrong with it
        Enum("Surrogate", {"A": "\ud800"}),
        Enum("Exact", {"A": date(2026, 1, 1), "B": datetime(2026, 1, 2, tzinfo=UTC)}),
        IntFlag("Nothing", {}),
        Literal["a", 1],
        Literal[True],
        Literal[b"a"],
        Literal[Colour.RED],
        None,
        int | str,
        tuple[int],
        set[int],
        bytes,
        Decimal,
        timedelta,
        object,
        dict[int, str],
        Point,
        Pair,
    ],
    ids=repr,
)
@pytest.mark.parametrize("around", ["alone", "optional", "listed", "mapped"])
def test_any_other_annotation_is_refused_at_definition(annotation, around):
    hint = {
        "alone": annotation,
        "optional": Optional[annotation],  # noqa: UP045 - the annotation may be None, which takes no `|`
        "listed": list[annotation],
        "mapped": dict[str, annotation],
    }[around]
    with pytest.raises((TypeError, ValueError), match=r"p: |mixes types"):
        parameter("p", hint)

    def subject(context: Context, p: Any) -> None: ...

    subject.__annotations__["p"] = hint
    with pytest.raises((TypeError, ValueError), match=r"p: |mixes types"):
        runbook(subject)


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (Day, date(2026, 1, 2)),
        (Mode, Mode.READ | Mode.WRITE),
        (Colour, "blue"),
        (list[Day], [date(2026, 1, 2)]),
        (float, float("nan")),
        (str, "\ud800"),
        (int, object()),
        (date, "2026-W01-1"),
    ],
)
def test_a_default_that_does_not_fit_is_refused_at_definition(annotation, default):
    with pytest.raises(ValueError, match=r"^p\b"):
        parameter("p", annotation, default)


def test_a_default_that_only_msgspec_can_write_is_accepted():
    assert parameter("p", list[int], {3}).default == [3]
    assert parameter("p", Any, Point(1)).default == {"x": 1}


def test_an_enum_is_offered_by_its_members_names_and_values():
    made = parameter("p", Day)
    assert made.type == "date"
    assert made.constraints.options[1] == {"label": "LEAP", "value": "2028-02-29"}
    reference = {"__airplaneType": "configvar", "name": "a"}
    made = parameter("p", Field(ConfigVar, options=[ConfigVar("a")]))
    assert made.constraints.options == [{"label": "a", "value": reference}]
    assert [parameter("p", kind).type for kind in (Moment, Share, Answer, Mode, Of)] == [
        "datetime",
        "float",
        "boolean",
        "integer",
        "string",
    ]
    assert msgspec.json.encode(parameter("p", Answer).constraints.options[1]["value"]) == b"false"


def test_long_texts_and_secrets_are_marked_in_the_schema():
    assert parameter("p", Field(str, multiline=True)).component is Component.TEXTAREA
    assert parameter("p", Field(str, secret=True)).secret
    for wrong in (Field(int, multiline=True), Field(list[str], secret=True)):
        with pytest.raises(TypeError, match="are for strings"):
            parameter("p", wrong)


def test_a_type_that_is_refused_is_answered_by_those_there_are():
    with pytest.raises(TypeError, match=r"p: .*Decimal.* use str, bool, int, .* amount of money an int"):
        parameter("p", Decimal)
