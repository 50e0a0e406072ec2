"""The image and the unit of systemd that the documentation shows: their settings exist, and their commands run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from airplane_runbooks.server.configuration import all_settings
from tests.support.processes import running
from tests.support.reverse_proxies import EXAMPLES
from tests.support.timing import PATIENCE

CONTAINERFILE = (EXAMPLES / "Containerfile").read_text("utf-8").replace("\\\n", " ")
UNIT = (EXAMPLES / "airplane-runbooks.service").read_text("utf-8")
ENVIRONMENTS = {
    "image": dict(re.findall(r"\s([A-Z_]+)=(\S+)", re.search(r"^ENV (.*)$", CONTAINERFILE, re.MULTILINE)[0])),
    "unit": dict(re.findall(r"^Environment=([A-Z_]+)=(.*)$", UNIT, re.MULTILINE)),
}
PROGRAM = "/opt/runbooks/bin/airplane-runbooks"
NEEDS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def instructions(name):
    return re.findall(rf"^{name} (.*)$", CONTAINERFILE, re.MULTILINE)


def command_of(where):
    if where == "image":
        return [*json.loads(instructions("ENTRYPOINT")[0]), *json.loads(instructions("CMD")[-1])]
    return re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[1].split()


def prepared(tmp_path, where):
    """Make the files that an example expects, and return its environment with their places."""
    places = {"/data": "data", "/run/secrets": "secrets", "/var/lib/runbooks": "data", "%d": "secrets"}
    (tmp_path / "data").mkdir()
    (tmp_path / "secrets").mkdir()
    for name in ("api-key", "runbooks-api-key"):
        (tmp_path / "secrets" / name).write_text("tkn_5d41402abc4b2a76\n")
    (tmp_path / "runbooks.py").write_text(
        "from airplane_runbooks.server import task\n\n@task\ndef one() -> int:\n    return 1\n"
    )
    settings = json.dumps(ENVIRONMENTS[where])
    for place, folder in places.items():
        settings = settings.replace(place, str(tmp_path / folder))
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("AIRPLANE_")}
    return {**inherited, **json.loads(settings), "AIRPLANE_PORT": "0"}  # the one of the example may be taken


@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_the_variables_of_an_example_are_settings(where):
    known = {name for setting in all_settings() for name in (setting.variable, f"{setting.variable}_FILE")}

    assert ENVIRONMENTS[where]
    assert {name for name in ENVIRONMENTS[where] if name.startswith("AIRPLANE_")} <= known


def test_the_image_runs_without_privileges_and_holds_no_secret():
    assert instructions("USER") == ["10001:10001"]
    assert CONTAINERFILE.index("USER") > CONTAINERFILE.index("useradd --uid 10001")
    assert len(instructions("FROM")) == 2
    assert not {name for name in ENVIRONMENTS["image"] if name.endswith("_KEY")}


@pytest.mark.nightly
@NEEDS_SYSTEMD
def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path):
    unit = tmp_path / "airplane-runbooks.service"
    unit.write_text(UNIT.replace(PROGRAM, sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")

    audit = ["systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", unit]
    audited = subprocess.run(audit, capture_output=True, text=True, check=False)
    assert audited.returncode == 0, audited.stdout


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("where", ENVIRONMENTS)
def test_the_command_of_an_example_serves(where, tmp_path):
    environment = prepared(tmp_path, where)
    command = command_of(where)
    assert command[0] == PROGRAM
    program = [sys.executable, "-m", "airplane_runbooks"]
    program += [part.replace("/etc/runbooks", str(tmp_path)) for part in command[1:]]

    with running(program, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        url = process.stderr.readline().split()[2]
        pages = process.stderr.readline()
        if where == "image":
            check = json.loads(re.search(r"^HEALTHCHECK .*CMD (.*)$", CONTAINERFILE, re.MULTILINE)[1])
            check[0] = sys.executable
            check[-1] = check[-1].replace(":8080", f":{url.split(':')[2].split('/')[0]}")
            assert subprocess.run(check, check=False, timeout=PATIENCE).returncode == 0
        else:
            assert pages == "Pages: https://runbooks.example.com/tools/\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert (tmp_path / "data" / "runbooks.db").exists()
