"""What is offered of an engine's candidates at a place, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dg_lsp.document import trees
from dg_lsp.document.reasons import why_nothing
from dg_lsp.document.request import ANY_MODEL, RequestContext, RequestOptions, build_job
from dg_lsp.document.suggestions import InsertionSite, Standard, Suggestion, suggestions_for
from dg_lsp.job import (
    Candidate,
    Infill,
    InfillJob,
    Seed,
    SeedOrigin,
    Snippet,
    TextSource,
)
from dg_lsp.reason import ReasonCode


def site(marked: str, *, newline: str = "\n", replaced: str | None = None) -> InsertionSite:
    """A place in Python code, given as text with the cursor as a bar."""
    prefix, suffix = marked.split("|")
    return InsertionSite("file:///a.py", "a.py", "python", newline, prefix, suffix, replaced)


def candidate(text: str, confidence: float = 0.5, score: float = 0.0) -> Candidate:
    return Candidate(text, confidence, score)


def texts(suggestions: tuple[Suggestion, ...]) -> list[str]:
    return [suggestion.text for suggestion in suggestions]


def test_the_best_come_first_and_no_more_than_are_wanted():
    found = [candidate("a", score=-3.0), candidate("b", score=-1.0), candidate("c", score=-2.0)]

    assert texts(suggestions_for(found, site("x = |\n"), Standard(2))) == ["b", "c"]


def test_what_is_empty_repeated_or_there_already_is_no_offer():
    found = [candidate(""), candidate("b"), candidate("b"), candidate("old"), candidate("c")]
    at = site("x = |\n", replaced="old")

    assert texts(suggestions_for(found, at, Standard(9))) == ["b", "c"]


def test_what_breaks_the_code_is_offered_only_where_nothing_else_is_if_at_all():
    found = [candidate("1 +"), candidate("2", score=-1.0), candidate("3 +", score=-2.0)]
    broken = found[::2]

    assert texts(suggestions_for(found, site("x = |\n"), Standard(3))) == ["2"]
    assert texts(suggestions_for(found, site("x = |\n"), Standard(3, may_break=False))) == ["2"]
    assert texts(suggestions_for(broken, site("x = |\n"), Standard(3))) == ["1 +", "3 +"]
    assert texts(suggestions_for(broken, site("x = |\n"), Standard(3, may_break=False))) == []


def test_no_statement_is_suggested_where_the_header_of_a_loop_goes_on():
    at = site("result = 0\nfor name, price in self.|\n    result += price\n")
    found = [candidate("discount = None"), candidate("items:", score=-5.0)]

    assert texts(suggestions_for(found, at, Standard())) == ["items:"]


@pytest.mark.parametrize(
    ("selection", "core", "edges"),
    [
        ("b = 2\n", "b = 2", ("", "\n")),
        ("    b\n    c\n", "b\n    c", ("    ", "\n")),
        ("\tb\r\n\r\n", "b", ("\t", "\r\n\r\n")),
        ("\n  b\n  ", "b", ("\n  ", "\n  ")),
        ("b", "b", ("", "")),
        # At the end of a file without a line end, and in the middle of the indentation.
        ("  b", "b", ("  ", "")),
        # Nothing but blanks: a cursor.
        ("    \n", None, ("    ", "\n")),
        ("\n", None, ("", "\n")),
        ("  ", None, ("  ", "")),
    ],
)
def test_the_edges_of_a_selection_are_not_rewritten(selection, core, edges):
    at = site("a|z", replaced=selection)

    assert (at.edges, at.core.replaced) == (edges, core)
    assert (at.core.prefix, at.core.suffix) == ("a" + edges[0], edges[1] + "z")
    assert at.core.core == at.core
    [suggestion] = suggestions_for([candidate("new")], at, Standard())
    assert suggestion.text == edges[0] + "new" + edges[1]


BLANKS = st.text(alphabet=" \t\n", max_size=6)


@settings(deadline=None)
@given(BLANKS, BLANKS, BLANKS, st.text(alphabet="ab(){}\n \t:'", max_size=30))
def test_the_edges_survive_any_rewrite(start, end, around, written):
    at = site(f"a = 1\n{around}|{around}b = 2\n", replaced=f"{start}x = 1{end}")

    for suggestion in suggestions_for([candidate(written)], at, Standard()):
        assert suggestion.text.startswith(start)
        assert suggestion.text.endswith(end)
        assert suggestion.text[len(start) : len(suggestion.text) - len(end)].strip()


@settings(deadline=None)
@given(st.text(alphabet=" \t\n\r", max_size=10), BLANKS)
def test_nothing_but_blanks_is_never_offered(written, around):
    assert (
        suggestions_for([candidate(written)], site(f"x = {around}|{around}"), Standard()) == ()
    )
    selected = site("x = |\n", replaced=f"1{around}")
    assert suggestions_for([candidate(written)], selected, Standard()) == ()


def test_a_worse_text_is_no_way_out_where_the_best_is_unsure():
    found = [candidate("1", confidence=0.1), candidate("2", confidence=0.9, score=-1.0)]

    assert suggestions_for(found, site("x = |\n"), Standard(min_confidence=0.2)) == ()
    assert texts(suggestions_for(found, site("x = |\n"), Standard(min_confidence=0.1))) == ["1"]


def test_only_the_first_line_where_one_is_asked_for():
    found = [candidate("1\ny = 2")]

    assert texts(suggestions_for(found, site("x = |\n"), Standard(one_line=True))) == ["1"]


@pytest.mark.parametrize(
    ("raw", "confidences", "newline", "text", "left"),
    [
        # A doubled blank is cut off at the start.
        (" 1", (0.1, 0.9), "\n", "1", (0.9,)),
        # The carriage return is as sure as the newline that it belongs to.
        ("1\ny", (0.9, 0.2, 0.8), "\r\n", "1\r\ny", (0.9, 0.2, 0.2, 0.8)),
        # Nothing is known of single characters.
        ("1", (), "\n", "1", (0.5,)),
    ],
)
def test_each_character_keeps_its_probability(raw, confidences, newline, text, left):
    found = [Candidate(raw, 0.5, 0.0, confidences)]

    suggestions = suggestions_for(found, site(f"x = |{newline}", newline=newline), Standard())
    assert suggestions == (Suggestion(text, 0.5, left),)


def test_a_suggestion_says_where_it_comes_from_after_finishing():
    seeds = (Seed("total(x)", origin=SeedOrigin.WORKSPACE, path="b.py"), Seed("y"))
    job = InfillJob("f(", ")\n", seeds=seeds)
    found = [
        Candidate("total(x))\n", 0.5, 3.0, seed=0),
        Candidate("total(x)", 0.5, 2.0, seed=0),
        Candidate("y", 0.5, 1.0, seed=1),
        Candidate("1", 0.5, 0.0),
        Candidate("2", 0.5, -1.0, seed=7),
    ]
    suggestions = suggestions_for(found, site("f(|)\n"), Standard(9), job)

    assert [(one.text, one.source) for one in suggestions] == [
        ("total(x)", TextSource(seeds[0], is_corrected=True)),
        ("y", TextSource(seeds[1])),
        ("1", TextSource()),
        ("2", TextSource()),
    ]


TOKEN = "ghp_0123456789abcdefghij0123456789abcdef"
SECRET = f'key = "{TOKEN}"\n'


def asked(marked: str, language: str, files: tuple[Snippet, ...] = ()):
    """A site at the one mark or between two, and its job."""
    prefix, *replaced, suffix = marked.split("¦")
    at = InsertionSite(
        "file:///a", "a", language, "\n", prefix, suffix, replaced[0] if replaced else None
    )
    context = RequestContext(len, files=files)
    return at, build_job(at, RequestOptions(), ANY_MODEL, context)


@pytest.mark.parametrize(
    ("language", "around", "written"),
    [
        ("python", "¦x = 1¦\n", "#********"),
        ("python", "¦x = 1¦\n", "x = 1  # ****"),
        ("python", "def f():\n    ¦\n", '"""********"""'),
        ("javascript", "¦let x = 1;¦\n", f"// {'*' * 40}"),
        ("c", "¦int x = 1;¦\n", "/* ****** */"),
        ("c", "¦int x = 1;¦\n", "/******/"),
        ("go", "x := 1\n¦\n", "// ****abc"),
        ("lua", "¦x = 1¦\n", "-- ********"),
        ("sql", "¦SELECT 1;¦\n", "--********"),
        ("html", "¦<b>x</b>¦\n", "<!-- ******** -->"),
        ("yaml", "¦a: 1¦\n", "a: 1 # ********"),
        ("lisp", "¦(f)¦\n", ";********"),
        ("latex", "¦x¦\n", "% ********"),
        ("markdown", "¦x¦\n", "********"),
        ("plaintext", "¦x¦\n", "the key is ****-****"),
    ],
)
def test_the_mask_of_a_secret_is_never_suggested(language, around, written):
    at, job = asked(SECRET + around, language)
    assert job.is_masked
    found = [candidate(written)]

    assert suggestions_for(found, at, Standard(), job) == ()
    reason = why_nothing(Infill(tuple(found), 1), at, Standard(), job)
    assert reason.code is ReasonCode.SECRET
    # The next best text is suggested in its place.
    other = candidate("y", score=-1.0)
    assert texts(suggestions_for([*found, other], at, Standard(), job)) == ["y"]


@pytest.mark.parametrize(
    ("language", "document", "written"),
    [
        # Nothing was masked: bars of comments and rules of Markdown.
        ("python", "¦x = 1¦\n", "#********"),
        ("c", "¦\nint x;\n", "/*****\n * a\n *****/"),
        ("markdown", "a\n\n¦\n\nb\n", "****"),
        # Something was: operators, and what the document has anyway.
        ("python", f"{SECRET}x = ¦\n", "a ** b"),
        ("python", f"{SECRET}x = ¦\n", "f(*a, **b)"),
        ("c", f"/*****\n * a\n *****/\n// {SECRET}¦\nint x;\n", "/*****\n * b\n *****/"),
        ("python", f"{SECRET}#****\nx = 1\n¦y = 1¦\n", "#****\ny = 1"),
        ("python", f"{SECRET}¦x = 1  # ****¦\n", "x = 2  # ****"),
        ("c", f"// {SECRET}/**¦\nint x;\n", "*******/"),
    ],
)
def test_asterisks_that_are_no_mask_are_suggested(language, document, written):
    at, job = asked(document, language)
    assert job.is_masked == (TOKEN in document)

    assert texts(suggestions_for([candidate(written)], at, Standard(), job)) == [written]


def test_a_bar_of_the_document_does_not_make_a_mask_of_its_length_its_own():
    bar = "*" * len(TOKEN)
    at, job = asked(f"/{bar}/\n// {SECRET}¦\n", "c")
    assert suggestions_for([candidate(f"// {bar}")], at, Standard(), job) == ()


def test_a_mask_from_another_file_is_not_suggested_either():
    code = "def total_price(items, tax_rate):\n    return sum(items) * tax_rate\n"
    around = "total_price(items, tax_rate)\n¦x = 1¦\n"
    for text, masked in ((f"{code * 3}{SECRET}", True), (f"{code * 3}#********\n", False)):
        at, job = asked(around, "python", (Snippet("b.py", text),))
        assert [snippet.path for snippet in job.snippets] == ["b.py"]
        assert job.is_masked is masked
        found = suggestions_for([candidate("#********")], at, Standard(), job)
        assert texts(found) == ([] if masked else ["#********"])


def test_a_secret_beyond_the_window_masks_nothing_that_the_model_sees():
    at = asked(SECRET + "line of text\n" * 9_000 + "¦\n", "python")[0]
    small = RequestContext(len, budget_chars=600)
    assert not build_job(at, RequestOptions(), ANY_MODEL, small).is_masked


def test_a_text_that_runs_past_its_block_ends_with_it() -> None:
    trees.load("lua")
    at = InsertionSite("", "a.lua", "lua", "\n", "function a()\n  ", "\nend\n")
    found = [candidate("b()\nend\n\nc = 1")]
    assert texts(suggestions_for(found, at, Standard(may_break=False))) == ["b()"]


def test_a_text_that_breaks_typescript_is_the_last_resort() -> None:
    trees.load("typescript")
    at = InsertionSite("", "a.ts", "typescript", "\n", "const a = ", ";\n")
    found = [candidate("b +", score=-1), candidate("b + c", score=-2)]
    assert texts(suggestions_for(found, at, Standard())) == ["b + c"]
    assert texts(suggestions_for(found[:1], at, Standard())) == ["b +"]
    assert texts(suggestions_for(found[:1], at, Standard(may_break=False))) == []
