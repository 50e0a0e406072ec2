"""Forms with files: each part comes out as it went in, and nothing but a form does."""

from __future__ import annotations

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server.web.pages.multipart import Part, boundary_of, read_parts

BOUNDARY = b"----WebKitFormBoundaryABC123"
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\r\n%'), max_size=20)
parts = st.lists(st.tuples(names, names | st.none(), st.binary(max_size=100)), max_size=5)


def body_of(found, boundary=BOUNDARY):
    lines = []
    for name, file_name, content in found:
        more = "" if file_name is None else f'; filename="{file_name}"\r\nContent-Type: text/csv'
        head = f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        lines += [b"--", boundary, b"\r\n", head.encode(), content, b"\r\n"]
    return b"".join([*lines, b"--", boundary, b"--\r\n"])


@given(parts)
def test_each_part_comes_out_as_it_went_in(found):
    expected = [Part(*one) for one in found if BOUNDARY not in one[2]]
    assert list(read_parts(body_of(expected), BOUNDARY, 100)) == expected


@given(
    st.binary(max_size=300) | parts.map(body_of).flatmap(lambda body: st.integers(0, len(body)).map(lambda n: body[:n]))
)
def test_any_body_is_read_or_refused(body):
    try:
        found = list(read_parts(body, BOUNDARY, 100))
    except ValueError:
        return
    assert sum(len(part.content) for part in found) <= len(body)


def test_a_form_of_another_library_is_read():
    fields = {"a": "b\r\n", "file": ("r\u00e9sum\u00e9.csv", b"\0\r\n--x", "text/csv")}
    body, content_type = urllib3.encode_multipart_formdata(fields)
    assert list(read_parts(body, boundary_of(content_type), 2)) == [
        Part("a", None, b"b\r\n"),
        Part("file", "r\u00e9sum\u00e9.csv", b"\0\r\n--x"),
    ]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=----WebKitFormBoundaryABC123", BOUNDARY),
        ('multipart/form-data; charset=utf-8; boundary="a b"', None),
        ('multipart/form-data; boundary="abc"', b"abc"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/x-www-form-urlencoded", None),
        ("multipart/form-data; boundary=" + "a" * 71, None),
        ("", None),
    ],
)
def test_only_a_form_has_a_boundary(content_type, boundary):
    assert boundary_of(content_type) == boundary


def test_more_parts_than_allowed_are_refused():
    body = body_of([("a", None, b"")] * 5)
    assert len(list(read_parts(body, BOUNDARY, 5))) == 5
    with pytest.raises(ValueError, match="too many"):
        list(read_parts(body, BOUNDARY, 3))


def test_escapes_of_browsers_in_names_are_undone():
    (part,) = read_parts(body_of([("a%22b", "c%0D%0A.csv", b"")]), BOUNDARY, 1)
    assert part == Part('a"b', "c\r\n.csv", b"")
