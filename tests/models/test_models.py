"""Models: immutable, tolerant of servers of every age, and open to future values."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import msgspec
import pytest

from airplane_runbooks import models
from airplane_runbooks.models import (
    Component,
    GetRun,
    Model,
    OpenEnum,
    Parameter,
    ParameterType,
    Prompt,
    PromptReply,
    Role,
    Run,
    RunOutputs,
    RunPage,
    RunStatus,
    Runtime,
    Session,
    SessionPage,
    SessionStatus,
    decode,
    decoding,
)

MODELS = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, Model)]
ENUMS = [kind for kind in vars(models).values() if isinstance(kind, type) and issubclass(kind, OpenEnum) and [*kind]]
MEMBERS = [member for kind in ENUMS for member in kind]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

FLAT = {
    "id": "run20220111zlq2ig4",
    "taskID": "tsk20210728zxb2vxn",
    "sessionID": "ses20220120za1pskd",
    "teamID": "tea20220103zvy4auu",
    "status": "Succeeded",
    "runtime": "standard",
    "timeout": 3600,
    "paramValues": {"limit": 20, "nested": {"creatorID": None, "at": ""}},
    "params": [{"slug": "limit", "name": "Limit", "type": "integer", "constraints": {"optional": True}}],
    "resources": {"db": "res1"},
    "constraints": {"labels": [{"key": "zone", "value": "a"}]},
    "isPrivate": True,
    "permissions": [{"action": "runs.get", "roleID": "run_viewer", "subUserID": "usr1"}],
    "createdAt": "2022-01-11T22:32:45.601486Z",
    "createdBy": "usr1",
    "cancelledAt": None,
    "zoneID": None,
}
NESTED = {
    "run": {
        **{key: value for key, value in FLAT.items() if key not in ("id", "createdBy", "params", "createdAt")},
        "runID": FLAT["id"],
        "creatorID": "usr1",
        "createdAt": "2022-01-11 22:32:45.601486+00",
        "parameters": {"parameters": FLAT["params"]},
        "succeededAt": "",
    }
}


def read(document, model):
    return decode(json.dumps(document).encode(), model)


def test_a_run_decodes_from_both_shapes_to_the_same():
    run = read(FLAT, Run)

    assert read(NESTED, Run) == read(NESTED["run"], Run) == run
    assert run.status is RunStatus.SUCCEEDED
    assert run.runtime is Runtime.STANDARD
    assert run.created_by == "usr1"
    assert run.params[0].type is ParameterType.INTEGER
    assert run.params[0].constraints.optional
    assert run.permissions[0].role_id is Role.RUN_VIEWER
    assert run.constraints.labels[0].value == "a"
    assert run.param_values == FLAT["paramValues"]


@pytest.mark.parametrize("created_at", [FLAT["createdAt"], "2022-01-11 22:32:45.601486+00"])
def test_a_run_that_carries_both_sets_of_names_takes_todays(created_at):
    both = {**FLAT, "createdAt": created_at, "runID": "other", "creatorID": "other", "parameters": {"parameters": []}}

    assert read(both, Run) == read(FLAT, Run)


def test_a_run_with_its_older_names_beside_its_id_loses_nothing():
    mixed = {"id": "run1", "runID": "run1", "status": "Active", "creatorID": "usr1", "parameters": {"parameters": [{}]}}

    run = read(mixed, Run)

    assert run.created_by == "usr1"
    assert run.params == (Parameter(),)


@pytest.mark.parametrize("created_at", [FLAT["createdAt"], "2022-01-11 22:32:45.601486+00", "", "soon", None])
def test_only_a_reply_that_needs_it_is_walked(monkeypatch, created_at):
    monkeypatch.delattr(decoding, "_read_field")

    assert read({**FLAT, "createdAt": created_at, "creatorID": "usr1"}, Run).created_by == "usr1"
    with pytest.raises(NameError, match="_read_field"):
        read(NESTED, Run)


@pytest.mark.parametrize(
    ("member", "value", "read_as"),
    [
        ("timeout", 3600.0, 3600),
        ("timeout", 0.0, 0),
        ("timeout", 1e300, None),
        ("timeout", 0.5, None),
        ("timeout", "3600", None),
        ("timeout", True, None),
        ("runtime", 5, None),
        ("taskID", ["tsk1"], None),
        ("isPrivate", "yes", False),
        ("paramValues", [], {}),
        ("resources", {"db": "res1", "other": 1}, {"db": "res1"}),
        ("params", "none", ()),
        ("params", [{"slug": "a"}, 7, None, {"slug": 1}], (Parameter(slug="a"), Parameter())),
        ("constraints", {"labels": [{"key": "a"}, "b"]}, models.RunConstraints(labels=(models.Label(key="a"),))),
        ("permissions", [{"action": "runs.get", "roleID": 1}], (models.Permission(action="runs.get"),)),
    ],
)
def test_an_unreadable_optional_member_is_not_set(member, value, read_as):
    run = read({**FLAT, member: value}, Run)
    names = {field.encode_name: field.name for field in msgspec.structs.fields(Run)}

    assert getattr(run, names[member]) == read_as
    assert (run.id, run.status, run.created_at) == (FLAT["id"], "Succeeded", read(FLAT, Run).created_at)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (None, "Expected `object`, got `null` - at `$.runs[1]`"),
        ({}, "Object missing required field `id` - at `$.runs[1]`"),
        ({"id": "run1", "status": 7}, "Expected `str`, got `int` - at `$.runs[1].status`"),
        ({"id": None, "status": "Active"}, "Expected `str`, got `null` - at `$.runs[1].id`"),
    ],
)
def test_an_unreadable_item_of_a_page_is_named_by_its_place(item, problem):
    with pytest.raises(msgspec.ValidationError) as caught:
        read({"runs": [FLAT, item]}, RunPage)

    assert str(caught.value) == problem


def test_a_page_that_is_not_a_list_is_refused():
    with pytest.raises(msgspec.ValidationError, match="runs"):
        read({"runs": {"id": "run1"}}, RunPage)
    assert read({"runs": None}, RunPage).runs == read({}, RunPage).runs == ()


def test_a_page_of_older_runs_decodes():
    assert read({"runs": [NESTED["run"], NESTED["run"]]}, RunPage).runs == (read(FLAT, Run),) * 2


@pytest.mark.parametrize("params", [FLAT["params"], {"parameters": FLAT["params"]}])
def test_parameters_decode_bare_and_wrapped(params):
    session = read({"id": "ses1", "status": "Active", "params": params}, Session)
    prompt = read({"prompt": {"id": "pmt1", "schema": {"parameters": params}}}, PromptReply).prompt

    assert session.params == prompt.schema.parameters == read(FLAT, Run).params


def test_members_of_an_object_are_found_under_either_name():
    inner = Parameter(slug="inner")

    assert Parameter(params=(inner,)).members == Parameter(parameters=(inner,)).members == (inner,)
    assert Parameter().members == ()


@pytest.mark.parametrize("output", [None, 0, "", [], {}, {"error": "boom"}, {"creatorID": 1}, [None], "creatorID"])
@pytest.mark.parametrize("key", ["output", "outputs"])
@pytest.mark.parametrize("beside", [{}, {"creatorID": "usr1"}])
def test_any_output_decodes_under_either_name(output, key, beside):
    assert read({key: output, **beside}, RunOutputs) == RunOutputs(output=output)


def test_the_newer_name_of_the_output_wins():
    assert read({"output": 1, "outputs": 2}, RunOutputs).output == 1


def test_a_reply_without_outputs_is_refused():
    with pytest.raises(msgspec.ValidationError, match="output"):
        read({}, RunOutputs)


# members that some models require
NEEDED = {
    "id": "x",
    "taskID": "t",
    "status": "Active",
    "sessionID": "s",
    "runID": "r",
    "output": 1,
    "prompt": {"id": "pmt1"},
    "fileName": "a.txt",
    "sizeBytes": 1,
    "offset": 0,
    "content": "YQ==",
    "upload": {"id": "upl1"},
}


@pytest.mark.parametrize("model", MODELS)
def test_a_null_stands_for_every_field_that_can_be_left_out(model):
    document = {f.encode_name: NEEDED[f.encode_name] for f in msgspec.structs.fields(model) if f.required}
    nulls = {f.encode_name: None for f in msgspec.structs.fields(model) if not f.required}
    if model is Session:  # whose result may be null
        del nulls["output"]

    assert read({**nulls, **document}, model) == read(document, model)


@pytest.mark.parametrize("model", MODELS)
def test_unknown_fields_are_ignored(model):
    assert read({**NEEDED, "newField": {"a": [1]}, "x-y": None}, model) == read(NEEDED, model)


@pytest.mark.parametrize("model", MODELS)
def test_models_are_immutable_keyword_only_and_documented(model):
    kinds = {parameter.kind for parameter in inspect.signature(model).parameters.values()}

    assert model.__struct_config__.frozen
    assert kinds <= {inspect.Parameter.KEYWORD_ONLY}
    assert inspect.cleandoc(model.__doc__)


def test_a_model_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        GetRun(id="run1").id = "run2"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_model_pickles_and_copies(protocol):
    run = read({**FLAT, "status": "Dreaming"}, Run)

    assert pickle.loads(pickle.dumps(run, protocol)) == copy.copy(run) == copy.deepcopy(run) == run


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("told", [{}, {"output": None}, {"output": {"cents": [1]}}])
def test_a_result_survives_pickling_copies_and_json(protocol, told):
    session = read({"id": "ses1", "status": "Succeeded", **told}, Session)
    twins = [pickle.loads(pickle.dumps(session, protocol)), copy.copy(session), copy.deepcopy(session)]

    assert all(twin == session and read_again(twin) == session for twin in twins)
    assert session.output == told.get("output")


def read_again(session):
    return decode(msgspec.json.encode(session), Session)


def test_a_null_result_is_told_from_none():
    assert read({"status": "Succeeded"}, Session).raw_output is msgspec.UNSET
    assert bytes(read({"status": "Succeeded", "output": None}, Session).raw_output) == b"null"


def test_the_result_of_a_session_is_shown_as_json():
    session = read({"id": "ses1", "status": "Succeeded", "output": [1]}, Session)

    assert repr(session).startswith("Session(id='ses1', name='', ")
    assert repr(session).endswith("raw_output=b'[1]')")
    assert repr(read({"status": "Active"}, Session)).endswith("raw_output=UNSET)")


def test_a_session_tells_which_step_failed_and_why():
    error = {"kind": "KeyError", "message": "'id'", "step": "find", "stepRunID": "run2"}
    session = read({"status": "Failed", "runID": "run1", "error": error}, Session)

    assert session.error == models.Failure(kind="KeyError", message="'id'", step="find", step_run_id="run2")
    assert session.run_id == "run1"
    assert read({"status": "Failed", "error": "no"}, Session).error is None


def test_a_session_and_its_prompts_tell_why_they_are_held():
    held = {"code": "code_changed", "message": "the session is held: no server has the code of refund"}
    hold = models.Hold(code="code_changed", message=held["message"])

    assert read({"status": "Waiting", "held": held}, Session).held == hold
    assert read({"prompt": {"id": "pmt1", "held": held}}, PromptReply).prompt.held == hold
    assert read({"status": "Waiting", "held": None}, Session).held is None
    assert read({"status": "Waiting", "held": "later"}, Session).held is None


def test_a_step_tells_the_failures_of_all_its_attempts():
    earlier = [{"attempt": 1, "kind": "OSError", "message": "busy"}]
    document = {**FLAT, "status": "Failed", "attempt": 2, "error": {"kind": "KeyError"}, "earlierFailures": earlier}
    run = read(document, Run)
    step = models.Step.of(run, None)

    assert run.attempt == 2
    assert step.failure == models.Failure(kind="KeyError")
    assert step.earlier_failures == (models.AttemptFailure(attempt=1, kind="OSError", message="busy"),)
    assert models.Step.of(read(FLAT, Run), 1).earlier_failures == ()


def test_a_default_list_or_map_is_not_shared():
    one, other = Session(status="Active"), Session(status="Active")
    one.param_values["a"] = 1

    assert other.param_values == {}


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_a_known_member_survives_pickling_and_json(member):
    kind = type(member)

    assert kind(member.value) is member
    assert msgspec.json.decode(msgspec.json.encode(member), type=kind) is member
    assert all(pickle.loads(pickle.dumps(member, protocol)) is member for protocol in PROTOCOLS)
    assert member.is_known


@pytest.mark.parametrize("kind", ENUMS)
@pytest.mark.parametrize("value", ["Dreaming", " ", "ACTIVE", "STANDARD", "DEFAULT", "_name_", "is_known"])
def test_an_unknown_member_behaves_like_a_known_one(kind, value):
    member = kind(value)

    assert isinstance(member, kind)
    assert member == value == kind(value)
    assert hash(member) == hash(value)
    assert {member: 1}[kind(value)] == 1
    assert repr(member) == f"{kind.__name__}({value!r})"
    assert f"{member}" == value
    assert not member.is_known
    assert kind(value) not in list(kind)
    assert msgspec.json.encode(member) == json.dumps(value).encode()
    for twin in (copy.copy(member), copy.deepcopy(member), *(pickle.loads(pickle.dumps(member, p)) for p in PROTOCOLS)):
        assert twin == member
        assert type(twin) is kind


def test_the_empty_component_is_the_default_one():
    assert Component("") is Component.DEFAULT


@pytest.mark.parametrize("value", [1, None, b"Active", ["Active"]])
def test_only_text_can_be_a_member(value):
    with pytest.raises(ValueError, match="is not a valid SessionStatus"):
        SessionStatus(value)


@pytest.mark.parametrize("value", [1, None, ["Active"], {}])
def test_a_status_other_than_a_text_is_refused(value):
    with pytest.raises(msgspec.ValidationError, match="status"):
        read({"sessions": [{"id": "ses1", "status": value}]}, SessionPage)


@pytest.mark.parametrize("kind", [SessionStatus, RunStatus])
def test_only_three_states_are_final(kind):
    assert [state for state in kind if state.is_terminal] == ["Succeeded", "Failed", "Cancelled"]
    assert not kind("Dreaming").is_terminal
    assert not kind("SUCCEEDED").is_terminal


@pytest.mark.parametrize(
    ("document", "is_open"),
    [
        ({}, True),
        ({"submittedAt": None, "cancelledAt": ""}, True),
        ({"submittedAt": "2022-01-11T22:32:45Z"}, False),
        ({"cancelledAt": "2022-01-11 22:32:45+00"}, False),
    ],
)
def test_a_prompt_is_open_until_it_is_answered_or_cancelled(document, is_open):
    assert read({"id": "pmt1", **document}, Prompt).is_open is is_open


def test_a_session_may_be_mocked_by_its_status_alone():
    assert read({"status": "Active"}, Session) == Session(status=SessionStatus.ACTIVE)


def test_a_prompt_without_reviewers_may_be_answered_by_all():
    prompt = read({"id": "pmt1", "reviewers": {"groups": None, "users": None, "allowSelfApprovals": None}}, Prompt)

    assert prompt.reviewers == models.Reviewers()
    assert prompt.reviewers.allow_self_approvals


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b'{"status": Active}', b"null junk", b"\xff"])
@pytest.mark.parametrize("model", MODELS)
def test_bytes_that_are_not_json_are_refused(body, model):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        decode(body, model)


def test_defaults_are_left_out_of_requests():
    assert msgspec.json.encode(Parameter(slug="a", multi=False)) == b'{"slug":"a"}'
    assert msgspec.json.encode(RunOutputs(output=None)) == b'{"output":null}'
