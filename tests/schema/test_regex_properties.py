"""The linear matcher agrees with Python's `re` and RE2 on the patterns on which these agree."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from airplane_runbooks.schema.regex.matcher import full_match

# RE2's spelling, and Python's of the same. Without the vertical tab, which only Python takes for a space.
ATOMS = [
    *((char, char) for char in "abkzAK1_ -\né"),
    *((char, char) for char in (".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\.", r"\n", r"\x41", "]", "}")),
    *((chars, chars) for chars in ("[a-k]", "[^a]", r"[\d_-]", r"[^\w\n]", "[]a]", "[^]b]", r"[\]\-é]", "[.*+?]")),
    *((place, place) for place in ("^", r"\A", r"\b")),
    (r"\z", r"\Z"),
    (r"\B", r"(?:\B|\A\Z)"),  # before 3.14, Python's never holds in an empty text
]
COUNTS = ["*", "+", "?", "{2}", "{0,2}", "{1,3}", "{1,}", "*?", "+?", "??", "{1,2}?"]


def groups_of(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    def joined(parts: list[tuple[str, str]], mark: str) -> tuple[str, str]:
        one, other = (mark.join(spellings) for spellings in zip(*parts, strict=True))
        return f"({one})", f"(?:{other})"

    several = st.lists(inner, min_size=1, max_size=3)
    counted = st.tuples(inner, st.sampled_from(COUNTS)).map(
        lambda pair: (f"(?:{pair[0][0]}){pair[1]}", f"(?:{pair[0][1]}){pair[1]}")
    )
    return several.map(lambda parts: joined(parts, "")) | several.map(lambda parts: joined(parts, "|")) | counted


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, str]:
    flags = draw(st.sampled_from(["", "", "(?s)", "(?m)", "(?i)", "(?is)"]))
    end = ("$", "$" if flags == "(?m)" else r"\Z")
    atoms = [*ATOMS, end]
    if "i" in flags:
        atoms = [pair for pair in atoms if pair[0].isascii() and pair[0] not in (r"\b", r"\B")]
    one, other = draw(st.recursive(st.sampled_from(atoms), groups_of, max_leaves=8))
    return flags + one, f"(?a{flags[2:-1]})" + other


@given(patterns(), st.text("abkzAK1_ -\né.]", max_size=8))
def test_a_text_gets_the_same_verdict_from_both_matchers(pattern, text):
    one, other = pattern

    assert full_match(one, text) is bool(re.fullmatch(other, text))


@given(st.data(), patterns())
def test_a_text_that_is_made_to_match_does(data, pattern):
    one, other = pattern
    text = data.draw(st.from_regex(other, fullmatch=True, alphabet=st.characters(exclude_characters="\v")))

    assert full_match(one, text) is bool(re.fullmatch(other, text))


@given(st.text("ab()[]{}|*+?^$.\\-:,123dwsPx\n"), st.text("ab1-]", max_size=5))
def test_any_pattern_has_a_verdict_or_none(pattern, text):
    assert full_match(pattern, text) in (True, False, None)
