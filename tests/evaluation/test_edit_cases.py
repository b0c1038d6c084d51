import ast

from dg_lsp.evaluation.edit_cases import FOLLOWED, QUIET, applied, draw_cases
from dg_lsp.training.corpus import SourceFile
from tests.document.test_next_parallels import TEXT as PARALLEL
from tests.document.test_next_parameters import TEXT as CALLS
from tests.document.test_next_renames import PYTHON

TYPES = """
def f(path: str, n: int) -> str:
    # the path must be there
    return path * n


def g(path: str, unused: int) -> str:
    return path
"""
FILES = [
    SourceFile(name, text, "")
    for name, text in (("a", PYTHON), ("b", CALLS), ("c", PARALLEL), ("d", TYPES))
]


def test_each_kind_is_drawn_and_leaves_python_behind() -> None:
    cases = draw_cases(FILES, 6, 1)
    assert {case.kind for case in cases} == {*FOLLOWED, *QUIET}
    for case in cases:
        assert bool(case.following) == (case.kind in FOLLOWED)
        assert case.text != case.before
        if case.kind in FOLLOWED:
            ast.parse(applied(case.text, case.following))


def test_the_same_seed_draws_the_same_cases() -> None:
    assert draw_cases(FILES, 3, 7) == draw_cases(FILES, 3, 7) != draw_cases(FILES, 3, 8)


def test_an_added_parameter_ends_in_the_file_as_it_is() -> None:
    cases = [case for case in draw_cases(FILES, 9, 1) if case.kind == "add a parameter"]
    texts = {file.text for file in FILES}
    assert cases
    assert {applied(case.text, case.following) for case in cases} <= texts
