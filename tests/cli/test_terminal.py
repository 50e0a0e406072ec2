"""Commands on a real terminal: progress, questions, Ctrl-C and colours."""

from __future__ import annotations

import pytest

from airplane_runbooks import Airplane, NotFound, SessionStatus
from tests.cli.conftest import ADA
from tests.support.terminals import on_terminal
from tests.support.timing import eventually


@pytest.fixture
def terminal(environment):
    return lambda *arguments, **env: on_terminal(*arguments, env={**environment, **env})


def test_a_session_is_followed_and_its_prompt_answered(terminal):
    with terminal("execute", "ask_first", "--wait") as screen:
        screen.expect(r"Refund the \x1b[31minvoice?")
        screen.expect("Approve")
        screen.type("perhaps\n")
        screen.expect("Enter yes or no.")
        screen.expect("Approve")
        screen.type("yes\n")
        screen.expect("Note")
        screen.type("fine\n")
        screen.expect("Copies (optional)")
        screen.type("\n")
        screen.expect("Your choice")
        screen.type("y\n")
        screen.expect("Succeeded")
        screen.expect("True fine")

        assert screen.ends() == 0
        assert "look_up" in screen.text


def test_a_confirmation_is_asked_at_the_terminal(terminal, server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        before = [session.id for session in airplane.sessions.list_page()]
        with terminal("execute", "lock_up", "--wait") as screen:
            screen.expect(r"All rooms are \x1b[31mlocked.")
            screen.expect("Start lock_up? [y/N]")
            screen.type("\n")
            screen.expect("Nothing was started.")
            assert screen.ends() == 4
        assert [session.id for session in airplane.sessions.list_page()] == before
    with terminal("execute", "lock_up", "-p", "rooms=3", "--wait") as screen:
        screen.expect("Start lock_up? [y/N]")
        screen.type("y\n")
        screen.expect("Succeeded")
        screen.expect("3")
        assert screen.ends() == 0


def test_a_secret_that_is_missing_is_typed_unseen(terminal):
    with terminal("execute", "open_safe", "-p", "door=right", "--wait") as screen:
        screen.expect("code (secret): ")
        screen.type("hunter2\n")
        screen.expect("right 7")

        assert screen.ends() == 0
    assert "hunter2" not in screen.text


def test_a_secret_that_is_not_typed_starts_nothing(terminal):
    with terminal("execute", "open_safe", "--wait") as screen:
        screen.expect("code (secret): ")
        screen.type("\n")
        screen.expect("params.code: a value is required")

        assert screen.ends() == 2


def test_a_deletion_is_asked_at_the_terminal(terminal, server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        session_id = airplane.runbooks.execute("ask_first").session_id
        airplane.sessions.cancel(session_id)
        eventually(lambda: airplane.sessions.get(session_id).status.is_terminal)
        with terminal("delete", session_id) as screen:
            screen.expect(f"Delete {session_id} for good? [y/N]")
            screen.type("\n")
            screen.expect("Nothing was deleted.")
            assert screen.ends() == 4
        assert airplane.sessions.get(session_id).id == session_id
        with terminal("delete", session_id) as screen:
            screen.expect("[y/N]")
            screen.type("y\n")
            assert screen.ends() == 0
        with pytest.raises(NotFound):
            airplane.sessions.get(session_id)


def test_a_prompt_is_cancelled_at_the_terminal(terminal, server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        session_id = airplane.runbooks.execute("ask_first").session_id
    with terminal("watch", session_id) as screen:
        for question, answer in [("Approve", "no"), ("Note", "n"), ("Copies", "2"), ("Your choice", "c")]:
            screen.expect(question)
            screen.type(f"{answer}\n")

        screen.expect(f"session {session_id} was cancelled")
        assert screen.ends() == 4


def test_a_prompt_is_left_open_and_answered_later(terminal, server):
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        session_id = airplane.runbooks.execute("ask_first").session_id
        prompt_id = ""
        while not prompt_id:
            prompt_id = next((prompt.id for prompt in airplane.sessions.prompts(session_id)), "")
        for ending in ("l", "y"):
            with terminal("prompts", "answer", prompt_id) as screen:
                for question, answer in [("Approve", "no"), ("Note", "n"), ("Copies", "2"), ("Your choice", ending)]:
                    screen.expect(question)
                    screen.type(f"{answer}\n")
                assert screen.ends() == 0

        assert airplane.sessions.result(session_id, wait_timeout=60) == "False n"


@pytest.fixture
def airplane(server):
    with Airplane(server.api_key, base_url=server.base_url) as one:
        yield one


def open_prompt(airplane, session_id):
    return eventually(lambda: airplane.sessions.prompts(session_id))[0].id


def test_an_answer_from_elsewhere_ends_the_question(terminal, airplane):
    session_id = airplane.runbooks.execute("ask_twice").session_id
    first = open_prompt(airplane, session_id)
    with terminal("watch", session_id) as screen:
        screen.expect("The 1st question")
        screen.expect("Word: ")
        screen.type("half a wo")
        airplane.prompts.submit(first, {"word": "from the page"})
        screen.expect("The prompt was answered elsewhere.")
        screen.expect("The 2nd question")
        screen.expect("Word: ")
        screen.type("hunter2\n")
        screen.expect("Your choice")
        screen.type("perhaps\n")
        screen.expect("Enter y, c or l.")
        screen.expect("Your choice")
        screen.type("y\n")
        screen.expect("Succeeded")

        assert screen.ends() == 0
    assert "hunter2" not in screen.text
    assert "half a wo" not in screen.text


def test_an_answer_from_elsewhere_ends_the_command(terminal, airplane):
    session_id = airplane.runbooks.execute("ask_first").session_id
    prompt_id = open_prompt(airplane, session_id)
    with terminal("prompts", "answer", prompt_id) as screen:
        screen.expect("Approve")
        screen.type("ye")
        airplane.prompts.cancel(prompt_id)
        screen.expect("The prompt was cancelled elsewhere.")

        assert screen.ends() == 6


def test_a_cancelled_session_asks_no_longer(terminal, airplane):
    session_id = airplane.runbooks.execute("ask_first").session_id
    with terminal("watch", session_id) as screen:
        screen.expect("Approve")
        airplane.sessions.cancel(session_id)
        screen.expect("The prompt was cancelled elsewhere.")
        screen.expect(f"session {session_id} was cancelled")

        assert screen.ends() == 4


@pytest.mark.nightly
def test_a_question_ends_with_the_time_to_wait(terminal, airplane):
    session_id = airplane.runbooks.execute("ask_first").session_id
    with terminal("watch", session_id, "--wait-timeout", "5") as screen:
        screen.expect("has not ended within 5.0 s")

        assert screen.ends() == 5
    airplane.sessions.cancel(session_id)


def test_the_end_of_the_input_leaves_the_session_running(terminal, airplane):
    session_id = airplane.runbooks.execute("ask_first").session_id
    with terminal("watch", session_id) as screen:
        screen.expect("Approve")
        screen.type("ye\x04")  # what is typed so far, without an end of the line
        screen.type("\x04")
        screen.expect("goes on. Return to it: airplane-runbooks watch ses")

        assert screen.ends() == 130
    assert airplane.sessions.get(session_id).status == SessionStatus.WAITING
    airplane.sessions.cancel(session_id)


def test_a_prompt_for_others_is_asked_once_and_waited_for(terminal, server, airplane):
    session_id = airplane.runbooks.execute("ask_another").session_id
    prompt_id = open_prompt(airplane, session_id)
    with terminal("watch", session_id) as screen:
        for question, answer in [("Approve", "yes"), ("Your choice", "y")]:
            screen.expect(question)
            screen.type(f"{answer}\n")
        screen.expect("This is for another user to answer: another user has to answer or cancel this prompt")
        screen.expect("Waiting goes on.")
        with Airplane(ADA, base_url=server.base_url) as ada:
            ada.prompts.submit(prompt_id, {"approve": True})
        screen.expect("Succeeded")

        assert screen.ends() == 0
        assert screen.text.count("Your choice") == 1


def test_ctrl_c_leaves_the_session_running(terminal, server):
    with terminal("execute", "ask_first", "--wait") as screen:
        screen.expect("Session ")
        screen.expect("Approve")
        screen.interrupt("goes on. Return to it: airplane-runbooks watch ses")

        assert screen.ends() == 130
    session_id = screen.text.split()[1]
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        assert not airplane.sessions.get(session_id).status.is_terminal
        airplane.sessions.cancel(session_id)


def test_ctrl_c_ends_the_wait_for_others_to_answer(terminal, server):
    with terminal("execute", "ask_first", "--wait", "--no-answer") as screen:
        screen.expect("waits for an answer")
        screen.interrupt("goes on. Return to it: airplane-runbooks watch ses")

        assert screen.ends() == 130
    with Airplane(server.api_key, base_url=server.base_url) as airplane:
        airplane.sessions.cancel(screen.text.split()[1])


def test_lists_are_tables_with_headings_on_a_terminal(terminal):
    with terminal("list") as screen:
        screen.expect("SLUG")
        screen.expect("refund")

        assert screen.ends() == 0


@pytest.mark.parametrize(("no_color", "colours"), [("", True), ("1", False)], ids=["by-default", "no-color"])
def test_results_have_colours_unless_they_are_unwanted(terminal, no_color, colours):
    with terminal("execute", "refund", "-p", "customer=ada", "--wait", NO_COLOR=no_color) as screen:
        screen.expect('"customer"')

        assert screen.ends() == 0
        assert ("\x1b[32m" in screen.raw) is colours
