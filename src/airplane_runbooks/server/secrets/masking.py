"""Masks in place of secrets, in everything that is shown, returned or logged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ...models import Constraints, Parameter
from ...models.outputs import MASK
from ..storage.encoding import decode
from .disguises import (
    LONGEST,
    disguises,
    in_base64,
    in_digits,
    in_hexadecimal,
    numbers,
    parts,
)
from .references import secret_variables
from .search import any_of

_SESSIONS = 64  # sessions whose searches are kept
_SHORTEST_LINE = 56  # digits of base64 that may be broken into lines


class Secrets:
    """The secret texts of one session.

    Texts and numbers of four characters and more are masked everywhere, in all known encodings;
    shorter ones, and those of white space only, where they are a whole value: an argument, a member or a result.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = frozenset(text for text in texts if text and text != MASK)

    @classmethod
    def of(cls, parameters: Iterable[Parameter], values: Mapping[str, Any]) -> Secrets:
        """Collect the values of secret parameters and secret config variables."""
        texts: set[str] = set()
        for parameter in parameters:
            if parameter.secret:
                _collect(values.get(parameter.slug), texts)
            texts.update(secret_variables(parameter, values.get(parameter.slug)))
        return cls(texts)

    def add(self, other: Secrets) -> None:
        """Add the texts of another one."""
        self._texts |= other._texts

    def mask(self, text: str) -> str:
        """Put a mask in place of each secret in a text."""
        return _search(self._texts).mask(text) if self._texts else text

    def mask_value(self, value: Any) -> Any:
        """Put a mask in place of each secret in a JSON value: in its strings, keys and numbers."""
        return _search(self._texts).mask_value(value) if self._texts else value

    def mask_json(self, document: bytes) -> bytes:
        """Put a mask in place of each secret in a JSON document."""
        if not self._texts:
            return document
        plain = decode(document)
        masked = self.mask_value(plain)
        return document if masked == plain else msgspec.json.encode(masked)

    def mask_parameters(self, parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
        """Return the fields of a prompt, masked. `reveal` undoes it in the answers."""
        return tuple(self._masked_parameter(hide(parameter)) for parameter in parameters)

    def _masked_parameter(self, parameter: Parameter) -> Parameter:
        limits, default = parameter.constraints, parameter.default
        regex = "" if self.mask(limits.regex) != limits.regex else limits.regex
        options = self._masked_options(limits.options)
        shown = self.mask_value(default)
        if shown != default and not (isinstance(default, str) and options is limits.options and regex == limits.regex):
            shown = None  # it is not masked to a value that fits
        optional = limits.optional or (shown is None and default is not None)
        return msgspec.structs.replace(
            parameter,
            name=self.mask(parameter.name),
            desc=self.mask(parameter.desc),
            default=shown,
            constraints=msgspec.structs.replace(limits, regex=regex, options=options, optional=optional),
        )

    def _masked_options(self, options: Any) -> Any:
        """Return options with masked and numbered secret ones; None if the options are not texts."""
        if self.mask_value(options) == options:
            return options
        shown = []
        for number, option in enumerate(options, start=1):
            label, value = self.mask(option["label"]), self.mask_value(option["value"])
            if value != option["value"]:
                if not isinstance(option["value"], str):
                    return None
                label, value = f"{label} {number}", f"{MASK} {number}"
            shown.append({"label": label, "value": value})
        return shown

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._texts)}>"


class _Search:
    """Finds texts in all their encodings, by one regex for all that are not too long for it."""

    def __init__(self, texts: Iterable[str]) -> None:
        texts = list(texts)
        found = set[str]().union(*map(parts, texts))
        long = {part for part in found if len(part) > LONGEST}
        self._numbers = {number for text in [*texts, *found] for number in numbers(text)}
        self._whole = {whole for text in texts for whole in (text, text.strip())} - found - {""}
        sequences = [sequence for part in found - long for sequence in _sequences(part)]
        sequences += [_by_itself(text) for number in self._numbers for text in in_digits(number)]
        self._pattern = re.compile(any_of(sequences)) if sequences else None
        spelled = {text for part in long for text in (*disguises(part), *(core for core, _ in in_base64(part)))}
        self._long = sorted(spelled, key=len, reverse=True)

    def mask(self, text: str) -> str:
        for long in self._long:
            text = text.replace(long, MASK)
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def mask_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return MASK if value in self._whole else self.mask(value)
        if isinstance(value, list):
            return [self.mask_value(item) for item in value]
        if isinstance(value, dict):
            return {self.mask(key): self.mask_value(item) for key, item in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool) and value in self._numbers:
            return MASK
        return value


_search = lru_cache(_SESSIONS)(_Search)  # a session makes some for each of its segments and calls


def _sequences(part: str) -> Iterator[Sequence[str]]:
    """Return sequences of regexes for the disguises of a part."""
    for text in (*disguises(part), *in_hexadecimal(part)):
        yield [re.escape(character) for character in text]
    for core, behind in in_base64(part):
        between = r"\s*+" if len(core) >= _SHORTEST_LINE else ""
        yield [*(re.escape(digit) + between for digit in core), behind, "(?:={1,2}|(?:%3[dD]){1,2})?"]


def _by_itself(number: str) -> Sequence[str]:
    """Return a sequence of regexes for a number that is not part of a longer one."""
    first, *others = map(re.escape, number)
    return [first, r"(?<!\d.)", *others, r"(?!\d)"]


def _collect(value: Any, texts: set[str]) -> None:
    if isinstance(value, str):
        texts.add(value)
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            _collect(item, texts)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        texts.add(str(value))


def masked_values(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with a mask in place of each secret one, short ones included."""
    hidden = {parameter.slug for parameter in parameters if parameter.secret}
    return {slug: MASK if slug in hidden and value is not None else value for slug, value in values.items()}


def hide(parameter: Parameter) -> Parameter:
    """Return a parameter without its default, options and regex if it is secret."""
    if not parameter.secret:
        return parameter
    return msgspec.structs.replace(
        parameter,
        default=None if parameter.default is None else MASK,
        constraints=Constraints(optional=parameter.constraints.optional),
    )


def hide_all(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Return parameters, each as `hide` does."""
    return tuple(map(hide, parameters))


def reveal(shown: Iterable[Parameter], asked: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer in which masked options are replaced by the real ones."""
    revealed = dict(values)
    for mask, parameter in zip(shown, asked, strict=True):
        choices = zip(mask.constraints.options or (), parameter.constraints.options or (), strict=False)
        meant: dict[str, Any] = {one["value"]: real["value"] for one, real in choices if isinstance(one["value"], str)}
        if isinstance(mask.default, str):
            meant[mask.default] = parameter.default
        value = values.get(parameter.slug)
        if isinstance(value, list):
            revealed[parameter.slug] = [meant.get(item, item) if isinstance(item, str) else item for item in value]
        elif isinstance(value, str):
            revealed[parameter.slug] = meant.get(value, value)
    return revealed
