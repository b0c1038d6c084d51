"""Reads a source file as an editor would, or says in one line why it cannot.

The text keeps its line ends; a byte order mark is removed and recorded. The module also derives
the language of a path from its name.
"""

from __future__ import annotations

import codecs
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from dg_lsp.reason import CodedError, ReasonCode

MAX_SOURCE_BYTES = 20 * 1024 * 1024
"""A larger file is data rather than source, and editors refuse it as well."""

# PEP 263: the second line counts only below a blank line or a comment.
_COOKIE = re.compile(
    rb"(?:[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))?[ \t\f]*#[^\r\n]*?coding[:=][ \t]*([-\w.]+)"
)
_PYTHON_SUFFIXES = (".py", ".pyi", ".pyw")
_NOT_CHARSETS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")


class SourceError(CodedError, ValueError):
    """A file that cannot be read as source; the message is one line."""

    code = ReasonCode.BAD_FILE


@dataclass(frozen=True, slots=True)
class Source:
    """A file as read."""

    path: Path
    text: str
    """Everything after the byte order mark, with its line ends as they are."""
    newline: str
    r"""The most common line end: "\n", "\r\n" or "\r"; "\n" if there is none."""
    encoding: str
    had_bom: bool


def read_source(path: Path) -> Source:
    """Read a whole file; raises `SourceError` if it cannot."""
    return source_of(path, read_bytes(path))


