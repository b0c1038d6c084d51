"""What stood elsewhere between neighbours like these."""

from __future__ import annotations

import pytest

from dg_lsp.document.code_index import build_index
from dg_lsp.document.seeds import Elsewhere, find_seeds
from dg_lsp.job import Seed, SeedOrigin

CURSOR = "<|>"


def found_at(marked: str, limit: int = 4) -> tuple[Seed, ...]:
    prefix, suffix = marked.split(CURSOR)
    return find_seeds(prefix, suffix, limit=limit)


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        ("wibble = frobnicate(quux)\ngo(1)\nwibble = <|>\n", "frobnicate(quux)"),
        ("wibble = frobnicate(quux)\ngo(1)\nwibble = frob<|>\n", "nicate(quux)"),
        ("wibble = frobnicate(quux)\ngo(1)\nwibble = frob<|>(quux)\n", "nicate"),
        ("a.grumble(1, deep=True)\na.grumble(1, <|>)\n", "deep=True"),
        # Below as well as above.
        ("wibble = <|>\ngo(1)\nwibble = frobnicate(quux)\n", "frobnicate(quux)"),
        # A new line is being written.
        ("begin(it)\nreturn it\nend(it)\n\nbegin(it)\n<|>", "return it"),
    ],
)
def test_what_stood_between_the_same_neighbours_is_found(marked: str, text: str) -> None:
    assert found_at(marked)[0].text == text


def test_what_is_called_otherwise_here_is_renamed() -> None:
    found = found_at(
        "for item in items:\n    show(item, items)\n\nfor user in users:\n    show(<|>)\n"
    )
    assert found[0].text == "user, users"


def test_a_seed_says_how_often_and_where() -> None:
    found = found_at("x = wibble(1)\nx = wibble(1)\ny = 2\nx = wibble(<|>)\n")
    best = found[0]
    assert best.text == "1"
    assert best.score > found_at("x = wibble(1)\ny = 2\nx = wibble(<|>)\n")[0].score
    assert (best.origin, best.path) == (SeedOrigin.DOCUMENT, "")


def test_the_place_itself_is_no_evidence() -> None:
    assert found_at("wibble = <|>frobnicate(quux)\n") == ()


def test_a_masked_secret_is_never_found() -> None:
    found = found_at('key = "****************"\nx = 1\nkey = <|>\n')
    assert not any("*" in one.text for one in found)


def test_other_files_are_looked_at_and_named() -> None:
    index = build_index(
        [("lib/wibble.py", "def wibble(plonk):\n    return plonk.frobnicate()\n")]
    )
    elsewhere = Elsewhere(index, SeedOrigin.WORKSPACE, 1)
    (best, *_) = find_seeds("def other(plonk):\n    return plonk.", "\n", [elsewhere])
    assert (best.text, best.path, best.origin) == (
        "frobnicate()",
        "lib/wibble.py",
        SeedOrigin.WORKSPACE,
    )


def test_a_hidden_file_is_not_looked_at() -> None:
    index = build_index([("a.py", "plonk = frobnicate(1)\n"), ("b.py", "x = 2\n")])
    elsewhere = Elsewhere(index, SeedOrigin.WORKSPACE, 1, frozenset(["a.py"]))
    assert find_seeds("(y)\nplonk = ", "\n", [elsewhere]) == ()


def test_a_text_does_not_run_into_the_next_file() -> None:
    index = build_index([("a.py", "y = 1\nplonk = frob"), ("b.py", "nicate\n")])
    best = find_seeds("(y)\nplonk = ", "", [Elsewhere(index, SeedOrigin.WORKSPACE, 1)])
    assert [one.text for one in best] == ["frob"]


@pytest.mark.parametrize(
    "marked",
    [
        # The e stands there, with an accent that is a character of its own.
        "name = cafe\u0301\nname = cafe<|>\n",
        "name = 'x\U0001f468\u200d\U0001f469y'\nname = 'x\U0001f468<|>y'\n",
    ],
)
def test_no_half_of_a_character(marked: str) -> None:
    for seed in found_at(marked):
        assert seed.text[0] not in "\u0301\u200d\U0001f469"


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        # What follows already.
        ("start(it)\nfinish(it)\n\nstart(it)\n<|>finish(it)\n", "finish(it)"),
        ("start(it)\nfinish(it)\n\nstart(it)\n<|>\nfinish(it)\n", "finish(it)"),
        # The line above once more, which only looks like what comes next.
        ("tick()\ntick()\ntock()\n\ntick()\n<|>\n", "tick()"),
    ],
)
def test_no_repetition_of_what_stands_there(marked: str, text: str) -> None:
    assert all(seed.text.strip() != text for seed in found_at(marked))


def test_a_repeated_line_stands_where_the_lines_behind_it_agree() -> None:
    found = found_at("tick()\ntick()\ntock(x)\n\ntick()\n<|>\ntock(x)\n")
    assert found[0].text == "tick()"


def test_a_text_that_is_moved_takes_on_the_indentation_here() -> None:
    lines = "begin(\n    wibble,\n    wobble,\n)"
    found = found_at(f"plonk = {lines}\n\nclass A:\n    def f(self):\n        plonk = <|>\n")
    assert lines.replace("\n", "\n        ") in [seed.text for seed in found]


def test_the_body_of_a_second_test_comes_whole_and_renamed() -> None:
    def body(name: str) -> str:
        return f"{name} = make('{name}')\n    {name}.start()\n    assert {name}.runs"

    found = found_at(
        f"def test_first(alpha):\n    {body('alpha')}\n\n\n"
        "def test_second(beta):\n    <|>\n\n\n"
        "def test_third(gamma):\n    pass\n"
    )
    assert any(seed.text.count("\n") == 2 and "beta.start()" in seed.text for seed in found)


def test_a_text_that_may_not_be_shown_leaves_its_place_to_the_next() -> None:
    lines = "".join(f"plonk = wibble({n})\n" for n in range(8))
    marked = f"{lines}go(1)\nplonk = wibble(<|>)\n"
    prefix, suffix = marked.split(CURSOR)
    texts = [seed.text for seed in found_at(marked, limit=8)]
    found = find_seeds(prefix, suffix, may_show=lambda seed: seed.text != texts[0])
    assert [seed.text for seed in found] == texts[1:5]


def test_a_body_keeps_its_place_where_other_texts_may_not_be_shown() -> None:
    def body(name: str) -> str:
        more = "".join(f"\n    {name}.feed({n})" for n in range(4))
        return f"{name} = make('{name}'){more}\n    assert {name}.runs"

    short = "".join(f"def test_{n}({n}):\n    x = {n}(1)\n    y{n} = x\n\n\n" for n in "abcdef")
    prefix = f"{short}def test_first(alpha):\n    {body('alpha')}\n\n\ndef test_it(beta):\n    "
    suffix = "\n\n\ndef test_third(gamma):\n    pass\n"
    best = find_seeds(prefix, suffix)[0]
    found = find_seeds(prefix, suffix, may_show=lambda seed: seed.text != best.text)
    assert len(found) == 4
    assert best.text not in [seed.text for seed in found]
    assert body("beta") in [seed.text for seed in found]
