"""The contract of a transport, as a test class over real sockets.

Subclass it in a test module, where pytest finds it:

    class TestMyTransport(TransportConformance):
        def make(self, **options):
            return MyTransport(**options)

`options` are any of `ssl_context`, `max_response_bytes`, `pool_size`, `max_connection_idle` and `max_connection_age`.
An async transport has the same tests and more in `AsyncTransportConformance`, which runs it on asyncio's event loop, or
on what `new_event_loop` returns. Transports that reach Unix-domain sockets also subclass `UnixSocketConformance`. Needs
pytest and trustme.

How long something takes is measured, and a busy machine takes longer: what is many seconds late fails with
`DeadlineMissed`.
"""

from ..._extras import needs_extra

with needs_extra("testing", __name__):
    from ._ages import Ages
    from ._cancellation import Cancellation
    from ._concurrency import Concurrency
    from ._connections import Connections
    from ._exchanges import Exchanges
    from ._hostility import Hostility
    from ._support import KEY, ONE_WILL_DO, PLENTY, DeadlineMissed, finishes_within, request_to, times_out
    from ._unix_sockets import UnixSockets

__all__ = [
    "KEY",
    "ONE_WILL_DO",
    "PLENTY",
    "AsyncTransportConformance",
    "DeadlineMissed",
    "TransportConformance",
    "UnixSocketConformance",
    "finishes_within",
    "request_to",
    "times_out",
]


class TransportConformance(Exchanges, Connections, Ages, Hostility):
    """Every promise of `airplane_runbooks.http.Transport`, tried on servers that keep none of theirs."""


class AsyncTransportConformance(Cancellation, Concurrency, Exchanges, Connections, Ages, Hostility):
    """Every promise of `airplane_runbooks.http.AsyncTransport`: the same, and that a cancelled send leaves nothing."""


class UnixSocketConformance(UnixSockets):
    """Every promise to origins that are Unix-domain sockets. It comes second, after one of the other classes."""