def source_of(path: Path, data: bytes) -> Source:
    """A file that has been read already; raises `SourceError` if it is not text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{path} is UTF-16; save it as UTF-8")
    zero = data.find(b"\0")
    if zero >= 0:
        raise SourceError(
            f"{path} is a binary file (a NUL byte at offset {zero}); name a text file"
        )
    had_bom = data.startswith(codecs.BOM_UTF8)
    encoding = _declared_encoding(path, data)
    skipped = len(codecs.BOM_UTF8) if had_bom else 0
    try:
        text = data[skipped:].decode(encoding)
    except UnicodeDecodeError as error:
        offset = skipped + error.start
        raise SourceError(
            f"{path} is not valid {encoding}: byte 0x{data[offset]:02x} at offset {offset}; "
            f"save it as UTF-8"
        ) from error
    return Source(path, text, newline_of(text), encoding, had_bom)


def language_of(path: Path) -> str:
    """The LSP language id for a path; "plaintext" if its name says nothing."""
    name = path.name.lower()
    language = _LANGUAGE_BY_NAME.get(name) or _LANGUAGE_BY_SUFFIX.get(path.suffix.lower())
    if language is None and name.startswith("dockerfile."):
        return "dockerfile"
    return language or "plaintext"


def read_bytes(path: Path) -> bytes:
    """What a file holds; raises `SourceError` if it is no file of bounded length."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{path} is a directory; name a file in it")
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path} is not a regular file; name a text file")
        with path.open("rb") as file:
            data = file.read(MAX_SOURCE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(f"{path} does not exist; check the path") from error
    except PermissionError as error:
        raise SourceError(f"{path} is not readable; check its permissions") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    except SourceError:
        raise
    except ValueError as error:
        raise SourceError(f"{str(path)!r} is not a path: {error}") from error
    if len(data) > MAX_SOURCE_BYTES:
        raise SourceError(
            f"{path} has {max(status.st_size, len(data))} bytes; "
            f"the limit is {MAX_SOURCE_BYTES} bytes, name a smaller file"
        )
    return data


def _declared_encoding(path: Path, data: bytes) -> str:
    bom = data.startswith(codecs.BOM_UTF8)
    start = len(codecs.BOM_UTF8) if bom else 0
    cookie = None
    if path.suffix.lower() in _PYTHON_SUFFIXES:
        cookie = _COOKIE.match(data, start)
    if cookie is None:
        return "utf-8"
    declared = cookie[1].decode("latin-1")
    try:
        encoding = codecs.lookup(declared).name
        # A declaration that its own encoding would encode differently (UTF-16, rot13) is wrong.
        plain = (
            encoding not in _NOT_CHARSETS
            and cookie[1].decode(encoding).encode("ascii") == cookie[1]
        )
    except (LookupError, ValueError):
        plain = False
    if not plain:
        raise SourceError(
            f"{path} declares the encoding {declared!r}, which cannot be read; "
            f"save it as UTF-8 without the declaration"
        )
    if encoding in ("utf-8", "utf-8-sig"):
        return "utf-8"
    if bom:
        raise SourceError(
            f"{path} starts with a UTF-8 byte order mark but declares {declared!r}; remove one"
        )
    return encoding


def newline_of(text: str) -> str:
    """The line end that most lines have."""
    pairs = text.count("\r\n")
    counts = {
        "\n": text.count("\n") - pairs,
        "\r\n": pairs,
        "\r": text.count("\r") - pairs,
    }
    return max(counts, key=lambda newline: counts[newline])


_SUFFIXES = {
    "bat": ".bat .cmd",
    "c": ".c .h",
    "clojure": ".clj .cljs .cljc .edn",
    "cmake": ".cmake",
    "coffeescript": ".coffee",
    "cpp": ".cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .ipp .inl .ino",
    "csharp": ".cs .csx",
    "css": ".css",
    "cuda-cpp": ".cu .cuh",
    "dart": ".dart",
    "diff": ".diff .patch",
    "dockerfile": ".dockerfile",
    "elixir": ".ex .exs",
    "elm": ".elm",
    "erlang": ".erl .hrl",
    "fsharp": ".fs .fsi .fsx",
    "gdscript": ".gd",
    "glsl": ".glsl .vert .frag .comp",
    "go": ".go",
    "graphql": ".graphql .gql",
    "groovy": ".groovy .gradle",
    "haskell": ".hs",
    "html": ".html .htm .xhtml",
    "ini": ".ini .cfg .conf .properties",
    "java": ".java",
    "javascript": ".js .mjs .cjs",
    "javascriptreact": ".jsx",
    "json": ".json .ipynb .webmanifest",
    "jsonc": ".jsonc .json5",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "latex": ".tex .sty",
    "less": ".less",
    "lua": ".lua",
    "makefile": ".mk .mak",
    "markdown": ".md .markdown .mdx",
    "nim": ".nim",
    "nix": ".nix",
    "objective-c": ".m",
    "objective-cpp": ".mm",
    "ocaml": ".ml .mli",
    "perl": ".pl .pm",
    "php": ".php",
    "powershell": ".ps1 .psm1 .psd1",
    "proto3": ".proto",
    "pug": ".pug .jade",
    "python": ".py .pyi .pyw .pyx",
    "r": ".r",
    "restructuredtext": ".rst",
    "ruby": ".rb .rake .gemspec",
    "rust": ".rs",
    "sass": ".sass",
    "scala": ".scala .sc .sbt",
    "scss": ".scss",
    "shellscript": ".sh .bash .zsh .ksh .fish",
    "sql": ".sql",
    "svelte": ".svelte",
    "swift": ".swift",
    "terraform": ".tf .tfvars .hcl",
    "toml": ".toml",
    "typescript": ".ts .mts .cts",
    "typescriptreact": ".tsx",
    "vb": ".vb",
    "vue": ".vue",
    "xml": ".xml .xsd .xsl .xslt .svg .plist .csproj",
    "yaml": ".yaml .yml",
    "zig": ".zig",
}
_NAMES = {
    "cmake": "cmakelists.txt",
    "dockerfile": "dockerfile containerfile",
    "go.mod": "go.mod",
    "jsonc": "tsconfig.json jsconfig.json .eslintrc.json",
    "makefile": "makefile gnumakefile",
    "python": "sconstruct sconscript wscript",
    "ruby": "gemfile rakefile vagrantfile",
    "shellscript": ".bashrc .bash_profile .profile .zshrc .zprofile",
    "toml": "cargo.lock poetry.lock uv.lock",
}
_LANGUAGE_BY_SUFFIX = {
    suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()
}
_LANGUAGE_BY_NAME = {
    name: language for language, names in _NAMES.items() for name in names.split()
}
