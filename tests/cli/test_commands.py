"""Commands without a terminal: their output, their exit statuses, and what they tell of errors."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

import click
import pytest
from msgspec.structs import replace

from airplane_runbooks import Airplane
from airplane_runbooks.cli import runbooks
from airplane_runbooks.models import Constraints, Parameter, ParameterType
from tests.support.timing import eventually


@pytest.fixture(scope="module")
def airplane(server):
    with Airplane(server.api_key, base_url=server.base_url) as one:
        yield one


@pytest.fixture
def waiting(airplane):
    """Start a session that waits for its prompt, and end it after the test."""
    session_id = airplane.runbooks.execute("ask_first").session_id
    (prompt,) = eventually(lambda: airplane.sessions.prompts(session_id))
    yield session_id, prompt.id
    if not airplane.sessions.get(session_id).status.is_terminal:
        airplane.sessions.cancel(session_id)


def test_the_runbooks_are_listed(command):
    ended = command("list")

    assert ended.status == 0
    assert "refund\tRefund\tRefund a customer." in ended.out.splitlines()
    assert [document["slug"] for document in command("list", "--json").documents] == [
        line.partition("\t")[0] for line in ended.out.splitlines()
    ]


def test_the_parameters_of_a_runbook_are_listed(command):
    ended = command("list", "refund")

    assert [line.split("\t")[:3] for line in ended.out.splitlines()] == [
        ["customer", "string", "required"],
        ["cents", "integer", "100"],
        ["day", "date", "optional"],
    ]
    (document,) = command("list", "refund", "--json").documents
    assert document["slug"] == "refund"
    assert command("list", "open_safe").out.split("\t")[:3] == ["code", "string, secret", "required"]
    assert command("list", "break_down").out.split("\t")[:3] == ["words", "list of string", "required"]


@pytest.mark.parametrize(
    ("constraints", "shown"),
    [
        (Constraints(options=["low", {"label": "High", "value": "high"}]), "string (low, high)"),
        (Constraints(regex="[a-z]+"), "string (matches [a-z]+)"),
        (Constraints(), "string"),
    ],
)
def test_what_a_parameter_allows_is_part_of_its_type(constraints, shown):
    parameter = Parameter(slug="a", type=ParameterType.STRING, constraints=constraints)

    assert runbooks._type(parameter) == shown
    assert runbooks._type(replace(parameter, multi=True)) == f"list of {shown}"


def test_a_task_without_runs_is_named(command):
    ended = command("runs", "--task", "nope")

    assert (ended.status, ended.out, ended.err) == (0, "", "There is no run of a task nope.\n")


def test_an_unknown_runbook_is_refused_with_the_names_there_are(command):
    ended = command("execute", "refnd")

    assert ended.status == 6
    assert "there is no runbook 'refnd'; there are: " in ended.err
    assert "refund" in ended.err


def test_a_confirmation_without_a_terminal_needs_an_option(command, airplane):
    before = [session.id for session in airplane.sessions.list_page()]
    ended = command("execute", "lock_up")

    assert ended.status == 2
    assert "lock_up asks for a confirmation: " in ended.err
    assert "Agree with --yes." in ended.err
    assert [session.id for session in airplane.sessions.list_page()] == before
    assert command("execute", "lock_up", "--yes", "--wait").out == "1\n"


def test_a_session_is_started_and_named(command, airplane):
    ended = command("execute", "refund", "--param", "customer=ada")

    session_id = ended.out.strip()
    assert ended.status == 0
    assert ended.err == f"Follow it: airplane-runbooks watch {session_id}\n"
    assert airplane.sessions.wait(session_id, wait_timeout=60).param_values["customer"] == "ada"


def test_a_result_is_written_as_json_once_the_session_has_ended(command):
    pairs = ("--param", "customer=ada", "-p", "cents=7", "-p", "day=2026-01-31")
    ended = command("execute", "refund", *pairs, "--wait")

    assert ended.status == 0
    assert json.loads(ended.out) == {"customer": "ada", "cents": 7, "day": "2026-01-31"}
    assert ended.err.endswith(" has started.\n")


def test_values_come_from_a_file_and_from_standard_input(command, tmp_path):
    path = tmp_path / "values.json"
    path.write_text('{"customer": "ada", "cents": 5}')
    of_file = command("execute", "refund", "--params-file", str(path), "-p", "cents=6", "--wait", "--json")
    of_input = command("execute", "refund", "--params-file", "-", "--wait", "--json", stdin='{"customer": "bob"}')

    assert of_file.documents[0]["output"] == {"customer": "ada", "cents": 6, "day": "None"}
    assert of_input.documents[0]["output"] == {"customer": "bob", "cents": 100, "day": "None"}
    assert of_file.documents[0]["status"] == "Succeeded"


def test_a_missing_secret_is_an_error_without_a_terminal(command):
    ended = command("execute", "open_safe", "--params-file", "-", stdin="{}")
    given = command("execute", "open_safe", "--params-file", "-", "--wait", stdin='{"code": "hunter2"}')

    assert (ended.status, ended.err) == (2, "Error: params.code: a value is required\n")
    assert given.out == "left 7\n"


def test_a_bad_value_names_the_parameter_and_starts_nothing(command, airplane):
    before = [session.id for session in airplane.sessions.list_page()]
    ended = command("execute", "refund", "-p", "customer=ada", "-p", "cents=many")

    assert ended.status == 2
    assert ended.err == "Error: params.cents: enter a whole number, such as 42\n"
    assert [session.id for session in airplane.sessions.list_page()] == before


def test_a_repeated_key_starts_one_session(command):
    ended = [command("execute", "refund", "-p", "customer=a", "--idempotency-key", "one-key") for _ in range(2)]

    assert ended[0].out == ended[1].out


def test_a_failed_session_ends_with_its_reason_and_status_1(command):
    ended = command("execute", "break_down", "-p", "words=no", "-p", "words=money", "--wait", "--json")

    (session,) = ended.documents
    assert ended.status == 1
    assert session["error"]["message"] == "no money"
    assert ended.err.splitlines()[-1] == f"Error: session {session['id']} failed in step 'fail': RuntimeError: no money"


def test_a_session_that_waits_says_how_to_answer_and_times_out(command, waiting):
    session_id, prompt_id = waiting
    ended = command("watch", session_id, "--wait-timeout", "0.6")

    assert ended.status == 5
    assert f"waits for an answer: airplane-runbooks prompts answer {prompt_id}" in ended.err
    assert "has not ended within 0.6 s" in ended.err


def test_a_prompt_is_listed_and_answered(command, waiting):
    session_id, prompt_id = waiting
    (line,) = command("prompts", "list", session_id).out.splitlines()
    everywhere = [document["id"] for document in command("prompts", "list", "--json").documents]
    answered = command("prompts", "answer", prompt_id, "-v", "approve=yes", "-v", "note=fine")

    assert line.split("\t")[:2] == [prompt_id, session_id]
    assert line.split("\t")[3:] == [r"Refund the \x1b[31minvoice?", ""]
    assert prompt_id in everywhere
    assert answered.status == 0
    assert command("watch", session_id).out == "True fine\n"
    assert command("prompts", "answer", prompt_id, "-v", "approve=yes", "-v", "note=fine").status == 6


def test_an_answer_that_does_not_fit_names_its_field(command, waiting):
    _, prompt_id = waiting
    ended = command("prompts", "answer", prompt_id, "--values-file", "-", stdin='{"approve": 1, "note": "n"}')

    assert ended.status == 2
    assert ended.err == "Error: values.approve: expected a boolean, got a number\n"


def test_a_cancelled_prompt_cancels_the_session_with_status_4(command, waiting):
    session_id, prompt_id = waiting
    cancelled = command("prompts", "cancel", prompt_id)
    assert (cancelled.status, cancelled.err) == (0, f"The prompt {prompt_id} is cancelled.\n")
    ended = command("watch", session_id)

    assert ended.status == 4
    assert f"Error: session {session_id} was cancelled" in ended.err


def test_a_session_is_cancelled_once(command, waiting):
    session_id, _ = waiting

    cancelled = command("cancel", session_id)
    assert (cancelled.status, cancelled.out, cancelled.err) == (0, "", f"The session {session_id} is cancelled.\n")
    assert command("watch", session_id).status == 4
    assert command("cancel", session_id).status == 6


def test_a_session_that_has_ended_is_deleted_by_an_operator(command, airplane):
    session_id = airplane.runbooks.execute("ask_first").session_id
    running = command("delete", session_id, "--yes")
    assert (running.status, "cancel it first" in running.err) == (6, True)
    assert command("cancel", session_id).status == 0
    eventually(lambda: airplane.sessions.get(session_id).status.is_terminal)
    unasked = command("delete", session_id)
    assert (unasked.status, "Agree with --yes." in unasked.err) == (2, True)
    assert command("delete", session_id, "--yes").err == f"The session {session_id} is deleted.\n"
    assert command("delete", session_id, "--yes").status == 6


def test_a_run_is_cancelled_by_its_id(command, waiting):
    session_id, _ = waiting
    lines = [line.split("\t") for line in command("runs", "--session", session_id).out.splitlines()]
    (run_id,) = [line[0] for line in lines if line[1] == "Active" and "ask" not in line[2].lower()]

    assert command("cancel", run_id).status in (0, 6)


def test_sessions_are_listed_by_runbook_and_state(command, waiting):
    session_id, _ = waiting
    lines = [
        line.split("\t")
        for line in command("sessions", "--runbook", "ask_first", "--status", "waiting").out.splitlines()
    ]
    documents = command("sessions", "--limit", "1", "--json").documents

    assert [line[1] for line in lines if line[0] == session_id] == ["Waiting"]
    assert len(documents) == 1
    unknown = command("sessions", "--status", "waitng")
    assert (unknown.status, "'waiting'" in unknown.err.lower()) == (2, True)


def test_runs_are_listed_by_task_and_by_session(command, airplane):
    run_id = airplane.tasks.execute("tidy", {"room": "kitchen"}).run_id
    found = [line.split("\t")[0] for line in command("runs", "--task", "tidy").out.splitlines()]
    documents = command("runs", "--json", "--limit", "2").documents

    assert run_id in found
    assert len(documents) == 2
    assert command("runs", "--task", "tidy", "--session", "ses1").status == 2


def test_the_key_comes_from_a_file_or_standard_input(command, server, tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{server.api_key}\n")

    assert command("list", "--api-key-file", str(path), AIRPLANE_API_KEY=None).status == 0
    assert command("list", "--api-key-file", "-", stdin=server.api_key, AIRPLANE_API_KEY=None).status == 0


def test_the_key_comes_from_the_file_that_a_variable_names(command, server, tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"{server.api_key}\ntkn_the_next_one\n")
    named = {"AIRPLANE_API_KEY_FILE": str(path)}

    assert command("list", **named, AIRPLANE_API_KEY=None).status == 0
    assert command("list", "--api-key-file", str(path), AIRPLANE_API_KEY="tkn_not_the_right_one").status == 0
    both = command("list", **named)
    assert (both.status, "AIRPLANE_API_KEY and AIRPLANE_API_KEY_FILE exclude each other" in both.err) == (2, True)


def test_a_file_without_a_key_is_named(command, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    problems = {"empty": "it is empty", "binary": "it is not a text file", "none": "No such file", ".": "directory"}
    for name, problem in problems.items():
        path = str(tmp_path / name)
        for arguments, env in ((("--api-key-file", path), {}), ((), {"AIRPLANE_API_KEY_FILE": path})):
            ended = command("doctor", *arguments, AIRPLANE_API_KEY=None, **env)
            assert ended.status == 2
            assert f"cannot read the key in {path}" in ended.err
            assert problem in ended.err


def test_a_missing_key_is_a_wrong_setting(command):
    ended = command("list", AIRPLANE_API_KEY=None)

    assert ended.status == 2
    assert ended.err == (
        "Error: no API key: set AIRPLANE_API_KEY, or name a file that holds the key by --api-key-file\n"
    )


def test_a_wrong_key_ends_with_status_3_and_is_not_shown(command):
    ended = command("list", AIRPLANE_API_KEY="tkn_not_the_right_one")

    assert ended.status == 3
    assert ended.err.startswith("Error: 401")
    assert "tkn_not" not in ended.err


def test_a_server_of_another_kind_ends_with_status_3(command):
    def answer_nonsense():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example.com\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_nonsense)
        thread.start()
        ended = command("list", "--base-url", f"http://127.0.0.1:{listener.getsockname()[1]}/v0")
        thread.join()

    assert ended.status == 3
    assert ended.err.startswith("Error: ")


@pytest.mark.parametrize(
    "arguments", [("execute",), ("frobnicate",), ("execute", "refund", "--wait-timeout", "5"), ("list", "--limit")]
)
def test_wrong_usage_ends_with_status_2(command, arguments):
    assert command(*arguments).status == 2


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("--base-url", "http://127.0.0.1:1/v0", "doctor"), "--base-url"),
        (("--api-key-file=key", "list"), "--api-key-file"),
        (("-p", "a=1", "execute"), "-p"),
        (("prompts", "--env", "prod", "list"), "--env"),
    ],
)
def test_an_option_before_its_command_is_told_its_place(command, arguments, option):
    ended = command(*arguments)

    assert ended.status == 2
    assert f"Error: {option} is an option of commands: write it after the command." in ended.err


def test_an_option_of_no_command_is_unknown(command):
    ended = command("--frob", "list")

    assert (ended.status, "--frob" in ended.err, "after the command" in ended.err) == (2, True, False)


def test_every_command_and_option_has_a_help_text(command):
    def walk(group, words):
        for name, each in group.commands.items():
            yield (*words, name), each
            if hasattr(each, "commands"):
                yield from walk(each, (*words, name))

    from airplane_runbooks.cli.app import commands

    for words, each in walk(commands, ()):
        assert each.help, words
        assert [param.name for param in each.params if isinstance(param, click.Option) and not param.help] == [], words
        assert command(*words, "--help").status == 0


def test_a_reader_that_has_gone_ends_the_command_quietly(environment):
    program = [sys.executable, "-m", "airplane_runbooks", "list", "--json"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**environment, "PATH": ""}
    ) as process:
        process.stdout.close()
        assert process.wait(100) == 141
        assert process.stderr.read() == b""


def test_the_shell_completes_the_commands(environment):
    env = {**environment, "PATH": "", "_AIRPLANE_RUNBOOKS_COMPLETE": "bash_complete"}
    env |= {"COMP_WORDS": "airplane-runbooks ex", "COMP_CWORD": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "airplane_runbooks"], env=env, capture_output=True, text=True, check=True
    )

    assert run.stdout.split() == ["plain,execute"]


def test_the_script_and_the_module_are_the_same():
    from importlib.metadata import entry_points

    import airplane_runbooks.cli

    (script,) = entry_points(group="console_scripts", name="airplane-runbooks")
    assert script.load() is airplane_runbooks.cli.main


def test_a_missing_extra_is_named():
    program = "import sys; sys.modules['rich'] = None; from airplane_runbooks.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert run.returncode == 2
    assert run.stderr == "the command line needs the extra `cli`: pip install 'airplane-runbooks[cli]'\n"
