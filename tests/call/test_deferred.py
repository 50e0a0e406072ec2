"""The core of a client, which is built for the first call."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airplane_runbooks import Airplane, ConfigurationError
from airplane_runbooks._call.deferred import DeferredCore
from airplane_runbooks.testing import FakeTransport


def test_threads_that_need_the_core_at_once_share_one():
    barrier = threading.Barrier(4)

    def build():
        barrier.wait()
        return object()

    core = DeferredCore(build)  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: core.get(), range(4)))

    assert {id(each) for each in found} == {id(core.get())}


def test_a_core_cannot_be_pickled():
    with pytest.raises(TypeError, match="a client cannot be pickled"):
        pickle.dumps(DeferredCore(object))  # type: ignore[arg-type]


def test_clones_share_one_core():
    client = Airplane("tkn_1", transport=FakeTransport([]))
    clone = client.with_options(timeout=1)

    assert clone._runner.core is client._runner.core
    assert clone.runbooks is not client.runbooks


def test_a_clone_of_a_used_client_has_its_own_options():
    client = Airplane("tkn_1", transport=FakeTransport([]))
    used = client.runbooks
    clone = client.with_options(timeout=1)

    assert clone.runbooks is not used
    assert client._runner.options.timeout != 1
    assert clone._runner.options.timeout == 1


def test_an_option_that_cannot_work_is_refused_before_any_call():
    with pytest.raises(ConfigurationError, match="timeout"):
        Airplane("tkn_1", transport=FakeTransport([]), timeout=-1)


class Broken:
    def get_tracer(self, *_: object, **__: object):
        raise RuntimeError("no tracer")


def test_a_provider_that_cannot_work_is_found_when_it_is_given():
    with pytest.raises(RuntimeError, match="no tracer"):
        Airplane("tkn_1", transport=FakeTransport([]), tracer_provider=Broken())  # type: ignore[arg-type]
