"""The check that docstrings, comments, messages and pages are plain English, which `nox -s lint` runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.house.language import files, findings, texts


def rules(source: str, path: str = "src/module.py") -> list[tuple[int, str]]:
    return [(finding.line, finding.rule) for finding in findings(path, source)]


def test_the_check_reads_every_kind_of_file():
    names = {name for name, _ in files()}

    assert {"README.md", "noxfile.py", "pyproject.toml", "docs/conf.py", "src/airplane_runbooks/client.py"} <= names
    assert any(name.endswith(".html") for name in names)


@pytest.mark.parametrize(
    "opening",
    [
        "What it takes to do.",
        "Who has asked.",
        "Whose turn it is.",
        "Whether it has ended.",
        "Whatever has been given.",
        "Where requests go.",
        "When it is done, return.",
        "How an origin is reached.",
        "Why a call failed.",
        "Which page comes next.",
        "That something has gone.",
        "\n    What stands on the second line.",
    ],
)
def test_a_docstring_that_opens_with_a_clause_is_found(opening):
    assert rules(f'"""{opening}"""\n')[0] == (1, "opens with a clause")
    assert rules(f'class A:\n    """{opening}"""\n')[0] == (2, "opens with a clause")
    assert rules(f'class A:\n    async def f(self):\n        """{opening}"""\n')[0] == (3, "opens with a clause")


@pytest.mark.parametrize("opening", ["Whole numbers.", "Thatched.", "Howl.", "Return what was given.", "`what` is it."])
def test_other_openings_are_fine(opening):
    assert rules(f'"""{opening}"""\n') == []


def test_a_clause_opens_no_string_but_a_docstring():
    assert rules('x = "What was sent is not a form."\n# What follows\n') == []


@pytest.mark.parametrize(
    "sentence",
    [
        "A pause is no error.",
        "Those are no texts.",
        "It was no surprise.",
    ],
)
def test_a_negated_noun_is_found(sentence):
    assert rules(f'"""Sentence.\n\n{sentence}\n"""\n') == [(3, "is no X")]
    assert rules(f"x = 1\n\n# {sentence}\n") == [(3, "is no X")]
    assert rules(f"x = 1\nraise ValueError({sentence!r})\n") == [(2, "is no X")]
    assert rules(f"x = 1\nraise ValueError(f'{{x}}: {sentence}')\n") == [(2, "is no X")]
    assert rules(f"Title\n\n{sentence}\n", "docs/page.md") == [(3, "is no X")]
    assert rules(f"x = 1  # {sentence}\n", "pyproject.toml") == [(1, "is no X")]
    assert rules(f"<p>\n{sentence}</p>\n", "src/page.html") == [(2, "is no X")]


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no timeout.",
        "there\n# are no more",
        "It is no longer open.",
        "That is no more than a second.",
        "It is no larger than the limit.",
        "The answer is no, or it is not.",
        'It says "this is no key" in the log.',
        "The code is `is no X` here.",
    ],
)
def test_ordinary_english_is_fine(sentence):
    assert rules(f"# {sentence}\n") == []


def test_a_sentence_is_found_over_the_end_of_a_line():
    assert rules("x = 1\n# A pause is\n# no error.\n") == [(2, "is no X")]
    assert rules("A pause is\nno error.\n", "README.md") == [(1, "is no X")]


@pytest.mark.parametrize("word", ["somebody", "Nobody", "whoever", "whosoever", "whomever", "whatever", "whatsoever"])
def test_a_pronoun_without_a_name_is_found(word):
    assert rules(f'"""Return it to {word}."""\n') == [(1, "pronoun")]
    assert rules(f"x = 1  # for {word}\n") == [(1, "pronoun")]
    assert rules(f"For {word}.\n", "docs/page.md") == [(1, "pronoun")]
    assert rules(f"raise ValueError('for {word}')\n") == [(1, "pronoun")]


def test_a_pronoun_in_the_data_of_a_test_is_fine():
    assert rules("user = 'nobody'\n", "tests/test_users.py") == []


def test_examples_of_code_in_a_page_are_not_sentences():
    assert rules("```python\nthis is no key\n```\n\n> The API: this is no key.\n", "docs/page.md") == []


@given(st.text(st.sampled_from("ab \n#\"'`{}<>~"), max_size=60))
def test_every_page_is_read_to_its_end(words):
    (text,) = texts("docs/page.md", words)

    assert text.words.count("\n") == words.count("\n")
    assert len(text.words) == len(words)
