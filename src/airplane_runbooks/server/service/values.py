"""Parameter values and answers on their way into the store: with secrets masked, and sealed beside that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...models import Parameter
from ...models.outputs import MASK
from ...schema.problems import NotEncodable
from ...schema.types.references import ConfigVar
from ..errors import Invalid
from ..secrets.masking import Secrets
from ..secrets.references import replaced, without_variable
from ..secrets.vault import Vault
from ..storage.encoding import decode, encode
from ..storage.records import Run


def secrets_of(root: Run, vault: Vault) -> Secrets:
    """Return the secrets among the parameter values of a root run. Raises VaultError."""
    if root.sealed_values is None:
        return Secrets()
    return Secrets.of(root.params, decode(vault.open(root.sealed_values)))


def mask_and_seal(
    parameters: Sequence[Parameter], values: Mapping[str, Any], secrets: Secrets, vault: Vault, *, path: str
) -> tuple[bytes, bytes | None]:
    """Encode values with the secrets masked, and sealed in full if that has changed anything.

    Config variables are shown by their names alone.

    `path` names the values in errors. Raises Invalid, VaultError.
    """
    whole = _encoded(values, path)
    known = {parameter.slug: parameter for parameter in parameters}
    masked = {
        slug: MASK if known[slug].secret and value is not None else secrets.mask_value(_shown(known[slug], value))
        for slug, value in values.items()
    }
    shown = _encoded(masked, path)
    return shown, None if shown == whole else vault.seal(whole)


def _shown(parameter: Parameter, value: Any) -> Any:
    return replaced(parameter, value, ConfigVar, without_variable)


def _encoded(values: Mapping[str, Any], path: str) -> bytes:
    try:
        return encode(dict(values))
    except NotEncodable as problem:
        raise Invalid("invalid_parameter", f"{path}: {problem}") from None
