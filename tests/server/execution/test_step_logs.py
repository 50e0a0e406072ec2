"""Logs of steps: what is kept of what an attempt writes, and how it gets into the store."""

from __future__ import annotations

import threading

import pytest

from airplane_runbooks.models import LogSeverity, LogStream
from airplane_runbooks.server.execution import step_logs
from airplane_runbooks.server.execution.step_logs import AttemptLog, Room, StepLog
from airplane_runbooks.server.secrets.masking import Secrets
from airplane_runbooks.server.storage.log_lines import LARGEST_CHUNK, LogLine, LogPosition, chunks

SECRET = "hunter2-and-more"


@pytest.fixture
def kept():
    return []


@pytest.fixture
def log(kept):
    return new_log(kept)


def new_log(kept, room=None):
    return AttemptLog(3, kept.append, Secrets([SECRET, "first line\nsecond line"]).mask, room or Room(10_000_000))


def texts(kept):
    return [line.text for line in kept]


def test_parts_of_lines_are_put_together(log, kept):
    for text in ("one ", "line\nand ano", "ther", "\n"):
        log.write(LogStream.STDOUT, text)
    assert texts(kept) == ["one line", "and another"]
    assert {(line.attempt, line.stream, line.severity) for line in kept} == {(3, LogStream.STDOUT, LogSeverity.INFO)}


def test_the_rest_of_a_line_is_kept_in_the_end(log, kept):
    log.write(LogStream.STDOUT, "no end")
    log.write(LogStream.STDERR, "neither")
    assert not kept
    for _ in range(2):
        log.close()
    log.write(LogStream.STDOUT, "late\n")
    log.add(LogSeverity.INFO, "late")
    assert [(line.stream, line.text) for line in kept] == [(LogStream.STDOUT, "no end"), (LogStream.STDERR, "neither")]


def test_threads_have_parts_of_lines_of_their_own(log, kept):
    log.write(LogStream.STDOUT, "mine ")
    thread = threading.Thread(target=log.write, args=(LogStream.STDOUT, "its own\n"))
    thread.start()
    thread.join()
    log.write(LogStream.STDOUT, "alone\n")
    assert texts(kept) == ["its own", "mine alone"]


def test_empty_lines_are_lines(log, kept):
    log.write(LogStream.STDOUT, "\n\nend\r\n")
    assert texts(kept) == ["", "", "end"]


def test_a_progress_bar_is_kept_as_it_was_in_the_end(log, kept):
    for percent in range(100):
        log.write(LogStream.STDERR, f"\r{percent} %")
    log.write(LogStream.STDERR, "\rdone\r")
    log.write(LogStream.STDERR, "\nnext\r\n")
    assert texts(kept) == ["done", "next"]


def test_secrets_are_masked_across_writes_and_lines(log, kept):
    log.write(LogStream.STDOUT, "the key is hunter2")
    log.write(LogStream.STDOUT, "-and-more\n")
    log.add(LogSeverity.ERROR, f"a first line\nsecond line b\n\x1b[1mhunter2\x1b[0m-and-more {SECRET}")
    log.write(LogStream.STDOUT, SECRET)
    log.close()
    assert "hunter2" not in str(kept)
    assert "second line" not in str(kept)
    assert kept[0].text.startswith("the key is ")


def test_control_characters_are_left_out(log, kept):
    log.write(LogStream.STDOUT, "\x1b[31mred\x1b[0m\tand \0\x07\x9b\ud800\n")
    assert texts(kept) == ["red\tand ?"]


def test_a_long_line_is_cut(log, kept):
    log.write(LogStream.STDOUT, "x" * 8_010 + "\n")
    log.write(LogStream.STDOUT, "y" * 100_000)
    log.write(LogStream.STDOUT, "y" * 100_000)
    log.close()
    assert kept[0].text == "x" * 8_000 + " [10 characters are left out here]"
    assert [len(line.text) < 8_100 for line in kept] == [True, True]


