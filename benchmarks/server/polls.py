"""Many clients that wait for sessions by long polls, each on a connection of its own, as `Prefer: wait` asks for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from .processes import KEY, PATIENCE

WAIT = 20  # seconds for which each request asks to wait


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


async def poll(port: int, session: str, waiting: asyncio.Queue[str | None]) -> None:
    """Poll a session again and again. Say that it waits, or that the server does not let it, in the queue."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answer = await ask(reader, writer, session, None)
        waits = asyncio.create_task(ask(reader, writer, session, answer.headers.get("etag")))
        done, _ = await asyncio.wait([waits], timeout=1)
        waiting.put_nowait(f"was answered {waits.result().status} at once" if done else None)
        while True:
            answer = await waits
            waits = asyncio.create_task(ask(reader, writer, session, answer.headers.get("etag")))
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
        tasks = polls.result(PATIENCE)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_stop(loop), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    if broken := [task for task in tasks if not task.cancelled() and task.exception()]:
        raise broken[0].exception() or AssertionError


async def _start(port: int, sessions: Sequence[str], count: int) -> list[asyncio.Task[None]]:
    waiting: asyncio.Queue[str | None] = asyncio.Queue()
    tasks = []
    for number in range(count):
        tasks.append(asyncio.create_task(poll(port, sessions[number % len(sessions)], waiting)))
        if number % 50 == 49:
            await asyncio.sleep(0.05)  # so that not all of them connect in one moment
    for _ in tasks:
        if problem := await asyncio.wait_for(waiting.get(), PATIENCE):
            raise NotApplied(f"a poll {problem}")
    return tasks


async def _stop(loop: asyncio.AbstractEventLoop) -> None:
    others = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
