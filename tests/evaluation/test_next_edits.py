from dg_lsp.document.following import Kind
from dg_lsp.evaluation.edit_cases import EditCase, Span
from dg_lsp.evaluation.next_edits import figures, follow, quiet_table, table

TEXT = "def f(a):\n    return a\n\n\nx = f(1)\ny = f(2)\n"
RENAME = Span(4, 5, "g")


def case(*following: Span, kind: str = "rename a variable, function or class") -> EditCase:
    return EditCase(kind, "a.py", TEXT, RENAME, following)


X, Y = (Span(at, at + 1, "g") for at in (TEXT.index("f(1)"), TEXT.index("f(2)")))


def test_all_that_should_follow_is_accepted_one_by_one() -> None:
    found = follow(case(X, Y), [Kind.RENAME])
    assert found.is_exact
    assert (found.right, found.wrong) == (2, None)


def test_what_should_not_follow_is_wrong_and_ends_the_case() -> None:
    found = follow(case(X), [Kind.RENAME])
    assert not found.is_exact
    assert found.right == 1
    assert found.wrong is not None
    assert found.wrong.start == Y.start
    assert not found.reverts


def test_a_kind_that_is_off_is_silent() -> None:
    found = follow(case(X, Y), [Kind.ADDED])
    assert (found.right, found.wrong, found.is_exact) == (0, None, False)


def test_the_figures_and_their_tables() -> None:
    results = [
        follow(one, [Kind.RENAME]) for one in (case(X, Y), case(X), case(kind="another number"))
    ]
    row = figures(results)["rename a variable, function or class"]
    assert (row["edits"], row["found"], row["exact"], row["wrong"]) == (2, 1.0, 0.5, 0.5)
    assert row["places"] == 1.0
    assert figures(results)["all of these"] == {"edits": 1, "quiet": 0.0}
    assert "| rename a variable, function or class | 2 | 100.0% |" in table(results)
    assert quiet_table(results).count("\n") == 3
