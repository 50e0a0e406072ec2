# ruff: noqa: INP001 - docs is not a package
"""Writes the page of licences and the bill of materials of the wheel: `python -m docs.licences`.

Both tell the licences of the versions in requirements/test.txt, read from their metadata, so run it with these
installed, on the oldest Python.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from airplane_runbooks import __version__

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).parent / "contribute" / "licences.md"
BILL = ROOT / "requirements" / "airplane-runbooks.cdx.json"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TABLE = re.compile(r"(?<=<!-- made by python -m docs.licences -->\n\n).*(?=\n<!-- end -->)", re.DOTALL)
HEAD = "| package | licence | comes with |\n| --- | --- | --- |\n"

# Licences under which a package that only imports another one may itself be MIT.
COMPATIBLE = frozenset(
    ("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only", "MIT", "MIT-0", "PSF-2.0")
)
# Older metadata has no SPDX expression, but classifiers.
CLASSIFIERS = {"License :: OSI Approved :: MIT License": "MIT"}
READ = {"jinja2": "BSD-3-Clause"}  # the metadata says BSD, and leaves the kind to the licence's text


def licence(package: Distribution) -> str:
    """Return the SPDX expression of a package's licence. Raises LookupError if none that is compatible is stated."""
    stated = package.metadata
    # Indexing warns of absent headers from Python 3.12 on.
    said = (*stated.get_all("License-Expression", []), *stated.get_all("License", []))
    classified = map(CLASSIFIERS.get, stated.get_all("Classifier", []))
    read = READ.get(canonicalize_name(package.name))
    for text in (*said, *classified, read):
        if text and is_compatible(text):
            return text
    message = f"{package.name} states no licence that is known to be compatible: read it"
    raise LookupError(message)


def is_compatible(expression: str) -> bool:
    """Tell whether a package of this licence may be a dependency of one that is MIT licensed."""
    return any(choice in COMPATIBLE for choice in expression.split(" OR "))


def extras() -> dict[str, list[Requirement]]:
    """Return the direct requirements of the core, under "", and of each extra."""
    groups = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return {
        extra: [one for one in map(Requirement, texts) if one.name != PROJECT["name"]]
        for extra, texts in groups.items()
    }


def reached(requirements: Iterable[Requirement], seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Add the installed packages that the requirements lead to, here and with this Python, as (name, extra) pairs."""
    for one in requirements:
        for extra in ("", *sorted(one.extras)):
            if (canonicalize_name(one.name), extra) not in seen:
                seen.add((canonicalize_name(one.name), extra))
                below = map(Requirement, distribution(one.name).requires or [])
                reached((each for each in below if each.marker is None or each.marker.evaluate({"extra": extra})), seen)
    return seen


def table() -> str:
    """Return the table in Markdown, with a row for each package that some installation brings along."""
    origins: dict[str, list[str]] = {}
    for extra, requirements in extras().items():
        for name in {name for name, _ in reached(requirements, set())}:
            origins.setdefault(name, []).append(extra)
    return HEAD + "".join(
        f"| {name} | {licence(distribution(name))} | {origin(origins[name])} |\n" for name in sorted(origins)
    )


def origin(names: list[str]) -> str:
    """Return in words with which installation a package comes."""
    return "every installation" if "" in names else ", ".join(f"`{name}`" for name in names)


def page(text: str) -> str:
    """Return the text of the page with today's table."""
    return TABLE.sub(lambda _: table(), text)


def bill() -> str:
    """Return the bill of materials in CycloneDX's JSON: the package, and what it expects to find beside it."""
    components = [component(extra, one) for extra, direct in extras().items() for one in direct]
    itself = {
        "bom-ref": PROJECT["name"],
        "type": "library",
        "name": PROJECT["name"],
        "version": __version__,
        "description": PROJECT["description"],
        "licenses": [{"expression": PROJECT["license"]}],
        "purl": f"pkg:pypi/{PROJECT['name']}@{__version__}",
    }
    whole = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": itself},
        "components": components,
        "dependencies": [{"ref": PROJECT["name"], "dependsOn": [one["bom-ref"] for one in components]}],
    }
    return json.dumps(whole, indent=2) + "\n"


def component(extra: str, requirement: Requirement) -> dict[str, Any]:
    """Return a direct dependency, which the wheel does not contain, with its range of versions."""
    bounds = sorted(requirement.specifier, key=lambda one: one.operator, reverse=True)  # the lower bound first
    found = {
        "bom-ref": requirement.name,
        "type": "library",
        "name": requirement.name,
        "versionRange": f"vers:pypi/{'|'.join(map(str, bounds))}",
        "isExternal": True,
        "scope": "optional" if extra else "required",
        "licenses": [{"expression": licence(distribution(requirement.name))}],
        "purl": f"pkg:pypi/{canonicalize_name(requirement.name)}",
    }
    if extra:
        found["properties"] = [{"name": f"{PROJECT['name']}:extra", "value": extra}]
    return found


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    BILL.write_text(bill(), "utf-8")
