"""What a document imports."""

from __future__ import annotations

import pytest

from dg_lsp.document.imports import imported_paths, imported_words, module_name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from shop.cart import Cart\nx = other\n", {"shop", "cart", "Cart"}),
        ("from shop import (\n    Cart,\n    Item,\n)\n", {"Cart", "Item"}),
        ("import { Cart } from './cart';\n", {"Cart", "cart"}),
        ("import {\n  Cart,\n} from './cart';\n", {"Cart"}),
        ("const cart = require('./cart');\n", {"cart"}),
        ('#include "cart.h"\n', {"cart"}),
        ("use crate::cart::Cart;\n", {"cart", "Cart"}),
        ('import (\n\t"shop/cart"\n)\n', {"shop", "cart"}),
        ("using Shop.Cart;\n", {"Shop", "Cart"}),
        ("require_relative 'cart'\n", {"cart"}),
    ],
)
def test_the_words_of_import_statements(text: str, words: set[str]) -> None:
    found = imported_words(text)
    assert words <= found
    assert "other" not in found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("shop/cart.py", "cart"),
        ("shop/__init__.py", "shop"),
        ("src/cart/index.ts", "cart"),
        ("src/cart/mod.rs", "cart"),
        ("cart.h", "cart"),
    ],
)
def test_what_statements_call_a_file(path: str, name: str) -> None:
    assert module_name(path) == name


@pytest.mark.parametrize(
    ("language", "text", "expect"),
    [
        ("python", "from .cart import Cart", "shop/ui/cart.py"),
        ("python", "from . import cart", "shop/ui/cart.py"),
        ("python", "from ..cart import Cart", "shop/cart.py"),
        ("python", "from ..cart import Cart", "shop/cart/__init__.py"),
        ("python", "from .. import (\n    prices,\n    cart as c,\n)", "shop/cart.py"),
        ("python", "from shop.cart import Cart", "shop/cart.py"),
        ("python", "import os, shop.cart as c", "shop/cart.py"),
        ("python", "import shop.cart", "src/shop/cart.py"),
        # The folder is the package itself.
        ("python", "from store.shop.cart import Cart", "shop/cart.py"),
        ("typescript", "import { Cart } from './cart';", "shop/ui/cart.ts"),
        ("typescript", "import { Cart } from '../cart';", "shop/cart/index.ts"),
        ("javascript", "export * from './cart.js';", "shop/ui/cart.js"),
        ("javascript", "const cart = require('../cart')", "shop/cart.js"),
        ("c", '#include "cart.h"', "shop/ui/cart.h"),
        ("ruby", "require_relative 'cart'", "shop/ui/cart.rb"),
    ],
)
def test_where_imported_files_may_be(language: str, text: str, expect: str) -> None:
    assert expect in imported_paths(text + "\n", "shop/ui/window.py", language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "from .... import x\nfrom .....a import b"),
        ("javascript", "import x from '../../../../etc/passwd';"),
        ("c", '#include "../../../secret.h"\n#include </etc/passwd>'),
    ],
)
def test_no_file_outside_the_folder_is_named(language: str, text: str) -> None:
    for path in imported_paths(text + "\n", "shop/ui/window.py", language):
        assert not path.startswith(("/", ".."))
