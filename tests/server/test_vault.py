from __future__ import annotations

import stat
from hashlib import sha256

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server.vault import KEY_VARIABLE, Vault, VaultError, find_vault


@pytest.fixture(autouse=True)
def no_key_around(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def key():
    return Fernet.generate_key().decode()


@given(st.binary(max_size=200))
def test_what_is_sealed_comes_back_and_cannot_be_read_before(plain):
    vault = Vault([key()])
    sealed = vault.seal(plain)
    assert vault.open(sealed) == plain
    assert len(plain) < 8 or plain not in sealed


def test_an_old_key_still_opens_after_a_new_one_has_been_put_in_front():
    old, new = key(), key()
    sealed = Vault([old]).seal(b"x")
    assert Vault([new, old]).open(sealed) == b"x"
    with pytest.raises(VaultError, match="not here"):
        Vault([new]).open(sealed)
    with pytest.raises(VaultError):
        Vault([old]).open(Vault([new, old]).seal(b"x"))


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_digest_matches_its_own_data_alone(data, other):
    vault = Vault([key()])
    digest = vault.digest("fingerprint", data)
    assert digest == vault.digest("fingerprint", data)
    assert vault.matches(digest, "fingerprint", data) is True
    assert vault.matches(digest, "fingerprint", other) is (data == other)
    assert vault.matches(digest, "arguments", data) is False
    assert digest not in {Vault([key()]).digest("fingerprint", data), sha256(data).digest()}


def test_digests_of_an_old_key_count_and_those_of_a_key_that_is_gone_say_nothing():
    old, new = key(), key()
    digest = Vault([old]).digest("fingerprint", b"x")
    assert Vault([new, old]).matches(digest, "fingerprint", b"x") is True
    assert Vault([new, old]).matches(digest, "fingerprint", b"y") is False
    assert Vault([new]).matches(digest, "fingerprint", b"x") is None
    assert Vault([new]).matches(b"", "fingerprint", b"x") is None
    assert Vault([new, old]).digest("fingerprint", b"x") == Vault([new]).digest("fingerprint", b"x")


def test_a_spare_key_makes_digests_until_there_is_a_better_one():
    spare = bytes(32)
    without, later = Vault((), lambda: spare), Vault([key()], lambda: spare)
    digest = without.digest("fingerprint", b"x")
    assert later.matches(digest, "fingerprint", b"x") is True
    assert later.digest("fingerprint", b"x") != digest
    assert without.matches(later.digest("fingerprint", b"x"), "fingerprint", b"x") is None
    with pytest.raises(VaultError, match="encryption key"):
        without.seal(b"x")


def test_what_is_no_key_is_refused_without_being_shown():
    with pytest.raises(VaultError, match="32 random bytes") as problem:
        find_vault("s3cret but short", None)
    assert "s3cret" not in str(problem.value)
    assert problem.value.__suppress_context__


def test_a_database_file_gets_a_key_of_its_own_beside_it(tmp_path):
    database = tmp_path / "runbooks.db"
    sealed = find_vault(None, database).seal(b"x")
    assert find_vault(None, database).open(sealed) == b"x"
    (made,) = tmp_path.iterdir()
    assert made.name == "runbooks.db.key"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_a_key_that_is_given_wins_over_the_environment_and_that_over_the_file(tmp_path, monkeypatch):
    given_key, around = key(), key()
    find_vault(None, None).check()
    with pytest.raises(VaultError, match=KEY_VARIABLE):
        find_vault(None, None, lambda: bytes(32)).check()
    monkeypatch.setenv(KEY_VARIABLE, f"{around}, {key()}")
    assert Vault([around]).open(find_vault(None, tmp_path / "db").seal(b"x")) == b"x"
    assert Vault([given_key]).open(find_vault(given_key, None, lambda: bytes(32)).seal(b"x")) == b"x"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_shown_of_a_vault():
    assert repr(Vault([key()])) == "<Vault>"
