"""Values of one session in its records: masked, and sealed as well where masking hides anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...schema.problems import NotEncodable
from ..authoring.errors import StepFailed
from ..logs import shorten
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

    def masked(self, document: bytes) -> bytes:
        """Return a JSON document with its secrets masked."""
        with as_server_failure(self._on_failure):
            return self._secrets.mask_json(document)

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

    def reason(self, problem: BaseException) -> Failure:
        """Describe the exception that ended a runbook, masked; if that was a step's, name the step. Raises nothing."""
        step = _step_failure(problem)
        if step is None:
            return self.failure(problem)
        mask = self._secrets.mask
        return Failure(mask(step.kind), shorten(mask(step.message)), mask(step.step), step.run_id)


def _step_failure(problem: BaseException) -> StepFailed | None:
    """Return the failure of a step that an exception is, or the first one in it if it is a group.

    One that a runbook has made itself, or put anything but texts into, does not count.
    """
    waiting = [problem]
    while waiting:
        current = waiting.pop()
        if issubclass(type(current), BaseExceptionGroup):
            inner: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(current)
            waiting += reversed(inner)
        elif type(current) is StepFailed:
            texts = (current.step, current.kind, current.message, current.run_id)
            if all(type(text) is str for text in texts):
                return current
    return None
