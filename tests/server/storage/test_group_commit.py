"""Units of several callers in one commit: nothing is acknowledged before it, and no unit is affected by another."""

from __future__ import annotations

import itertools
import random
import signal
import sqlite3
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError, OperationalError

from airplane_runbooks.server.storage import group_commit
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.errors import DatabaseClosed, DatabaseUnavailable
from airplane_runbooks.server.storage.group_commit import MOST_UNITS, GroupCommit, NotCommitted
from airplane_runbooks.server.storage.tables import FACTS
from tests.support.examples import examples
from tests.support.processes import running
from tests.support.servers import eventually

pytestmark = pytest.mark.once

PATIENCE = 30
DISK = OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))


class Gate:
    """Transactions of a database whose commits a test can hold back, and let fail."""

    def __init__(self, database):
        self.database = database
        self.commits = 0
        self.reached, self.leave = threading.Event(), threading.Event()
        self.leave.set()
        self.problems = []  # of the next commits

    @contextmanager
    def begin(self):
        with self.database.write() as connection:
            yield connection
            self.reached.set()
            assert self.leave.wait(PATIENCE)
            if self.problems and (problem := self.problems.pop(0)):
                raise problem
        self.commits += 1

    @contextmanager
    def closed(self):
        """Hold back commits inside."""
        self.reached.clear()
        self.leave.clear()
        try:
            yield
        finally:
            self.leave.set()


@pytest.fixture(params=["memory", "file"])
def database(request, tmp_path):
    database = Database("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runbooks.db'}")
    yield database
    database.close()


@pytest.fixture
def gate(database):
    return Gate(database)


@pytest.fixture
def patience(monkeypatch):
    """Let groups be filled on a slow machine, too."""
    monkeypatch.setattr(group_commit, "LONGEST_GROUP", 3600.0)


@pytest.fixture
def writer(gate, patience):
    writer = GroupCommit(gate.begin)
    yield writer
    gate.leave.set()
    writer.close()


def add(name, value=b""):
    """Return work that adds a row and returns the names of all."""

    def work(connection):
        connection.execute(sa.insert(FACTS), {"name": name, "value": value})
        return names_in(connection)

    return work


def names_in(connection):
    return connection.scalars(sa.select(FACTS.c.name).order_by(FACTS.c.name)).all()


def names(database):
    with database.read() as connection:
        return names_in(connection)


@contextmanager
def together(gate, writer):
    """Have all that is submitted inside wait for one commit, and so be in the next group."""
    with gate.closed():
        first = writer.submit(lambda _: None)
        assert gate.reached.wait(PATIENCE)
        yield
    first.result()


def test_a_unit_sees_what_it_wrote_and_returns_it(database, writer):
    assert writer.submit(add("a")).result() == ["a"]
    assert names(database) == ["a"]


def test_units_that_wait_are_committed_together_in_order(database, gate, writer):
    with together(gate, writer):
        units = [writer.submit(add(name)) for name in "abc"]
    assert [unit.result() for unit in units] == [["a"], ["a", "b"], ["a", "b", "c"]]
    assert gate.commits == 2
    assert names(database) == ["a", "b", "c"]


def test_a_caller_is_answered_after_the_commit_only(gate, writer):
    with ThreadPoolExecutor(1) as threads, gate.closed():
        unit = writer.submit(add("a"))
        answer = threads.submit(unit.result)
        assert gate.reached.wait(PATIENCE)
        assert not answer.done()
        assert gate.commits == 0
        gate.leave.set()
        assert answer.result(PATIENCE) == ["a"]
        assert gate.commits == 1


def test_a_unit_that_raises_is_rolled_back_alone(database, gate, writer):
    def add_and_fail(connection):
        add("b")(connection)
        raise ZeroDivisionError

    with together(gate, writer):
        units = [writer.submit(work) for work in (add("a"), add_and_fail, add("a"), add("c"))]
    assert units[0].result() == ["a"]
    with pytest.raises(ZeroDivisionError):
        units[1].result()
    with pytest.raises(IntegrityError):
        units[2].result()
    assert units[3].result() == ["a", "c"]
    assert gate.commits == 2


