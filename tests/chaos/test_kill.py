from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.support.chaos import Human, check, servers


@pytest.mark.parametrize(
    ("sessions", "deaths"),
    [
        pytest.param(30, 3, marks=pytest.mark.once),
        pytest.param(400, 15, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_killed_server_loses_nothing_and_repeats_no_ended_step(tmp_path: Path, sessions: int, deaths: int) -> None:
    luck = random.Random(sessions)
    with servers(f"sqlite:///{tmp_path / 'runbooks.db'}", tmp_path) as (server,):
        human = Human([server])
        try:
            driven = human.drive(["refund", "gather"] * (sessions // 2))
            while server.deaths < deaths and not all(one.done() for one in driven):
                time.sleep(luck.uniform(0.2, 2.0))
                server.kill()
                server.start()
                server.ready()
            for one in driven:
                one.result()
            times = check(human, tmp_path / "journal", sessions)
        finally:
            human.close()
        assert server.stop() == 0
    print("steps by their number of executions:", dict(sorted(times.items())))
    assert server.deaths == deaths
