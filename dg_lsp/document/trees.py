"""Syntax trees of documents, by tree-sitter, for the languages whose grammars are installed.

A grammar is loaded when `load` is called, and only then does `parsed_site` answer. Nothing is
downloaded: every grammar is a package of its own (tree-sitter-language-pack fetches them at run
time).

A text that is inserted is parsed again only where it stands.
"""

from __future__ import annotations

import functools
import importlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dg_lsp.document.position import without_surrogates

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Query, Tree

MOST_CHARS = 1_000_000
"""A longer document is not parsed."""

# By LSP language id: the package, and the function in it that returns the grammar.
_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "javascriptreact": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "typescriptreact": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "lua": ("tree_sitter_lua", "language"),
    "shellscript": ("tree_sitter_bash", "language"),
    "yaml": ("tree_sitter_yaml", "language"),
    "html": ("tree_sitter_html", "language"),
    "css": ("tree_sitter_css", "language"),
}
LANGUAGES = tuple(_GRAMMARS)

# What a grammar takes for valid although it closes nothing. Ruby's `end` is taken so at the top
# level alone; the others are looked for near the cursor, because a query of all is slow.
_STRAYS = {
    "ruby": '(program (identifier) @stray (#eq? @stray "end"))',
    "shellscript": '((command_name) @stray (#any-of? @stray "fi" "done" "esac" "then" "do"))',
    "html": "(erroneous_end_tag) @stray",
}
_STRAY_BYTES = 4_000
_PIECE_BYTES = 4_096
_MOST_READS = 16
"""Of each piece of a text on average. Real code needs three; a grammar that looks ahead from
each line, as Python's does in a long run of comments, needs ever more."""


@dataclass(slots=True)
class _Loaded:
    """The parser of a language."""

    parser: Parser
    strays: Query | None
    lock: threading.Lock = field(default_factory=threading.Lock)


_loaded: dict[str, _Loaded] = {}


def load(language: str) -> bool:
    """Load the grammar of a language, if there is one."""
    if language not in _GRAMMARS:
        return False
    if language not in _loaded:
        import tree_sitter

        package, function = _GRAMMARS[language]
        grammar = tree_sitter.Language(getattr(importlib.import_module(package), function)())
        strays = tree_sitter.Query(grammar, _STRAYS[language]) if language in _STRAYS else None
        _loaded.setdefault(language, _Loaded(tree_sitter.Parser(grammar), strays))
    return True


def is_loaded(language: str) -> bool:
    """Whether the grammar of a language is loaded."""
    return language in _loaded


@dataclass(frozen=True, slots=True)
class ParsedSite:
    """The tree of a document with a cursor in it."""

    language: str
    source: bytes
    tree: Tree
    at: int
    """Where the cursor is, in bytes."""

    def with_text(self, text: str) -> ParsedSite:
        """The same document with a text inserted; the cursor is before it."""
        return self.with_replaced(self.at, self.at, text)

    def with_replaced(self, start: int, end: int, text: str) -> ParsedSite:
        """The same document with a text in place of `[start, end)`; the cursor is before it."""
        source = self.source[:start] + encoded(text) + self.source[end:]
        loaded = _loaded[self.language]
        with loaded.lock:
            rest = len(self.source) - end
            tree = _parse_again(loaded.parser, self.tree, self.source, source, start, rest)
        return ParsedSite(self.language, source, tree, start)

    def faults(self, length: int = 0) -> list[tuple[int, int]]:
        """`[start, end)` of everything that is wrong or missing.

        The text after the cursor, for `length` bytes, and what is near it are looked at more
        closely, for what closes nothing.
        """
        root = self.tree.root_node
        found = _faults(root) if root.has_error else []
        query = _loaded[self.language].strays
        if query is not None:
            import tree_sitter

            cursor = tree_sitter.QueryCursor(query)
            if self.language == "ruby":
                cursor.set_max_start_depth(1)
            else:
                start, end = self.at - _STRAY_BYTES, self.at + length + _STRAY_BYTES
                cursor.set_byte_range(max(0, start), end)
            captures = cursor.captures(self.tree.root_node).get("stray", [])
            found += [(node.start_byte, node.end_byte) for node in captures]
        return found


def parsed_site(prefix: str, suffix: str, language: str) -> ParsedSite | None:
    """The tree of a document; None if its grammar is not loaded, or it is too long."""
    if not is_loaded(language) or len(prefix) + len(suffix) > MOST_CHARS:
        return None
    return _parsed_site(prefix, suffix, language)


# Cached, because every draft and candidate of a job is finished at the same cursor.
@functools.lru_cache(maxsize=4)
def _parsed_site(prefix: str, suffix: str, language: str) -> ParsedSite:
    before = encoded(prefix)
    source = before + encoded(suffix)
    loaded = _loaded[language]
    with loaded.lock:
        tree = loaded.parser.parse(source)
    return ParsedSite(language, source, tree, len(before))


def whole_tree(source: bytes, language: str) -> Tree | None:
    """The tree of a text, which is not kept; None if it would take too long.

    Other threads run meanwhile. The `text` of a node is never let go of either, so take it from
    `source`.
    """
    import tree_sitter

    reads, most = 0, _MOST_READS * (1 + len(source) // _PIECE_BYTES)

    # tree-sitter 0.26 never lets go of what is read, so that it is always the same object.
    piece = bytearray()
    is_parsed = False

    def read(offset: int, point: object) -> bytearray | bytes:
        nonlocal reads
        if is_parsed:
            # For the text of a node, where tree-sitter expects bytes and nothing else.
            return source[offset : offset + _PIECE_BYTES]
        reads += 1
        piece[:] = source[offset : offset + _PIECE_BYTES]
        return piece

    # The parser holds the interpreter's lock, except while it calls back.
    parser = tree_sitter.Parser(_loaded[language].parser.language)
    try:
        return parser.parse(read, progress_callback=lambda *progress: reads > most)
    except ValueError:
        # That is how it says that it was stopped.
        return None
    finally:
        is_parsed = True
        piece.clear()


def encoded(text: str) -> bytes:
    """The bytes that a text is parsed as."""
    return without_surrogates(text).encode()


def _faults(root: Node) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    left = [root]
    while left:
        node = left.pop()
        if node.is_error or node.is_missing:
            found.append((node.start_byte, node.end_byte))
        left += [child for child in node.children if child.has_error]
    return found


def _parse_again(
    parser: Parser, tree: Tree, old: bytes, new: bytes, start: int, kept_end: int
) -> Tree:
    """The tree of `new`, from that of `old`, with which it shares both ends."""
    edited = tree.copy()
    old_end, new_end = len(old) - kept_end, len(new) - kept_end
    first = _point(old, start)
    edited.edit(
        start_byte=start,
        old_end_byte=old_end,
        new_end_byte=new_end,
        start_point=first,
        old_end_point=_point(old, old_end),
        new_end_point=_point(new, new_end),
    )
    return parser.parse(new, edited)


def _point(source: bytes, at: int) -> tuple[int, int]:
    return source.count(b"\n", 0, at), at - source.rfind(b"\n", 0, at) - 1
