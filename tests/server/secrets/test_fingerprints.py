"""Fingerprints of calls and API keys in the database cannot be guessed by trying."""

from __future__ import annotations

import time
from hashlib import sha256

import msgspec
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from airplane_runbooks.server import Context, RunbookServer, User, runbook
from airplane_runbooks.server.secrets.vault import KEY_VARIABLE
from airplane_runbooks.server.storage.database import Database
from airplane_runbooks.server.storage.tables import FACTS, KEYS
from tests.support.servers import Client

WEAK_KEY = "tkn_1234"


@runbook
def unlock(context: Context, pin: str) -> None:
    """Take a number that is easily found by trying."""


@pytest.fixture(autouse=True)
def no_key_around(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    """A database that outlives its server."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else f"sqlite:///{tmp_path / 'k.db'}"


def unlocked(url, pin="471100", api_key=WEAK_KEY, **options):
    """Start a server, and call it once."""
    with RunbookServer([unlock], database=url, api_key=api_key, **options) as server:
        api = Client(server)
        answer = api.send("POST", "/runbooks/execute", body=body(pin), headers={"Idempotency-Key": "k"})
        api.close()
        return answer


def body(pin):
    return msgspec.json.encode({"slug": "unlock", "paramValues": {"pin": pin}})


def former(pin):
    """Return the records of a call and of its key in version 1 of the database."""
    chosen = msgspec.json.encode(["/v0/runbooks/execute", [None, None, None]])
    return f"{sha256(WEAK_KEY.encode()).hexdigest()[:16]}:k", sha256(chosen + body(pin)).digest()


def rows(url):
    database = Database(url)
    try:
        with database.read() as connection:
            return list(connection.execute(sa.select(KEYS)))
    finally:
        database.close()


def test_neither_a_call_nor_an_api_key_can_be_found_by_trying(url):
    assert unlocked(url).status == 200
    (row,) = rows(url)
    name, fingerprint = former("471100")
    assert fingerprint not in row.fingerprint
    assert row.fingerprint not in fingerprint
    assert not any(part in row.key for part in (name[:8], sha256(WEAK_KEY.encode()).hexdigest()[:8]))


def test_a_key_from_before_the_upgrade_is_honoured_for_its_hour(url):
    unlocked(url)
    name, fingerprint = former("471100")
    kept = {"seed": "s", "leased": 0.0, "status": 200, "body": b'{"sessionID":"before"}', "fingerprint": fingerprint}

    def put(age):
        database = Database(url)
        with database.write() as connection:
            connection.execute(sa.delete(KEYS))
            connection.execute(sa.insert(KEYS), {"key": name, "since": time.time() - age, **kept})
        database.close()

    put(age=60)
    assert unlocked(url).json == {"sessionID": "before"}
    assert unlocked(url).json == {"sessionID": "before"}
    assert unlocked(url, "471101").code == "idempotency_key_reused"
    put(age=3601)
    assert unlocked(url).json != {"sessionID": "before"}


def test_a_call_is_recognised_after_a_change_of_encryption_keys(url):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    first = unlocked(url, encryption_key=old)
    assert unlocked(url, encryption_key=f"{new},{old}").body == first.body
    assert unlocked(url, "471101", encryption_key=f"{new},{old}").status == 409
    assert len(rows(url)) == 1


def test_idempotency_keys_belong_to_the_user_of_any_api_key(url):
    first = unlocked(url)
    assert unlocked(url, api_key="tkn_anew").body == first.body
    ada = User("ada@example.com", "tkn_ada")
    with RunbookServer([unlock], database=url, api_key=WEAK_KEY, users=[ada]) as server:
        api = Client(server, **{"X-Airplane-API-Key": "tkn_ada"})
        answer = api.send("POST", "/runbooks/execute", body=body("471100"), headers={"Idempotency-Key": "k"})
        assert answer.json != first.json
        api.close()


@pytest.mark.postgres
def test_servers_without_an_encryption_key_share_one_for_digests(postgres_url):
    first = unlocked(postgres_url)
    database = Database(postgres_url)
    with database.read() as connection:
        key = connection.scalar(sa.select(FACTS.c.value).where(FACTS.c.name == "digest_key"))
    database.close()
    assert len(key) == 32
    assert unlocked(postgres_url).body == first.body
    assert unlocked(postgres_url, encryption_key=Fernet.generate_key().decode()).body == first.body
