"""What a document imports, as far as its own lines say.

Import statements are recognized by their first word, in the same way for all languages.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePath

MOST_CHARS = 20_000
"""Only the beginning of a document is searched."""
MOST_PATHS = 200

_IMPORT = re.compile(
    r"""\n([ \t]*(?:
        (?:(?:from|import|use|using|require(?:_relative)?|source|mod)\b
          |\#[ ]?include|export[ ]*[{*])
        [^({\r\n]*(?:\([^()]*\)|\{[^{}]*\}[^\r\n]*)?[^\r\n]*
    ))""",
    re.VERBOSE,
)
"""Begins with a literal, because such patterns are fastest."""
_REQUIRE = re.compile(r"""\brequire[ ]?\(?[ ]?["'][^\r\n]*""")
_WORD = re.compile(r"[^\W\d][\w-]*")
_QUOTED = re.compile(r"""["'<](?P<path>[\w@./-]+)["'>]""")
_PYTHON = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>\.*[\w.]*)[ \t]+import[ \t]+(?P<names>\([^()]*\)|[^\r\n]*)"
    r"|import[ \t]+(?P<modules>[\w., \t]+))",
    re.MULTILINE,
)
_INDEX_NAMES = ("__init__", "index", "init", "lib", "main", "mod")
_SUFFIXES = ("", ".ts", ".tsx", ".js", ".jsx", ".mjs", "/index.ts", "/index.js", ".rb", ".lua")


def imported_words(text: str) -> frozenset[str]:
    """The words in the import statements of a document."""
    return _words(text[:MOST_CHARS])


# Cached, as the beginning of a document rarely changes.
@functools.lru_cache(maxsize=4)
def _words(text: str) -> frozenset[str]:
    return frozenset(word for line in _statements(text) for word in _WORD.findall(line))


def _statements(text: str) -> list[str]:
    required = _REQUIRE.findall(text) if "require" in text else []
    return _IMPORT.findall("\n" + text) + required


@functools.lru_cache(maxsize=256)
def module_name(path: str) -> str:
    """What an import statement calls a file."""
    pure = PurePath(path)
    return pure.parent.name if pure.stem in _INDEX_NAMES else pure.stem


def imported_paths(text: str, path: str, language: str) -> tuple[str, ...]:
    """Where the files may be that a document imports, relative to a folder in which it is
    `path`; most of them do not exist."""
    found = _python_paths if language == "python" else _quoted_paths
    own = path.replace("\\", "/")
    paths = (posixpath.normpath(one) for one in found(text[:MOST_CHARS], own))
    return tuple(dict.fromkeys(one for one in paths if not one.startswith(("..", "/"))))[
        :MOST_PATHS
    ]


def _python_paths(text: str, path: str) -> Iterator[str]:
    folder = posixpath.dirname(path)
    for found in _PYTHON.finditer(text):
        modules = [one.split(" as ")[0].strip() for one in (found["modules"] or "").split(",")]
        if found["module"]:
            names = re.findall(r"(\w+)(?:\s+as\s+\w+)?", found["names"].partition("#")[0])
            module = found["module"]
            joint = "" if module.endswith(".") else "."
            modules = [module, *(f"{module}{joint}{name}" for name in names)]
        # The folder may be the package itself.
        inner = [module.partition(".")[2] for module in modules if module[:1] != "."]
        for module in filter(None, (*modules, *inner)):
            dots = len(module) - len(module.lstrip("."))
            relative = module.lstrip(".").replace(".", "/")
            # An absolute module may be in any folder above the document.
            bases = [posixpath.join(folder, *[".."] * (dots - 1))] if dots else _above(folder)
            for base in bases:
                yield posixpath.join(base, relative or ".", "__init__.py")
                if relative:
                    yield posixpath.join(base, relative + ".py")


def _above(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""
    yield "src"


def _quoted_paths(text: str, path: str) -> Iterator[str]:
    folder = posixpath.dirname(path)
    for line in _statements(text):
        for found in _QUOTED.finditer(line):
            for suffix in _SUFFIXES:
                yield posixpath.join(folder, found["path"] + suffix)
