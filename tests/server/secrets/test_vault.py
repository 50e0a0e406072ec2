from __future__ import annotations

import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server.secrets.key_file import find_vault
from airplane_runbooks.server.secrets.vault import KEY_VARIABLE, Vault, VaultError


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


def test_an_old_key_opens_values_after_a_new_key_was_added():
    old, new = key(), key()
    sealed = Vault([old]).seal(b"x")
    assert Vault([new, old]).open(sealed) == b"x"
    with pytest.raises(VaultError, match="does not have"):
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


def test_digests_of_old_keys_count_but_not_of_removed_keys():
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


@pytest.fixture
def beside(tmp_path):
    """The key file of a database."""
    return tmp_path / "runbooks.db.key"


def found(beside):
    return find_vault(None, beside.with_suffix(""))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o777])
def test_a_key_file_that_is_open_to_others_is_refused_by_name(beside, mode):
    beside.write_text(key())
    beside.chmod(mode)
    with pytest.raises(VaultError, match=f"{beside} is open to others .{mode:o}.: chmod 600 {beside}"):
        found(beside)
    beside.chmod(0o400)
    assert found(beside).open(found(beside).seal(b"x")) == b"x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_file_of_another_user_is_refused_by_name(beside):
    beside.write_text(key())
    beside.chmod(0o600)
    os.chown(beside, 12345, -1)
    with pytest.raises(VaultError, match=f"{beside} belongs to user 12345"):
        found(beside)


@pytest.mark.parametrize(
    "content",
    ["", " \n", key()[:20], key() + "x" * 2000, "\xff\x00"],
    ids=["empty", "blank", "cut short", "too long", "no text"],
)
def test_a_key_file_that_a_crash_has_left_is_named_and_kept(beside, content):
    beside.write_bytes(content.encode("latin-1"))
    beside.chmod(0o600)
    with pytest.raises(VaultError, match=f"the key file {beside} (is empty|does not hold a whole key)") as refused:
        found(beside)
    assert key()[:20] not in str(refused.value)
    assert beside.read_bytes() == content.encode("latin-1")


def test_what_is_no_file_is_no_key_file(beside):
    os.mkfifo(beside)
    with pytest.raises(VaultError, match=f"{beside} is not a file"):
        found(beside)
    beside.unlink()
    beside.mkdir(mode=0o700)
    with pytest.raises(VaultError, match=f"cannot read the key file {beside}: Is a directory"):
        found(beside)


def test_a_key_file_may_be_a_link_to_one_that_is_private(beside, tmp_path):
    elsewhere = tmp_path / "mounted"
    beside.symlink_to(elsewhere)
    with pytest.raises(VaultError, match=f"cannot read the key file {beside}: No such file"):
        found(beside)
    elsewhere.write_text(key())
    elsewhere.chmod(0o644)
    with pytest.raises(VaultError, match="open to others"):
        found(beside)
    elsewhere.chmod(0o600)
    found(beside).check()


def test_a_key_is_written_whole_or_not_at_all(beside, monkeypatch):
    vault = found(beside)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(VaultError, match=f"cannot make the key file {beside}: No space left"):
            vault.seal(b"x")
    assert list(beside.parent.iterdir()) == []
    sealed = vault.seal(b"x")
    assert list(beside.parent.iterdir()) == [beside]
    assert found(beside).open(sealed) == b"x"


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_key_that_somebody_else_has_made_meanwhile_is_taken(beside):
    vaults = [found(beside) for _ in range(8)]
    barrier = threading.Barrier(len(vaults))

    def seal(vault):
        barrier.wait(100)
        return vault.seal(b"x")

    with ThreadPoolExecutor(len(vaults)) as threads:
        sealed = list(threads.map(seal, vaults))
    assert {found(beside).open(one) for one in sealed} == {b"x"}
    assert list(beside.parent.iterdir()) == [beside]
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600


def test_a_key_is_made_on_file_systems_without_hard_links_too(beside, monkeypatch):
    monkeypatch.setattr(os, "link", full_disk)
    sealed = found(beside).seal(b"x")
    assert found(beside).open(sealed) == b"x"
    assert list(beside.parent.iterdir()) == [beside]


def test_an_argument_precedes_the_environment_and_the_key_file(tmp_path, monkeypatch):
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
