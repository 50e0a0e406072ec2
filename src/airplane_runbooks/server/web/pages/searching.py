"""View of the list of sessions, and the form that searches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ....models import SessionStatus
from ....schema.problems import UnreadableText
from ....schema.timestamps import parse_moment
from ....schema.types.times import DateTimeType
from ...service.catalog import runbooks
from ...service.search import Criteria, Found, search
from .forms import Field
from .interface import PageContext, PageRequest, PageResponse
from .widgets import Choice

_MOMENT = DateTimeType()
_ON_A_PAGE = 25
_REFRESH = 10  # seconds
_UNLISTED = "Choose one of those on the list."
_REVERSED = "This is before the time from which to search."
_ALWAYS_SHOWN = 3  # fields; the others are folded unless one of them is used


def sessions(context: PageContext, request: PageRequest) -> PageResponse:
    """List the sessions that meet the criteria of the query, newest first."""
    form = _read(context, request.query)
    errors = [field for field in form.fields if field.error]
    before = _place(request.query.get("before", ""))
    criteria = Criteria(**form.criteria)
    found = Found(entries=()) if errors else search(context.services, criteria, before, _ON_A_PAGE)
    values = {
        "sessions": [(entry, context.users.name(entry.created_by)) for entry in found.entries],
        "fields": form.fields[:_ALWAYS_SHOWN],
        "further_fields": form.fields[_ALWAYS_SHOWN:],
        "errors": errors,
        "given": form.given,
        "searches_values": bool(criteria.text),
        "before": before,
        "found": found,
        "live": request.is_live,
        "refresh": _REFRESH if request.is_live and not errors else 0,
    }
    return PageResponse("sessions.html", values, 422 if errors else 200)


class _SearchForm:
    """A form that a query fills in.

    Attributes:
        fields: Its fields.
        criteria: The criteria of the fields without an error, by name.
        given: Texts of the query, by the names of the fields.
    """

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self.fields: list[Field] = []
        self.criteria: dict[str, Any] = {}
        self.given: dict[str, str] = {}

    def add_text(self, name: str, label: str, criterion: str, hint: str = "") -> None:
        """Add a field for any text."""
        text = self._text(name)
        if text:
            self.criteria[criterion] = text
        self._add(name, label, "text", text, hints=[hint] if hint else [])

    def add_choice(self, name: str, label: str, criterion: str, options: Iterable[tuple[str, str, str]]) -> None:
        """Add a field for one of some options: the text in the query of each, its label, and its value."""
        text, values, choices = self._text(name), {}, []
        for key, shown, value in options:
            values[key] = value
            choices.append(Choice(key, shown))
        if text in values:
            self.criteria[criterion] = values[text]
        error = _UNLISTED if text and text not in values else ""
        self._add(name, label, "select", text, error, choices=choices, none="All")

    def add_moment(self, name: str, label: str, criterion: str, since: datetime | None = None) -> None:
        """Add a field for a moment, which must not be before `since`."""
        text, error = self._text(name), ""
        if text:
            try:
                value = _MOMENT.parse(text)
            except UnreadableText as problem:
                text, error = "", str(problem)  # which the control could not hold
            else:
                text = _MOMENT.show(value) or ""
                moment = self.criteria[criterion] = parse_moment(value)
                error = _REVERSED if since is not None and moment < since else ""
        self._add(name, label, "datetime", text, error, hints=["In UTC."])

    def _text(self, name: str) -> str:
        text = self._query.get(name, "").strip()
        if text:
            self.given[name] = text
        return text

    def _add(self, name: str, label: str, control: str, text: str, error: str = "", **more: Any) -> None:
        field = Field(name=name, label=label, description="", control=control, texts=[text], error=error, **more)
        self.fields.append(field)


def _read(context: PageContext, query: Mapping[str, str]) -> _SearchForm:
    """Read the query as the form sends it."""
    environments, form = context.services.environments, _SearchForm(query)
    served = sorted(runbooks(context.services), key=lambda one: (one.name.lower(), one.slug))
    form.add_text("text", "Text", "text", "In its ID, its runbook's name, or a value it was started with.")
    form.add_choice("runbook", "Runbook", "runbook_id", ((one.slug, one.name, one.id) for one in served))
    form.add_choice("status", "State", "status", ((one, one, one) for one in SessionStatus))
    if environments is None:
        form.add_text("env", "Environment", "env_slug")
    else:
        form.add_choice("env", "Environment", "env_slug", ((one, one, one) for one in environments))
    form.add_choice("by", "Started by", "created_by", ((one.name, one.name, one.id) for one in context.users))
    form.add_moment("from", "Started from", "since")
    form.add_moment("to", "Started until", "until", form.criteria.get("since"))
    return form


def _place(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
