"""The same call on an event loop: each factory returns a function that makes it once, and one that closes its client.

The number is that of the calls in flight at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .canned import Endpoint
from .contenders import BODY, HEADERS, KEY, PATH, ROUTE, VALUES, request_bytes

AsyncCall = Callable[[], Awaitable[object]]
AsyncMake = Callable[[Endpoint, int], Awaitable[AsyncCall]]


async def raw_streams(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """Streams of asyncio, bytes made beforehand, nothing parsed: the floor."""
    request = request_bytes()
    context = endpoint.context() if endpoint.ca else None
    free = [await asyncio.open_connection("127.0.0.1", endpoint.port, ssl=context) for _ in range(in_flight)]

    async def call() -> object:
        reader, writer = free.pop()
        writer.write(request)
        reply = await reader.read(16384)
        free.append((reader, writer))
        return reply

    return call


async def bare_aiohttp(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """The least that one can do with aiohttp: a session, a timeout, and msgspec for the two bodies."""
    import aiohttp
    import msgspec

    from airplane_runbooks.models import StartedSession

    session = aiohttp.ClientSession(
        endpoint.origin,
        connector=aiohttp.TCPConnector(limit=in_flight, ssl=endpoint.context() if endpoint.ca else True),
        timeout=aiohttp.ClientTimeout(total=120),
        headers=HEADERS,
    )
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(StartedSession).decode

    async def call() -> object:
        async with session.post(PATH, data=encode(BODY)) as response:
            return decode(await response.read())

    return call


async def ours(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """`AsyncAirplane.runbooks.execute` with everything it does, on its default transport."""
    from airplane_runbooks.transports.asyncio import AsyncioTransport

    del in_flight  # no more of them wait for a connection than there are connections
    return executing(endpoint, AsyncioTransport(ssl_context=endpoint.context()) if endpoint.ca else None)


async def ours_on_threads(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """The same over the sync transport on threads."""
    from airplane_runbooks.transports.threaded import ThreadedTransport
    from airplane_runbooks.transports.urllib3 import Urllib3Transport

    del in_flight
    inner = Urllib3Transport(ssl_context=endpoint.context()) if endpoint.ca else None
    return executing(endpoint, ThreadedTransport(inner))


def executing(endpoint: Endpoint, transport: Any) -> AsyncCall:
    from airplane_runbooks import AsyncAirplane

    airplane = AsyncAirplane(KEY, base_url=f"{endpoint.origin}/v0", transport=transport)

    async def call() -> object:
        return await airplane.runbooks.execute("hello_world", param_values=VALUES)

    return call


async def httpx_client(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """Httpx's async client with its own JSON."""
    import httpx

    client = httpx.AsyncClient(
        base_url=endpoint.origin,
        timeout=30.0,
        headers=HEADERS,
        trust_env=False,
        verify=endpoint.context() if endpoint.ca else True,
        limits=httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
    )

    async def call() -> object:
        return (await client.post(PATH, json=BODY)).json()["sessionID"]

    return call


async def pyreqwest_client(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """Pyreqwest's async client, written in Rust, with its own JSON."""
    from pyreqwest.client import ClientBuilder

    builder = ClientBuilder().default_headers(HEADERS).max_connections(in_flight)
    client = (builder.add_root_certificate_pem(endpoint.certificate()) if endpoint.ca else builder).build()
    url = f"{endpoint.origin}{PATH}"

    async def call() -> object:
        response = await client.post(url).body_json(BODY).build().send()
        return (await response.json())["sessionID"]

    return call


async def elastic(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """The async transport of Elasticsearch's clients, on aiohttp."""
    from elastic_transport import AsyncTransport, NodeConfig

    node = NodeConfig(
        scheme="https" if endpoint.ca else "http",
        host="127.0.0.1",
        port=endpoint.port,
        ca_certs=endpoint.ca or None,
        connections_per_node=in_flight,
    )
    transport = AsyncTransport([node])

    async def call() -> object:
        reply = await transport.perform_request("POST", PATH, body=BODY, headers=HEADERS, request_timeout=30)
        return reply.body["sessionID"]

    return call


async def openai_sdk(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """The async SDK of OpenAI, which Stainless generates: its call to a path of one's choice."""
    import httpx
    from openai import AsyncOpenAI

    del in_flight  # it allows a thousand
    http = httpx.AsyncClient(verify=endpoint.context()) if endpoint.ca else None
    client = AsyncOpenAI(api_key=KEY, base_url=f"{endpoint.origin}/v0", http_client=http)

    async def call() -> object:
        return (await client.post(ROUTE, cast_to=dict[str, Any], body=BODY))["sessionID"]

    return call


async def azure(endpoint: Endpoint, in_flight: int) -> AsyncCall:
    """The async pipeline of Azure's clients on aiohttp, with the policies that they begin with."""
    from azure.core import AsyncPipelineClient
    from azure.core.pipeline.policies import AsyncRetryPolicy
    from azure.core.rest import HttpRequest

    from .peers import azure_policies

    del in_flight  # it allows a hundred
    options = {"connection_verify": endpoint.ca} if endpoint.ca else {}
    client = AsyncPipelineClient(endpoint.origin, policies=azure_policies(AsyncRetryPolicy()), **options)
    url = f"{endpoint.origin}{PATH}"

    async def call() -> object:
        return (await client.send_request(HttpRequest("POST", url, json=BODY))).json()["sessionID"]

    return call
