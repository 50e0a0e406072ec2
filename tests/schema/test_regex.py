"""Regexes of a server: RE2's verdicts, in linear time, or none."""

from __future__ import annotations

import random
import re

import pytest

from airplane_runbooks.schema.regex import matcher as matching
from airplane_runbooks.schema.regex import patterns
from airplane_runbooks.schema.regex.matcher import Matcher, full_match
from airplane_runbooks.schema.regex.patterns import MAX_NESTING, MAX_PATTERN


@pytest.mark.parametrize(
    ("pattern", "text", "verdict"),
    [
        ("", "", True),
        ("", "a", False),
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("abc", "ab", False),
        ("a|bc|", "bc", True),
        ("a|bc|", "", True),
        ("a|bc|", "abc", False),
        ("(a|b)(?:c|d)(?P<n>e)(?<m>f)", "bdef", True),
        ("a*b+c?", "bb", True),
        ("a*b+c?", "aac", False),
        ("a*?b+?c??", "aabbc", True),
        ("a{2}b{1,2}c{1,}d{0}", "aabbccc", True),
        ("a{2}b{1,2}c{1,}d{0}", "aabbbc", False),
        ("(a*)*", "aaa", True),
        ("(a|b*)+c", "abbac", True),
        ("(|a)+", "aaa", True),
        ("a{,2}", "a{,2}", True),
        ("x{", "x{", True),
        ("]}", "]}", True),
        (".", "é", True),
        (".", "\n", False),
        ("(?s).", "\n", True),
        (r"\d\w\s\D\W\S", "1_ a-b", True),
        (r"\d", "\u0663", False),
        (r"\w+", "naïve", False),
        (r"\S+", "naïve", True),
        (r"\s", "\v", False),
        (r"[\S]", "\v", True),
        (r"[^\s\d]+", "ab", True),
        (r"[^\s\d]+", "a1", False),
        ("[]a]+", "a]", True),
        ("[^]a]", "]", False),
        ("[a-c-]+", "b-", True),
        ("[+--]", ",", True),
        (r"[\]\-\\^[&~|]+", r"]-\^[&~|", True),
        (r"\x41\x{1F600}\.\n\t\_", "A\U0001f600.\n\t_", True),
        (r"\a\f\r\v", "\a\f\r\v", True),
        ("^ab$", "ab", True),
        ("^ab$", "ab\n", False),
        (r"\Aab\z", "ab", True),
        ("a^b", "ab", False),
        ("(^a|b)+$", "abb", True),
        ("(^a|b)+$", "ba", False),
        ("(?m)a$\n^b", "a\nb", True),
        ("(?m)a$b", "ab", False),
        ("a$\n^b", "a\nb", False),
        (r"(?m)a\n\Ab", "a\nb", False),
        (r"\bab\b \bc\b", "ab c", True),
        (r"a\bb", "ab", False),
        (r"a\Bb\b", "ab", True),
        ("(?i)abc[d-f]", "ABcE", True),
        ("(?i)[^a]", "A", False),
        ("(?i)sk", "\u017f\u212a", True),
        ("(?i)i", "\u0130", False),
        ("(?is)A.", "a\n", True),
    ],
)
def test_known_patterns_are_decided_as_in_re2(pattern, text, verdict):
    assert full_match(pattern, text) is verdict


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "a)",
        "(a",
        "[",
        "[a",
        "[]",
        "[b-a]",
        r"[a-\d]",
        "[[:alpha:]]",
        "*",
        "a|*",
        "(+)",
        "{2}",
        "a**",
        "a*+",
        "a{2}{3}",
        "a{2,1}",
        "a{1001}",
        "a{01}",
        f"a{{{'9' * 5000}}}",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?P=n)",
        "(?i:a)",
        "a(?i)b",
        "(?U)a*",
        r"(a)\1",
        r"\Z",
        r"\Qa\E",
        r"\pL",
        r"\é",
        "\\",
        r"\x4",
        r"\x{110000}",
        "(?i)é",
        r"(?i)\ba",
    ],
)
def test_other_patterns_are_left_to_the_server(pattern):
    assert full_match(pattern, "a") is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("pattern", "text", "verdict"),
    [
        ("(a+)+$", "a" * 100_000 + "!", False),
        ("(a|a)*b", "a" * 100_000, False),
        ("(a|aa)+$", "a" * 100_000, True),
        ("(.*)*x", "a" * 100_000, False),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 100_000, False),
        ("(a?){200}a{200}", "a" * 200, True),
        ("((a{0,30}){0,30}b)*", "ab" * 50_000, True),
        ("(((a{1000}){1000}){1000}){1000}", "a", None),
        ("(((){1000}){1000}){1000}", "", None),
        ("(((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+", "a" * 100_000 + "b", False),
        ("(" * MAX_NESTING + "a" + ")" * MAX_NESTING, "a", True),
        ("(" * (MAX_NESTING + 1) + "a" + ")" * (MAX_NESTING + 1), "a", None),
        ("(" * MAX_PATTERN, "a", None),
        ("[" * MAX_PATTERN, "a", None),
        ("(" + "()" * 2000 + "){1000}", "a", None),
        ("a" * MAX_PATTERN + "a", "a", None),
        ("[ab]*a[ab]{100}", "".join(random.Random(1).choices("ab", k=100_000)), None),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_patterns_and_texts_never_take_long(pattern, text, verdict):
    assert full_match(pattern, text) is verdict


def test_the_work_is_bounded_over_all_texts_of_a_matcher(monkeypatch):
    monkeypatch.setattr(matching, "MAX_WORK", 40)
    matcher = Matcher()

    assert [matcher.full_match("[a-z]", text) for text in "abcabc"] == [True] * 6
    assert {matcher.full_match("[a-z]", chr(number)) for number in range(200)} == {True, False, None}
    assert matcher.full_match("[a-z]", "a") is True  # remembered
    assert matcher.full_match("[0-9]", "a") is None
    assert full_match("[0-9]", "1") is True


def test_a_large_pattern_takes_its_part_of_the_work():
    matcher = Matcher()
    patterns = [f"{number}(ab){{1,500}}" for number in range(1000)]
    verdicts = [matcher.full_match(pattern, f"{number}abab") for number, pattern in enumerate(patterns)]

    assert verdicts[:100] == [True] * 100
    assert verdicts[-100:] == [None] * 100


def test_the_backtracking_matcher_sees_single_characters_only(monkeypatch):
    asked = []
    monkeypatch.setattr(patterns, "_test", lambda member, flags: asked.append(member) or re.compile(member).match)

    assert full_match("(q[a-z]+.)*never seen", "qab!") is False
    assert {"[a-z]", "[q]", "."} <= set(asked)
    assert all(re.fullmatch(r"\[[^]]+\]|\.", member) for member in asked)
