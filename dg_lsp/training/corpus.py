"""Gathers the bundled model's training text and its held-out text.

Reads the running interpreter's standard library and the permissively licensed distributions
that the project installs; leaves out tests, tables, generated files, copies, and files that
share code with a held-out file. It trusts metadata and file headers about licences, and cannot
detect a reworded copy.
"""

import ast
import hashlib
import platform
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path

STDLIB = "stdlib"
# Dependencies that an installation may include; the licence check decides.
DISTRIBUTIONS = (
    "torch", "transformers", "numpy", "sympy", "networkx", "setuptools", "mypy", "rich",
    "typer", "click", "pydantic", "pydantic_core", "jinja2", "pygments", "huggingface_hub",
    "safetensors", "tokenizers", "accelerate", "fsspec", "filelock", "packaging", "tqdm",
    "psutil", "pygls", "platformdirs", "lsprotocol", "cattrs", "attrs", "starlette", "uvicorn",
    "httpx", "httpx2", "httpcore2", "h11", "anyio", "idna", "truststore", "mdurl",
    "markdown-it-py", "markupsafe", "mpmath", "mypy_extensions", "pluggy", "pyyaml", "regex",
    "shellingham", "sortedcontainers", "hypothesis", "pathspec", "annotated-types",
    "annotated-doc", "typing-inspection", "typing_extensions", "bitsandbytes",
)  # fmt: skip

HELD_OUT_DISTRIBUTIONS = ("pip", "pytest")
# Of various kinds: parsing, text, numbers, data structures, coroutines, the web.
HELD_OUT_MODULES = (
    "argparse", "asyncio/queues", "bisect", "cmd", "configparser", "csv", "fractions",
    "graphlib", "heapq", "http/cookies", "json", "queue", "sched", "shlex", "textwrap",
    "tomllib",
)  # fmt: skip

# Without a limit, these three would be most of the text, in only three styles.
CAPPED_DISTRIBUTIONS = ("torch", "sympy", "transformers")
MAX_SHARE = 0.30

MIN_CHARACTERS, MAX_CHARACTERS = 400, 200_000
MAX_LINE_CHARACTERS = 1_000  # Longer than what the model can see at once: packed data.
HEADER_LINES = 10  # Where a generator signs its output.
MAX_DIGIT_SHARE = 0.20  # Of visible characters; numerical code measured 0.19 at most.
MAX_LITERAL_SHARE = 0.50  # One-line strings: word lists, registries, lexers' name tables.
MAX_PROSE_SHARE = 0.90  # Triple-quoted strings: documentation kept in a .py file.

DUPLICATE_SHARE, LEAK_SHARE = 0.60, 0.30  # Of a file's own shingles.
COPIED_SHINGLES = 8  # Ten lines of one held-out file; shared idioms measured 7 at most.

