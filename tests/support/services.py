"""Services around a store and an engine of a test's own."""

from __future__ import annotations

from airplane_runbooks.server.authoring.decorators import Registry, Runbook, Task
from airplane_runbooks.server.notifications import Notifications
from airplane_runbooks.server.observers.dispatch import Dispatcher
from airplane_runbooks.server.observers.emitter import Emitter
from airplane_runbooks.server.service.services import Services, UploadLimits


def services_around(store, engine):
    """Return services that serve no code and have no vault."""
    return Services(
        runbooks=Registry((), Runbook),
        tasks=Registry((), Task),
        environments=None,
        store=store,
        sign_outs=None,
        engine=engine,
        reserve=lambda run_id: None,
        interrupt=lambda run_id: None,
        vault=None,
        emitter=Emitter(Dispatcher([])),
        deliverer=None,
        notifications=Notifications(),
        states=None,
        server_id="test",
        upload_limits=UploadLimits(0, 0, 0),
    )