def test_an_exception_shows_its_caller_and_its_unit_only(gate, writer):
    def fail_first(_):
        raise ZeroDivisionError

    def fail_second(_):
        raise KeyError

    def ask(unit):
        with pytest.raises((ZeroDivisionError, KeyError)) as raised:
            unit.result()
        return raised.value

    with together(gate, writer):
        units = [writer.submit(fail_first), writer.submit(fail_second)]
    for unit, own, other in zip(units, (fail_first, fail_second), (fail_second, fail_first), strict=True):
        problem = ask(unit)
        functions = [frame.name for frame in traceback.extract_tb(problem.__traceback__)]
        assert functions[0] == ask.__name__
        assert functions[-1] == own.__name__
        assert other.__name__ not in "".join(traceback.format_exception(problem))
        assert problem.__context__ is None


def test_a_failed_commit_fails_all_of_its_units(database, gate, writer):
    gate.problems = [None, DISK]
    with together(gate, writer):
        units = [writer.submit(add(name)) for name in "ab"]
    failures = []
    for unit in units:
        with pytest.raises(NotCommitted) as raised:
            unit.result()
        failures.append(raised.value)
    assert failures[0] is not failures[1]
    assert [failure.reason for failure in failures] == [DISK, DISK]
    assert names(database) == []
    assert writer.submit(add("a")).result() == ["a"]


def test_a_transaction_that_cannot_begin_fails_all_that_wait(database):
    begins = []
    entered, leave = threading.Event(), threading.Event()

    @contextmanager
    def begin():
        begins.append(True)
        if len(begins) == 1:
            entered.set()
            assert leave.wait(PATIENCE)
            raise DISK
        with database.write() as connection:
            yield connection

    writer = GroupCommit(begin)
    try:
        units = [writer.submit(add("a"))]
        assert entered.wait(PATIENCE)
        units.append(writer.submit(add("b")))
        leave.set()
        for unit in units:
            with pytest.raises(NotCommitted):
                unit.result()
        assert writer.submit(add("c")).result() == ["c"]
        assert len(begins) == 2
    finally:
        writer.close()


def test_a_unit_that_ends_the_transaction_harms_itself_only(database, gate, writer):
    def roll_back(connection):
        add("b")(connection)
        connection.exec_driver_sql("ROLLBACK")  # as SQLite itself does when the disk is full
        raise ZeroDivisionError

    def end_quietly(connection):
        connection.exec_driver_sql("ROLLBACK")

    with together(gate, writer):
        units = [writer.submit(work) for work in (add("a"), roll_back, add("c"), end_quietly, add("d"))]
    with pytest.raises(ZeroDivisionError):
        units[1].result()
    with pytest.raises(NotCommitted):
        units[3].result()
    assert [units[number].result() for number in (0, 2, 4)] == [["a"], ["a", "c"], ["a", "c", "d"]]
    assert names(database) == ["a", "c", "d"]


def test_a_unit_that_fills_the_disk_is_the_only_one_to_fail(database):
    with database.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 20}")
    with ThreadPoolExecutor(9) as threads:
        full = threads.submit(database.transact, add("full", bytes(1_000_000)))
        others = [threads.submit(database.transact, add(f"o{number}")) for number in range(8)]
        with pytest.raises(DatabaseUnavailable):
            full.result()
        for other in others:
            other.result()
    assert names(database) == [f"o{number}" for number in range(8)]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_gone_fails_all_units_in_words(tmp_path, how):
    path = tmp_path / "runbooks.db"
    database = Database(f"sqlite:///{path}")
    try:
        with ThreadPoolExecutor(4) as threads:

            def lose(connection):
                path.rename(path.with_name("moved.db"))
                if how == "replaced":
                    path.write_bytes(b"")
                return add("lost")(connection)

            answers = [threads.submit(database.transact, work) for work in (lose, add("a"), add("b"))]
            problems = [answer.exception() for answer in answers]
        assert {type(problem) for problem in problems} == {DatabaseUnavailable}
        assert len({id(problem) for problem in problems}) == 3
        assert all("is not the one that was opened" in str(problem) for problem in problems)
    finally:
        database.close()


