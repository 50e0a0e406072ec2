"""Uploads: sent in bounded chunks, read by runbooks as files, and dropped with their sessions."""

from __future__ import annotations

import base64
import csv
import io
import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks import Airplane, Upload
from airplane_runbooks.server import AsyncContext, Context, Limits, User, runbook, task
from airplane_runbooks.server.errors import Conflict, NotFound, TooLarge
from airplane_runbooks.server.service.uploads import clean_name
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.ids import now
from airplane_runbooks.server.storage.records import Run, RunKind
from airplane_runbooks.server.storage.sql_store import SqlStore
from airplane_runbooks.server.storage.uploads import CHUNK
from airplane_runbooks.server.storage.uploads import Upload as Stored
from tests.support.servers import Answer, started

TABLE = b"name,age\nada,36\n"
LIMITS = Limits(max_upload=3 * CHUNK, max_uploads=40 * CHUNK)


def count_rows(file: Upload) -> int:
    with file.open() as contents:
        return len(list(csv.reader(io.TextIOWrapper(contents, "utf-8"))))


@runbook
def imports(context: Context, file: Upload, others: list[Upload] | None = None) -> dict[str, object]:
    rows = context.step(count_rows, file)
    answer = context.prompt("More?", more=Upload | None)
    more = answer["more"]
    read = "" if more is None else more.open().read().decode()
    return {"rows": rows, "name": file.name, "size": file.size, "others": len(others or ()), "more": read}


@runbook
async def digests(context: AsyncContext, files: dict[str, Upload]) -> dict[str, int]:
    return {name: await context.step(count_rows, file) for name, file in files.items()}


@task
def size_of(file: Upload) -> int:
    with file.open() as contents:
        contents.seek(-1, os.SEEK_END)
        return contents.tell() + len(contents.read())


@pytest.fixture(scope="module")
def server():
    users = [User("ada@example.com", "tkn_ada_and_more"), User("bob@example.com", "tkn_bob_and_more")]
    with started(imports, digests, tasks=[size_of], limits=LIMITS, users=users) as both:
        yield both


@pytest.fixture(scope="module")
def api(server):
    return server[1]


@pytest.fixture(scope="module")
def airplane(server):
    with Airplane(server[0].api_key, base_url=server[0].base_url) as airplane:
        yield airplane


def write(api, upload_id, offset, content):
    body = {"id": upload_id, "offset": offset, "content": base64.b64encode(content).decode()}
    reply = api.pool.request("POST", f"{api.url[:-3]}/ext/v0/uploads/write", json=body, headers=api.headers)
    return Answer(reply.status, reply.json(), reply.headers, reply.data)


def test_a_runbook_reads_an_upload_and_one_of_an_answer(api, airplane):
    file = airplane.uploads.create(TABLE, name="people.csv")
    session_id = airplane.runbooks.execute("imports", {"file": file, "others": [file, file]}).session_id
    more = airplane.uploads.create(b"more", name="more.txt")
    assert api.answer(session_id, more=more.id).status == 200
    result = airplane.sessions.wait(session_id, wait_timeout=60).output
    assert result == {"rows": 2, "name": "people.csv", "size": 16, "others": 2, "more": "more"}
    shown = api.session(session_id)["paramValues"]["file"]
    assert shown == {
        "__airplaneType": "upload",
        "id": file.id,
        "url": None,
        "fileName": "people.csv",
        "sizeBytes": 16,
    }


def test_an_async_runbook_reads_uploads_in_a_map(airplane):
    file = airplane.uploads.create(TABLE)
    assert airplane.runbooks.run("digests", {"files": {"a": file, "b": file.id}}, wait_timeout=60) == {"a": 2, "b": 2}


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_file_of_any_size_arrives_whole(api, airplane, size):
    content = os.urandom(size)
    upload = airplane.uploads.create(content)
    run = airplane.tasks.execute("size_of", {"file": upload})
    assert airplane.runs.wait(run.run_id, wait_timeout=60).status == "Succeeded"
    assert airplane.runs.get_outputs(run.run_id).output == size
    assert airplane.uploads.get(upload.id) == upload


