"""Arguments that cannot work, and errors in the words of the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airplane_runbooks.cli.arguments import name_options


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch", ""),
        ("cancel", " "),
        ("logs", ""),
        ("delete", ""),
        ("execute", ""),
        ("list", ""),
        ("release", ""),
        ("prompts", "list", ""),
        ("prompts", "answer", ""),
        ("prompts", "cancel", ""),
        ("runs", "--session", ""),
        ("runs", "--task", ""),
        ("sessions", "--runbook", ""),
    ],
    ids=" ".join,
)
def test_an_empty_name_is_refused(command, arguments):
    refused = command(*arguments)

    assert refused.status == 2
    assert "it is empty" in refused.err


def test_an_error_names_the_option_and_not_the_argument(command):
    plain = command("sessions", "--base-url", "http://example.com/v0")
    wrong = command("sessions", "--base-url", "example.com")

    assert plain.err.endswith("in the clear; use https, or --allow-insecure-http\n")
    assert "Error: --base-url (or AIRPLANE_API_HOST) must be an absolute http or https URL" in wrong.err
    assert name_options("wait_timeout must be positive") == "--wait-timeout must be positive"


def test_a_file_of_values_that_is_not_text_is_refused(command, tmp_path):
    file = tmp_path / "values"
    file.write_bytes(b"\xff\xfe")
    refused = command("execute", "refund", "--params-file", str(file))

    assert (refused.status, refused.err) == (2, "Error: --params-file: is not a text file\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told_in_one_line(environment):
    program = [sys.executable, "-m", "airplane_runbooks", "list"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(program, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr == "Error: cannot write the output: No space left on device\n"
