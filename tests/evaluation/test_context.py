"""What of other files is worth showing."""

from __future__ import annotations

import json

from dg_lsp.cli import run
from dg_lsp.evaluation.context import OtherFiles, compare, with_text
from dg_lsp.evaluation.data import Problem
from dg_lsp.evaluation.repository import File
from dg_lsp.evaluation.spans import PUBLIC, TrueSpan, job_of

CART = "class Cart:\n" + "".join(
    f"    def {name}(self, item):\n" + "        self.x = item\n" * 20
    for name in ("add_item", "drop_item")
)
MAIN = "from cart import Cart\n\n\ncart = Cart()\ncart.add_item(1)\n"
FILES = [
    File("cart.py", "python", CART),
    File("main.py", "python", MAIN),
    *(File(f"other{number}.py", "python", "print(1)\n") for number in range(12)),
]
START = MAIN.index("add_item")
SPAN = TrueSpan("main.py", MAIN[:START], MAIN[START + 8 :], "add_item", "identifier")


def test_the_names_of_a_span_are_looked_for_in_each_context() -> None:
    others = OtherFiles(FILES)
    rows = {row.context: row for row in compare([Problem("one", SPAN, "main.py")], others)}

    assert rows["nothing"].new_names == 0
    assert rows["definitions"].new_names == rows["definitions"].own_names == 1
    assert rows["definitions"].all_names == rows["both"].all_names == 1
    assert {row.num_new for row in rows.values()} == {row.num_own for row in rows.values()}
    assert 0 < rows["definitions"].chars < 200


def test_a_name_of_which_a_part_is_typed_counts_as_a_whole() -> None:
    span = TrueSpan("main.py", MAIN[: START + 3], MAIN[START + 6 :], "_it", "inside a token")
    [nothing, definitions, *_] = compare([Problem("one", span, "main.py")], OtherFiles(FILES))
    assert (nothing.num_new, definitions.new_names) == (1, 1)


def test_jobs_of_an_evaluation_have_the_text_that_is_asked_for() -> None:
    others = OtherFiles(FILES)
    for shown, count in (("none", 0), ("definitions", 1), ("similar", 1)):
        context = with_text(lambda span: PUBLIC, others, shown)
        assert len(job_of(SPAN, context=context(SPAN)).snippets) == count


def test_the_table_is_printed(tmp_path, capsys) -> None:
    for file in FILES:
        (tmp_path / file.path).write_text(file.text * 3)
    command = ["eval", "context", str(tmp_path), "--per-kind", "2"]
    assert run(command) == 0
    assert "| both |" in capsys.readouterr().out
    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["contexts"][0]["context"] == "nothing"
    assert run([*command, "--language", "go"]) == 2