@pytest.mark.parametrize("value", ["upl20260101zabcdefghij", {"__airplaneType": "upload", "id": "upl1"}])
def test_an_unknown_upload_is_refused_at_the_start(api, value):
    refused = api.post("/runbooks/execute", {"slug": "imports", "paramValues": {"file": value}})
    assert (refused.status, refused.code) == (400, "upload_not_found")
    assert refused.error.startswith("paramValues.file: ")


def test_an_upload_that_is_not_complete_is_refused(api):
    upload = api.post("/uploads/create", {"fileName": "a", "sizeBytes": 2}).json["upload"]
    refused = api.post("/runbooks/execute", {"slug": "imports", "paramValues": {"file": upload["id"]}})
    assert (refused.status, refused.code) == (400, "upload_not_found")


def test_an_unknown_upload_is_refused_in_an_answer(api, airplane):
    session_id = airplane.runbooks.execute("imports", {"file": airplane.uploads.create(TABLE)}).session_id
    refused = api.answer(session_id, more="upl1")
    assert (refused.status, refused.code) == (400, "upload_not_found")
    assert api.answer(session_id).status == 200


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(api):
    refused = api.post("/uploads/create", {"fileName": "a", "sizeBytes": 3 * CHUNK + 1})
    assert (refused.status, refused.code) == (413, "upload_too_large")


@pytest.mark.parametrize("body", [{}, {"sizeBytes": None}, {"sizeBytes": "1"}, {"sizeBytes": 1.5}, {"sizeBytes": -1}])
def test_a_size_that_is_none_is_refused(api, body):
    assert api.post("/uploads/create", body).status == 400


@pytest.mark.parametrize(
    ("offset", "content"), [(0, b"a"), (1, b"ab"), (0, b"abc"), (-CHUNK, b"ab"), (CHUNK, b"a"), (1 << 62, b"a")]
)
def test_a_chunk_that_is_not_the_next_one_is_refused(api, offset, content):
    upload = api.post("/uploads/create", {"fileName": "a", "sizeBytes": 2}).json["upload"]
    assert (write(api, upload["id"], offset, content)).code == "wrong_chunk"
    assert api.get("/uploads/get", id=upload["id"]).json["upload"]["receivedBytes"] == 0


def test_a_chunk_may_be_sent_again_and_changes_nothing(api):
    upload = api.post("/uploads/create", {"fileName": "a", "sizeBytes": 2}).json["upload"]
    assert write(api, upload["id"], 0, b"ab").json["upload"]["receivedBytes"] == 2
    assert write(api, upload["id"], 0, b"cd").json["upload"]["receivedBytes"] == 2


@pytest.mark.parametrize("headers", [{"X-Airplane-API-Key": "wrong"}, {"X-Airplane-API-Key": ""}])
def test_a_caller_without_a_key_can_send_nothing(api, headers):
    assert api.post("/uploads/create", {"fileName": "a", "sizeBytes": 1}, **headers).status == 401


def test_another_user_can_neither_write_nor_fill_the_room_of_all(server):
    _, api = server
    bob = {"X-Airplane-API-Key": "tkn_bob_and_more"}
    ada = {"X-Airplane-API-Key": "tkn_ada_and_more"}
    upload = api.post("/uploads/create", {"fileName": "a", "sizeBytes": 2}, **bob).json["upload"]
    assert write(api, upload["id"], 0, b"ab").status == 404
    full = [api.post("/uploads/create", {"fileName": "a", "sizeBytes": 3 * CHUNK}, **bob) for _ in range(7)][-1]
    assert (full.status, full.code) == (413, "uploads_full")
    assert api.post("/uploads/create", {"fileName": "a", "sizeBytes": 1}, **ada).status == 200


