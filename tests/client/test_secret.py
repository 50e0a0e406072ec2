"""The API key shows itself nowhere, not even in the traceback of its own refusal."""

from __future__ import annotations

import copy
import pickle
import traceback
from types import TracebackType

import msgspec
import pytest

from airplane_runbooks import Airplane, ConfigurationError, Secret, Settings
from airplane_runbooks.options import as_secret_source

KEY = "tkn_s3cr3t"
BAD_KEYS = [
    "tkn_s3cr3t\n",
    "tkn_s3cr3t\r\nX-Evil: 1",
    "tkn_s3cr3t\0",
    "tkn_s3cr3t-naïve",
    "tkn_s3cr3t\ud800",
    "tkn_s3cr3t\x7f",
]


def test_a_secret_reveals_itself_only_when_asked():
    assert Secret(KEY).reveal() == KEY


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        "{}".format,
        "{!s:>20}".format,
        ascii,
        lambda s: f"{s}",
        lambda s: f"{[s]}",
    ],
)
def test_a_secret_does_not_show_itself(show):
    assert KEY not in show(Secret(KEY))
    assert "Secret(***)" in show(Secret(KEY))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_does_not_pickle(protocol):
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        pickle.dumps(Secret(KEY), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_secret_is_not_copied(duplicate):
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        duplicate(Secret(KEY))


@pytest.mark.parametrize("look", [vars, dict, list, msgspec.json.encode, msgspec.to_builtins])
def test_a_secret_cannot_be_taken_apart(look):
    with pytest.raises(TypeError) as refused:
        look(Secret(KEY))

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "the API key is empty"),
        ("  ", "the API key is empty"),
        (None, "must be a string, not NoneType"),
        (b"tkn_1", "must be a string, not bytes"),
        (7, "must be a string, not int"),
        *((key, "has a character that no header can carry") for key in BAD_KEYS),
    ],
)
def test_what_cannot_be_a_key_is_refused(value, problem):
    with pytest.raises(ConfigurationError, match=problem):
        Secret(value)


def own_frames(failure: BaseException) -> TracebackType | None:
    """Return the traceback below the test itself, whose variables hold the key of course."""
    return failure.__traceback__.tb_next if failure.__traceback__ else None


REFUSALS = {
    "Secret": Secret,
    "a key": as_secret_source,
    "a callable": lambda key: as_secret_source(iter([key]).__next__)(),
    "the environment": lambda key: Settings.from_env(Shown(AIRPLANE_API_KEY=key)),
    "a client": Airplane,
}


class Shown(dict[str, str]):
    """An environment that shows all of itself, as the process's own does."""


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize("refuse", REFUSALS.values(), ids=REFUSALS)
def test_a_refused_key_is_not_in_the_traceback(refuse, key):
    with pytest.raises(ConfigurationError) as refused:
        refuse(key)

    frames = own_frames(refused.value)
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    shown = "".join(
        traceback.TracebackException(type(refused.value), refused.value, frames, capture_locals=True).format()
    )
    assert "options.py" in shown
    assert KEY not in shown


def test_a_key_of_the_environment_is_not_in_tracebacks():
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_env({"AIRPLANE_API_KEY": KEY, "AIRPLANE_API_HOST": "[::1"})

    frames = own_frames(refused.value)
    shown = "".join(
        traceback.TracebackException(type(refused.value), refused.value, frames, capture_locals=True).format()
    )
    assert "from_env" in shown
    assert KEY not in shown


def test_a_source_of_keys_is_a_callable_that_gives_secrets():
    secret = Secret(KEY)

    assert as_secret_source(KEY)().reveal() == KEY
    assert as_secret_source(secret)() is secret


def test_a_callable_is_asked_for_the_key_every_time():
    keys = iter(["tkn_1", "tkn_2"])
    source = as_secret_source(lambda: next(keys))

    assert [source().reveal(), source().reveal()] == ["tkn_1", "tkn_2"]


def test_a_source_of_keys_does_not_show_them():
    assert KEY not in repr(as_secret_source(KEY))
