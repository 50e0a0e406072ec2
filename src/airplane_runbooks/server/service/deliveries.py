"""Deliveries: show what could not be delivered, and send it again."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Conflict
from ..storage.records import Delivery
from .services import Caller, Services, check_operator

MOST_SHOWN = 100


def given_up(services: Services) -> Sequence[Delivery]:
    """Return what was given up, the latest first."""
    return services.deliverer.deliveries.given_up(MOST_SHOWN)


def waiting(services: Services) -> Sequence[Delivery]:
    """Return what is still to be sent, in the order of the next attempts."""
    return services.deliverer.deliveries.waiting(MOST_SHOWN)


def has_given_up(services: Services) -> bool:
    """Tell whether anything was given up, if this server has targets."""
    return bool(services.deliverer.targets and services.deliverer.deliveries.given_up(1))


def send_again(services: Services, delivery_id: str, caller: Caller) -> None:
    """Send what was given up again, on behalf of the server's operator. Raises Forbidden, Conflict."""
    check_operator(caller)
    if not services.deliverer.deliveries.send_again(delivery_id):
        raise Conflict("not_given_up", "the message is not among those that were given up, so nothing was changed")
    services.deliverer.hurry()
