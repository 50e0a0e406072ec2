"""Files among the values of commands: sent, or refused by the name of their parameter."""

from __future__ import annotations

import pytest

from airplane_runbooks import Airplane, ParamValueError, Upload
from airplane_runbooks.cli.files import send_files
from airplane_runbooks.server import Context, runbook
from tests.support.servers import started


@runbook
def imports(context: Context, file: Upload, more: list[Upload] | None = None, name: str = "") -> list[str]:
    return [file.open().read().decode(), name, *(one.name for one in more or ())]


@pytest.fixture(scope="module")
def airplane():
    with started(imports) as (server, _), Airplane(server.api_key, base_url=server.base_url) as airplane:
        yield airplane


@pytest.fixture(scope="module")
def schema(airplane):
    return airplane.runbooks.list()[0].parameters


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"text")
    return tmp_path / "a.txt"


def test_a_path_is_sent_and_what_is_none_is_left_alone(airplane, schema, path):
    values = {"file": f"@{path}", "more": [f"@{path}", f"@{path}"], "name": "@name"}
    sent = send_files(airplane, schema, values, "params")
    assert airplane.runbooks.run("imports", sent, wait_timeout=60) == ["text", "@name", "a.txt", "a.txt"]
    assert send_files(airplane, schema, {"file": "upl1"}, "params") == {"file": "upl1"}


def test_a_repeated_command_with_a_key_passes_the_same_uploads(airplane, schema, path):
    values = {"file": f"@{path}", "more": [f"@{path}", "upl1"]}
    first, again = (send_files(airplane, schema, values, "params", "key") for _ in range(2))
    assert first == again
    assert first["file"] != first["more"][0]


def test_a_file_that_is_not_there_names_its_parameter(airplane, schema, path):
    with pytest.raises(ParamValueError, match=r"params\.file: cannot read .*none: No such file"):
        send_files(airplane, schema, {"file": f"@{path}none"}, "params")
