"""A day of an operations team: the example runbooks behind nginx, started, decided, followed, upgraded and restored."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from datetime import date

import pytest

from airplane_runbooks import AirplaneError, Locked, SessionFailed
from airplane_runbooks.webhooks import EventType
from tests.support.browsing import filled
from tests.support.receivers import HookReceiver
from tests.support.reverse_proxies import NGINX
from tests.support.site import KEY, deploy, listening, site, told
from tests.support.terminals import on_terminal
from tests.support.timing import eventually

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.once,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

YES, LARGE = "0", "1"  # choices are posted by their numbers
DATABASE = "sqlite:///runbooks.db"
ANOTHER_RUNBOOK = {"context.step(check_address, email)": "context.step(check_address, email.lower())"}
ANOTHER_STEP = {'{"laptop": laptop,': '{"shop": "the new one", "laptop": laptop,'}
SESSION = re.compile(r"ses\d\w+")


def prompt_of(airplane, session_id):
    """Return the prompt for which a session waits."""
    (prompt,) = eventually(lambda: airplane.sessions.prompts(session_id))
    return prompt.id


def started_from_the_page(browser, address):
    """Tick the box of a runbook's page, leave its form as it is, and return the ID of the session."""
    form = {**filled(browser.get(address)), "confirmed": "yes"}
    reply = browser.post(address.partition("?")[0], form)
    assert reply.status == 303, reply.text
    return SESSION.search(reply.location)[0]


