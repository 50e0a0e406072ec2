"""A browser without a window for tests: it keeps cookies, and fills in and posts the forms of a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from msgspec.structs import replace

from tests.support.servers import PATIENCE


def disguise(monkeypatch, server, **changes):
    """Let the store of a server show sessions (`session`) and prompts (`prompt`) otherwise than they are."""
    store = server._lifecycle.services.store

    def changed(record):
        return changes.get(type(record).__name__.lower(), lambda unchanged: unchanged)(record)

    def disguised(read):
        def call(*args):
            found = read(*args)
            if isinstance(found, list):
                return list(map(changed, found))
            return tuple(map(changed, found)) if isinstance(found, tuple) else changed(found)

        return call

    for name in ("session", "sessions", "session_with_root", "prompt", "prompts", "prompt_with_session"):
        monkeypatch.setattr(store, name, disguised(getattr(store, name)))
    answer = type(store).answer
    monkeypatch.setattr(
        type(store),
        "answer",
        lambda one, prompt_id, decide, *args, **options: answer(
            one, prompt_id, lambda prompt, root: decide(changed(prompt), root), *args, **options
        ),
    )


def expired(prompt):
    """Return a prompt as if its time had run out, although the reconciler has not seen it yet."""
    return replace(prompt, expires_at=prompt.created_at)


class Form(HTMLParser):
    """The controls of the forms of a page, and what a browser would post of them untouched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.posted: list[tuple[str, str]] = []
        self.controls: dict[str, dict[str, Any]] = {}
        self._select: tuple[str, list[tuple[str, bool]]] | None = None
        self._area: tuple[str, str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        name = found.get("name", "")
        if tag in ("input", "textarea", "select"):
            self.controls.setdefault(name, {"tag": tag, **found})
        match tag, found.get("type"):
            case "input", "radio" | "checkbox":
                if "checked" in found:
                    self.posted.append((name, found["value"]))
            case "input", kind:
                assert not set(found.get("value", "")) & set("\0\r\n") or kind == "hidden"
                self.posted.append((name, found.get("value", "")))
            case "textarea", _:
                self._area = (name, "")
            case "select", _:
                self._select = (name, [])
            case "option", _:
                self._select[1].append((found["value"], "selected" in found))

    def handle_data(self, data):
        if self._area is not None:
            self._area = (self._area[0], self._area[1] + data)

    def handle_endtag(self, tag):
        if tag == "textarea":
            name, text = self._area
            assert not set(text) & set("\0\r")
            self.posted.append((name, text.removeprefix("\n").replace("\n", "\r\n")))
            self._area = None
        elif tag == "select":
            name, options = self._select
            chosen = [value for value, selected in options if selected] or [options[0][0]]
            self.posted.append((name, chosen[-1]))
            self._select = None

    def by_name(self) -> dict[str, list[str]]:
        together: dict[str, list[str]] = {}
        for name, value in self.posted:
            together.setdefault(name, []).append(value)
        return together


class Reply(NamedTuple):
    status: int
    text: str
    headers: Any

    @property
    def title(self):
        return re.search("<h1[^>]*>(.*?)</h1>", self.text, re.DOTALL)[1]

    @property
    def location(self):
        return self.headers["Location"]

    @property
    def form(self):
        return Form(self.text)

    def tokens(self):
        return dict.fromkeys(re.findall('name="token" value="([^"]*)"', self.text))


def filled(page, **fields):
    """Return what the browser sends of a form to start, with some of its fields changed."""
    posted = page.form.by_name()
    posted["token"] = posted["token"][-1:]  # the first one is that of the form to sign out
    return {**posted, **{name if name in posted else f"field-{name}": value for name, value in fields.items()}}


class Browser:
    """Visits the pages of a server, signed in with a key unless it is None."""

    def __init__(self, base_url, key=None):
        self.root = base_url.removesuffix("/v0")
        self.pool = urllib3.PoolManager(maxsize=4, retries=False, timeout=PATIENCE)
        self.cookie = ""
        if key is not None:
            assert self.sign_in(key).status == 303

    def send(self, method, path, body=None, **headers):
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        reply = self.pool.request(method, self.root + path, body=body, headers=headers, redirect=False)
        return Reply(reply.status, reply.data.decode(), reply.headers)

    def get(self, path, **headers):
        return self.send("GET", path, **headers)

    def post(self, path, fields, **headers):
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", path, urlencode(fields, doseq=True), **headers)

    def sign_in(self, key, **fields):
        reply = self.post("/sign-in", {"key": key, **fields})
        if "Set-Cookie" in reply.headers:
            self.cookie = reply.headers["Set-Cookie"].partition(";")[0]
        return reply

    def token(self, prompt_id):
        """Return the token of a prompt's form; the first on the page is the one to sign out."""
        return list(self.get(f"/prompts/{prompt_id}").tokens())[1]

    def answer(self, prompt_id, *, action="submit", **fields):
        named = {f"field-{slug}": value for slug, value in fields.items()}
        return self.post(f"/prompts/{prompt_id}", {"token": self.token(prompt_id), "action": action, **named})

    def close(self):
        self.pool.clear()
