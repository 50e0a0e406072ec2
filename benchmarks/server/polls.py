"""Many clients that wait for sessions by long polls, each on a connection of its own, as `Prefer: wait` asks for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from .processes import KEY, PATIENCE

WAIT = 30  # seconds for which each request asks to wait: as long as the server allows
STARTING = 100  # polls that are started at a time: until it waits, each counts as a connection of which there are fewer


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotApplied(Exception):
    """The server answers at once: it knows no long polls."""


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: str, etag: str | None) -> Answer:
    """Send one poll, and read its answer."""
    known = [] if etag is None else [f"If-None-Match: {etag}", f"Prefer: wait={WAIT}"]
    head = [f"GET /v0/sessions/get?id={session} HTTP/1.1", "Host: 127.0.0.1", f"X-Airplane-API-Key: {KEY}", *known]
    writer.write("\r\n".join([*head, "", ""]).encode())
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split()[1]), headers)


async def start(port: int, session: str, starting: asyncio.Semaphore) -> asyncio.Task[None]:
    """Let a poll wait for a session, and return the task that goes on with it. Raises NotApplied."""
    async with starting:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await ask(reader, writer, session, None)
        etag = answer.headers.get("etag")
        asked = asyncio.create_task(ask(reader, writer, session, etag))
        done, _ = await asyncio.wait([asked], timeout=1)
    if done:
        raise NotApplied(f"a poll was answered {asked.result().status} at once")
    return asyncio.create_task(go_on(port, (reader, writer), session, etag, asked))


async def go_on(port: int, connection: Connection, session: str, etag: str | None, asked: asyncio.Task[Answer]) -> None:
    """Poll again as soon as there is an answer; a bit later, on a new connection, if the server hangs up instead."""
    reader, writer = connection
    try:
        while True:
            try:
                answer = await asked
            except (asyncio.IncompleteReadError, ConnectionError):  # it lets few stay that do not wait
                answer = None
            if answer is None or answer.headers.get("connection") == "close":
                writer.close()
                await asyncio.sleep(0.5)
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            asked = asyncio.create_task(ask(reader, writer, session, etag))
    finally:
        writer.close()


@contextmanager
def polling(port: int, sessions: Sequence[str], count: int) -> Iterator[None]:
    """Keep so many polls waiting inside the context. Raises NotApplied, or the first error of a poll."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    polls = asyncio.run_coroutine_threadsafe(_start(port, sessions, count), loop)
    try:
        tasks = polls.result(10 * PATIENCE)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_stop(loop), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    if broken := [task for task in tasks if not task.cancelled() and task.exception()]:
        raise broken[0].exception() or AssertionError


async def _start(port: int, sessions: Sequence[str], count: int) -> list[asyncio.Task[None]]:
    starting = asyncio.Semaphore(STARTING)
    return await asyncio.gather(*(start(port, sessions[number % len(sessions)], starting) for number in range(count)))


async def _stop(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
