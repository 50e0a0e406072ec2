"""Names completed by the shell: those of the server, and none without an answer."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-m", "airplane_runbooks"]


@pytest.fixture
def complete(command):
    """Return a function that completes the last of the words, as Bash asks for it."""

    def run(*words: str, **env: str) -> list[str]:
        line = " ".join(("airplane-runbooks", *words))
        settings = {"_AIRPLANE_RUNBOOKS_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        ended = command(**settings, **env)
        assert (ended.status, ended.err) == (0, "")
        return [item.removeprefix("plain,") for item in ended.out.split()]

    return run


def test_slugs_are_completed_by_the_server(complete):
    every = ["refund", "ask_first", "ask_twice", "ask_another", "explain", "lock_up", "open_safe", "break_down"]
    assert complete("execute", "") == every
    assert complete("execute", "re") == ["refund"]
    assert complete("list", "a") == ["ask_first", "ask_twice", "ask_another"]
    assert complete("sessions", "--runbook", "lock") == ["lock_up"]


def test_names_of_parameters_are_completed_by_the_schema(complete):
    assert complete("execute", "refund", "--param", "") == ["customer=", "cents=", "day="]
    assert complete("execute", "refund", "-p", "customer=ada", "-p", "ce") == ["cents="]
    assert complete("execute", "refnd", "--param", "c") == []


def test_the_key_is_read_from_its_file_only(complete, server, tmp_path):
    path = tmp_path / "key"
    path.write_text(server.api_key)

    assert complete("execute", "--api-key-file", str(path), "re", AIRPLANE_API_KEY="") == ["refund"]
    assert complete("execute", "--api-key-file", "-", "re", AIRPLANE_API_KEY="") == []
    assert complete("execute", "--api-key-file", "gone", "re", AIRPLANE_API_KEY="") == []


def test_a_server_that_does_not_answer_completes_nothing(complete):
    assert complete("execute", "--base-url", "http://127.0.0.1:1/v0", "re") == []
    assert complete("execute", "re", AIRPLANE_API_KEY="tkn_wrong_0123456789") == []
    assert complete("execute", "--base-url", "nonsense", "re") == []


def test_the_program_completes_for_each_shell(environment):
    for shell in ("bash", "zsh", "fish"):
        env = {**environment, "_AIRPLANE_RUNBOOKS_COMPLETE": f"{shell}_source", "PATH": "/usr/bin:/bin"}
        run = subprocess.run(PROGRAM, capture_output=True, text=True, check=True, env=env)
        assert "_AIRPLANE_RUNBOOKS_COMPLETE" in run.stdout