def test_a_secret_is_not_shown_in_part_where_a_text_is_cut(log, kept):
    log.write(LogStream.STDOUT, "x" * 7_990 + SECRET + "\n")
    log.add(LogSeverity.INFO, "x" * (step_logs._LONGEST_TEXT - 5) + "\n" + SECRET)
    assert "hunter2" not in str(kept)
    assert kept[-1].text == "[the rest of a long text is left out here]"


def test_the_first_and_the_last_of_many_lines_are_kept(log, kept):
    for number in range(10_000):
        log.write(LogStream.STDOUT, f"{number}\n")
    assert len(kept) == 2_001
    log.close()
    shown = texts(kept)
    assert shown[:2_000] == [str(number) for number in range(2_000)]
    assert shown[2_000] == "[the log is full: of the following lines, only the last ones will be kept]"
    assert shown[2_001] == "[7900 lines are left out here]"
    assert shown[2_002:] == [str(number) for number in range(9_900, 10_000)]


def test_a_log_is_bounded_in_bytes(log, kept):
    for _ in range(1_000):
        log.write(LogStream.STDOUT, "x" * 5_000 + "\n")
    log.close()
    assert sum(line.size for line in kept) < 300 * 1024


def test_the_logs_of_an_execution_are_bounded_together(kept):
    room = Room(1_000)
    for _ in range(5):
        log = new_log(kept, room)
        log.write(LogStream.STDOUT, "x" * 400 + "\n")
        log.close()
    assert texts(kept).count("x" * 400) == 5  # two, and the last ones of each attempt
    assert len([text for text in texts(kept) if text.startswith("[the log is full")]) == 3


class Store:
    """A store that notes the chunks it is given."""

    def __init__(self, accepts=True):
        self.accepts, self.given = accepts, []

    def add_lines(self, chunk, fencing_token):
        self.given.append((chunk, fencing_token))
        return self.accepts


def written(log, *lines):
    with log.attempt(1):
        for line in lines:
            log._lines.append(LogLine(line, 1, LogStream.STDOUT, LogSeverity.INFO, str(line)))


def test_a_transaction_that_is_repeated_writes_the_same():
    log, lost, committed = StepLog("run", 7, str, Room(10_000)), Store(), Store()
    written(log, 1, 2)
    assert log.write(lost)
    written(log, 3)
    assert log.write(committed)
    assert committed.given[0] == lost.given[0]
    assert [line.at for chunk, token in committed.given for line in chunk.lines if token == 7] == [1, 2, 3]
    assert log.has_lines
    log.written()
    assert not log.has_lines
    assert log.write(after := Store())
    assert not after.given


def test_all_chunks_are_offered_to_a_store_that_refuses():
    log, store = StepLog("run", 7, str, Room(10_000)), Store(accepts=False)
    written(log, 1)
    log.write(store)
    written(log, 2)
    store.given.clear()
    assert not log.write(store)
    assert len(store.given) == 2


def test_chunks_have_times_of_their_own():
    lines = [LogLine(5, 1, LogStream.STDOUT, LogSeverity.INFO, "x" * 9_000) for _ in range(10)]
    found = list(chunks("run", lines, 7))
    assert [chunk.at for chunk in found] == [8, 9, 10, 11]
    assert [line for chunk in found for line in chunk.lines] == lines
    assert all(sum(line.size for line in chunk.lines) <= LARGEST_CHUNK for chunk in found)
    assert not list(chunks("run", [], 7))


def test_a_position_is_read_as_it_was_written():
    assert LogPosition.parse(str(LogPosition(5, 7))) == LogPosition(5, 7)


@pytest.mark.parametrize(
    "text", ["", ".", "1", "1.", "-1.2", "1.-1", "1.2.3", "\u0661.1", "9" * 19 + ".1", "1." + "1" * 50]
)
def test_a_wrong_position_is_refused(text):
    with pytest.raises(ValueError, match="the position of a line"):
        LogPosition.parse(text)
