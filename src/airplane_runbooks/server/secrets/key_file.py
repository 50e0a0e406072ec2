"""The encryption keys of a server: the given ones, or one in a private file beside the database."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..storage.new_files import new_file
from .vault import (
    KEY_VARIABLE,
    KeyMissing,
    Vault,
    VaultError,
    new_key,
    parse_key,
)

logger = logging.getLogger(__name__)

_OTHERS = 0o077
_MOST = 1024  # bytes to read of a file that should hold a key of 44


def find_vault(
    encryption_key: str | None,
    database: Path | None,
    spare: Callable[[], bytes] | None = None,
    *,
    holds_sealed: bool = False,
) -> Vault:
    """Return a vault with the given keys, else those from the environment, else one key for this database alone.

    Several keys are separated by commas. The key of a database file is in a file beside it, readable by its owner only,
    and is made when it is first needed, but never where the database has sealed values already (`holds_sealed`); the
    key of a database in memory ends with it. A database for several servers has none, but gives them a key for digests
    (`spare`); all of them must be given the other. Raises VaultError if a key is invalid, if a key file cannot be
    trusted, and if the only key file is gone.
    """
    text = encryption_key or os.environ.get(KEY_VARIABLE)
    if text:
        vault = Vault([key.strip() for key in text.split(",")], spare)
        vault.check()
        return vault
    if spare is not None:
        return Vault((), spare)
    if database is None:
        return Vault([new_key()])
    if holds_sealed and not os.path.lexists(key_path(database)):
        raise VaultError(
            f"the database {database} holds secret values, and their key is missing: set {KEY_VARIABLE} to the key"
            f" that sealed them, or put the key file {key_path(database)} back; if it is lost for good, set a new key,"
            " and sessions with secrets cannot go on"
        )
    return Vault(_OwnKey(database))


def try_keys(vault: Vault, sealed: Sequence[bytes]) -> None:
    """Try the keys at values that unfinished sessions need, and warn if they do not open all of them."""
    problems = [problem for value in sealed if (problem := _why_closed(vault, value)) is not None]
    if problems:
        logger.warning(
            "%s: of %d values of unfinished sessions that were tried, %d cannot be opened, and their sessions cannot"
            " go on here; add the key that sealed them to %s, behind the other and a comma",
            problems[0],
            len(sealed),
            len(problems),
            KEY_VARIABLE,
        )


def _why_closed(vault: Vault, sealed: bytes) -> KeyMissing | None:
    try:
        vault.open(sealed)
    except KeyMissing as problem:
        return problem
    return None


def key_path(database: Path) -> Path:
    """Return the path of the key file of a database in a file."""
    return database.with_name(f"{database.name}.key")


class _OwnKey:
    """The key of a database file, made when it is first needed. Raises VaultError at once if it is bad."""

    def __init__(self, database: Path) -> None:
        self._path = key_path(database)
        if os.path.lexists(self._path):
            _read(self._path)

    def __iter__(self) -> Iterator[str]:
        if not os.path.lexists(self._path):
            _make(self._path)
        yield _read(self._path)


def _read(path: Path) -> str:
    try:
        # do not wait for a pipe
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            _check(path, os.fstat(file.fileno()))
            text = file.read(_MOST).decode("ascii", "replace").strip()
    except OSError as problem:
        raise VaultError(f"cannot read the key file {path}: {problem.strerror}") from None
    if not text:
        raise VaultError(f"the key file {path} is empty: put the key back, or remove it if nothing was sealed with it")
    try:
        parse_key(text)
    except VaultError as problem:
        raise VaultError(f"the key file {path} does not hold a whole key: {problem}") from None
    return text


def _check(path: Path, found: os.stat_result) -> None:
    """Refuse a file that other users may read or have written. Windows keeps permissions elsewhere."""
    if not stat.S_ISREG(found.st_mode):
        raise VaultError(f"the key file {path} is not a file")
    if os.name != "posix":
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise VaultError(f"the key file {path} belongs to user {found.st_uid}: chown it to the server's")
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        raise VaultError(f"the key file {path} is open to others ({stat.S_IMODE(found.st_mode):o}): chmod 600 {path}")


def _make(path: Path) -> None:
    """Write a whole key or none. A key that another process wrote meanwhile stays."""
    try:
        with suppress(FileExistsError), new_file(path) as temporary:  # on the disk: sealed values must not outlive it
            temporary.write_bytes(new_key().encode())
        logger.warning("made the key file %s for secret values: keep a copy of it apart from backups", path)
    except OSError as problem:
        raise VaultError(f"cannot make the key file {path}: {problem.strerror}") from None
