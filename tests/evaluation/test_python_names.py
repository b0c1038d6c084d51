from dg_lsp.evaluation.python_names import names_of, scopes

TEXT = """import os
from a.b import c as d

class A(object):
    n = 1
    def m(self, x, *rest, y=1):
        self.z = [x for x in rest if x]
        def inner():
            return x, d
        return self.z, lambda q: q + y

def f(é):
    global g
    g = é
    return os.path, A.n, f(é=é)
"""


def test_places_are_those_of_the_scope_that_python_says() -> None:
    names = names_of(TEXT)
    assert names is not None
    found = sorted((key[1], len(places)) for key, places in names.places.items())
    assert ("x", 2) in found, "the parameter, with the inner function"
    assert ("x", 3) in found, "the comprehension's own"
    assert dict(found)["é"] == 3
    assert dict(found)["d"] == 2
    for (_, name), places in names.places.items():
        assert all(TEXT[at : at + len(name)] == name for at in places)
    assert "g" in names.declared
    assert not any(name == "g" for _, name in scopes(names))
    [member] = [places for (_, name), places in names.members.items() if name == "z"]
    assert [TEXT[at - 5 : at + 1] for at in member] == ["self.z", "self.z"]
    [keyword] = names.keywords["f", "é"]
    assert TEXT[keyword : keyword + 3] == "é=é"


CALLED = """def f(tax):
    return tax

class A:
    def __init__(self, tax):
        f(tax=1)

    def f(self, tax):
        return self.f(tax=2), f(tax=3), A(tax=4), other.f(tax=5), other.A(tax=6)
"""


def test_which_calls_name_the_parameter_of_which_function() -> None:
    names = names_of(CALLED)
    assert names is not None
    assert sorted(names.parameters.values()) == ["A", "A", "A 4.f", "A 4.f", "f"]
    values = {
        function: [CALLED[at + 4] for at in places]
        for (function, _), places in names.keywords.items()
    }
    assert values == {"f": ["1", "3"], "A 4.f": ["2"], "A": ["4"]}


def test_a_file_that_is_not_python() -> None:
    assert names_of("def (:\n") is None
