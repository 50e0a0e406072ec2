"""The licences and the bill of materials are those of the locked dependencies."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from docs.licences import BILL, PAGE, PROJECT, Distribution, bill, extras, is_compatible, licence, page, table

LOCK = dict(re.findall(r"^([\w-]+)==(\S+)", Path("requirements/test.txt").read_text("utf-8"), re.MULTILINE))
OLDEST = PROJECT["requires-python"].removeprefix(">=")
DIRECT = [one.name for group in extras().values() for one in group]

# Other versions state their licences in other words, and other Pythons need other packages.
locked = pytest.mark.skipif(
    ".".join(map(str, sys.version_info[:2])) != OLDEST or any(version(name) != LOCK[name] for name in DIRECT),
    reason="tells the licences of the locked versions, on the oldest Python",
)


class Stated(Distribution):
    """A package of which only the metadata is there."""

    def __init__(self, *lines: str) -> None:
        self.lines = ("Metadata-Version: 2.4", "Name: thing", "Version: 1", *lines)

    def read_text(self, filename):
        return "\n".join(self.lines) + "\n" if filename == "METADATA" else None

    def locate_file(self, path):
        raise NotImplementedError


@locked
def test_the_committed_licences_are_those_of_the_packages():
    text = PAGE.read_text("utf-8")

    assert table() in text
    assert text == page(text), "run `python -m docs.licences`"


@locked
def test_the_committed_bill_of_materials_is_todays():
    assert BILL.read_text("utf-8") == bill(), "run `python -m docs.licences`"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT"], "MIT"),
        (["License: MIT"], "MIT"),
        (["License-Expression: GPL-3.0-only OR Apache-2.0"], "GPL-3.0-only OR Apache-2.0"),
        (["License: see LICENSE", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
    ],
)
def test_a_licence_is_read_from_each_form_of_metadata(lines, expected):
    assert licence(Stated(*lines)) == expected


@pytest.mark.parametrize(
    "lines",
    [[], ["License-Expression: AGPL-3.0-only"], ["License-Expression: MIT AND SSPL-1.0"], ["License: proprietary"]],
)
def test_a_licence_that_is_unknown_or_incompatible_is_an_error(lines):
    with pytest.raises(LookupError, match="thing states no licence"):
        licence(Stated(*lines))


def test_a_choice_of_licences_is_compatible_if_one_of_them_is():
    assert is_compatible("GPL-2.0-only OR MIT")
    assert not is_compatible("GPL-2.0-only OR AGPL-3.0-only")
    assert not is_compatible("MIT AND GPL-2.0-only")
