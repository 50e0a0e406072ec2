"""The code of the pages that users build on passes mypy's strict checks. Left to the places that have mypy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
# What stands under a heading of a page, in blocks of one kind, is one module. The other blocks are fragments.
MODULES = {
    "wrapping": ("wrapping.md", "python", ""),
    "processes": ("processes.md", "py", "multiprocessing"),
    "worker": ("embedding.md", "python", ""),
    "service": ("embedding.md", "py", "FastAPI"),
    "doubles": ("testing.md", "python", ""),
    "fixture": ("testing.md", "py", ""),
}


def code(page: str, kind: str, heading: str) -> str:
    """Return the code of a page, or of the section with that heading."""
    text = (GUIDES / page).read_text("utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.nightly
def test_the_code_of_pages_passes_strict_checks(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    pytest.importorskip("fastapi")
    for module, place in MODULES.items():
        (tmp_path / f"{module}.py").write_text(code(*place))
    names = [f"{module}.py" for module in MODULES]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("place", MODULES.values(), ids=MODULES)
def test_each_module_of_a_page_has_code(place: tuple[str, str, str]) -> None:
    assert "import " in code(*place)
