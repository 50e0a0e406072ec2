"""Settings read from options, from variables of the environment, and from files with secrets."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import msgspec
import pytest

from airplane_runbooks.server import Limits, RunbookServer, Slack, Webhook, create_app, options_from_environment
from airplane_runbooks.server.configuration import SERVED, all_settings, read_settings
from airplane_runbooks.server.settings import Listener, Options, Settings
from airplane_runbooks.webhooks import EventType
from tests.support.receivers import SECRET

KEY = "tkn_5d41402abc4b2a76"
OBJECTS_OF_PYTHON = {"tracer_provider", "meter_provider", "observers"}
TEXTS = {
    "host": ("::1", "::1"),
    "port": ("0", 0),
    "api_key": (f"{KEY}\ntkn_of_the_second_line\n", [KEY, "tkn_of_the_second_line"]),
    "database": ("sqlite:///a.db", "sqlite:///a.db"),
    "encryption_key": (" abc\n", "abc"),
    "environments": ("prod, dev", ["prod", "dev"]),
    "workers": ("3", 3),
    "grace": ("0.5", 0.5),
    "keep_ended": ("0", 0),
    "keep_for": ("30d", timedelta(days=30)),
    "allowed_hosts": ("a.example b.example", ["a.example", "b.example"]),
    "public_url": ("https://a.example/tools", "https://a.example/tools"),
    "trusted_proxies": ("127.0.0.1,10.0.0.0/8", ["127.0.0.1", "10.0.0.0/8"]),
    "capture_logs": ("false", False),
    "access_log": ("TRUE", True),
}


def test_every_field_of_the_structs_is_a_setting_once():
    names = [setting.name for setting in all_settings()]
    fields = [field.name for group in (Listener, Settings, Limits) for field in msgspec.structs.fields(group)]

    assert sorted(names) == sorted({*fields} - {"limits"})
    assert set(Options.__annotations__) == {field.name for field in msgspec.structs.fields(Settings)}


def test_every_setting_but_objects_of_python_can_be_a_text():
    assert {setting.name for setting in all_settings() if setting.kind is None} == OBJECTS_OF_PYTHON
    assert set(SERVED) <= {setting.name for setting in all_settings()}


@pytest.mark.parametrize("name", TEXTS)
def test_a_setting_is_read_from_its_variable_and_its_option(name):
    text, value = TEXTS[name]

    assert read_settings({f"AIRPLANE_{name.upper()}": text}) == {name: value}
    assert read_settings({}, {name: text}) == {name: value}


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Limits)])
def test_a_limit_is_read_from_its_variable_and_its_option(name):
    found = read_settings({f"AIRPLANE_{name.upper()}": "7", "AIRPLANE_MAX_HEAD": "9"}, {"max_head": "8"})

    assert found == {"limits": msgspec.structs.replace(Limits(max_head=8), **({} if name == "max_head" else {name: 7}))}


def test_options_take_precedence_over_variables():
    assert read_settings({"AIRPLANE_PORT": "1"}, {"port": "2"}) == {"port": 2}


def test_an_empty_variable_counts_as_not_set():
    assert read_settings({setting.variable: "" for setting in all_settings()}) == {}


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("AIRPLANE_PORT", "80x", "AIRPLANE_PORT must be a whole number from 0 to 65535, not '80x'"),
        ("AIRPLANE_PORT", "65536", "AIRPLANE_PORT: port must be a whole number from 0 to 65535, not 65536"),
        ("AIRPLANE_WORKERS", "0", "AIRPLANE_WORKERS: workers must be a whole number of at least 1, not 0"),
        ("AIRPLANE_WORKERS", "1.5", "AIRPLANE_WORKERS must be a whole number of at least 1, not '1.5'"),
        ("AIRPLANE_GRACE", "inf", "AIRPLANE_GRACE: grace must be a number of at least 0, not inf"),
        ("AIRPLANE_BODY_TIMEOUT", "0", "AIRPLANE_BODY_TIMEOUT: body_timeout must be a number greater than 0, not 0.0"),
        ("AIRPLANE_KEEP_FOR", "30", "AIRPLANE_KEEP_FOR must be a duration such as 30d, 12h, 45m or 10s, not '30'"),
        ("AIRPLANE_CAPTURE_LOGS", "maybe", "AIRPLANE_CAPTURE_LOGS must be true or false, not 'maybe'"),
        ("AIRPLANE_PUBLIC_URL", "a.example", "AIRPLANE_PUBLIC_URL: public_url must be the URL"),
        ("AIRPLANE_TRUSTED_PROXIES", "proxy", "AIRPLANE_TRUSTED_PROXIES: trusted_proxies: 'proxy' does not appear"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_variable(variable, text, message):
    with pytest.raises(ValueError, match="AIRPLANE_") as caught:
        read_settings({variable: text})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("api_key", "tkn_hidden_é"),
        ("users", '[{"email": "ada@example.com", "apiKey": 5, "key": "tkn_hidden"}]'),
        ("users", '[{"email": "ada", "apiKey": "tkn_hidden"}]'),
        ("users", "tkn_hidden"),
        ("notify", '[{"kind": "webhook", "url": "https://a.example/hidden"}]'),
        ("notify", '[{"kind": "webhook", "url": "https://a.example/hidden", "secret": "whsec_hidden"}]'),
        ("notify", '[{"kind": "slack", "url": "http://a.example/hidden"}]'),
        ("notify", '[{"kind": "slack", "url": "https://a.example/hidden", "channel": "hidden"}]'),
    ],
)
def test_an_error_shows_no_secret(name, text):
    for given in (({f"AIRPLANE_{name.upper()}": text}, {}), ({}, {name: text})):
        with pytest.raises(ValueError, match=r"^(AIRPLANE_|--)") as caught:
            read_settings(*given)
        assert "hidden" not in f"{caught.value!r} {caught.value.__cause__!r}"


ADA = {"email": "ada@example.com", "apiKey": "tkn_ada"}


@pytest.mark.parametrize(
    ("name", "entry", "fault"),
    [
        ("users", {"email": "ada@example.com", "api_key": "tkn_ada"}, "has a member that is not one of these"),
        ("users", {**ADA, "group": ["ops"]}, "has a member that is not one of these"),
        ("users", {"email": "ada@example.com"}, "lacks 'apiKey'"),
        ("users", {**ADA, "groups": "ops"}, "has a wrong 'groups'"),
        ("users", "ada@example.com", "is not an object"),
        ("notify", {"kind": "webhook", "url": "https://a.example"}, "lacks 'secret'"),
        ("notify", {"kind": "pager", "url": "https://a.example"}, "has a wrong 'kind'"),
    ],
)
def test_an_error_names_the_entry_of_a_list_that_is_wrong(name, entry, fault):
    sound = {"users": ADA, "notify": {"kind": "slack", "url": "https://a.example"}}[name]
    with pytest.raises(ValueError, match="must be a JSON list of") as caught:
        read_settings({}, {name: json.dumps([sound, entry])})
    assert str(caught.value).endswith(f"; entry 2 {fault}")


def test_secrets_are_read_from_files(tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}\n")
    (tmp_path / "users").write_text('[{"email": "ada@example.com", "apiKey": "tkn_ada", "groups": ["ops"]}]')
    paths = {"AIRPLANE_API_KEY_FILE": str(tmp_path / "keys"), "AIRPLANE_USERS_FILE": str(tmp_path / "users")}
    found = read_settings(paths)

    assert found["api_key"] == [KEY]
    assert [(user.email, user.groups) for user in found["users"]] == [("ada@example.com", {"ops"})]


HOOK = {"kind": "webhook", "url": "https://a.example/hook", "secret": SECRET}
CHANNEL = {"kind": "slack", "url": "https://slack.example/hook", "name": "billing", "events": ["prompt.opened"]}


def test_targets_to_notify_are_read_from_a_file(tmp_path):
    (tmp_path / "notify.json").write_text(json.dumps([HOOK, CHANNEL]))
    hook, channel = read_settings({"AIRPLANE_NOTIFY_FILE": str(tmp_path / "notify.json")})["notify"]

    assert hook.is_like(Webhook(HOOK["url"], secret=SECRET))
    assert (hook.name, hook.events) == ("webhook", set(EventType))
    assert channel.is_like(Slack(CHANNEL["url"]))
    assert (channel.name, channel.events) == ("billing", {EventType.PROMPT_OPENED})


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([{**HOOK, "kind": "pager"}], "--notify-file must be a JSON list of"),
        ([{**CHANNEL, "secret": SECRET}], "--notify-file must be a JSON list of"),
        ([{**HOOK, "url": "http://a.example"}], "--notify-file: the URL of a webhook must be an https URL"),
        ([{**HOOK, "secret": "whsec_"}], "--notify-file: the secret of a webhook is"),
        ([{**CHANNEL, "events": ["session.paused"]}], "--notify-file: the events of 'billing' are some of"),
        ([HOOK, {**HOOK, "url": "https://b.example"}], "--notify-file: two targets of notify have the name 'webhook'"),
    ],
)
def test_a_target_that_cannot_be_notified_is_an_error(targets, message):
    with pytest.raises(ValueError, match="--notify-file") as caught:
        read_settings({}, {"notify": json.dumps(targets)})
    assert str(caught.value).startswith(message)


def test_files_of_secrets_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff")
    for path, message in ((tmp_path / "none", "cannot read"), (tmp_path / "binary", "not a text file")):
        with pytest.raises(ValueError, match=f"AIRPLANE_API_KEY_FILE: .*{message}"):
            read_settings({"AIRPLANE_API_KEY_FILE": str(path)})
    with pytest.raises(ValueError, match="exclude each other"):
        read_settings({"AIRPLANE_API_KEY_FILE": "keys", "AIRPLANE_API_KEY": KEY})


@pytest.mark.parametrize("setting", [one for one in all_settings() if one.kind and one.kind.is_secret])
def test_an_empty_file_of_a_secret_is_refused(setting, tmp_path):
    path = tmp_path / "empty"
    path.write_text(" \n")
    for given in (({f"{setting.variable}_FILE": str(path)}, {}), ({}, {setting.name: ""})):
        with pytest.raises(
            ValueError, match=rf"^(--|AIRPLANE_)\S+ is empty: it must be {re.escape(setting.kind.words)}"
        ):
            read_settings(*given)
    assert setting.name not in read_settings({setting.variable: ""})  # which counts as not set


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"workers": "4"}, TypeError, "workers must be a whole number of at least 1, not '4'"),
        ({"workers": True}, TypeError, "workers must be"),
        ({"grace": -1}, ValueError, "grace must be a number of at least 0, not -1"),
        ({"keep_for": timedelta(-1)}, ValueError, "keep_for must not be negative"),
        ({"port": 70_000}, ValueError, "port must be a whole number from 0 to 65535, not 70000"),
    ],
)
def test_a_bad_argument_is_an_error_that_names_it(options, kind, message):
    with pytest.raises(kind, match=message):
        RunbookServer([], **options)


def test_a_bad_limit_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="max_body must be a whole number of at least 1, not 0"):
        Limits(max_body=0)


def test_embedded_servers_read_the_environment_if_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRPLANE_DATABASE", f"sqlite:///{tmp_path}/a.db")
    monkeypatch.setenv("AIRPLANE_MAX_BODY", "77")
    monkeypatch.setenv("AIRPLANE_API_KEY", KEY)
    create_app([], api_key=KEY)
    assert not (tmp_path / "a.db").exists()

    options = options_from_environment()
    create_app([], api_key=KEY, **options)
    assert options == {"database": f"sqlite:///{tmp_path}/a.db", "limits": Limits(max_body=77)}
    assert (tmp_path / "a.db").exists()


def test_settings_show_nothing_of_their_secrets():
    assert "tkn" not in f"{Listener(api_key=KEY)!r} {Settings(encryption_key='tkn_x')!r}"
