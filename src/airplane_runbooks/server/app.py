"""Puts the layers together: an ASGI application out of runbooks and tasks."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from starlette.applications import Starlette

from .authoring.catalog import Catalog
from .authoring.decorators import Registry, Runbook, Task
from .engine.interface import BACKLOG, Engine
from .engine.store_engine import StoreEngine
from .execution.capture import Capture
from .execution.runner import Runner
from .execution.watchdog import CANCELLED
from .observers.dispatch import Dispatcher
from .observers.emitter import Emitter
from .observers.logging import Logging
from .observers.metrics import Figures, Metrics
from .observers.tracing import Tracing
from .secrets.key_file import find_vault, try_keys
from .secrets.vault import Vault
from .service import prompts
from .service.config_variables import complete_variables
from .service.identity import Users
from .service.lifecycle import Lifecycle
from .service.services import Services, UploadLimits
from .service.workers import FreeWorkers
from .settings import Options, Settings
from .web.application import create_application
from .web.edge import allowed_host_names
from .web.proxies import ProxyHeaders, parse_proxies, parse_public_url

if TYPE_CHECKING:
    from .deliveries.deliverer import Deliverer
    from .storage.contact import Contact
    from .storage.database import Database
    from .storage.deliveries import Announcer

logger = logging.getLogger(__name__)


def create_app(
    runbooks: Iterable[Runbook[..., Any]],
    tasks: Iterable[Task[..., Any]] = (),
    *,
    api_key: str | Sequence[str],
    **options: Unpack[Options],
) -> Starlette:
    """Return an ASGI application with the API under `/v0` and the pages at `/`, for any ASGI server and for mounting.

    The options are those of `Settings`. The lifespan of the application starts and ends its background work. If the
    lifespan is never run, as in a mounted application, the first request starts that work, and it ends with the
    process. Several API keys are all valid, so that one can replace another. Set `public_url` if others can reach the
    server: the application cannot find that out. Raises TypeError for a function that is not decorated, ValueError for
    duplicate slugs or IDs, for an invalid API key or a short one together with a public URL, and for two users with the
    same key or email address, VaultError if an encryption key is invalid or missing, and DatabaseError if the database
    cannot be used.
    """
    settings = Settings(**options)
    users = Users(api_key, settings.users)
    proxy_headers = create_proxy_headers(settings)
    if proxy_headers.public is None:
        logger.warning(
            "create_app has no public_url: API keys may be short, and the attributes of cookies go by the request"
        )
    else:
        users.refuse_weak_keys("public_url says that others can reach the server")
    hosts = settings.allowed_hosts
    return create_application(
        create_lifecycle(runbooks, tasks, settings),
        users,
        limits=settings.limits,
        proxy_headers=proxy_headers,
        hosts=None if hosts is None else allowed_host_names([*hosts, *proxy_headers.hosts]),
        grace=settings.grace,
        access_log=settings.access_log,
    )


def create_proxy_headers(settings: Settings) -> ProxyHeaders:
    """Return the reader of proxies' headers. Raises TypeError, ValueError for an invalid URL or address."""
    public = None if settings.public_url is None else parse_public_url(settings.public_url)
    return ProxyHeaders(public, parse_proxies(settings.trusted_proxies))


def create_lifecycle(
    runbooks: Iterable[Runbook[..., Any]], tasks: Iterable[Task[..., Any]], settings: Settings
) -> Lifecycle:
    """Return the layers below the web: database, store, engine, services. Raises as `create_app` does."""
    from .storage.database import Database

    known = Registry(runbooks, Runbook), Registry(tasks, Task)
    database = Database(settings.database)
    try:
        return _create_lifecycle(*known, database, settings)
    except BaseException:
        database.close()
        raise


