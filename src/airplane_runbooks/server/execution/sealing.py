"""Values of one session in its records: masked, and sealed as well where masking hides anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...schema.problems import NotEncodable
from ..secrets.masking import Secrets
from ..secrets.vault import Vault
from ..storage.encoding import decode, encode, encode_members
from ..storage.records import Failure, Outcome, Run
from .guard import as_server_failure
from .signals import Signal


class SealedValues:
    """Encodes and reads the values of one session."""

    def __init__(self, vault: Vault, secrets: Secrets, on_failure: Callable[[Signal], Signal]) -> None:
        self._vault = vault
        self._secrets = secrets
        self._on_failure = on_failure

    def encode(self, value: Any) -> tuple[bytes, bytes | None, bytes]:
        """Return a result as JSON: masked, sealed if masking hides anything, and plain. Raises NotEncodable."""
        plain = encode(value)
        with as_server_failure(self._on_failure):
            shown = self._secrets.mask_json(plain)
            return shown, None if shown == plain else self._vault.seal(plain), plain

    def read(self, run: Run) -> Any:
        """Return the result that was recorded, with its secrets."""
        with as_server_failure(self._on_failure):
            return decode(run.output if run.sealed_output is None else self._vault.open(run.sealed_output))

    def shown(self, arguments: Mapping[str, Any]) -> bytes:
        """Return the masked JSON of the arguments that have a form in JSON."""
        return self._secrets.mask_json(encode_members(dict(arguments)))

    def succeeded(self, value: Any) -> Outcome:
        """Return the outcome of a runbook or task that returned this. Raises NotEncodable."""
        shown, sealed, _ = self.encode(value)
        return Outcome.succeeded(shown, sealed)

    def failure(self, problem: BaseException) -> Failure:
        """Describe an exception, masked. Raises nothing."""
        failure = Failure.of(problem, self._secrets.mask)
        if type(problem) is NotEncodable:
            return Failure("TypeError", f"the result cannot be written as JSON: {failure.message}")
        return failure
