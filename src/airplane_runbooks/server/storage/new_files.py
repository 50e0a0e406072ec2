"""New files that are there as a whole or not at all, for their owner only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_file(path: Path) -> Generator[Path]:
    """Yield an empty file to write to, which becomes `path` afterwards, on the disk.

    Raises FileExistsError if there is such a file already, which stays as it is, and OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        yield temporary
        os.fsync(descriptor)
        _put(temporary, path)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def _put(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(f"{path} exists") from None
        temporary.replace(path)


def _sync(directory: Path) -> None:
    """Make the name of a new file durable. Windows offers no way to do so."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
