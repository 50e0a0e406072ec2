"""Values that runbooks show, as `watch` and `execute --wait` write them."""

from __future__ import annotations

import json

import pytest

from airplane_runbooks import Airplane
from tests.cli.conftest import SHOWN
from tests.support.terminals import on_terminal


@pytest.fixture
def terminal(environment):
    return lambda *arguments: on_terminal(*arguments, env=environment)


def execute(command, tmp_path, value, *options):
    (tmp_path / "params").write_text(json.dumps({"value": value}))
    return command("execute", "explain", "--wait", "--params-file", str(tmp_path / "params"), *options)


def test_a_terminal_shows_markdown_and_tables(terminal):
    with terminal("execute", "explain", "--wait") as screen:
        screen.expect(r"The \x1b[31mplan")
        screen.expect(r"First\x1b[31m")
        screen.expect("Do all of this, <b>now (https://example.com/")
        screen.expect(" 1 look")
        screen.expect("Invoices")
        screen.expect("invoice  cents  note")
        screen.expect("1        4200")
        screen.expect(r"a\tb")
        screen.expect("Last\nnull\n")
        screen.expect("look_up")
        screen.expect("Succeeded")
        screen.expect("done")

        assert screen.ends() == 0
    assert "**" not in screen.text
    assert "\x1b[1mall\x1b[0m" in screen.raw
    assert "\x1b[31m" not in screen.raw
    assert "\x9b" not in screen.raw
    assert screen.text.count("Invoices") == 1


def test_a_pipe_gets_plain_text_beside_the_result(command, tmp_path):
    ended = execute(command, tmp_path, {"a": "\x9b"})

    assert (ended.status, ended.out) == (0, "done\n")
    written = ended.err.splitlines()
    assert written[1] == r"The \x1b[31mplan"
    assert written[2:8] == SHOWN.replace("\x1b", r"\x1b").replace("\x9b", r"\x9b").splitlines()
    assert written[8:12] == ["Invoices", "invoice\tcents\tnote", "1\t4200\t", "2\t\ta\\tb"]
    assert written[12:] == ["Last", r'{"a":"\x9b"}']


def test_scripts_get_what_is_shown_with_the_session(command, tmp_path):
    (session,) = execute(command, tmp_path, [1, "x"], "--json").documents

    assert session["output"] == "done"
    assert [(one["name"], one["value"]) for one in session["shown"]] == [
        ("The \x1b[31mplan", SHOWN),
        ("Invoices", [{"invoice": 1, "cents": 4200}, {"invoice": 2, "note": "a\tb"}]),
        ("Last", [1, "x"]),
    ]
    assert all(one["runID"].startswith("run") for one in session["shown"])
    assert "shown" not in command("execute", "refund", "-p", "customer=ada", "--wait", "--json").documents[0]


def test_long_values_are_cut_on_a_terminal(terminal, server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        for value, end in (
            ([{"a": number} for number in range(150)], "(The first 100 of 150 rows"),
            (["x"] * 5_000, "(20,001 characters in all; --json has them.)"),
            ("*a* " * 5_000, "*a* *a*"),
        ):
            session_id = airplane.runbooks.execute("explain", {"value": value}).session_id
            with terminal("watch", session_id) as screen:
                screen.expect("Last\n")
                screen.expect(end)
                assert screen.ends() == 0


def test_a_session_tells_the_kinds_of_its_steps(server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        session_id = airplane.runbooks.execute("explain").session_id
        airplane.sessions.wait(session_id, wait_timeout=60)
        steps = airplane.sessions.steps(session_id)
        assert [step.kind for step in steps] == ["display"] * 3 + ["step"]
        assert airplane.runs.get(steps[-1].run_id).kind == "step"
