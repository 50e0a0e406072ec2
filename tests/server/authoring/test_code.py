"""The digest of a runbook's code, and the sessions that fit it. The suite runs this on every version of Python."""

from __future__ import annotations

import ast
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

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
    """Digest a function as this package did before, with the words of the Python that runs this."""
    (tree,) = ast.parse(text).body
    text = ast.dump(tree.args) + "".join(map(ast.dump, tree.body[1:]))
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


@pytest.fixture
def written(tmp_path):
    return code_of(WRITTEN.read_text(), tmp_path / "written.py")


def test_the_digest_is_the_same_on_every_version_of_python(written):
    assert written.digest == DIGEST


def test_what_earlier_versions_recorded_is_known_on_whichever_python_they_ran(written):
    assert before(WRITTEN.read_text()) in written.older
    assert written.older >= set(DIGESTS_BEFORE.values())
    assert DIGESTS_BEFORE.get(sys.version_info[:2]) in {before(WRITTEN.read_text()), None}
    for source in written.older:
        assert written.fits(source)
        assert written.is_that_of(source)


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
def test_an_edit_is_seen(tmp_path, here, there):
    one, other = (book(tmp_path, f" {text}") for text in (here, there))
    assert one.digest != other.digest
    assert not other.fits(one.source)


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
def test_another_way_to_write_the_same_is_none(tmp_path, here, there):
    one, other = (book(tmp_path, f" {text}") for text in (here, there))
    assert one.digest == other.digest
    assert other.fits(one.source)


def test_code_without_a_source_has_one_digest_on_every_version_as_well(tmp_path):
    names = {}
    exec(compile(UNREADABLE, "<nowhere>", "exec", dont_inherit=True), names)
    code = Code.of(names["made"], None)
    assert code.digest == "2d3720435bfb9825"
    exec(compile(UNREADABLE.replace("2.5", "2.0"), "<nowhere>", "exec", dont_inherit=True), names)
    assert Code.of(names["made"], None).digest != code.digest


def test_a_version_stands_for_the_code(tmp_path):
    first, edited = book(tmp_path, " a", "1"), book(tmp_path, " b", "1")
    assert edited.fits(first.source)
    assert not edited.is_that_of(first.source)
    assert not book(tmp_path, " a", "2").fits(first.source)
    assert book(tmp_path, " a", "2").is_that_of(first.source)


def test_a_version_that_is_new_lets_sessions_without_one_go_on(tmp_path):
    assert book(tmp_path, " b", "1").fits(book(tmp_path, " a").source)
    assert not book(tmp_path, " b").fits(book(tmp_path, " a", "1").source)
    assert book(tmp_path, " a").fits(book(tmp_path, " a", "1").source)


def test_a_version_that_was_recorded_earlier_is_known(tmp_path):
    recorded = blake2b(b"version 1", digest_size=8).hexdigest()
    assert book(tmp_path, " a", "1").fits(recorded)
    assert not book(tmp_path, " a", "1").is_that_of(recorded)
    assert not book(tmp_path, " a", "2").fits(recorded)
    assert not book(tmp_path, " a").fits(recorded)
    assert book(tmp_path, " a").fits("")


def test_a_version_is_short(tmp_path):
    with pytest.raises(ValueError, match="version= has at most 200 characters"):
        book(tmp_path, " a", "1" * 201)
