"""The outside world of the runbooks: files in one folder, which the environment variable RUNBOOKS_WORLD names.

Look at them, and change them, while the server runs: the runbooks find what you have written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("RUNBOOKS_WORLD", "world")  # the shop of the refund is in the same folder


def folder() -> Path:
    """Return the folder of the outside world."""
    return Path(os.environ["RUNBOOKS_WORLD"])


def read(name: str, default: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file, which is made with `default` if it is missing."""
    path = folder() / name
    if not path.exists():
        write(name, default)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write(name: str, content: dict[str, Any]) -> None:
    """Replace a file as a whole, so that others never read half of it."""
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=2), encoding="utf-8")
    draft.replace(path)
