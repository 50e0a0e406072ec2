"""Uses what an installation with some extras has, and what it lacks: `python try_extras.py server cli`.

`nox -s extras` runs it in an empty environment, with the wheel and these extras alone.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from airplane_runbooks import Airplane
from airplane_runbooks.testing import FakeTransport, json_response

COMMAND = Path(sysconfig.get_path("scripts"), "airplane-runbooks")
NOWHERE = "postgresql://127.0.0.1:1/runbooks?connect_timeout=2"
CONTAINED = {"postgres": {"server", "postgres"}}


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [COMMAND, *words], env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=120
    )


def advice(extra: str) -> str:
    """Return the sentence that tells users to install an extra."""
    return f"needs the extra `{extra}`: pip install 'airplane-runbooks[{extra}]'"


def use_core() -> None:
    """Make a call, without any extra."""
    with Airplane("tkn_test", transport=FakeTransport([json_response({"sessionID": "ses1"})])) as airplane:
        assert airplane.runbooks.execute("refund").session_id == "ses1"


def use_server() -> None:
    """Serve a runbook from memory, and run it over a socket."""
    from airplane_runbooks.server import Context, RunbookServer, runbook

    @runbook
    def greet(context: Context, name: str) -> str:
        return context.step(str.title, name, name="capitalise")

    with RunbookServer([greet]) as server, Airplane(server.api_key, base_url=server.base_url) as airplane:
        assert airplane.runbooks.run("greet", {"name": "ada"}, wait_timeout=60) == "Ada"
        if "cli" in EXTRAS:
            env = {"AIRPLANE_API_KEY": server.api_key, "AIRPLANE_API_HOST": server.base_url}
            result = run("execute", "greet", "--param", "name=ada", "--wait", "--json", **env)
            assert '"Ada"' in result.stdout, result


def open_postgres() -> None:
    """Look for a PostgreSQL where there is none, which takes the driver."""
    from airplane_runbooks.server import RunbookServer

    RunbookServer([], database=NOWHERE).start().close()


def use_postgres() -> None:
    """Get as far as the driver, which finds no database."""
    from airplane_runbooks.server.storage.errors import DatabaseUnavailable

    try:
        open_postgres()
    except DatabaseUnavailable as unavailable:
        sys.stdout.write(f"{unavailable}\n")
    else:
        raise AssertionError("a server has started without its database")


def use_testing() -> None:
    """Run a part of the conformance test on the transport that is the default."""
    module = (
        "from airplane_runbooks.transports.urllib3 import Urllib3Transport\n"
        "from airplane_runbooks.testing.conformance import TransportConformance\n"
        "class TestIt(TransportConformance):\n"
        "    def make(self, **options):\n"
        "        return Urllib3Transport(**options)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test_it.py")
        path.write_text(module, "utf-8")
        options = ("-c", os.devnull, "--rootdir", folder, "-p", "no:cacheprovider", "-q", "-k", "status or header")
        assert subprocess.run((sys.executable, "-m", "pytest", *options, path), check=False).returncode == 0


def use_cli() -> None:
    """Ask the command line for its help."""
    result = run("--help")
    assert "execute" in result.stdout, result


def import_conformance() -> None:
    """Import what the extra `testing` is for."""
    import airplane_runbooks.testing.conformance  # noqa: F401  # to be imported is what is tried


def import_server() -> None:
    """Import what the extra `server` is for."""
    import airplane_runbooks.server  # noqa: F401  # likewise


def start_command() -> None:
    """Start the command line, and raise what it says if it has not what it needs."""
    result = run("--help")
    if result.returncode == 2:
        raise ModuleNotFoundError(result.stderr)


USES: dict[str, Callable[[], None]] = {
    "server": use_server,
    "postgres": use_postgres,
    "testing": use_testing,
    "cli": use_cli,
}
WITHOUT: dict[str, Callable[[], None]] = {
    "server": import_server,
    "postgres": open_postgres,
    "testing": import_conformance,
    "cli": start_command,
}

EXTRAS = {one for name in sys.argv[1:] for one in CONTAINED.get(name, {name})}

use_core()
for name, use in USES.items():
    if name in EXTRAS:
        use()
    elif name != "postgres" or "server" in EXTRAS:
        try:
            WITHOUT[name]()
        except ModuleNotFoundError as missing:
            assert advice(name) in str(missing), missing  # noqa: PT017  # there is no pytest here
        else:
            raise AssertionError(f"{name} works without its extra")
if "cli" in EXTRAS and "server" not in EXTRAS:
    refused = run("serve", "runbooks")
    assert refused.returncode != 0, refused
    assert advice("server") in refused.stderr, refused
sys.stdout.write(f"with {', '.join(sorted(EXTRAS)) or 'no extra'}: everything works, and what is missing is named\n")
