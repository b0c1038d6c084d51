"""Spans of a user's own repository."""

from __future__ import annotations

import pytest

from dg_lsp.evaluation.data import DataError
from dg_lsp.evaluation.repository import CUTS, cut_spans, find_files
from dg_lsp.reason import ReasonCode

SHOP = '''"""Prices of things in the shop."""


def total(prices, discount):
    # The discount is taken from the whole sum
    whole = sum_of(prices, key="price of prices")
    if discount:
        whole = reduced(whole, discount)
        note(whole, discount, len(prices))
    return whole


class Shop:
    def __init__(self, prices):
        self.prices = prices
'''


@pytest.fixture
def repository(tmp_path):
    files = {
        "shop.py": SHOP,
        "lib/cart.go": "package cart\n\nfunc Add(a int, b int) int {\n\treturn Sum(a, b)\n}\n",
        "README.md": "# Shop\n\nNo code to cut from here\n",
        "broken.py": "def f(:\n    return total(prices\n",
        "latin.py": b"name = '\xff'\n",
        "packed.js": "var a = 1;" * 500,
        "empty.py": "\n",
        ".env": "KEY=value\n",
        ".gitignore": "build/\n",
        "build/made.py": "made = generated(made)\n",
        ".git/hook.py": "hook = total(hook)\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "link.py").symlink_to("shop.py")
    return tmp_path


def test_excluded_and_unreadable_files_are_left_out_and_counted(repository) -> None:
    found = find_files(repository)

    assert [file.path for file in found.files] == ["broken.py", "shop.py", "lib/cart.go"]
    assert found.left_out["excluded"] == 1
    assert found.left_out["unreadable, empty, packed or too large"] == 3


def test_every_span_stands_in_its_file(repository) -> None:
    found = find_files(repository)
    texts = {file.path: file.text for file in found.files}
    problems = cut_spans(found.files, per_kind=6, seed=1)

    assert {problem.span.kind for problem in problems} == set(CUTS)
    assert {problem.span.language for problem in problems} == {"python", "go"}
    assert len({problem.name for problem in problems}) == len(problems)
    for problem in problems:
        span = problem.span
        assert span.prefix + span.text + span.suffix == texts[span.path]
        assert span.text.strip()


def test_the_kinds_are_what_they_are_called(repository) -> None:
    problems = cut_spans(find_files(repository).files, per_kind=30, seed=2)
    spans = [one.span for one in problems if one.span.path == "shop.py"]
    for span in spans:
        before, after = span.prefix[-1:], span.suffix[:1]
        if span.kind == "identifier":
            assert span.text.isidentifier()
            assert not (before + after).strip("\n (),.").isalnum()
            assert span.text not in ("def", "if", "return", "class")
        elif span.kind == "inside a token":
            assert before.isalnum() or before == "_"
        elif span.kind == "call arguments":
            assert (before, after) == ("(", ")")
            assert not span.prefix.endswith(("def total(", "__init__("))
        elif span.kind == "line":
            assert not span.prefix.rpartition("\n")[2].strip()
            assert after in ("\n", "")
        elif span.kind == "block":
            assert span.prefix.rstrip().endswith(":")
    blocks = {span.text for span in spans if span.kind == "block"}
    inner = "whole = reduced(whole, discount)\n        note(whole, discount, len(prices))"
    assert inner in blocks
    words = {span.text for span in spans if span.kind == "identifier"}
    # Neither of a comment nor of a string.
    assert words & {"whole", "prices", "discount"}
    assert "price" not in words


def test_the_seed_decides(repository) -> None:
    files = find_files(repository).files

    assert cut_spans(files, 2, 1) == cut_spans(files, 2, 1)
    assert cut_spans(files, 2, 1) != cut_spans(files, 2, 2)


def test_masked_secrets_are_not_asked_for(tmp_path) -> None:
    key = "sk-proj-" + "a8Fk29Qp" * 5
    (tmp_path / "conf.py").write_text(f'api_key = "{key}"\n' * 3)
    found = find_files(tmp_path)

    assert key not in found.files[0].text
    for problem in cut_spans(found.files, 5, 1):
        assert "****" not in problem.span.text


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "empty"),
        ({"a.py": "x = 1\n", ".gitignore": "*\n"}, "1 excluded"),
        ({"notes.md": "# Notes\n"}, "1 no code"),
        ({"a.py": b"\0\xff"}, "1 unreadable"),
    ],
)
def test_where_nothing_is_left(tmp_path, files, says) -> None:
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(raw)

    with pytest.raises(DataError) as refused:
        find_files(tmp_path)
    message = str(refused.value)
    assert refused.value.code is ReasonCode.BAD_DATA
    assert str(tmp_path.resolve()) in message
    assert says in message.replace(str(tmp_path.resolve()), "")


def test_a_file_is_no_repository(tmp_path) -> None:
    path = tmp_path / "none"
    with pytest.raises(DataError) as refused:
        find_files(path)
    message = str(refused.value)
    assert refused.value.code is ReasonCode.BAD_DATA
    assert str(path) in message
    assert "directory" in message.replace(str(path), "")
