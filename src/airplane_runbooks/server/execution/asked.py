"""A prompt as its runbook asks it, and as it may be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...models import Parameter, Reviewers
from ...models.base import decoder_of
from ...schema.reading import CheckedValues
from ..secrets.masking import Secrets, reveal
from ..secrets.vault import Vault
from ..storage.records import Prompt


class Asked(msgspec.Struct, frozen=True):
    """The parts of a question that decide about an answer: its fields and its reviewers."""

    parameters: tuple[Parameter, ...]
    reviewers: Reviewers

    def masked(self, secrets: Secrets) -> Asked:
        """Return what may be seen of it."""
        reviewers = msgspec.structs.replace(
            self.reviewers,
            users=tuple(map(secrets.mask, self.reviewers.users)),
            groups=tuple(map(secrets.mask, self.reviewers.groups)),
        )
        return Asked(secrets.mask_parameters(self.parameters), reviewers)


def unseal(prompt: Prompt, vault: Vault) -> Asked:
    """Return what was asked. Raises VaultError."""
    if prompt.sealed is None:
        return Asked(prompt.parameters, prompt.reviewers)
    asked: Asked = decoder_of(Asked).decode(vault.open(prompt.sealed))
    return asked


def meant(prompt: Prompt, asked: Asked, values: Mapping[str, Any] | CheckedValues) -> Mapping[str, Any] | CheckedValues:
    """Return an answer to the prompt, as it is seen, as one to what was asked."""
    if prompt.sealed is None:
        return values
    given = values.json if isinstance(values, CheckedValues) else values
    return reveal(prompt.parameters, asked.parameters, given)
