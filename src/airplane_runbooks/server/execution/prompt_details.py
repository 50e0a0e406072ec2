"""Details of a prompt that may hold secrets: its fields and its reviewers, as the runbook gave them."""

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


class PromptDetails(msgspec.Struct, frozen=True):
    """The fields and the reviewers of a prompt. They decide which answers are accepted."""

    parameters: tuple[Parameter, ...]
    reviewers: Reviewers

    def masked(self, secrets: Secrets) -> PromptDetails:
        """Return the details with secrets masked."""
        reviewers = msgspec.structs.replace(
            self.reviewers,
            users=tuple(map(secrets.mask, self.reviewers.users)),
            groups=tuple(map(secrets.mask, self.reviewers.groups)),
        )
        return PromptDetails(secrets.mask_parameters(self.parameters), reviewers)


def original_details(prompt: Prompt, vault: Vault) -> PromptDetails:
    """Return the details of a recorded prompt before masking. Raises VaultError."""
    if prompt.sealed is None:
        return PromptDetails(prompt.parameters, prompt.reviewers)
    details: PromptDetails = decoder_of(PromptDetails).decode(vault.open(prompt.sealed))
    return details


def original_values(
    prompt: Prompt, details: PromptDetails, values: Mapping[str, Any] | CheckedValues
) -> Mapping[str, Any] | CheckedValues:
    """Return an answer to the masked prompt as an answer to its original details."""
    if prompt.sealed is None:
        return values
    given = values.json if isinstance(values, CheckedValues) else values
    return reveal(prompt.parameters, details.parameters, given)
