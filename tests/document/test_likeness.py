"""Bodies of blocks whose headers are similar."""

from __future__ import annotations

import pytest

from dg_lsp.document.code_index import build_index
from dg_lsp.document.likeness import bodies_like
from dg_lsp.document.seeds import Elsewhere, find_seeds
from dg_lsp.job import SeedOrigin

CURSOR = "<|>"

TESTS = """\
def test_add_user(client):
    response = client.post("/users/add", json={"name": "Ada"})
    assert response.status_code == 200
    assert add_user.called


def test_delete_user(client):
%s
"""
DELETE = """\
response = client.post("/users/delete", json={"name": "Ada"})
    assert response.status_code == 200
    assert delete_user.called"""


def texts(marked: str) -> list[str]:
    prefix, suffix = marked.split(CURSOR)
    return [body.text for body in bodies_like(prefix, suffix, lambda tokens: ())]


CASES = {
    "a second test": (TESTS % "    <|>", DELETE),
    "its line is not indented yet": (TESTS % "<|>", "    " + DELETE),
    "in the header's own line": (
        TESTS.replace("client):\n%s", "client):%s") % CURSOR,
        "\n    " + DELETE,
    ),
    "a word is begun": (TESTS % "    resp<|>", DELETE.removeprefix("resp")),
    "a line is written": (
        TESTS % ("    " + DELETE.split("\n")[0] + "\n    <|>"),
        "\n".join(DELETE.split("\n")[1:]).strip(),
    ),
    "the last line is written": (
        TESTS % "    <|>\n    assert delete_user.called",
        "\n".join(DELETE.split("\n")[:2]),
    ),
    "a handler in Go, between its braces": (
        """\
func (s *Server) handleAdd(w http.ResponseWriter, r *http.Request) {
\titem, err := s.store.Add(r.Context())
\tif err != nil {
\t\tfail(w, err)
\t\treturn
\t}
\twrite(w, item)
}

func (s *Server) handleRemove(w http.ResponseWriter, r *http.Request) {<|>}
""",
        """
\titem, err := s.store.Remove(r.Context())
\tif err != nil {
\t\tfail(w, err)
\t\treturn
\t}
\twrite(w, item)
""",
    ),
    "a case in TypeScript": (
        """\
switch (action.type) {
  case "user/add":
    log("user/add");
    return addUser(state, action);
  case "user/remove":
    <|>
  default:
    return state;
}
""",
        'log("user/remove");\n    return removeUser(state, action);',
    ),
    "a prop of a component": (
        """\
<Form
  onSave={(values) => {
    setBusy(true);
    save(values);
  }}
  onDiscard={(values) => {
    <|>
  }}
/>
""",
        "setBusy(true);\n    discard(values);",
    ),
    "an arm in Rust": (
        """\
match shape {
    Shape::Circle(circle) => {
        let area = circle.area();
        total += area;
    }
    Shape::Square(square) => {
        <|>
    }
}
""",
        "let area = square.area();\n        total += area;",
    ),
    "a method in Rust, of a struct below": (
        """\
impl Open for Door {
    fn open(&mut self, key: &Key) -> Result<()> {
        <|>
    }
}

impl Open for Lid {
    fn open(&mut self, key: &Key) -> Result<()> {
        self.lock.turn(key)?;
        Ok(())
    }
}
""",
        "self.lock.turn(key)?;\n        Ok(())",
    ),
    "an elif": (
        """\
if kind == "add":
    log("add", item)
    store.add(item)
elif kind == "remove":
    <|>
""",
        'log("remove", item)\n    store.remove(item)',
    ),
    "a method in Ruby": (
        """\
def create(params)
  order = Order.create(params)
  render order
end

def update(params)
  <|>
end
""",
        "order = Order.update(params)\n  render order",
    ),
    "a test in JavaScript": (
        """\
it("adds a user", async () => {
  const user = await add(store);
  expect(user).toBeDefined();
});

it("adds a group", async () => {
  <|>
});
""",
        "const group = await add(store);\n  expect(group).toBeDefined();",
    ),
    "a header of several lines, at another depth": (
        """\
def save_order(
    store: Store,
    order: Order,
) -> None:
    check(order)
    store.orders.put(order)

class Invoices:
    def save_invoice(
        store: Store,
        invoice: Invoice,
    ) -> None:
        <|>
""",
        "check(invoice)\n        store.invoices.put(invoice)",
    ),
    "a brace in a line of its own": (
        """\
void Reader::Open(const Path& path)
{
    file = fopen(path);
    check(file);
}

void Reader::Close(const Path& path)
{
    <|>
}
""",
        "file = fopen(path);\n    check(file);",
    ),
}


