"""Logs of steps and tasks."""

from __future__ import annotations

from ....models import LogSeverity, LogStream
from ..interface import Store
from ..log_lines import LogChunk, LogLine
from ..records import RunKind
from ._support import DONE, Case, begin, new_run, token


class Logs(Case):
    """Lines that are added, read and dropped."""

    def test_lines_come_back_in_the_order_of_their_chunks(self, store: Store) -> None:
        fencing_token = token(store)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token)
        assert store.add_child(new_run("y", RunKind.STEP, "r"), fencing_token)
        first, second, third = chunk("x", 7), chunk("x", 8, "\U0001f600", "\0"), chunk("y", 9)
        for _ in range(2):  # each call may be repeated
            for one in (second, first, third):
                assert store.add_lines(one, fencing_token)
        assert store.log_chunks("x", 0, 9) == [first, second]
        assert store.log_chunks("x", 8, 9) == [second]
        assert store.log_chunks("x", 0, 1) == [first]
        assert not store.log_chunks("x", 9, 9)
        assert store.latest_log_chunks("r", 2) == [second, third]

    def test_lines_with_a_stale_fencing_token_are_refused(self, store: Store) -> None:
        stale = token(store)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), stale)
        fencing_token = begin(store, "r", 1).fencing_token
        assert not store.add_lines(chunk("x", 7), stale)
        assert not store.add_lines(chunk("unknown", 7), fencing_token)
        assert not store.log_chunks("x", 0, 9)
        assert store.add_lines(chunk("r", 7), fencing_token)
        assert store.log_chunks("r", 0, 9) == [chunk("r", 7)]

    def test_the_lines_of_a_cancelled_session_are_kept(self, store: Store) -> None:
        fencing_token = token(store)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token)
        store.cancel("r", "me")
        assert not store.add_lines(chunk("x", 7), fencing_token)
        assert store.log_chunks("x", 0, 9) == [chunk("x", 7)]

    def test_lines_are_dropped_with_their_session(self, store: Store) -> None:
        fencing_token = token(store)
        assert store.add_child(new_run("x", RunKind.STEP, "r"), fencing_token)
        assert store.add_lines(chunk("x", 7), fencing_token)
        assert store.finish("r", DONE, fencing_token)
        assert store.drop(0)
        assert not store.log_chunks("x", 0, 9)
        assert not store.add_lines(chunk("x", 8), fencing_token)


def chunk(run_id: str, at: int, *texts: str) -> LogChunk:
    """Return a chunk with these texts."""
    lines = (LogLine(at, 1, LogStream.STDOUT, LogSeverity.INFO, text) for text in texts or ("text",))
    return LogChunk(run_id, at, tuple(lines))
