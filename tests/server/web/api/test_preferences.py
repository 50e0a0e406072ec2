"""The headers by which callers wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.server.web.api.preferences import LONGEST_WAIT, known_tags, preferred_wait


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["wait=10"], 10),
        (["WAIT = 10"], 10),
        (['wait="10"'], 10),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10"], 10),
        (["respond-async, ,\twait=10;urgent; by=now"], 10),
        (['note="a, wait=3", wait=10'], 10),
        (["wait=10, wait=3"], 10),
        (["wait=0"], 0),
        (["wait=000000000000000000000007"], 7),
        (["wait=31"], LONGEST_WAIT),
        (["wait=" + "9" * 5000], LONGEST_WAIT),
        ([], None),
        ([""], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=soon"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=\u0661"], None),
        (["wait=soon, wait=3"], None),
        (["awaiting=3"], None),
        (["handling=lenient; wait=3"], None),
        (['note="wait=3'], None),
    ],
)
def test_the_first_wait_of_prefer_is_read_and_bounded(values, seconds):
    assert preferred_wait(values) == seconds


@given(st.lists(st.text(), max_size=3))
def test_any_text_in_prefer_is_read_or_ignored(values):
    assert preferred_wait(values) in (None, *range(LONGEST_WAIT + 1))


@pytest.mark.parametrize("values", [[], [""], ["abc"], ['"'], ["**"]])
def test_a_header_without_entity_tags_is_ignored(values):
    assert known_tags(values) is None


def test_entity_tags_are_compared_weakly():
    tags = known_tags(['W/"a" , "b,c"', '"d"'])
    assert tags.match('W/"a"')
    assert tags.match('"a"')
    assert tags.match('W/"b,c"')
    assert tags.match('W/"d"')
    assert not tags.match('W/"b"')


def test_an_asterisk_stands_for_every_entity_tag():
    assert known_tags([" * "]).match('W/"a"')


@given(st.lists(st.text(st.characters(exclude_characters='"', codec="latin-1")), min_size=1))
def test_each_listed_entity_tag_matches(opaque):
    tags = known_tags([", ".join(f'W/"{text}"' for text in opaque)])
    assert all(tags.match(f'"{text}"') for text in opaque)
