"""References in values that callers send: found, or refused, before anything is started or answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ...models import Parameter
from ...schema.types.references import ConfigVar, Upload
from ..errors import Invalid
from ..secrets.references import found, replaced
from ..storage import uploads as stored
from ..storage.uploads import missing_upload
from .services import Services, UnitOfWork


class ResolvedValues(NamedTuple):
    """Values in which uploads have their names and sizes, and config variables their values.

    Attributes:
        values: The values in JSON.
        upload_ids: The uploads that must be kept as long as the values.
    """

    values: Mapping[str, Any]
    upload_ids: Sequence[str]


def resolve(
    services: Services, parameters: Sequence[Parameter], values: Mapping[str, Any], path: str
) -> ResolvedValues:
    """Return checked values with what they refer to. `path` names them in errors. Raises Invalid."""
    upload_ids = [
        _upload_id(reference)
        for parameter in parameters
        for reference in found(parameter, values.get(parameter.slug), Upload)
    ]
    uploads = services.store.uploads.find_all(upload_ids) if upload_ids else {}
    resolved = dict(values)
    for parameter in parameters:
        if (value := values.get(parameter.slug)) is None:
            continue
        where = f"{path}.{parameter.slug}"
        with_uploads = replaced(parameter, value, Upload, partial(_upload, uploads, where))
        variable = partial(_variable, services, where)
        resolved[parameter.slug] = replaced(parameter, with_uploads, ConfigVar, variable)
    return ResolvedValues(resolved, list(dict.fromkeys(upload_ids)))


def keep_uploads(unit: UnitOfWork, run_id: str, upload_ids: Sequence[str]) -> None:
    """Keep uploads as long as a root run is kept. Raises NotFound if one has been dropped meanwhile."""
    if upload_ids:
        unit.store.uploads.use(run_id, upload_ids)


def _upload_id(reference: Any) -> str:
    return str(reference["id"] if isinstance(reference, dict) else reference)


def _upload(uploads: Mapping[str, stored.Upload], where: str, reference: Any) -> Any:
    upload_id = _upload_id(reference)
    upload = uploads.get(upload_id)
    if upload is None or not upload.is_complete:
        problem = missing_upload(upload_id)
        raise Invalid(problem.code, f"{where}: {problem.message}")
    return {
        "__airplaneType": "upload",
        "id": upload.id,
        "url": None,
        "fileName": upload.name,
        "sizeBytes": upload.size,
    }


def _variable(services: Services, where: str, reference: Any) -> Any:
    name = str(reference["name"] if isinstance(reference, dict) else reference)
    variable = services.config_variables.get(name)
    if variable is None:
        raise Invalid("config_variable_not_found", f"{where}: there is no config variable {name[:100]}")
    return {"__airplaneType": "configvar", "name": name, "value": variable.value, "secret": variable.secret}
