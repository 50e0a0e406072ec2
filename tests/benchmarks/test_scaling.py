"""The simulation of deployments keeps to arithmetic where arithmetic says all, and repeats itself for a seed."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from benchmarks.scaling.__main__ import picture, table
from benchmarks.scaling.costs import measured
from benchmarks.scaling.model import Costs, Deployment, Disk, Station, Timeline, bounds, simulate
from benchmarks.server.results import Alone, Load, Results
from benchmarks.server.statements import Counts

COSTS = Costs(server_cpu=0.006, database_cpu=0.003, commits=2, flush=0.0001)


def test_a_station_serves_in_the_order_of_asking():
    timeline, done = Timeline(), []
    station = Station(timeline, 2)
    for name, seconds in (("a", 3), ("b", 1), ("c", 1)):
        station.use(seconds, lambda name=name: done.append((name, timeline.now)))

    timeline.run()

    assert done == [("b", 1), ("c", 2), ("a", 3)]
    assert station.busy == 5


def test_commits_that_wait_for_the_disk_share_its_next_flush():
    timeline, done = Timeline(), []
    disk = Disk(timeline, 1.0)
    for moment in (0.0, 0.1, 0.2, 1.5):
        timeline.after(moment, lambda: disk.commit(lambda: done.append(timeline.now)))

    timeline.run()

    assert done == [1.0, 2.0, 2.0, 3.0]
    assert disk.flushes == 3


def test_a_session_alone_takes_the_sum_of_its_parts():
    costs = Costs(server_cpu=1e-9, database_cpu=1e-9, commits=4, flush=0.01)
    alone = simulate(Deployment(1, 1), costs, 0.1, 20)

    assert alone.p50 == pytest.approx(4 * 0.01)
    assert alone.group == 1


@pytest.mark.parametrize(("servers", "cores"), [(1, 16), (4, 16), (8, 1)])
def test_a_busy_deployment_reaches_what_its_scarcest_part_can_do(servers, cores):
    deployment = Deployment(servers, cores)

    ended = simulate(deployment, COSTS, None, 1500).ended

    assert ended == pytest.approx(min(bounds(deployment, COSTS).values()), rel=0.15)


def test_a_deployment_with_room_ends_what_arrives():
    outcome = simulate(Deployment(4, 16), COSTS, 300, 1500)

    assert outcome.ended == pytest.approx(300, rel=0.15)
    assert outcome.servers_busy == pytest.approx(300 * 0.006 / 4, rel=0.15)


def test_partitions_end_more_where_the_database_is_scarce():
    one, four = (
        simulate(Deployment(8, 1, databases), COSTS._replace(server_cpu=1e-4), None, 1500).ended for databases in (1, 4)
    )

    assert four == pytest.approx(4 * one, rel=0.15)


def test_idle_servers_take_their_share_of_the_database():
    costs = COSTS._replace(idle_database_cpu=0.05)

    assert bounds(Deployment(10, 1), costs)["databases"] == pytest.approx(0.5 / 0.003)
    assert simulate(Deployment(10, 1), costs, None, 1500).ended == pytest.approx(0.5 / 0.003, rel=0.15)
    with pytest.raises(ValueError, match="by being there"):
        simulate(Deployment(20, 1), costs, None, 10)


def test_the_same_seed_gives_the_same_outcome():
    outcomes = [simulate(Deployment(2, 2), COSTS, 200, 500, seed) for seed in (1, 1, 2)]

    assert outcomes[0] == outcomes[1] != outcomes[2]


def test_a_session_without_an_end_cannot_be_simulated():
    with pytest.raises(ValueError, match="at least 2 commits"):
        simulate(Deployment(1, 1), COSTS._replace(commits=1), 1, 10)


@pytest.fixture
def results():
    return Results(
        slowdown=[2.0],
        limits={"PostgreSQL, commits/s, 1 client": [500, 1000]},
        loads={"ours, PostgreSQL": {"W1": Load([0.012], [0.006], [100], [0.01])}},
        alone={"ours, PostgreSQL": Alone(0.01, 0.004, 1, 1, Counts(), {"W1": Counts(commits=2.2)})},
    )


def test_the_costs_are_those_measured_without_other_work(results):
    assert measured(results) == Costs(0.006, 0.003, commits=2, flush=0.001, idle_database_cpu=0.002)


def test_the_table_and_the_picture_show_all_deployments():
    outcome = simulate(Deployment(1, 4), COSTS, 50, 100)
    curves = {"small": [(servers, (outcome, outcome)) for servers in (1, 2, 4, 8, 16, 32, 64)]}

    lines = list(table(COSTS, curves))
    texts = [text.text for text in fromstring(picture(curves)).iter("{http://www.w3.org/2000/svg}text")]

    assert sum(line.startswith("| 64 |") for line in lines) == 1
    assert "small" in texts
