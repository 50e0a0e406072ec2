from __future__ import annotations

import subprocess
import sys

from airplane_runbooks import Airplane
from airplane_runbooks.server import Context, runbook


@runbook
def double(context: Context, number: int) -> int:
    """Double a number."""
    return context.step(lambda: 2 * number, name="double")


def test_the_fixture_starts_servers_and_closes_them_at_the_end(airplane_server):
    first, second = airplane_server(double), airplane_server(double, api_key="tkn_mine")
    assert first.base_url != second.base_url
    assert second.api_key == "tkn_mine"
    with Airplane(first.api_key, base_url=first.base_url) as airplane:
        session = airplane.runbooks.execute_and_wait("double", param_values={"number": 2}, wait_timeout=100)
        (step,) = airplane.sessions.steps(session.id)
    assert step.output == 4


def test_a_project_that_has_the_package_has_the_fixture(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from airplane_runbooks.server import Context, runbook\n\n"
        "@runbook\ndef nothing(context: Context) -> None:\n    pass\n\n"
        "def test_it(airplane_server):\n    assert airplane_server(nothing).base_url.startswith('http://127.0.0.1:')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