_LEFT_OUT_PART = re.compile(
    r"_?tests?([-_].*)?|_test.*|testing([-_].*)?|.*_tests?|conftest"
    r"|_?vendor(ed)?(_.*)?|third_party"
)
_LEFT_OUT_OF_STDLIB = re.compile("encodings|idlelib|pydoc_data|turtledemo|.*-packages")
# Compared after lower-casing and without punctuation and the words licence and version.
_PERMISSIVE = re.compile(
    r"0bsd|([23] clause |new )?bsd( [23] clause)?|bsl 1\.0|cc0 1\.0|cnri python|isc( iscl)?"
    r"|apache( software)?( 2\.0)?( with llvm exception)?|mit( 0)?|psf( 2\.0)?"
    r"|python( 2\.0| software foundation)|zlib( libpng)?"
)
FOREIGN_NOTICE = re.compile(r"\bGNU\b|\b[AL]?GPL|Mozilla Public|non-?commercial|CC.BY", re.I)
_GENERATED = re.compile(
    r"(?im)auto(matically)?[- ]?generated|\bdo not (hand[- ]?)?(edit|modify)\b|@generated"
    r"|^#.*\bgenerated (by|from|on|using|with)\b"
)
# Leading comments, to the end of the last paragraph that speaks of a licence.
_LICENCE_HEADER = re.compile(
    r"(?i)\A([ \t]*(#.*)?\n)*[ \t]*#.*(copyright|licen[cs]e|spdx-|rights reserved).*\n"
    r"([ \t]*#.*\n)*\n*"
)
_COMMENT_OR_STRING = re.compile(
    r'#[^\n]*|"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One cleaned file; `path` is a stable label such as "stdlib/asyncio/queues.py"."""

    path: str
    text: str
    distribution: str


@dataclass(frozen=True, slots=True)
class Source:
    """One distribution's contribution to the training text: a line of the model card."""

    distribution: str
    version: str
    licence: str
    files: int
    characters: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """All available text, split in two, sorted by path; `refused` is (distribution, reason)."""

    training: tuple[SourceFile, ...]
    held_out: tuple[SourceFile, ...]
    sources: tuple[Source, ...]
    refused: tuple[tuple[str, str], ...]


def gather() -> Corpus:
    """Read, clean and split everything; the same machine gives the same corpus."""
    held_out = held_out_files()
    origins = [(STDLIB, platform.python_version(), "PSF-2.0")]
    refused: list[tuple[str, str]] = []
    candidates = list(_read(STDLIB, (f for f in _stdlib() if not is_held_out(f[0]))))
    for found in _find(DISTRIBUTIONS):
        if licence := licence_of(found.metadata):
            origins.append((found.name, found.version, licence))
            candidates.extend(_installed(found))
        else:
            declared = "; ".join(_declared(found.metadata)) or "unknown"
            refused.append((found.name, f"licence: {declared}"))
    training = limit_shares(drop_leaks(drop_near_duplicates(candidates), held_out))
    files, sizes = Counter(file.distribution for file in training), characters(training)
    sources = tuple(Source(*o, files[o[0]], sizes[o[0]]) for o in origins if files[o[0]])
    return Corpus(tuple(training), held_out, sources, tuple(refused))


def held_out_files() -> tuple[SourceFile, ...]:
    """The held-out files, without those of packages that are not installed."""
    files = list(_read(STDLIB, (f for f in _stdlib() if is_held_out(f[0]))))
    files += [file for found in _find(HELD_OUT_DISTRIBUTIONS) for file in _installed(found)]
    return tuple(sorted(files, key=lambda file: file.path))


def is_held_out(label: str) -> bool:
    """Whether a standard library label belongs to one of the held-out modules."""
    module = label.removeprefix(f"{STDLIB}/").removesuffix(".py")
    return any(f"{module}/".startswith(f"{name}/") for name in HELD_OUT_MODULES)


def is_left_out(label: str) -> bool:
    """Whether the path alone says test or vendored copy."""
    return any(map(_LEFT_OUT_PART.fullmatch, label.removesuffix(".py").split("/")))


def language(path: str) -> str:
    """The language of a file of the corpus, by its name, as editors call it."""
    suffix = path.rsplit(".", 1)[-1]
    if suffix == "lua":
        return "lua"
    if suffix in ("ts", "mts", "cts", "tsx"):
        return "typescript"
    return "javascript" if suffix in ("js", "mjs", "cjs", "jsx") else "python"


def licence_of(metadata: PackageMetadata) -> str | None:
    """The declared licence if every declared licence is permissive, else None."""
    declared = _declared(metadata)
    return declared[0] if declared and all(map(is_permissive, declared)) else None


def clean(raw: bytes) -> str | None:
    """The text to train on, or None if the file is not ordinary hand-written Python."""
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None
    body = strip_licence_header(text)
    # A permissive distribution may contain files under other terms; their headers say so.
    if FOREIGN_NOTICE.search(text.removesuffix(body)):
        return None
    if not MIN_CHARACTERS <= len(body) <= MAX_CHARACTERS or is_generated(text) or is_data(body):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # An old escape sequence in somebody else's file.
            ast.parse(body)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return body


def strip_licence_header(text: str) -> str:
    """Drop the leading comments that mention a licence, with everything above them."""
    return _LICENCE_HEADER.sub("", text)


def is_generated(text: str) -> bool:
    """Whether the licence header or the lines after it say that a program wrote the file."""
    body = strip_licence_header(text)
    first_lines = "\n".join(body.split("\n", HEADER_LINES)[:HEADER_LINES])
    return _GENERATED.search(text.removesuffix(body) + first_lines) is not None


def is_data(text: str) -> bool:
    """Whether the file is mostly digits, strings or packed lines."""
    strings = [m.group() for m in _COMMENT_OR_STRING.finditer(text) if m.group()[0] != "#"]
    prose = sum(len(string) for string in strings if string.startswith(('"""', "'''")))
    literal = sum(map(len, strings)) - prose
    digits, visible = sum(map(text.count, "0123456789")), len("".join(text.split()))
    return (
        max(map(len, text.split("\n"))) > MAX_LINE_CHARACTERS
        or digits > MAX_DIGIT_SHARE * visible
        or literal > MAX_LITERAL_SHARE * len(text)
        or prose > MAX_PROSE_SHARE * len(text)
    )


def drop_near_duplicates(files: Iterable[SourceFile]) -> list[SourceFile]:
    """Sorted by path, without files that mostly repeat shingles of files kept before them."""
    seen: set[int] = set()
    kept = []
    for file in sorted(files, key=lambda file: file.path):
        shingles = _shingles(file.text)
        if not shingles or len(shingles & seen) < DUPLICATE_SHARE * len(shingles):
            seen |= shingles
            kept.append(file)
    return kept


def drop_leaks(files: Iterable[SourceFile], held_out: Sequence[SourceFile]) -> list[SourceFile]:
    """Without files that share much with the held-out text or copy a passage of one file."""
    owners: dict[int, list[int]] = {}
    for index, held in enumerate(held_out):
        for shingle in _shingles(held.text):
            owners.setdefault(shingle, []).append(index)

    def leaks(file: SourceFile) -> bool:
        shingles = _shingles(file.text)
        shared = [shingle for shingle in shingles if shingle in owners]
        copied = Counter(index for shingle in shared for index in owners[shingle])
        return bool(shared) and (
            len(shared) >= LEAK_SHARE * len(shingles) or max(copied.values()) >= COPIED_SHINGLES
        )

    return [file for file in files if not leaks(file)]


def limit_shares(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Subsampled by a hash of the path until no capped distribution exceeds its share."""
    sizes = characters(files)
    shuffled = sorted(files, key=lambda file: hashlib.sha256(file.path.encode()).digest())
    queues = {n: [f for f in shuffled if f.distribution == n] for n in CAPPED_DISTRIBUTIONS}
    dropped: set[str] = set()
    while sizes[name := max(queues, key=sizes.__getitem__)] > MAX_SHARE * sizes.total():
        file = queues[name].pop()
        sizes[name] -= len(file.text)
        dropped.add(file.path)
    return [file for file in files if file.path not in dropped]


def characters(files: Iterable[SourceFile]) -> Counter[str]:
    """The amount of text of each distribution."""
    return sum((Counter({file.distribution: len(file.text)}) for file in files), Counter())


def _shingles(text: str) -> set[int]:
    """One hash for each three consecutive lines of code, spacing and comments aside."""
    # hash() is salted per process, but only equality within one process matters.
    spaced = (" ".join(line.split()) for line in text.split("\n"))
    lines = [line for line in spaced if len(line) > 3 and line[0] != "#"]
    return set(map(hash, zip(lines, lines[1:], lines[2:], strict=False)))


def _declared(metadata: PackageMetadata) -> list[str]:
    """What the metadata says about the licence; an expression replaces all else."""
    if expressions := metadata.get_all("License-Expression"):
        return list(expressions)
    # Older metadata may contain the licence's whole text; only a name can be judged.
    names = [name for name in metadata.get_all("License") or [] if "\n" not in name]
    classifiers = (c.split(" :: ") for c in metadata.get_all("Classifier") or [])
    names += [parts[-1] for parts in classifiers if parts[0] == "License"]
    return [name for name in names if name not in ("", "UNKNOWN")]


def is_permissive(declared: str) -> bool:
    """Whether a declared licence, by name or expression, is one to train on."""
    words = re.sub(r"\b(the|licen[cs]e|version)\b|[^a-z0-9.]", " ", declared.lower()).split()
    names = " ".join(words)
    # With "or" we may choose, but brackets are not parsed: with them every name must qualify.
    choices = [names.replace(" or ", " and ")] if "(" in declared else names.split(" or ")
    return any(all(map(_PERMISSIVE.fullmatch, c.split(" and "))) for c in choices)


def _stdlib() -> Iterator[tuple[str, Path]]:
    """Label and path of every module file; site-packages may lie inside and is not entered."""
    root = Path(sysconfig.get_path("stdlib"))
    for child in root.iterdir():
        if not _LEFT_OUT_OF_STDLIB.fullmatch(child.name):
            for path in child.rglob("*.py") if child.is_dir() else [child]:
                yield f"{STDLIB}/{path.relative_to(root).as_posix()}", path


def _find(names: Iterable[str]) -> list[Distribution]:
    """The installed ones of these distributions, the first on the path under each name."""
    return [found for name in names for found in [*distributions(name=name)][:1]]


def _installed(found: Distribution) -> Iterator[SourceFile]:
    inside = (file for file in found.files or () if ".." not in file.parts)
    return _read(found.name, ((file.as_posix(), Path(str(file.locate()))) for file in inside))


def _read(name: str, files: Iterable[tuple[str, Path]]) -> Iterator[SourceFile]:
    for label, path in sorted(files):
        usable = path.suffix == ".py" and path.is_file() and not is_left_out(label)
        if usable and (text := clean(path.read_bytes())):
            yield SourceFile(label, text, name)
