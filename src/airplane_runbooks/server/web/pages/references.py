"""References in forms: files are kept as uploads, and the names of config variables are there to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec

from ....models import Parameter
from ....schema.regex.matcher import full_match
from ....schema.types import type_of
from ....schema.types.references import ConfigVar
from ...service import uploads
from ...service.services import Caller, Services
from ...storage.ids import new_seed, stable_id
from . import forms
from .interface import PageRequest
from .posted import PostedFile
from .widgets import Files, widget_for


def with_names(services: Services, parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters of a form, with the config variables that there are as options of those that have none."""
    return tuple(_with_names(parameter, list(services.config_variables)) for parameter in parameters)


def _with_names(parameter: Parameter, names: Sequence[str]) -> Parameter:
    limits = parameter.constraints
    kind = type_of(parameter.type)
    if kind.python is not ConfigVar or limits.options or not names:
        return parameter
    fitting = [name for name in names if not limits.regex or full_match(limits.regex, name)]
    options = [{"label": name, "value": name} for name in fitting]
    return msgspec.structs.replace(parameter, constraints=msgspec.structs.replace(limits, options=options or None))


def keep_files(
    services: Services, request: PageRequest, parameters: Iterable[Parameter], key: str = ""
) -> Mapping[str, Sequence[str]]:
    """Keep the files of a posted form, and return its fields with the uploads in place of them. Raises TooLarge.

    A form with a `key` that is sent again makes the same uploads.
    """
    fields: dict[str, Sequence[str]] = dict(request.fields)
    for widget in map(widget_for, parameters):
        name = forms.name_of(widget.parameter)
        if isinstance(widget, Files) and (found := request.files.get(name)):
            fields[name] = [
                _keep(services, request, file, f"{key}\n{name}\n{number}" if key else "")
                for number, file in enumerate(found)
            ]
    return fields


def _keep(services: Services, request: PageRequest, file: PostedFile, key: str) -> str:
    digest = sha256(file.content).hexdigest()
    seed = stable_id("", f"{key}\n{file.name}\n{digest}") if key else new_seed()
    upload = uploads.keep(services, file.name, file.content, Caller(request.signed_in_user, seed))
    return f"{upload.id} {upload.name}"
