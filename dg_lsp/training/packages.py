"""More training text: JavaScript, TypeScript and Lua that the editor plugins install.

Reads `node_modules` folders and Neovim's runtime, file by file, with the filters of
`training.corpus` except the parser. Declarations, bundles and minified files are left out,
because nobody writes them by hand. It trusts what a package says about its licence.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from dg_lsp.training import corpus
from dg_lsp.training.corpus import Source, SourceFile

NODE_SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".jsx")
MAX_LINE_CHARACTERS = 300  # A bundler's lines are longer; hand-written ones hardly ever are.
MAX_MEAN_LINE = 60
MAX_FILE_CHARACTERS = 100_000  # A longer file combines several modules.
MAX_SHARE_OF_PACKAGE = (
    0.15  # Without a limit, one family of packages would be half of everything.
)
NEOVIM = "neovim"
NEOVIM_LICENCE = "Apache-2.0"

_DECLARATION = re.compile(r".*\.d\.[cm]?ts|.*\.gen\.lua|.*[.-](min|bundle|umd|global)\.\w+")
_LEFT_OUT = re.compile(r"_meta|umd|i18n|locales?|\w*bundle\w*|_?_?tests?_?_?|spec", re.I)
_COMMENT = re.compile(r"/\*[\s\S]*?\*/\s*|(?m:^(?://|--).*\n)+\s*")
_NOTICE = re.compile(r"/\*!|copyright|licen[cs]e|rights reserved", re.I)
HEADER_CHARACTERS = 2_000  # Where a licence is stated, after a banner or "use strict".
BUILT = ("dist", "dist-browser", "build", "es", "lib", "out")  # What a compiler made of src.
_PACKED = re.compile(r"\b__esModule\b|\b__webpack_|\brequire_\w+ = __commonJS")
_SOURCE_MAP = re.compile(r"(?m)^//# sourceMappingURL=.*\n?")


def gather_packages(folders: Iterable[Path]) -> tuple[list[SourceFile], list[Source]]:
    """The usable files of `node_modules` folders and Neovim runtimes, and where they come from.

    Raises ValueError for a folder that is neither.
    """
    candidates: list[SourceFile] = []
    origins: dict[str, tuple[str, str]] = {}
    for folder in folders:
        if (folder / "lua" / "vim").is_dir():
            origins[NEOVIM] = (_neovim_version(folder), NEOVIM_LICENCE)
            candidates += _read(NEOVIM, folder, folder.rglob("*.lua"))
            continue
        manifests = sorted((*folder.glob("*/package.json"), *folder.glob("@*/*/package.json")))
        if not manifests:
            raise ValueError(
                f"{folder} is neither a node_modules folder nor a Neovim runtime "
                f"(a folder with lua/vim in it)"
            )
        for manifest in manifests:
            facts = json.loads(manifest.read_text(encoding="utf-8"))
            licence = facts.get("license")
            if not isinstance(licence, str) or not corpus.is_permissive(licence):
                continue
            name = f"npm {facts['name']}"
            origins[name] = (str(facts.get("version", "")), licence)
            paths = (
                path for suffix in NODE_SUFFIXES for path in manifest.parent.rglob(f"*{suffix}")
            )
            candidates += _read(name, manifest.parent, paths)
    kept = _capped(corpus.drop_near_duplicates(candidates))
    files = Counter(file.distribution for file in kept)
    sizes = corpus.characters(kept)
    sources = [Source(name, *origins[name], files[name], sizes[name]) for name in sorted(files)]
    return kept, sources


def clean(raw: bytes) -> str | None:
    """The text to train on, or None if the file is not an ordinary hand-written one."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None
    body = _SOURCE_MAP.sub("", _without_notices(text))
    if corpus.FOREIGN_NOTICE.search(text[:HEADER_CHARACTERS]):
        return None
    if not corpus.MIN_CHARACTERS <= len(body) <= MAX_FILE_CHARACTERS:
        return None
    lines = body.split("\n")
    if max(map(len, lines)) > MAX_LINE_CHARACTERS or len(body) > MAX_MEAN_LINE * len(lines):
        return None
    if corpus.is_generated(body) or corpus.is_data(body) or _PACKED.search(body):
        return None
    return body


def _without_notices(text: str) -> str:
    """Without the ownership comments near the top."""

    def keep(comment: re.Match[str]) -> str:
        known = comment.start() < HEADER_CHARACTERS and _NOTICE.search(comment.group())
        return "" if known else comment.group()

    return _COMMENT.sub(keep, text)


def _read(name: str, root: Path, paths: Iterable[Path]) -> Iterator[SourceFile]:
    has_source = (root / "src").is_dir()
    for path in sorted(paths):
        parts = path.relative_to(root).parts
        left_out = (
            "node_modules" in parts
            or (has_source and parts[0] in BUILT)
            or any(map(_LEFT_OUT.fullmatch, (*parts[:-1], path.stem)))
        )
        if left_out or _DECLARATION.fullmatch(path.name) or not path.is_file():
            continue
        if (text := clean(path.read_bytes())) is not None:
            yield SourceFile(f"{name}/{'/'.join(parts)}", text, name)


def _capped(files: list[SourceFile]) -> list[SourceFile]:
    """Without the last files of packages that exceed their share of a language."""
    total: Counter[str] = Counter()
    for file in files:
        total[corpus.language(file.path)] += len(file.text)
    used: Counter[tuple[str, str]] = Counter()
    kept = []
    for file in files:
        key = (file.distribution, corpus.language(file.path))
        used[key] += len(file.text)
        if file.distribution == NEOVIM or used[key] <= MAX_SHARE_OF_PACKAGE * total[key[1]]:
            kept.append(file)
    return kept


def _neovim_version(runtime: Path) -> str:
    """The newest release mentioned in the runtime's news."""
    news = runtime / "doc" / "news.txt"
    if not news.is_file():
        return ""
    found = re.search(r"Nvim (\d+\.\d+)", news.read_text(encoding="utf-8", errors="replace"))
    return found.group(1) if found else ""
