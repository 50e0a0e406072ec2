"""Several servers on one PostgreSQL: the work is shared, the dead are replaced, and the frozen come too late."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.support.chaos import Human, check, servers

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    ("sessions", "blows", "count"),
    [
        pytest.param(30, 2, 2, marks=pytest.mark.once),
        pytest.param(300, 10, 3, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_sessions_go_on_while_servers_are_killed_and_frozen(
    tmp_path: Path, postgres_url: str, sessions: int, blows: int, count: int
) -> None:
    luck = random.Random(sessions)
    with servers(postgres_url, tmp_path, count) as started:
        human = Human(started)
        try:
            driven = human.drive(["refund", "gather"] * (sessions // 2))
            for blow in range(blows):
                time.sleep(luck.uniform(0.5, 1.5))
                victim = luck.choice(started)
                if blow % 2:
                    victim.freeze()
                    time.sleep(luck.uniform(6, 9))  # longer than a server may be silent
                    victim.thaw()
                else:
                    victim.kill()
                    victim.start()
                    victim.ready()
            for one in driven:
                one.result()
            check(human, tmp_path / "journal", sessions, late=True)
        finally:
            human.close()
        assert [server.stop() for server in started] == [0] * count