def _create_lifecycle(
    runbooks: Registry[Runbook[..., Any]], tasks: Registry[Task[..., Any]], database: Database, settings: Settings
) -> Lifecycle:
    from .engine.holding import Holding
    from .engine.reconciler import Reconciler
    from .storage.backups import hold_restored
    from .storage.census import count_sessions
    from .storage.contact import Contact
    from .storage.facts import settle_fact
    from .storage.holds import Holds
    from .storage.sign_outs import SqlSignOuts
    from .storage.sql_store import SqlStore
    from .storage.states import States

    vault = _create_vault(runbooks, tasks, database, settings)
    config_variables = complete_variables(settings.config_variables)
    if config_variables:
        vault.check()
    deliverer, announcer = _create_deliverer(runbooks, database, settings)
    contact = Contact()
    may_take_over = (lambda: contact.is_proven) if database.is_shared else (lambda: True)
    store = SqlStore(database, announcer=announcer, may_take_over=may_take_over)
    metrics = Metrics(database.dialect, settings.meter_provider)
    database.watch_commits(metrics.committed)
    emitter = Emitter(Dispatcher([Tracing(settings.tracer_provider), metrics, Logging()], settings.observers))
    if not database.is_shared:  # a file has one server, so any other that held a key has ended
        store.keys.free_all()
        store.end_leases()
    hold_restored(database)
    catalog = Catalog.of(runbooks.by_id.values(), tasks.by_id.values())
    notifications = database.notifications
    engine = _create_engine(database, settings.workers, catalog, contact, metrics)
    withdraw_figures = metrics.report(
        Figures(
            sessions=partial(count_sessions, database),
            deliveries=deliverer.deliveries.count if deliverer.targets else dict[str, int],
            busy=lambda: engine.busy,
            workers=settings.workers,
        )
    )
    holding = Holding(Holds(database), engine, catalog, emitter)
    runner = Runner(
        store,
        runbooks,
        tasks,
        emitter,
        vault=vault,
        workers=settings.workers,
        captures=settings.capture_logs,
        leave_or_hold=holding.leave_or_hold,
    )
    services = Services(
        runbooks=runbooks,
        tasks=tasks,
        environments=settings.environments,
        store=store,
        sign_outs=SqlSignOuts(database),
        engine=engine,
        reserve=FreeWorkers(engine, runner).reserve,
        interrupt=lambda run_id: notifications.publish(CANCELLED, [run_id]),
        vault=vault,
        emitter=emitter,
        deliverer=deliverer,
        notifications=notifications,
        states=States(database) if database.is_shared else None,
        server_id=settle_fact(database, "server_id", lambda: secrets.token_hex(4).encode()).decode(),
        config_variables=config_variables,
        upload_limits=UploadLimits(
            settings.limits.max_upload, settings.limits.max_uploads, settings.limits.max_uploads // 2
        ),
    )
    reconciler = Reconciler(
        store,
        engine,
        notifications,
        holding=holding,
        expire=partial(prompts.expire, services),
        keep_ended=settings.keep_ended,
        keep_for=settings.keep_for,
    )
    notifications.subscribe(CANCELLED, lambda run_ids: runner.interrupt(run_ids or ()))
    notifications.subscribe(BACKLOG, lambda _: reconciler.hurry() if engine.has_room else None)
    capture = Capture() if settings.capture_logs else None
    lifecycle = Lifecycle(services, runner=runner, reconciler=reconciler, database=database, capture=capture)
    lifecycle.at_stop(withdraw_figures)
    return lifecycle


def _create_deliverer(
    runbooks: Registry[Runbook[..., Any]], database: Database, settings: Settings
) -> tuple[Deliverer, Announcer | None]:
    """Return the deliverer, and the announcer if there is a target. Raises ValueError if two targets share a name."""
    from .deliveries.announcing import DeliveryAnnouncer
    from .deliveries.deliverer import Deliverer
    from .deliveries.targets import TargetsOfServer
    from .storage.deliveries import SqlDeliveries

    of_runbooks = {runbook.id: runbook.notify for runbook in runbooks.by_id.values()}
    targets = TargetsOfServer(tuple(settings.notify), of_runbooks)
    by_name = targets.by_name
    deliverer = Deliverer(SqlDeliveries(database), by_name, database.notifications, is_shared=database.is_shared)
    if not by_name:
        return deliverer, None
    public = None if settings.public_url is None else parse_public_url(settings.public_url)
    if public is None:
        logger.warning("notify is set without a public_url: the messages hold no links")
    return deliverer, DeliveryAnnouncer(targets, None if public is None else public.url)


def _create_vault(
    runbooks: Registry[Runbook[..., Any]], tasks: Registry[Task[..., Any]], database: Database, settings: Settings
) -> Vault:
    """Return the vault, and warn if it cannot open what unfinished sessions need.

    Raises VaultError if there is no encryption key, and a runbook or task has secret parameters, or a database in a
    file holds sealed values.
    """
    from .storage.sealed_values import sample_sealed_values

    sealed = sample_sealed_values(database)
    spare = _database_digest_key(database) if database.is_shared else None
    vault = find_vault(settings.encryption_key, database.path, spare, holds_sealed=sealed.holds_any)
    try_keys(vault, sealed.needed)
    items = (*runbooks.by_id.values(), *tasks.by_id.values())
    if any(parameter.secret for item in items for parameter in item.parameters):
        vault.check()
    return vault


def _database_digest_key(database: Database) -> Callable[[], bytes]:
    """Return a function that finds or makes the digest key in the database, for servers without an encryption key."""
    from .storage.facts import settle_fact

    return lambda: settle_fact(database, "digest_key", lambda: os.urandom(32))


def _create_engine(database: Database, workers: int, catalog: Catalog, contact: Contact, metrics: Metrics) -> Engine:
    """Return the engine: one of several if the database is shared."""
    if not database.is_shared:
        return StoreEngine(workers, on_taken=metrics.taken)
    from .engine.membership import Membership
    from .storage.ids import new_id

    membership = Membership(database.sqlalchemy_engine.url, new_id("srv"), catalog.announcement(), contact)
    tell = database.notifications.publish
    return StoreEngine(workers, membership, lambda job_id: tell(BACKLOG, [job_id]), metrics.taken)
