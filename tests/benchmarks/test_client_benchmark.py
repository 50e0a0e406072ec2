"""The benchmark of the client starts, and compares and judges rightly."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import fromstring

import msgspec
import pytest

from airplane_runbooks import Airplane
from benchmarks.client import canned, pages, pictures, reading, report, results, rounds, start
from benchmarks.client.__main__ import MEASURED, PARTS, main
from benchmarks.client.budgets import verdicts
from benchmarks.client.canned import Endpoint, canned_server
from benchmarks.client.groups import GROUPS
from benchmarks.client.results import Garbage, Measured, Results, Times
from benchmarks.client.rounds import Ended, Sizes, Worker

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
NO_ENDPOINT = Endpoint(1)


def group():
    times = {
        "bare urllib3": Times([200.0, 400.0, 200.0], [100.0, 100.0, 100.0]),
        "ours": Times([100.0, 100.0, 100.0], [50.0, 30.0, 10.0]),
        "httpx": Times([400.0, 400.0, 400.0], [200.0, 240.0, 200.0]),
    }
    return Measured("bare urllib3", times=times, instructions={"bare urllib3": 1000.0, "ours": 210.0})


def found():
    took = {"bare Python": 10, "msgspec, urllib3": 60, "msgspec": 30, "ours, client built": 70}
    times = {name: Times([1000.0 * milliseconds], [1000.0 * milliseconds]) for name, milliseconds in took.items()}
    at_once = "raw socket, 16 requests at once"
    groups = {
        "plain": group(),
        "imports": Measured("msgspec, urllib3", "bare Python", times),
        "server": Measured(at_once, times={at_once: Times([10.0], [5.0])}),
    }
    return Results(groups=groups, garbage={"ours": Garbage(0.0, 4096.0)})


@pytest.mark.nightly
def test_a_group_of_contenders_is_measured_and_written_down(tmp_path):
    output = tmp_path / "measured.json"
    command = [sys.executable, "-m", "benchmarks.client", "overhead", "--rounds", "1", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = results.load(output).groups["overhead"]
    assert set(measured.times) == set(GROUPS["overhead"].makers)
    assert {len(times.cpu) for times in measured.times.values()} == {1}


def test_an_unknown_group_is_refused_by_name(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks.client", "plane"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "unknown groups: plane" in capsys.readouterr().err


def test_ratios_are_medians_of_the_ratios_of_rounds():
    measured = group()
    assert measured.ratio("wall", "ours") == 0.5
    assert measured.ratio("cpu", "ours") == 0.3
    assert measured.ratio("instructions", "ours") == 0.21
    assert measured.difference("cpu", "ours") == -70


def test_a_floor_is_taken_off_all_contenders():
    assert found().groups["imports"].ratio("cpu", "ours, client built") == 1.2


def test_a_contender_that_ends_does_not_end_the_others(monkeypatch):
    def broken(_):
        raise ValueError("broken")

    overhead = GROUPS["overhead"]
    makers = {name: overhead.makers[name] for name in ("without telemetry", "no SDK")}
    monkeypatch.setitem(GROUPS, "overhead", overhead._replace(makers={**makers, "absent": broken}))
    measured = rounds.interleaved("overhead", NO_ENDPOINT, Sizes(1, 60))
    assert set(measured.times) == set(makers)
    assert "KeyError: 'absent'" in measured.failed["absent"]  # its process does not know it


def test_a_worker_that_has_ended_says_why():
    worker = Worker([sys.executable, "-c", "raise SystemExit('no such module')"])
    try:
        with pytest.raises(Ended, match="no such module"):
            worker.ask("1")
    finally:
        worker.end()


@pytest.mark.nightly
def test_a_worker_looks_at_what_its_calls_leave_behind():
    worker = Worker(rounds.command_of("overhead", "no SDK", NO_ENDPOINT))
    try:
        in_cycles, _ = worker.ask("garbage")
    finally:
        worker.end()
    assert in_cycles == 0


@pytest.mark.nightly
def test_a_cold_start_is_measured_in_a_process_of_its_own():
    with canned_server() as endpoint:
        assert min(start.taken(start.SETTING + start.FIRST["ours"], endpoint)) > 0
        assert start.taken("raise SystemExit(1)", endpoint) is None


def test_the_canned_server_answers_what_is_asked():
    with canned_server() as endpoint, Airplane("tkn_test", base_url=f"{endpoint.origin}/v0") as airplane:
        new, old = (airplane.sessions.get(one) for one in (canned.NEW, canned.OLD))
        started = airplane.runbooks.execute("hello_world")
    assert new.created_at == old.created_at == datetime(2022, 1, 20, 22, 32, 45, 601486, UTC)
    assert started.session_id == "ses20220120za1pskd"


def test_requests_are_taken_whole_and_in_their_order():
    pending = bytearray(b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /b HTTP/1.1\r\n\r\nPOST /c")
    assert [request[:7] for request in canned.taken(pending)] == [b"POST /a", b"GET /b "]
    assert pending == b"POST /c"


def test_the_struct_of_the_reference_fits_the_session():
    assert msgspec.json.decode(canned.SESSION.partition(b"\r\n\r\n")[2], type=reading.Session).id == canned.NEW


def test_rounds_end_in_time_but_not_before_the_fewest():
    assert list(Sizes(9, longest=-1, fewest=2).turns()) == [0, 1]
    assert list(Sizes(3, longest=600).turns()) == [0, 1, 2]


def test_a_budget_that_is_not_met_is_reported_so():
    lines = list(report.lines(found()))
    assert any(line.startswith("execute: instructions") and line.endswith(" met") for line in lines)
    assert any(line.startswith("CPU of httpx over ours") and line.endswith(" met") for line in lines)
    worse = found()
    worse.groups["plain"].times["ours"].cpu[:] = [50.0, 50.0, 50.0]
    lines = list(report.lines(worse))
    assert any(line.startswith("execute: CPU") and line.endswith("NOT MET") for line in lines)
    assert any(line.startswith("execute over TLS: CPU") and line.endswith("not measured") for line in lines)


def test_the_report_shows_that_the_server_bounds_nothing():
    text = "\n".join(report.lines(found()))
    assert "the canned server answers 100,000 requests/s" in text
    assert "the fastest of clients: 10,000/s (ours in plain), 0.10 of that" in text


def test_the_report_shows_why_a_contender_failed():
    measured = found()
    measured.groups["plain"].failed["pyreqwest"] = "it aborted"
    assert any("pyreqwest" in line and "failed: it aborted" in line for line in report.lines(measured))


def test_each_budget_is_about_a_group_and_a_contender_that_exist():
    full = {name: Measured(one.reference) for name, one in GROUPS.items()}
    for name, measured in full.items():
        measured.times = {who: Times([1.0], [1.0]) for who in GROUPS[name].makers}
        measured.instructions = dict.fromkeys(GROUPS[name].makers, 1.0)
    full["telemetry"].times["bare urllib3, two spans"] = Times([2.0], [2.0])
    full["telemetry"].instructions["bare urllib3, two spans"] = 2.0
    for name, scripts, reference in (("imports", start.IMPORTS, start.PARTS), ("first-reply", start.FIRST, start.BARE)):
        full[name] = Measured(reference, times={who: Times([1.0], [1.0]) for who in scripts})
    everything = Results(groups=full, garbage={who: Garbage(0, 0) for who in ("ours", "ours, async")})
    unjudged = [one.budget.name for verdict in verdicts(everything).values() for one in verdict if one.figure is None]
    assert unjudged == []


def test_results_survive_their_file(tmp_path):
    measured = found()
    results.save(measured, tmp_path / "measured.json")
    assert results.load(tmp_path / "measured.json") == measured
    assert "[50.0, 30.0, 10.0]" in (tmp_path / "measured.json").read_text()


def test_the_shortest_bar_comes_first():
    assert [bar.name for bar in pictures.bars(group())] == ["ours", "bare urllib3", "httpx"]


def test_pictures_of_the_client_describe_themselves_in_words():
    picture = fromstring(pictures.pictures(found())["client-cpu.svg"])
    assert "one at a time, ours: 0.3 x." in picture.findtext(f"{SVG}desc")


def test_a_table_replaces_what_stands_between_its_comments():
    page = "before\n\n<!-- measured: memory -->\nold\n<!-- end of memory -->\n\nafter\n"
    renewed = pages.renewed(page, found())
    assert "| ours | 0 | 4 |" in renewed
    assert "old" not in renewed
    assert (renewed.startswith("before\n"), renewed.endswith("after\n")) == (True, True)
    assert pages.renewed(renewed, found()) == renewed


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_tables_of_a_page_are_those_of_the_results(name):
    """`python -m benchmarks.client --draw` renews them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert pages.BLOCK.search(text)
    assert pages.renewed(text, results.load(MEASURED)) == text


def test_the_pictures_of_the_client_are_those_of_the_results():
    """`python -m benchmarks.client --draw` renews them."""
    drawn = pictures.pictures(results.load(MEASURED))
    assert drawn == {name: (pictures.IMAGES / name).read_text(encoding="utf-8") for name in pictures.DRAWN}


def test_all_parts_were_measured():
    measured = results.load(MEASURED)
    assert {*measured.groups, "memory"} == set(PARTS)
    assert measured.garbage


@pytest.mark.parametrize("name", [name for name in GROUPS if not name.startswith(("server", "overhead"))])
def test_the_reference_of_a_group_is_one_of_its_contenders(name):
    assert {GROUPS[name].reference, "ours"} <= set(GROUPS[name].makers)