def test_units_come_first_served_in_groups_of_bounded_size(database, gate, writer):
    with together(gate, writer):
        units = [writer.submit(add(f"u{number:03}")) for number in range(2 * MOST_UNITS + 10)]
    for number, unit in enumerate(units):
        assert len(unit.result()) == number + 1
    assert gate.commits == 1 + 3
    assert len(names(database)) == len(units)


def test_a_slow_commit_does_not_starve_a_late_caller(gate, writer):
    """A caller that comes while others hand over unit after unit waits for two commits at most: theirs and its own."""
    turns = []
    with gate.closed():
        writer.submit(lambda _: None)
        assert gate.reached.wait(PATIENCE)
        greedy = [writer.submit(lambda _: turns.append("greedy")) for _ in range(20)]
        late = writer.submit(lambda _: turns.append("late") or gate.commits)
        greedy += [writer.submit(lambda _: turns.append("greedy")) for _ in range(200)]
    assert late.result() == 1
    for unit in greedy:
        unit.result()
    assert turns.index("late") == 20


def test_a_long_unit_ends_its_group(gate, writer, monkeypatch):
    monkeypatch.setattr(group_commit, "LONGEST_GROUP", 0.0)
    with together(gate, writer):
        units = [writer.submit(add(name)) for name in "abc"]
    for unit in units:
        unit.result()
    assert gate.commits == 1 + 3


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exit_raised_by_a_unit_reaches_its_caller_only(gate, writer, kind):
    def leave(_):
        raise kind

    with together(gate, writer):
        units = [writer.submit(leave), writer.submit(add("a"))]
    with pytest.raises(kind):
        units[0].result()
    assert units[1].result() == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pthread_kill")
def test_an_interrupted_caller_leaves_the_others_their_commits(database, gate, writer):
    main = threading.main_thread().ident

    def interrupt():
        eventually(lambda: sys._current_frames()[main].f_code is mine.result.__code__)
        signal.pthread_kill(main, signal.SIGINT)

    with ThreadPoolExecutor(2) as threads:
        with gate.closed():
            first = writer.submit(lambda _: None)
            assert gate.reached.wait(PATIENCE)
            mine, other = writer.submit(add("mine")), threads.submit(writer.submit(add("other")).result)
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal comes while it waits
                threads.submit(interrupt)
                mine.result()
        assert other.result(PATIENCE)
        first.result()
    assert names(database) == ["mine", "other"]


def test_a_transaction_within_a_transaction_is_refused(database):
    for inner in (database.transact, database.query):
        with pytest.raises(RuntimeError, match="inside of a transaction"):
            database.transact(lambda _, inner=inner: inner(names_in))
    assert database.transact(add("a")) == ["a"]


def test_a_unit_sees_the_context_of_its_caller(database):
    variable = ContextVar("variable", default="nowhere set")
    variable.set("of the caller")
    assert database.transact(lambda _: variable.get()) == "of the caller"
    assert database.transact(lambda _: variable.set("of the unit")) is not None
    assert variable.get() == "of the caller"


def test_closing_commits_what_was_handed_over_before(gate, database):
    writer = GroupCommit(gate.begin)
    with ThreadPoolExecutor(1) as threads, gate.closed():
        first = writer.submit(add("a"))
        assert gate.reached.wait(PATIENCE)
        second = writer.submit(add("b"))
        closing = threads.submit(writer.close)
        eventually(lambda: refuses(writer))
        assert not closing.done()
        gate.leave.set()
        closing.result(PATIENCE)
    assert (first.result(), second.result()) == (["a"], ["a", "b"])
    writer.close()
    assert names(database) == ["a", "b"]


