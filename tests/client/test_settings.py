"""Settings from the environment, and the arguments that take precedence."""

from __future__ import annotations

import pytest

from airplane_runbooks import Airplane, ConfigurationError, Settings
from airplane_runbooks.testing import FakeTransport, json_response

VARIABLES = ("AIRPLANE_API_KEY", "AIRPLANE_API_HOST", "AIRPLANE_ENV_SLUG", "AIRPLANE_ENV_ID")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def sent_by(**arguments):
    """Return the one request that a client with these arguments sends."""
    transport = FakeTransport([json_response({"id": "run1", "status": "Active"})])
    with Airplane(transport=transport, **arguments) as airplane:
        airplane.runs.get("run1")
    return transport.requests[0]


@pytest.mark.parametrize("environ", [{}, dict.fromkeys(VARIABLES, "")])
def test_empty_variables_count_as_unset(environ):
    assert Settings.from_env(environ) == Settings()


def test_every_variable_is_read():
    settings = Settings.from_env(dict(zip(VARIABLES, ["tkn_1", "https://api.example", "prod", "env1"], strict=True)))

    assert settings.api_key.reveal() == "tkn_1"
    assert (settings.base_url, settings.env_slug, settings.env_id) == ("https://api.example/v0", "prod", "env1")
    assert "tkn_1" not in repr(settings)


def test_the_process_environment_is_read_by_default(monkeypatch):
    monkeypatch.setenv("AIRPLANE_ENV_SLUG", "stage")

    assert Settings.from_env().env_slug == "stage"
    assert Settings.from_env({}).env_slug is None


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("https://api.airplane.dev", "https://api.airplane.dev/v0"),
        ("https://api.airplane.dev/", "https://api.airplane.dev/v0"),
        ("https://api.airplane.dev/v0", "https://api.airplane.dev/v0"),
        ("https://api.airplane.dev/runbooks/v0/", "https://api.airplane.dev/runbooks/v0"),
        ("api.airplane.dev", "https://api.airplane.dev/v0"),
        ("api.airplane.dev:8443", "https://api.airplane.dev:8443/v0"),
        ("http://localhost:4000", "http://localhost:4000/v0"),
        ("localhost", "http://localhost/v0"),
        ("localhost:4000", "http://localhost:4000/v0"),
        ("127.0.0.1:4000", "http://127.0.0.1:4000/v0"),
        ("[::1]:4000", "http://[::1]:4000/v0"),
        ("192.168.1.4", "https://192.168.1.4/v0"),
        ("localhost.example", "https://localhost.example/v0"),
        (":4000", "https://:4000/v0"),
        ("http+unix://%2Frun%2Fa.sock", "http+unix://%2Frun%2Fa.sock/v0"),
    ],
)
def test_a_host_becomes_a_base_url(host, base_url):
    assert Settings.from_env({"AIRPLANE_API_HOST": host}).base_url == base_url


@pytest.mark.parametrize("host", ["[::1", "[not-an-address]"])
def test_a_host_that_is_none_is_refused(host):
    with pytest.raises(ConfigurationError, match="AIRPLANE_API_HOST is neither an origin nor a host name"):
        Settings.from_env({"AIRPLANE_API_HOST": host})


def test_without_a_key_there_is_no_client():
    with pytest.raises(ConfigurationError, match="no API key: pass api_key or set AIRPLANE_API_KEY"):
        Airplane(transport=FakeTransport([]))


def test_the_environment_goes_before_the_defaults(monkeypatch):
    for name, value in zip(VARIABLES, ["tkn_env", "https://env.example", "env-slug", ""], strict=True):
        monkeypatch.setenv(name, value)

    request = sent_by()

    assert request.url.startswith("https://env.example/v0/")
    assert request.headers["x-airplane-api-key"] == "tkn_env"
    assert request.headers["x-airplane-env-slug"] == "env-slug"


def test_an_argument_goes_before_the_environment(monkeypatch):
    for name, value in zip(VARIABLES, ["tkn_env", "https://env.example", "env-slug", "env-id"], strict=True):
        monkeypatch.setenv(name, value)

    request = sent_by(api_key="tkn_arg", base_url="https://arg.example/api", env_slug="arg-slug")

    assert request.url.startswith("https://arg.example/api/runs/get")
    assert request.headers["x-airplane-api-key"] == "tkn_arg"
    assert request.headers["x-airplane-env-slug"] == "arg-slug"
    assert "x-airplane-env-id" not in request.headers


def test_an_environment_by_id_drops_the_slug_of_the_process(monkeypatch):
    monkeypatch.setenv("AIRPLANE_ENV_SLUG", "env-slug")

    request = sent_by(api_key="tkn_1", env_id="arg-id")

    assert request.headers["x-airplane-env-id"] == "arg-id"
    assert "x-airplane-env-slug" not in request.headers


def test_the_default_is_the_hosted_service():
    assert sent_by(api_key="tkn_1").url == "https://api.airplane.dev/v0/runs/get?id=run1"


def test_settings_are_read_once(monkeypatch):
    monkeypatch.setenv("AIRPLANE_API_KEY", "tkn_first")
    transport = FakeTransport(lambda request: json_response({"id": "run1", "status": "Active"}))
    with Airplane(transport=transport) as airplane:
        monkeypatch.setenv("AIRPLANE_API_KEY", "tkn_second")
        airplane.runs.get("run1")

    assert transport.requests[0].headers["x-airplane-api-key"] == "tkn_first"
