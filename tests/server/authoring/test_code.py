"""Digests of a runbook's code, and the sessions that can continue with it. Every version of Python runs this."""

from __future__ import annotations

import ast
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from airplane_runbooks.server import Context, runbook
from airplane_runbooks.server.authoring.code import Code

WRITTEN = Path(__file__).with_name("written.txt")
DIGEST = "a761851de05df705"  # of that file's function, on every version of Python
DIGESTS_BEFORE = {(3, 11): "bee6ba8f1f86d108", (3, 12): "6d3098917e005cda", (3, 13): "d873e54b2fed707c"}

UNREADABLE = """
def made(context, count=3):
    "Say nothing."
    rows = [context.step(one, "é", number) for number in range(count) if number > 1]
    return {row: (lambda: len(rows) * 2.5)() for row in rows}, f"{count:>10}"
"""


def code_of(text, path, version=None):
    """Compile a function whose source is in a file."""
    path.write_text(text)
    names = {"anything": lambda **_: lambda function: function}
    exec(compile(text, str(path), "exec", dont_inherit=True), names)
    function = next(value for name, value in names.items() if name in ("written", "book", "made"))
    return Code.of(function, version)


def book(tmp_path, body, version=None):
    names = {}
    path = tmp_path / f"{abs(hash(body))}.py"
    path.write_text(f"def book(context):\n{body}\n")
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), names)
    return Code.of(names["book"], version)


def before(text):
    """Digest a function as earlier versions of this package did, with this Python's `ast.dump`."""
    (tree,) = ast.parse(text).body
    text = ast.dump(tree.args) + "".join(map(ast.dump, tree.body[1:]))
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


@pytest.fixture
def written(tmp_path):
    return code_of(WRITTEN.read_text(), tmp_path / "written.py")


def test_the_digest_is_the_same_on_every_version_of_python(written):
    assert written.digest == DIGEST


def test_digests_of_earlier_versions_are_recognised(written):
    assert before(WRITTEN.read_text()) in written.older
    assert written.older >= set(DIGESTS_BEFORE.values())
    assert DIGESTS_BEFORE.get(sys.version_info[:2]) in {before(WRITTEN.read_text()), None}
    for source in written.older:
        assert written.can_continue(source)
        assert written.is_same_as(source)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("a = 10", "a = 11"),
        ("a = 10", "a = 10.0"),
        ("a = 1", "a = True"),
        ("a = '1'", "a = 1"),
        ("a = 'b'", "a = b'b'"),
        ("a = None", "a = 'None'"),
        ("a = f'{b}c'", "a = f'{b}d'"),
        ("a = f'{b}'", "a = f'{b!r}'"),
        ("a = f'{b:x}'", "a = f'{b}x'"),
        ("a = f'{b}' + c", "a = f'{c}' + b"),
        ("return", "return None"),
        ("a(*b)", "a(b)"),
        ("a(b)", "b(a)"),
        ("a(b=None)", "a(b=True)"),
        ("a = lambda x=1: x", "a = lambda *, x=1: x"),
        ("a = [x for x in y]", "a = {x for x in y}"),
        ("match a:\n  case None: pass", "match a:\n  case True: pass"),
        ("if a: pass\n else: b", "if a: pass\n b"),
        ("del a", "a"),
    ],
)
def test_an_edit_changes_the_digest_of_code(tmp_path, here, there):
    one, other = (book(tmp_path, f" {text}") for text in (here, there))
    assert one.digest != other.digest
    assert not other.can_continue(one.source)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("a = 10", "a  =  1_0  # ten"),
        ("a = 'b' 'c'", 'a = "bc"'),
        ("a = u'b'", "a = 'b'"),
        ("a = f'{b}' 'c'", "a = f'{b}c'"),
        ("a = f'{b:}' f''", "a = f'{b:}'"),
        ("'''Doc.'''\n a(b)", "a(\n b,\n )"),
    ],
)
def test_another_spelling_of_the_same_code_keeps_the_digest(tmp_path, here, there):
    one, other = (book(tmp_path, f" {text}") for text in (here, there))
    assert one.digest == other.digest
    assert other.can_continue(one.source)


def test_code_without_source_has_one_digest_on_every_python(tmp_path):
    names = {}
    exec(compile(UNREADABLE, "<nowhere>", "exec", dont_inherit=True), names)
    code = Code.of(names["made"], None)
    assert code.digest == "2d3720435bfb9825"
    exec(compile(UNREADABLE.replace("2.5", "2.0"), "<nowhere>", "exec", dont_inherit=True), names)
    assert Code.of(names["made"], None).digest != code.digest


def test_a_version_takes_precedence_over_the_code(tmp_path):
    first, edited = book(tmp_path, " a", "1"), book(tmp_path, " b", "1")
    assert edited.can_continue(first.source)
    assert not edited.is_same_as(first.source)
    assert not book(tmp_path, " a", "2").can_continue(first.source)
    assert book(tmp_path, " a", "2").is_same_as(first.source)


def test_a_new_version_continues_sessions_without_a_version(tmp_path):
    assert book(tmp_path, " b", "1").can_continue(book(tmp_path, " a").source)
    assert not book(tmp_path, " b").can_continue(book(tmp_path, " a", "1").source)
    assert book(tmp_path, " a").can_continue(book(tmp_path, " a", "1").source)


def test_a_version_recorded_by_an_earlier_release_is_recognised(tmp_path):
    recorded = blake2b(b"version 1", digest_size=8).hexdigest()
    assert book(tmp_path, " a", "1").can_continue(recorded)
    assert not book(tmp_path, " a", "1").is_same_as(recorded)
    assert not book(tmp_path, " a", "2").can_continue(recorded)
    assert not book(tmp_path, " a").can_continue(recorded)
    assert book(tmp_path, " a").can_continue("")


def test_a_version_has_at_most_200_characters(tmp_path):
    with pytest.raises(ValueError, match="version= must be at most 200 characters"):
        book(tmp_path, " a", "1" * 201)


def test_the_digest_ignores_names_docstrings_and_comments():
    def make():
        @runbook(name="A name")
        def changing(context: Context, number: int = 1) -> int:
            """Say something."""
            # and nothing else
            return number

        return changing

    def make_again():
        @runbook
        def changing(context: Context, number: int = 1) -> int:
            return number

        return changing

    def make_another():
        @runbook
        def changing(context: Context, number: int = 2) -> int:
            return number

        return changing

    assert make().code == make_again().code
    assert make().code != make_another().code
    names = {}
    exec(compile("def plain(context): return 1", "<nowhere>", "exec"), names)
    assert len(runbook(names["plain"]).code.digest) == 16