@pytest.mark.parametrize(("marked", "text"), CASES.values(), ids=CASES)
def test_the_body_below_a_similar_header_is_found(marked: str, text: str) -> None:
    assert texts(marked)[0] == text


@pytest.mark.parametrize(("marked", "text"), CASES.values(), ids=CASES)
def test_it_is_one_of_the_seeds(marked: str, text: str) -> None:
    prefix, suffix = marked.split(CURSOR)
    assert text in [seed.text for seed in find_seeds(prefix, suffix)]


def test_line_ends_of_dos_make_no_difference() -> None:
    marked, text = CASES["a line is written"]
    assert texts(marked.replace("\n", "\r\n"))[0] == text


@pytest.mark.parametrize(
    "marked",
    [
        # The body is there already.
        TESTS % ("    <|>" + DELETE),
        # Another one is begun.
        TESTS % "    group = <|>",
        # The block around the span is no other place.
        "def test_add(user):\n    if add(user):\n        <|>\n",
        # Not below a header.
        "a = 1\nb = 2\n<|>\n",
        "",
        "<|>",
        "def f():\n<|>",
    ],
)
def test_nowhere_else(marked: str) -> None:
    assert texts(marked if CURSOR in marked else marked + CURSOR) == []


@pytest.mark.parametrize(
    ("body", "here"),
    [
        # Both names are in the body, so which is meant is unclear.
        ("add(1)\n    delete(1)", "add(1)\n    delete(1)"),
        # Keywords stay.
        ("return add(x) if x else x", "return delete(x) if x else x"),
        # As parts of names, in any case.
        ("ADDED = addUser(x).Add", "ADDED = deleteUser(x).Delete"),
    ],
)
def test_only_what_is_unambiguous_is_renamed(body: str, here: str) -> None:
    assert texts(f"def if_add(x):\n    {body}\n\ndef else_delete(x):\n    <|>\n")[0] == here


def test_a_body_in_another_file_is_found_and_named() -> None:
    add, delete = (TESTS % "    <|>").split("\n\n\n")
    index = build_index([("a.py", add + "\n"), ("b.py", add.replace("Ada", "Eve") + "\n")])
    elsewhere = Elsewhere(index, SeedOrigin.WORKSPACE, 1, frozenset(["b.py"]))
    prefix, suffix = delete.split(CURSOR)
    (found,) = [seed for seed in find_seeds(prefix, suffix, [elsewhere]) if seed.text == DELETE]
    assert (found.origin, found.path) == (SeedOrigin.WORKSPACE, "a.py")


def test_the_mask_of_a_secret_is_never_in_a_body() -> None:
    masked = (TESTS % "    <|>").replace("Ada", "****************")
    assert texts(masked)
    prefix, suffix = masked.split(CURSOR)
    assert not any("*" in seed.text for seed in find_seeds(prefix, suffix))


@pytest.mark.parametrize("header", ["if x", "def f", "for a in b:"])
def test_the_rest_of_a_long_last_line_is_not_searched_again_and_again(header: str) -> None:
    word = header.split()[0]
    assert bodies_like(f"{header}\n    ", f"\n{f'{word} a+1 ' * 100_000}", lambda _: ()) == []
