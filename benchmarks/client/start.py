"""Cold starts: new processes that import a client, build it, and make a first call, each after the others in rounds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from .canned import Endpoint
from .results import Measured, Times
from .rounds import Ended, Sizes

NOTHING = "bare Python"
MSGSPEC, PARTS, BARE, OURS = "msgspec", "msgspec, urllib3", "bare urllib3", "ours"
IMPORT_ONLY = "ours, imported only"
BUILT = "ours, client built"
SETTING = "import sys; base = f'http://127.0.0.1:{sys.argv[1]}'; "

IMPORTS = {
    NOTHING: "",
    MSGSPEC: "import msgspec",
    PARTS: "import msgspec, urllib3",
    IMPORT_ONLY: "import airplane_runbooks",
    BUILT: "from airplane_runbooks import Airplane; Airplane('tkn_benchmark', base_url='http://127.0.0.1:1/v0')",
    "httpx": "import httpx",
    "requests": "import requests",
    "aiohttp": "import aiohttp",
    "OpenAI's SDK": "import openai",
    "airplanesdk": "import airplane",
}
FIRST = {
    BARE: (
        "import msgspec, urllib3; pool = urllib3.HTTPConnectionPool('127.0.0.1', int(sys.argv[1]), timeout=30); "
        "body = msgspec.json.encode({'slug': 'hello_world', 'paramValues': {'limit': 20, 'name': 'ada'}}); "
        "msgspec.json.decode(pool.urlopen('POST', '/v0/runbooks/execute', body=body).data)"
    ),
    OURS: (
        "from airplane_runbooks import Airplane; airplane = Airplane('tkn_benchmark', base_url=base + '/v0'); "
        "airplane.runbooks.execute('hello_world', param_values={'limit': 20, 'name': 'ada'})"
    ),
    "httpx": "import httpx; httpx.Client(trust_env=False).post(base + '/v0/runbooks/execute', json={}).json()",
    "requests": "import requests; requests.Session().post(base + '/v0/runbooks/execute', json={}).json()",
    "OpenAI's SDK": (
        "from openai import OpenAI; OpenAI(api_key='tkn', base_url=base).post('/v0', cast_to=dict[str, str], body={})"
    ),
}


def imports(endpoint: Endpoint, sizes: Sizes) -> Measured:
    """Measure imports, beside those of msgspec and urllib3 and over what Python itself takes."""
    found = in_turn(IMPORTS, PARTS, endpoint, sizes)
    found.floor = NOTHING
    return found


def first_replies(endpoint: Endpoint, sizes: Sizes) -> Measured:
    """Measure whole processes from their start to the end after the first reply."""
    return in_turn({name: SETTING + script for name, script in FIRST.items()}, BARE, endpoint, sizes)


def in_turn(scripts: Mapping[str, str], reference: str, endpoint: Endpoint, sizes: Sizes) -> Measured:
    found = Measured(reference=reference)
    usable = {name: script for name, script in scripts.items() if taken(script, endpoint)}  # compiles their modules
    found.failed = {name: "cannot be run" for name in scripts if name not in usable}
    found.times = {name: Times() for name in usable}
    for _ in sizes.turns():
        for name, script in usable.items():
            if (figures := taken(script, endpoint)) is None:
                raise Ended(f"{name} failed")
            found.times[name].add(*figures)
    return found


def taken(script: str, endpoint: Endpoint) -> tuple[float, float] | None:
    """Return the seconds of wall time and of CPU of a process; None if it failed."""
    command = [sys.executable, "-c", script, str(endpoint.port)]
    # Modules are compiled once, as they are for users, even if this process must not keep them compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    return None if process.returncode else (wall, usage.ru_utime + usage.ru_stime)
