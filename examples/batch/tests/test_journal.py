"""The journal in its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from batch.journal import Journal


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "one") as journal:
        assert journal.send("ada")
        assert not journal.send("ada")
        journal.start("ada", "ses1")
        journal.end("ada", "Failed", "no\naddress")
        journal.send("bob")
        journal.take_back("bob")
    with Journal(tmp_path / "one") as again:
        assert again.sent_at == journal.sent_at
        assert again.sessions == {"ada": "ses1"}
        assert again.ended == {"ada": ("Failed", "no\naddress")}
        assert again.key("ada") == journal.key("ada")


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "one"
    with Journal(path) as journal:
        journal.start("ada", "ses1")
        journal.start("bob", "ses2")
    path.write_bytes(path.read_bytes()[:-5])
    with Journal(path) as again:
        assert again.sessions == {"ada": "ses1"}
        again.start("bob", "ses3")
    with Journal(path) as again:
        assert again.sessions == {"ada": "ses1", "bob": "ses3"}


def test_two_batches_have_different_keys(tmp_path: Path) -> None:
    with Journal(tmp_path / "one") as one, Journal(tmp_path / "two") as two:
        assert one.key("ada") != two.key("ada")
        assert one.key("ada") != one.key("bob")


def test_a_file_that_is_not_a_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_text('{"customer": "ada"}\n')
    with pytest.raises(ValueError, match="not a line of a journal"):
        Journal(path)
    assert path.read_text() == '{"customer": "ada"}\n'