@given(st.text())
def test_any_name_becomes_one_that_can_be_shown_and_saved(name):
    made = clean_name(name)
    assert made == clean_name(made)
    assert 1 <= len(made) <= 200
    assert made.isprintable()
    assert made.encode()
    assert not set(made) & set('/\\"<>:|?*')
    assert made not in (".", "..")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("C:\\files\\a b.csv", "a b.csv"),
        ("../../etc/passwd", "passwd"),
        ("..", "file"),
        ("", "file"),
        ("a\r\nX-Header: b", "aX-Header b"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_a_name_keeps_what_people_know_it_by(name, made):
    assert clean_name(name) == made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request):
    url = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    yield SqlStore(database)
    database.close()


def keep(store, upload_id, content=b"ab", **fields):
    upload = Stored(id=upload_id, name="a", size=len(content), created_by="usr1", **fields)
    store.uploads.add(upload, 1 << 30, 1 << 30)
    return store.uploads.append(upload_id, 0, content, "usr1")


def begin(store, run_id):
    store.add(Run(id=run_id, kind=RunKind.TASK, task_id="tsk1", slug="s", name="n", env_slug="prod"))


def test_an_upload_goes_with_the_last_run_that_has_it(store):
    keep(store, "upl1")
    for run_id in ("run1", "run2"):
        begin(store, run_id)
        store.uploads.use(run_id, ["upl1", "upl1"])
    for run_id, left in (("run1", True), ("run2", False)):
        store.cancel(run_id, "usr1")
        assert [run.id for run in store.drop(0)] == [run_id]
        assert store.uploads.drop(now() - timedelta(days=1)) == (0 if left else 1)
        assert (store.uploads.find("upl1") is not None) is left
    assert store.uploads.chunk("upl1", 0) == b""


def test_an_upload_that_nothing_has_used_goes_when_it_is_old(store):
    keep(store, "upl1", created_at=now() - timedelta(days=2))
    keep(store, "upl2")
    assert store.uploads.drop(now() - timedelta(days=1)) == 1
    assert set(store.uploads.find_all(["upl1", "upl2"])) == {"upl2"}


def test_an_upload_that_is_gone_cannot_be_used(store):
    begin(store, "run1")
    with pytest.raises(NotFound):
        store.uploads.use("run1", ["upl1"])
    with pytest.raises(NotFound):
        store.uploads.append("upl1", 0, b"ab", "usr1")


def test_an_upload_is_added_once_and_counts_against_the_room(store):
    upload = Stored(id="upl1", name="a", size=10, created_by="usr1")
    assert store.uploads.add(upload, 5000, 5000) == store.uploads.add(upload, 5000, 5000)
    with pytest.raises(TooLarge, match="all files together"):
        store.uploads.add(Stored(id="upl2", name="a", size=0, created_by="usr2"), 5000, 5000)
    with pytest.raises(TooLarge, match="your files together"):
        store.uploads.add(Stored(id="upl2", name="a", size=0, created_by="usr1"), 50_000, 5000)


def test_chunks_are_kept_in_order_and_read_from_any_position(store):
    content = os.urandom(2 * CHUNK + 5)
    store.uploads.add(Stored(id="upl1", name="a", size=len(content), created_by="usr1"), 1 << 30, 1 << 30)
    with pytest.raises(Conflict):
        store.uploads.append("upl1", CHUNK, content[CHUNK : 2 * CHUNK], "usr1")
    for position in range(0, len(content), CHUNK):
        assert not store.uploads.find("upl1").is_complete
        store.uploads.append("upl1", position, content[position : position + CHUNK], "usr1")
    assert store.uploads.find("upl1").is_complete
    for position in (0, 7, CHUNK, 2 * CHUNK + 1, 2 * CHUNK + 5):
        rest = store.uploads.chunk("upl1", position)
        assert content[position:].startswith(rest)
        assert bool(rest) is (position < len(content))