def words_of(page):
    """Return what a reader sees of a page, its head and menu apart."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page.text.partition("<main")[2]))


def a_refund_is_approved_by_the_link_in_a_message(ops, hooks, ada):
    session_id = ops.command("execute", "refund", "--param", "customer=ada@example.com").strip()
    asked = told(hooks, session_id, EventType.PROMPT_OPENED).prompt
    assert asked.url == f"{ops.url}/prompts/{asked.id}"
    assert asked.description in words_of(ada.get(asked.url.removeprefix(ops.url)))
    with on_terminal("watch", "--no-answer", session_id, env=ops.env) as screen:
        screen.expect("find_invoice")
        assert ada.answer(asked.id, approve=YES, note="paid twice").status == 303
        screen.expect("Your refund rfd_1042 is on its way.")
        assert screen.ends() == 0
    told(hooks, session_id, EventType.SESSION_SUCCEEDED)


def a_failover_fails_and_its_reason_comes_first(ops, hooks, airplane, ada):
    ops.world("cluster").mkdir(parents=True)
    ops.world("cluster/db-2.json").write_text('{"role": "standby", "lag_seconds": 2, "up": false, "refuses": 0}')
    session_id = started_from_the_page(ada, "/runbooks/failover?reason=the+disk+is+full")
    with pytest.raises(SessionFailed):
        airplane.sessions.wait(session_id, wait_timeout=60)
    reason = "db-2 is down, db-3 is 95 s behind; 30 s are allowed"
    assert reason in words_of(ada.get(f"/sessions/{session_id}"))[:600]
    assert reason in told(hooks, session_id, EventType.SESSION_FAILED).error.message
    return session_id


def the_failover_is_run_again_and_decided_at_a_terminal(ops, airplane, ada, failed):
    ops.world("cluster/db-2.json").write_text('{"role": "standby", "lag_seconds": 2, "up": true, "refuses": 1}')
    again = re.search(r'href="[^"]*(/runbooks/failover\?sessionID=[^"]*)"', ada.get(f"/sessions/{failed}").text)[1]
    session_id = started_from_the_page(ada, again)
    with on_terminal("watch", session_id, env=ops.env) as screen:
        screen.expect("Make db-2 the primary?")
        screen.expect("Reason [the disk is full]")
        screen.type("\n")
        screen.expect("Agreed")
        screen.type("yes\n")
        screen.expect("Your choice")
        screen.type("y\n")
        screen.expect("promote db-2")
        assert screen.ends() == 0
    assert json.loads(ops.world("cluster/db-2.json").read_text())["role"] == "primary"
    assert "db-2: standby, up, 2 s behind" in ops.command("logs", session_id)


def colleagues_are_onboarded_by_typed_calls(ops, airplane):
    path = ops.folder / "our_calls.py"
    ops.command("generate", "--output", str(path))
    spec = importlib.util.spec_from_file_location("our_calls", path)
    calls = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(calls)
    started = []
    for name in ("grace", "alan"):
        call = calls.Onboard(name=name, email=f"{name}@example.com", team="support", start=date(2026, 12, 1))
        started.append(airplane.runbooks.execute(call).session_id)
        prompt_of(airplane, started[-1])
    return started


def another_runbook_holds_its_sessions_and_no_other(airplane, ada, onboarding, refund):
    order = prompt_of(airplane, onboarding)
    with pytest.raises(Locked) as held:
        airplane.prompts.submit(order, {"laptop": "16 inches"})
    assert held.value.code == "code_changed"
    assert "no server has the code of onboard" in words_of(ada.get(f"/sessions/{onboarding}"))
    assert ada.answer(prompt_of(airplane, refund), approve=YES, note="as agreed").status == 303
    assert "is on its way" in airplane.sessions.result(refund, wait_timeout=60)


def its_old_code_lets_them_go_on_with_another_step(ops, airplane, ada, onboarding):
    eventually(lambda: airplane.sessions.get(onboarding).held is None)
    order = prompt_of(airplane, onboarding)
    assert ada.answer(order, laptop=LARGE, wishes="").status == 303
    eventually(lambda: prompt_of(airplane, onboarding) != order)
    ordered = json.loads(ops.world("orders.json").read_text())["grace@example.com"]
    assert ordered == {"shop": "the new one", "laptop": "16 inches", "wishes": None}


def the_restored_onboarding_is_released_and_ends(ops, airplane, session_id):
    account = prompt_of(airplane, session_id)
    with pytest.raises(AirplaneError, match="restored"):
        airplane.prompts.submit(account, {})
    assert int(ops.command("release", "--all", key=KEY)) == 1
    airplane.prompts.submit(account, {})
    onboarded = airplane.sessions.result(session_id, wait_timeout=60)
    assert onboarded["groups"] == ["staff", "refunds"]
    assert "grace@example.com" in json.loads(ops.world("people.json").read_text())


def the_database_is_lost_and_restored(ops, folder):
    for file in folder.glob("runbooks.db*"):
        if file.suffix != ".key":
            file.unlink()
    ops.command("restore", "evening.backup", "--database", DATABASE)


def test_the_day_of_an_operations_team(tmp_path):
    with listening() as sockets, HookReceiver() as hooks:
        deploy(tmp_path)
        with site(tmp_path, sockets, hooks) as ops, ops.client() as airplane:
            ada = ops.browser()
            a_refund_is_approved_by_the_link_in_a_message(ops, hooks, ada)
            failed = a_failover_fails_and_its_reason_comes_first(ops, hooks, airplane, ada)
            the_failover_is_run_again_and_decided_at_a_terminal(ops, airplane, ada, failed)
            grace, alan = colleagues_are_onboarded_by_typed_calls(ops, airplane)
            ops.command("cancel", alan)
            told(hooks, alan, EventType.SESSION_CANCELLED)
            refund = ops.command("execute", "refund", "--param", "customer=grace@example.com").strip()
            prompt_of(airplane, refund)
        deploy(tmp_path, ANOTHER_RUNBOOK)
        with site(tmp_path, sockets, hooks) as ops, ops.client() as airplane:
            another_runbook_holds_its_sessions_and_no_other(airplane, ops.browser(), grace, refund)
        deploy(tmp_path, ANOTHER_STEP)
        with site(tmp_path, sockets, hooks) as ops, ops.client() as airplane:
            its_old_code_lets_them_go_on_with_another_step(ops, airplane, ops.browser(), grace)
            ops.command("backup", "evening.backup", "--database", DATABASE)
        the_database_is_lost_and_restored(ops, tmp_path)
        with site(tmp_path, sockets, hooks) as ops, ops.client() as airplane:
            the_restored_onboarding_is_released_and_ends(ops, airplane, grace)
