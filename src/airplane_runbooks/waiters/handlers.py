"""Functions that answer a session's prompts, apart from the waiters that call them: few calls need those."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

import msgspec

from ..models import ParameterSchema, Prompt


class Cancel(Enum):
    """Type of `CANCEL`, which a prompt handler returns to cancel the prompt."""

    CANCEL = "cancel"


CANCEL: Final = Cancel.CANCEL

PromptAnswer: TypeAlias = Mapping[str, Any] | msgspec.Struct | Cancel | None
PromptHandler: TypeAlias = Callable[[Prompt, ParameterSchema], PromptAnswer]
AsyncPromptHandler: TypeAlias = Callable[[Prompt, ParameterSchema], PromptAnswer | Awaitable[PromptAnswer]]
