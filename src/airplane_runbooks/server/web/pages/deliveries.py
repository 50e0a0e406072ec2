"""Page of the messages to webhooks and Slack that could not be delivered, from where an operator sends them again."""

from __future__ import annotations

from ...service import deliveries as delivery_service
from ...service.services import Caller
from ...storage.ids import API_USER, new_seed
from . import signing
from .interface import PageContext, PageRequest, PageResponse, Redirect

_FORM = "deliveries"


def deliveries(context: PageContext, request: PageRequest) -> PageResponse:
    """List what was given up, and what is still to be sent."""
    values = {
        "given_up": delivery_service.given_up(context.services),
        "waiting": delivery_service.waiting(context.services),
        "most": delivery_service.MOST_SHOWN,
        "may_send": request.signed_in_user.id == API_USER,
        "token": signing.form_token(request.signed_in_user, _FORM),
    }
    return PageResponse("deliveries.html", values)


def send_again(context: PageContext, request: PageRequest) -> Redirect:
    """Send one again that was given up."""
    signing.check_form_token(request.signed_in_user, _FORM, request.field("token"))
    caller = Caller(request.signed_in_user, new_seed())
    delivery_service.send_again(context.services, request.field("delivery"), caller)
    return Redirect("/deliveries")