def refuses(writer):
    try:
        writer.submit(lambda _: None)
    except DatabaseClosed:
        return True
    return False


NUMBERS = itertools.count()
STEPS = st.sampled_from(["add", "fail", "repeat", "end"])


class Fails(Exception):
    """Raised by a unit."""


@pytest.mark.parametrize("database", ["memory"], indirect=True)
@examples(1, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=5), st.booleans()), max_size=5))
def test_any_groups_leave_what_was_acknowledged_and_no_more(database, gate, writer, groups):
    expected = names(database)
    for steps, fails in groups:
        commits = "end" in steps or not fails  # after each end of a transaction comes one more group
        with together(gate, writer):
            gate.problems = [None, None if commits else DISK]
            done = [(step, name := f"{next(NUMBERS):06}", writer.submit(doing(step, name))) for step in steps]
        for step, name, unit in done:
            is_kept = commits and step in {"add", "repeat"}
            assert outcome(unit) == ("kept" if is_kept else Fails if step == "fail" else NotCommitted)
            expected.extend([name] * is_kept)
        assert names(database) == expected


def doing(step, name):
    def work(connection):
        add(name)(connection)
        if step == "fail":
            raise Fails
        if step == "repeat":
            with pytest.raises(IntegrityError):
                add(name)(connection)
        if step == "end":
            connection.exec_driver_sql("ROLLBACK")
        return "kept"

    return work


def outcome(unit):
    try:
        return unit.result()
    except (Fails, NotCommitted) as problem:
        return type(problem)


def test_many_threads_agree_with_a_model_of_one_counter(database):
    """Each acknowledged unit has added to the counter exactly once, on top of all that were before it."""
    database.transact(add("counter", b"0"))
    acknowledged = []
    counter = FACTS.c.name == "counter"

    def use(seed):
        luck = random.Random(seed)
        for _ in range(30):
            amount, fails = luck.randint(1, 9), luck.random() < 0.3

            def count(connection, amount=amount, fails=fails):
                before = int(connection.scalar(sa.select(FACTS.c.value).where(counter)))
                connection.execute(sa.update(FACTS).where(counter), {"value": str(before + amount).encode()})
                if fails:
                    raise Fails
                return before

            try:
                acknowledged.append((database.transact(count), amount))
            except Fails:
                assert fails

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(8)))
    total = 0
    for before, amount in sorted(acknowledged):
        assert before == total
        total += amount
    assert database.query(lambda connection: connection.scalar(sa.select(FACTS.c.value))) == str(total).encode()


ADDER = """
import sys, threading
import sqlalchemy as sa
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.tables import FACTS

database = Database(sys.argv[1])

def add(thread):
    for number in range(100_000):
        row = {"name": f"{thread}.{number}", "value": b""}
        database.transact(lambda connection: connection.execute(sa.insert(FACTS), row).rowcount)
        sys.stdout.write(row["name"] + "\\n")
        sys.stdout.flush()

for thread in range(8):
    threading.Thread(target=add, args=(thread,), daemon=True).start()
sys.stdin.read()
"""


@pytest.mark.parametrize("answers", [20, pytest.param(400, marks=pytest.mark.nightly)])
def test_what_a_killed_server_acknowledged_is_there(tmp_path, answers):
    url = f"sqlite:///{tmp_path / 'runbooks.db'}"
    with running([sys.executable, "-c", ADDER, url]) as process:
        acknowledged = [process.stdout.readline().strip() for _ in range(answers)]
        process.kill()
        rest = process.stdout.read()
    acknowledged += [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    database = Database(url)
    try:
        there = set(names(database))
    finally:
        database.close()
    assert set(acknowledged) <= there
    # of each thread one unit at most was kept without being acknowledged in time
    assert len(there) <= len(acknowledged) + 8
