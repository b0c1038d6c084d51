"""What other files define of the names around the cursor."""

from __future__ import annotations

import pytest

from dg_lsp.document.definitions import defined_in, definitions_near

CART = '''"""A cart."""

LIMIT = 9


class Cart:
    """What somebody is about to buy."""

    owner: str

    def add_item(self, item, count=1):
        """Put an item in."""
        for _ in range(count):
            self.items.append(item)
        self.total += count * item.price
        self.changed = True

    @property
    def is_empty(self):
        return not self.items


def total_price(items,
                tax_rate):
    price = 0
    for item in items:
        price += item.price
    price *= 1 + tax_rate
    return price
'''


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("python", CART, {"LIMIT", "Cart", "owner", "add_item", "is_empty", "total_price"}),
        (
            "javascript",
            "export class Cart {\n  addItem(item) {}\n}\nexport const total = (items) => 1;\n"
            "function tax() {\n  const inner = 1;\n}\n",
            {"Cart", "addItem", "total", "tax"},
        ),
        (
            "typescript",
            "export interface Cart { items: Item[]; add(item: Item): void }\n"
            "type Item = string;\nenum Kind { A }\n"
            "abstract class Shop {\n  open(): void {}\n}\n"
            "namespace Tools { export function tax() {} }\n",
            {"Cart", "items", "add", "Item", "Kind", "Shop", "open", "Tools", "tax"},
        ),
        ("typescriptreact", "export function Cart() {\n  return <b/>;\n}\n", {"Cart"}),
        (
            "go",
            "package shop\n\ntype Cart struct {\n\tItems []Item\n}\n\n"
            "func (cart *Cart) Add(item Item) error {\n\treturn nil\n}\n\nconst Limit = 9\n",
            {"Cart", "Items", "Add", "Limit"},
        ),
        (
            "rust",
            "pub struct Cart { items: u8 }\nimpl Cart {\n    pub fn add(&mut self) {}\n}\n"
            "trait Shop { fn open(&self); }\nconst LIMIT: u8 = 9;\ntype Item = u8;\n",
            {"Cart", "items", "add", "Shop", "open", "LIMIT", "Item"},
        ),
        (
            "java",
            "class Cart {\n  int count;\n  int add(int item) { return 1; }\n"
            "  enum Kind { A }\n}\n",
            {"Cart", "count", "add", "Kind"},
        ),
        (
            "c",
            "#define LIMIT 9\nstruct cart { int count; };\ntypedef struct cart cart_type;\n"
            "static int *add_item(int item) {\n  int inner;\n  return 0;\n}\n"
            "int total(void);\n",
            {"LIMIT", "cart", "count", "cart_type", "add_item", "total"},
        ),
        (
            "cpp",
            "namespace shop {\nclass Cart {\n public:\n  int add(int item) const;\n};\n}\n"
            "int Cart::add(int item) const { return 1; }\nusing Item = int;\n",
            {"shop", "Cart", "add", "Item"},
        ),
        (
            "csharp",
            "namespace Shop {\n  class Cart {\n    int Count { get; set; }\n"
            "    void Add(int item) { }\n  }\n  record Item(int Price);\n}\n",
            {"Shop", "Cart", "Count", "Add", "Item"},
        ),
        (
            "ruby",
            "module Shop\n  class Cart\n    LIMIT = 9\n    def add(item)\n      1\n    end\n"
            "    def self.open; end\n  end\nend\n",
            {"Shop", "Cart", "LIMIT", "add", "open"},
        ),
        (
            "lua",
            "local Cart = {}\nfunction Cart.add(item) return 1 end\nlocal function tax() end\n"
            "function Cart:open() end\n",
            {"add", "tax", "open"},
        ),
        (
            "shellscript",
            "add_item() {\n  inner=1\n}\nfunction total { b; }\n",
            {"add_item", "total"},
        ),
    ],
)
def test_what_a_file_defines(language: str, text: str, names: set[str]) -> None:
    found = defined_in("cart", text, language).by_name

    assert names <= set(found)
    assert not {"inner", "item", "import", "self"} & set(found)


def test_a_file_in_a_language_without_a_grammar_defines_nothing() -> None:
    assert defined_in("cart.f", "function add()\n", "fortran").by_name == {}


def snippets(prefix: str, *files, budget: int = 2_000, suffix: str = "", path: str = "a.py"):
    return definitions_near(prefix, suffix, files, budget, path)


def test_a_function_is_shown_by_its_signature_and_a_class_also_by_its_members() -> None:
    cart = defined_in("shop/cart.py", CART, "python")

    [shown] = snippets("from shop.cart import Cart\n\ncart = Cart()\n", cart)
    assert shown.path == "shop/cart.py"
    assert shown.text == (
        "class Cart:\n"
        '    """What somebody is about to buy."""\n'
        "    owner: str\n"
        "    def add_item(self, item, count=1):\n"
        '        """Put an item in."""\n'
        "    @property\n"
        "    def is_empty(self):\n"
    )

    [shown] = snippets("total_price(cart)\n", cart)
    assert shown.text == "def total_price(items,\n                tax_rate):\n"


def test_a_method_is_shown_with_the_head_of_its_class() -> None:
    [shown] = snippets("x.add_item(y)\n", defined_in("shop/cart.py", CART, "python"))
    assert shown.text.startswith("class Cart:\n    def add_item(self, item, count=1):\n")


def test_the_file_that_is_imported_counts_and_others_with_the_same_name_do_not() -> None:
    files = [
        defined_in(f"{name}.py", f"def load_cart(from_{name}):\n    pass\n", "python")
        for name in ("one", "two", "three", "four")
    ]
    assert snippets("load_cart()\n", *files) == ()
    [shown] = snippets("from two import load_cart\n\nload_cart()\n", *files)
    assert shown.path == "two.py"


def test_the_names_next_to_the_cursor_come_first_in_the_budget_and_last_in_the_prompt() -> None:
    files = [
        defined_in(f"{name}.py", f"def load_{name}(arguments):\n    pass\n", "python")
        for name in ("one", "two", "six")
    ]
    size = len("def load_one(arguments):\n    pass\n")
    prefix = "load_one()\n" + "x = 1\n" * 9 + "load_two()\n"
    suffix = "\n" * 5 + "load_six()\n"
    shown = snippets(prefix, *files, suffix=suffix, budget=3 * size)
    assert [snippet.path for snippet in shown] == ["one.py", "six.py", "two.py"]
    shown = snippets(prefix, *files, suffix=suffix, budget=2 * size)
    assert [snippet.path for snippet in shown] == ["six.py", "two.py"]
    assert snippets(prefix, *files, budget=0) == ()


def test_what_the_document_shows_itself_is_left_out() -> None:
    cart = defined_in("shop/cart.py", CART, "python")
    assert snippets("LIMIT = 9\n", cart) == ()
    assert snippets("Cart\n", cart, path="shop/cart.py") == ()


def test_a_file_of_anything_is_read_without_an_error() -> None:
    for text in ("", "\ud800 class \ud800:\n", "class A(\n" * 50, "def é(ü): pass\r\n" * 3):
        for language in ("python", "typescript", "c", "ruby"):
            defined = defined_in("a", text, language)
            snippets("A é class\n", defined)
