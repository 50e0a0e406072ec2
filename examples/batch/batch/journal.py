"""The journal of a batch: a file with a line for each thing that was done to an item.

    {"batch": "5f0c..."}                                 the first line: the ID from which idempotency keys are made
    {"item": "ada", "sent_at": 1795822006.1}             before the call that starts the session
    {"item": "ada", "session": "ses..."}                 once its ID is known
    {"item": "ada", "ended": "Succeeded", "why": ""}     once the session has ended

Lines are only appended. So a process that is killed leaves at most one line that is cut off, which is left out when the
file is read.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4, uuid5

KEYS_LIVE_SECONDS = 3600 - 300  # servers forget a key after an hour; the rest is for clocks that differ and slow calls


class Journal:
    """The journal in a file, inside of a `with` statement.

    Attributes:
        sent_at: Time of the first call for each item, whether it has arrived or not.
        sessions: ID of the session of each item, as far as it is known.
        ended: Status and reason of each session that has ended, by item.
    """

    def __init__(self, path: Path) -> None:
        self.sent_at: dict[str, float] = {}
        self.sessions: dict[str, str] = {}
        self.ended: dict[str, tuple[str, str]] = {}
        self._batch = uuid4()
        whole = self._read(path)
        self._file = path.open("r+b" if whole else "wb")
        self._file.seek(whole)
        self._file.truncate()
        if not whole:
            self._write(batch=str(self._batch))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def key(self, item: str) -> str:
        """Return the idempotency key of an item: the same one whenever this batch is begun again."""
        return str(uuid5(self._batch, item))

    def may_send(self, item: str) -> bool:
        """Tell whether the session of an item can be started without a risk of starting it twice.

        The server knows the key of an earlier call for an hour. After that, a call whose reply was lost is a riddle.
        """
        return time.time() - self.sent_at.get(item, time.time()) < KEYS_LIVE_SECONDS

    def send(self, item: str) -> bool:
        """Note that the session of an item is about to be started. Return False if an earlier note says so."""
        if item in self.sent_at:
            return False
        self._write(item=item, sent_at=time.time())
        return True

    def take_back(self, item: str) -> None:
        """Note that the call for an item cannot have started its session."""
        self._write(item=item, sent_at=None)

    def start(self, item: str, session_id: str) -> None:
        """Note the session of an item."""
        self._write(item=item, session=session_id)

    def end(self, item: str, status: str, why: str) -> None:
        """Note how the session of an item has ended."""
        self._write(item=item, ended=status, why=why)

    def _write(self, **line: Any) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"batch": batch}:
                self._batch = UUID(batch)
            case {"item": item, "sent_at": None}:
                del self.sent_at[item]
            case {"item": item, "sent_at": moment}:
                self.sent_at[item] = moment
            case {"item": item, "session": session_id}:
                self.sessions[item] = session_id
            case {"item": item, "ended": status, "why": why}:
                self.ended[item] = status, why
            case _:
                raise ValueError(f"not a line of a journal: {line}")

    def _read(self, path: Path) -> int:
        """Take in all whole lines, and return how many bytes they have."""
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].splitlines():
            self._take(json.loads(line))
        return whole
