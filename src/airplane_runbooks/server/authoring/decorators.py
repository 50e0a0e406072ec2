"""Runbooks and tasks: functions with a slug, and a parameter schema made from their signature."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import msgspec

from ...models import Parameter, ParameterSchema, RunbookCall
from ...models.typed_calls import declare_call
from ...schema.reading import CheckedValues
from ..deliveries.targets import Target, checked_targets
from ..storage.encoding import text
from ..storage.ids import stable_id
from .annotations import resolved_annotations
from .code import Code
from .contexts import AsyncContext, Context
from .docstrings import parse
from .fields import SLUG, enum_converter, parameter
from .timeouts import HasTimeout, checked_timeout
from .values import OpenUpload, check, convert

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
WithoutContext = ParamSpec("WithoutContext")
Result = TypeVar("Result")


class Runnable(HasTimeout, Generic[P, R_co]):
    """A function that the API can execute. Calling it calls the function itself, as a unit test would.

    Attributes:
        function: The function.
        slug: Name by which callers execute it.
        id: ID that callers may use instead. It is the same on every start of every server.
        name: Label for people.
        description: The function's docstring, without the descriptions of parameters.
        parameters: The schema of its parameters, in the order of the signature.
        is_async: True for a coroutine function.
        timeout: Seconds of execution allowed; None means no limit.
        code: Digest of the code, and the author's version if there is one.
    """

    prefix: typing.ClassVar[str]

    def __init__(
        self,
        function: Callable[P, R_co],
        *,
        slug: str | None,
        name: str | None,
        id: str | None,
        version: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        self.slug = _checked_slug(function.__name__ if slug is None else slug)
        self.id = id or stable_id(self.prefix, self.slug)
        self.name = text(name or self.slug.replace("_", " ").capitalize(), f"{self.slug}: its name")
        self.description, self._descriptions = parse(inspect.getdoc(function) or "")
        self._enum_converters: dict[str, Callable[[Any], Any]] = {}
        self.parameters = tuple(self._schema())
        self.timeout = checked_timeout(timeout)
        self.code = Code.of(function, version)
        self.__wrapped__ = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, with no engine in between."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.slug}>"

    def check(self, values: Mapping[str, Any]) -> CheckedValues:
        """Check the parameter values that a client has sent. Raises Invalid, naming the path."""
        return check(self.parameters, values, "paramValues")

    def arguments(self, values: Mapping[str, Any], open_upload: OpenUpload) -> dict[str, Any]:
        """Return the function's keyword arguments for stored parameter values. Raises Invalid, naming the path.

        `open_upload` returns an upload that the function can open.
        """
        return convert(self.parameters, values, "paramValues", self._enum_converters, open_upload)

    def _schema(self) -> Iterator[Parameter]:
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            raise TypeError(f"{self.slug}: a {_kind(type(self))} must be a plain or async function, not a generator")
        hints = resolved_annotations(self.function, self.slug)
        for argument in self._without_context(list(inspect.signature(self.function).parameters.values()), hints):
            if argument.kind not in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY):
                raise TypeError(
                    f"{self.slug}: parameter {argument.name} must be an ordinary or keyword-only parameter, "
                    "not positional-only, *args or **kwargs"
                )
            default = None if argument.default is argument.empty else argument.default
            hint = hints.get(argument.name, Any)
            made = parameter(argument.name, hint, default, self._descriptions.get(argument.name, ""))
            self._enum_converters[argument.name] = enum_converter(hint)
            yield _nullable(made) if argument.default is None else made

    def _without_context(self, arguments: list[inspect.Parameter], hints: dict[str, Any]) -> list[inspect.Parameter]:
        del hints  # for runbooks
        return arguments


class Runbook(Runnable[P, R_co]):
    """A function of a context and parameters, executed as a session.

    Attributes:
        confirm: Sentence that people have to agree to on the page that starts it; empty for none.
        notify: Targets outside that are told when it asks and when it ends, besides those of the server.
    """

    prefix = "rbk"

    def __init__(
        self,
        function: Callable[P, R_co],
        *,
        slug: str | None,
        name: str | None,
        id: str | None,
        version: str | None = None,
        timeout: float | None = None,
        confirm: str = "",
        notify: Sequence[Target] = (),
    ) -> None:
        super().__init__(function, slug=slug, name=name, id=id, version=version, timeout=timeout)
        self.confirm = text(confirm, f"{self.slug}: its confirm")
        self.notify = checked_targets(notify)

    @overload
    def call(
        self: Runbook[Concatenate[Any, WithoutContext], Coroutine[Any, Any, Result]],
        /,
        *args: WithoutContext.args,
        **kwargs: WithoutContext.kwargs,
    ) -> RunbookCall[Result]: ...
    @overload
    def call(
        self: Runbook[Concatenate[Any, WithoutContext], Result],
        /,
        *args: WithoutContext.args,
        **kwargs: WithoutContext.kwargs,
    ) -> RunbookCall[Result]: ...
    def call(self, /, *args: Any, **kwargs: Any) -> RunbookCall[Any]:
        """Return an execution of the runbook with these arguments, for a client's `runbooks.run` and its kin.

        Takes the function's arguments without its context. Those left out get the defaults of the server.

        Raises:
            TypeError: An argument is missing, unknown or given twice.
            ParamValueError: A value does not fit its parameter; the message names its path.
        """
        known = self._signature.parameters
        for name in kwargs:
            if name not in known:
                raise TypeError(
                    f"{self.slug} has no parameter {name!r}: its parameters are {', '.join(known) or 'none'}"
                )
        try:
            given = self._signature.bind(*args, **kwargs).arguments
        except TypeError as problem:
            raise TypeError(f"{self.slug}: {problem}") from None
        ParameterSchema(parameters=self.parameters).validate(given, "param_values")
        return self._call_type(**given)

    @cached_property
    def result_schema(self) -> dict[str, Any] | None:
        """JSON Schema of the result, from its annotation; None without one, or if JSON Schema has no words for it."""
        annotation = resolved_annotations(self.function, self.slug).get("return", Any)
        if annotation is Any:
            return None
        try:
            return msgspec.json.schema(annotation)
        except (TypeError, ValueError, NameError, RecursionError):
            return None

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.Signature(list(inspect.signature(self.function).parameters.values())[1:])

    @cached_property
    def _call_type(self) -> type[RunbookCall[Any]]:
        hints = resolved_annotations(self.function, self.slug)
        return declare_call(self.slug, self._signature.parameters, hints.get("return", Any))

    def _without_context(self, arguments: list[inspect.Parameter], hints: dict[str, Any]) -> list[inspect.Parameter]:
        context, kind = (AsyncContext, "an async") if self.is_async else (Context, "a plain")
        if not arguments or hints.get(arguments[0].name, context) is not context:
            raise TypeError(f"{self.slug}: the first parameter of {kind} runbook must be its {context.__name__}")
        return arguments[1:]


class Task(Runnable[P, R_co]):
    """A function of parameters alone, executed as one run; a step of a runbook may call it, too."""

    prefix = "tsk"


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug):
        raise ValueError(
            f"{slug!r} is not a slug: use up to 50 lower-case letters, digits and underscores, a letter first"
        )
    return slug


def _kind(runnable: type[Runnable[..., Any]]) -> str:
    return "runbook" if issubclass(runnable, Runbook) else "task"


def _nullable(made: Parameter) -> Parameter:
    limits = msgspec.structs.replace(made.constraints, optional=True)
    return msgspec.structs.replace(made, constraints=limits)


@overload
def runbook(function: Callable[P, R_co], /) -> Runbook[P, R_co]: ...
@overload
def runbook(
    *,
    slug: str | None = None,
    name: str | None = None,
    id: str | None = None,
    version: str | None = None,
    timeout: float | None = None,
    confirm: str = "",
    notify: Sequence[Target] = (),
) -> Callable[[Callable[P, R_co]], Runbook[P, R_co]]: ...
def runbook(
    function: Callable[..., Any] | None = None,
    /,
    *,
    slug: str | None = None,
    name: str | None = None,
    id: str | None = None,
    version: str | None = None,
    timeout: float | None = None,
    confirm: str = "",
    notify: Sequence[Target] = (),
) -> Any:
    """Make a plain or async function a runbook. The decorator is used with or without arguments.

    `slug` is by default the function's name. A session continues only with the code that it was started with or, if
    `version` is given, as long as that stays the same. A session fails (`Timeout`) after `timeout` seconds of
    execution, without the time that humans take. `confirm` is a sentence, such as "All users are signed out.", that
    people have to agree to before they start the runbook from its page; programs are not asked. `notify` are webhooks
    and channels of Slack that are told when it asks and when it ends, besides those of the server. Raises TypeError for
    a signature that a schema cannot describe, ValueError for a bad slug or default.
    """
    make = partial(
        Runbook[..., Any],
        slug=slug,
        name=name,
        id=id,
        version=version,
        timeout=timeout,
        confirm=confirm,
        notify=notify,
    )
    return make if function is None else make(function)


@overload
def task(function: Callable[P, R_co], /) -> Task[P, R_co]: ...
@overload
def task(
    *, slug: str | None = None, name: str | None = None, id: str | None = None, timeout: float | None = None
) -> Callable[[Callable[P, R_co]], Task[P, R_co]]: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    slug: str | None = None,
    name: str | None = None,
    id: str | None = None,
    timeout: float | None = None,
) -> Any:
    """Make a plain or async function a task. The decorator is used with or without arguments.

    A run fails (`Timeout`) if it has not ended after `timeout` seconds, as does an attempt of a step that calls the
    task. Raises as `runbook` does.
    """
    if function is not None:
        return Task(function, slug=slug, name=name, id=id, timeout=timeout)
    return partial(Task[..., Any], slug=slug, name=name, id=id, timeout=timeout)


RunnableT = TypeVar("RunnableT", bound=Runnable[..., Any])


class Registry(Generic[RunnableT]):
    """Runbooks or tasks by ID and by slug. Raises ValueError if two share either."""

    def __init__(self, items: Iterable[RunnableT], kind: type[RunnableT]) -> None:
        self.by_id: dict[str, RunnableT] = {}
        self.by_slug: dict[str, RunnableT] = {}
        for item in items:
            if not isinstance(item, kind):
                raise TypeError(f"{item!r} is not a {_kind(kind)}: decorate it with @{_kind(kind)}")
            if item.id in self.by_id or item.slug in self.by_slug:
                raise ValueError(f"two {_kind(kind)}s have the slug {item.slug!r} or the ID {item.id!r}")
            self.by_id[item.id] = self.by_slug[item.slug] = item
