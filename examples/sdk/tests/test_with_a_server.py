"""The SDK against the real runbooks, over sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import shop
from acme_ops import Ops, OpsFailed, OpsPending, OpsRefused, OpsUnavailable, Receipt

from airplane_runbooks import Airplane
from airplane_runbooks.server import RunbookServer

APPROVED = {"approve": True}


@pytest.fixture
def server(airplane_server: Callable[..., RunbookServer]) -> RunbookServer:
    return airplane_server(shop.refund, shop.open_invoices)


@pytest.fixture
def ops(server: RunbookServer) -> Iterator[Ops]:
    with Ops.connect("billing", server.api_key, base_url=server.base_url) as ops:
        yield ops


def test_a_refund_returns_its_receipt(ops: Ops) -> None:
    assert ops.refund("ada@example.com", 1290) == Receipt(id="rfd_1", customer="ada@example.com", cents=1290)


def test_a_parameter_goes_by_the_name_that_the_runbook_has(ops: Ops) -> None:
    assert ops.open_invoices("ada@example.com", at_most=2) == ["inv_1", "inv_2"]
    assert ops.open_invoices("ada@example.com") == ["inv_1", "inv_2", "inv_3"]


def test_a_failed_step_is_named(ops: Ops) -> None:
    with pytest.raises(OpsFailed, match=r"in step 'pay': LookupError: bob@example\.com is not") as caught:
        ops.refund("bob@example.com", 1290)
    assert caught.value.job is not None
    assert caught.value.may_have_happened


def test_a_value_that_the_runbook_does_not_take_is_refused(ops: Ops) -> None:
    with pytest.raises(OpsRefused, match="customer") as caught:
        ops.refund("ada", 1290)
    assert caught.value.job is None
    assert not caught.value.may_have_happened


def begin(ops: Ops, request_id: str, wait: float = 0.5) -> str:
    """Begin a refund that needs an approval. Return the ID of its job."""
    try:
        ops.refund("ada@example.com", 20_000, wait=wait, request_id=request_id)
    except OpsPending as error:
        return str(error.job)
    except OpsUnavailable:  # a busy machine did not get far
        return begin(ops, request_id, 2 * wait)
    raise AssertionError("a refund of this size needs an approval")


def test_a_refund_that_waits_for_approval_is_pending(ops: Ops, server: RunbookServer) -> None:
    job = begin(ops, "order-1")

    with Airplane(server.api_key, base_url=server.base_url) as reviewer:
        prompts = reviewer.sessions.prompts(job)
        while not prompts:
            prompts = reviewer.sessions.prompts(job)
        reviewer.prompts.submit(prompts[0].id, APPROVED)

    assert ops.receipt(job).cents == 20_000
    assert ops.refund("ada@example.com", 20_000, request_id="order-1") == ops.receipt(job), "it happened only once"


def test_a_server_that_is_gone_is_unavailable(ops: Ops, server: RunbookServer) -> None:
    server.close()
    with pytest.raises(OpsUnavailable) as caught:
        ops.refund("ada@example.com", 1290, wait=1)
    assert not caught.value.may_have_happened
