"""Synthetic edits of Python files, each with what should follow from it.

The user makes the first edit of each case. What must follow is known, because the file is whole
afterwards: the compiler says which places mean the same name, and arguments that are taken away
were there before.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dg_lsp.evaluation.python_names import Names, names_of, scopes
from dg_lsp.training.corpus import SourceFile

NEAR_LINES = 40
_IDENTIFIER = re.compile(r"[A-Za-z_]\w{2,}")
_LITERAL = re.compile(r"(?<![\w.])\d+(?![\w.])")
_COMMENT_WORD = re.compile(r"#[^\n]*?(?<= )([a-z]{4,})(?= )")
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Span:
    """`[start, end)` becomes `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class EditCase:
    """A file, the user's edit, and the edits that should follow."""

    kind: str
    path: str
    before: str
    edit: Span
    """Of `before`."""
    following: tuple[Span, ...]
    """Of the text after the edit, ascending; none where nothing should follow."""

    @property
    def text(self) -> str:
        """The file after the user's edit."""
        return applied(self.before, [self.edit])


def applied(text: str, spans: Sequence[Span]) -> str:
    """A text with several changes, given in its own offsets."""
    for span in sorted(spans, key=lambda span: -span.start):
        text = text[: span.start] + span.text + text[span.end :]
    return text


@dataclass(slots=True)
class Source:
    """A file with what the cases are made of."""

    file: SourceFile
    names: Names
    tree: ast.Module
    lines: list[int]

    @property
    def text(self) -> str:
        return self.file.text

    def at(self, line: int, column: int) -> int:
        start = self.lines[line - 1]
        encoded = self.text[start : self.lines[line] - 1].encode()
        return start + len(encoded[:column].decode())

    def span(self, node: ast.expr | ast.arg | ast.keyword) -> tuple[int, int]:
        start = self.at(node.lineno, node.col_offset)
        return start, self.at(node.end_lineno or 0, node.end_col_offset or 0)


def sources(files: Sequence[SourceFile]) -> list[Source]:
    """The files that Python can read."""
    found = []
    for file in files:
        names = names_of(file.text)
        if names is not None:
            lines = [0]
            for line in file.text.split("\n"):
                lines.append(lines[-1] + len(line) + 1)
            found.append(Source(file, names, ast.parse(file.text), lines))
    return found


def draw_cases(files: Sequence[SourceFile], per_kind: int, seed: int) -> list[EditCase]:
    """Up to `per_kind` cases of each kind, the same for the same seed, one per file in turn."""
    readable = sources(files)
    every = {word for one in readable for word in _IDENTIFIER.findall(one.text)}
    words = sorted(every.difference(keyword.kwlist))
    cases: list[EditCase] = []
    for kind, make in {**FOLLOWED, **QUIET}.items():
        rng = random.Random(f"{seed} {kind}")
        order = [*readable]
        rng.shuffle(order)
        found: list[EditCase] = []
        pools = [[*make(one, words, rng)] for one in order]
        for pool in pools:
            rng.shuffle(pool)
        while len(found) < per_kind and any(pools):
            for source, pool in zip(order, pools, strict=True):
                if pool and len(found) < per_kind:
                    before, edit, following = pool.pop()
                    if before[edit.start : edit.end] != edit.text:
                        case = EditCase(kind, source.file.path, before, edit, following)
                        found.append(case)
        cases += found
    return cases


Case = tuple[str, Span, tuple[Span, ...]]
"""The text before, the user's edit, and what should follow in the text after it."""


def _replaced(text: str, first: int, others: Sequence[int], old: str, new: str) -> Case:
    """A name is changed at one place, and should be at others."""
    shift = len(new) - len(old)
    following = tuple(
        Span(at + shift * (at > first), at + shift * (at > first) + len(old), new)
        for at in sorted(others)
    )
    return text, Span(first, first + len(old), new), following


def _fresh(source: Source, words: Sequence[str], rng: random.Random) -> str:
    """A name that the file does not have."""
    while re.search(rf"\b{(word := rng.choice(words))}\b", source.text):
        pass
    return word


def _renames(
    source: Source, words: Sequence[str], rng: random.Random, *, parameters: bool
) -> Iterator[Case]:
    names = source.names
    methods = {at for found in names.member_bound.values() for at in found}
    for key in scopes(names):
        places, first = names.places[key], names.bound[key][0]
        function = names.parameters.get(key)
        if (function is not None) is not parameters or first in methods or len(key[1]) < 2:
            continue
        keywords = names.keywords.get((function, key[1]), []) if function else []
        others = [at for at in (*places, *keywords) if at != first]
        if others and key[1] not in ("self", "cls"):
            yield _replaced(source.text, first, others, key[1], _fresh(source, words, rng))


def _rename_name(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    yield from _renames(source, words, rng, parameters=False)


def _rename_parameter(
    source: Source, words: Sequence[str], rng: random.Random
) -> Iterator[Case]:
    yield from _renames(source, words, rng, parameters=True)


def _rename_member(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    bare = {at: found for found in source.names.places.values() for at in found}
    for key, bound in source.names.member_bound.items():
        # The body of the class knows a method by its bare name.
        places = sorted({*source.names.members[key], *bare.get(bound[0], ())})
        others = [at for at in places if at != bound[0]]
        # Elsewhere, nothing says for certain what a member of that name is.
        everywhere = len(re.findall(rf"\.{key[1]}\b", source.text))
        ours = sum(source.text[at - 1] == "." for at in places)
        if others and everywhere == ours and not key[1].startswith("__"):
            yield _replaced(source.text, bound[0], others, key[1], _fresh(source, words, rng))


@dataclass(frozen=True, slots=True)
class _Passed:
    """A parameter, and the arguments for it in all calls of its function."""

    parameter: Span
    """What to take away of the function."""
    arguments: tuple[Span, ...]
    """What to take away of the calls."""


def _passed(source: Source) -> Iterator[_Passed]:
    """The parameters that every call of the file passes on its own."""
    functions = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)]
    counts = [one.name for one in functions]
    methods = {
        id(inner)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        for inner in node.body
    }
    calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
    for function in functions:
        every = function.args.args
        is_method = id(function) in methods
        own = [
            call
            for call in calls
            if (isinstance(call.func, ast.Name) and call.func.id == function.name)
            or (isinstance(call.func, ast.Attribute) and call.func.attr == function.name)
        ]
        if counts.count(function.name) > 1 or not own or function.args.vararg:
            continue
        if any(not _is_own(call, is_method=is_method) for call in own):
            continue
        needed = len(every) - len(function.args.defaults)
        skipped = 1 if is_method and every and every[0].arg in ("self", "cls") else 0
        for number in range(skipped, needed):
            taken = [
                _argument(source, call, number - skipped, every[number].arg) for call in own
            ]
            if all(taken):
                gone = _without(source, every, number)
                yield _Passed(gone, tuple(span for span in taken if span is not None))


def _is_own(call: ast.Call, *, is_method: bool) -> bool:
    """Whether a call is certain to be that of a function of this name."""
    if any(isinstance(one, ast.Starred) for one in call.args):
        return False
    if any(one.arg is None for one in call.keywords):
        return False
    if not is_method:
        return isinstance(call.func, ast.Name)
    value = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def _argument(source: Source, call: ast.Call, number: int, name: str) -> Span | None:
    every: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    for at, one in enumerate(every):
        if (at == number and at < len(call.args)) or getattr(one, "arg", None) == name:
            return _without(source, every, at)
    return None


def _without(
    source: Source, every: Sequence[ast.expr | ast.arg | ast.keyword], at: int
) -> Span:
    """What is taken away of a list to leave one out."""
    start, end = source.span(every[at])
    if isinstance(one := every[at], ast.arg) and one.annotation is not None:
        end = source.span(one.annotation)[1]
    if at + 1 < len(every):
        return Span(start, source.span(every[at + 1])[0], "")
    if at:
        previous = every[at - 1]
        _, start = source.span(previous)
        if isinstance(previous, ast.arg) and previous.annotation is not None:
            start = source.span(previous.annotation)[1]
    return Span(start, end, "")


def _shifted(spans: Sequence[Span], by: Sequence[Span]) -> tuple[Span, ...]:
    """Spans of a text as they are after other changes of it."""
    moved = []
    for span in spans:
        shift = sum(
            len(one.text) - (one.end - one.start) for one in by if one.end <= span.start
        )
        moved.append(Span(span.start + shift, span.end + shift, span.text))
    return tuple(sorted(moved, key=lambda span: span.start))


def _remove_parameter(
    source: Source, words: Sequence[str], rng: random.Random
) -> Iterator[Case]:
    for one in _passed(source):
        yield source.text, one.parameter, _shifted(one.arguments, [one.parameter])


def _add_parameter(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    text = source.text
    for one in _passed(source):
        gone = [one.parameter, *one.arguments]
        spans = sorted(gone, key=lambda span: span.start)
        if any(left.end > right.start for left, right in itertools.pairwise(spans)):
            continue
        before = applied(text, gone)
        back = [
            Span(span.start, span.start, text[old.start : old.end])
            for old in spans
            for span in _shifted([Span(old.start, old.start, "")], spans)
        ]
        number = spans.index(one.parameter)
        edit = back.pop(number)
        yield before, edit, _shifted(back, [edit])


def _change_type(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    """The type of a parameter that other functions have as well, with the same type."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.expr):
            start, end = source.span(node.annotation)
            found.setdefault((node.arg, source.text[start:end]), []).append((start, end))
    types = sorted({kind for _, kind in found})
    for (_, kind), places in found.items():
        places.sort()
        others = [one for one in types if one != kind]
        if len(places) > 1 and others:
            starts = [start for start, _ in places]
            yield _replaced(source.text, starts[0], starts[1:], kind, rng.choice(others))


def _parallel_lines(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    """Two lines of a function that differ by one name, and a name that both have."""
    text = source.text
    tokens = [
        [*_TOKEN.finditer(text, start, end - 1)]
        for start, end in itertools.pairwise(source.lines)
    ]
    for row, own in enumerate(tokens):
        for other in range(row + 1, min(row + NEAR_LINES, len(tokens))):
            two = tokens[other]
            if len(own) != len(two) or len(own) < 6 or text[own[0].start()] == "#":
                continue
            same = [one[0] == more[0] for one, more in zip(own, two, strict=True)]
            if not len(own) - 2 <= sum(same) < len(own):
                continue
            shared = [
                at
                for at in range(1, len(own) - 1)
                if same[at]
                and same[at - 1]
                and same[at + 1]
                and own[at - 1][0] == "."
                and own[at + 1][0] == "("
            ]
            if shared:
                at = rng.choice(shared)
                first, then, old = own[at].start(), two[at].start(), own[at][0]
                yield _replaced(text, first, [then], old, _fresh(source, words, rng))
                break


def _other_use(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    """A name that is used is replaced by another one."""
    every = sorted({name for _, name in source.names.places})
    for key, places in source.names.places.items():
        uses = [at for at in places if at not in source.names.bound.get(key, ())]
        if uses and len(every) > 1:
            yield _replaced(source.text, rng.choice(uses), [], key[1], rng.choice(every))


def _other_number(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    for found in _LITERAL.finditer(source.text):
        yield _replaced(source.text, found.start(), [], found[0], str(rng.randrange(10, 99)))


def _comment_word(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    for found in _COMMENT_WORD.finditer(source.text):
        yield _replaced(source.text, found.start(1), [], found[1], rng.choice(words))


def _new_line(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    """A line of the file is written once more."""
    for _ in range(10):
        start = rng.choice(source.lines[:-1])
        line = source.text[start : source.text.find("\n", start) + 1]
        if line.strip():
            yield source.text, Span(start, start, line), ()


def _deleted_line(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    for _ in range(10):
        start = rng.choice(source.lines[:-1])
        end = source.text.find("\n", start) + 1
        # A line that ends with a comma may be a parameter, which calls then pass in vain.
        if source.text[start:end].strip() and not source.text[start:end].endswith(",\n"):
            yield source.text, Span(start, end, ""), ()


def _unused_name(source: Source, words: Sequence[str], rng: random.Random) -> Iterator[Case]:
    """Nothing else has the name that is changed."""
    for _, places in source.names.places.items():
        if len(places) == 1:
            start = places[0]
            name = re.compile(r"\w+").match(source.text, start)
            if name and len(re.findall(rf"\b{name[0]}\b", source.text)) == 1:
                yield _replaced(source.text, start, [], name[0], _fresh(source, words, rng))


Maker = Callable[[Source, Sequence[str], random.Random], Iterator[Case]]

FOLLOWED: dict[str, Maker] = {
    "rename a variable, function or class": _rename_name,
    "rename a parameter": _rename_parameter,
    "rename a member": _rename_member,
    "add a parameter": _add_parameter,
    "remove a parameter": _remove_parameter,
    "change a type": _change_type,
    "edit one of two parallel lines": _parallel_lines,
}
QUIET: dict[str, Maker] = {
    "another name at a use": _other_use,
    "another number": _other_number,
    "a word of a comment": _comment_word,
    "a new line": _new_line,
    "a deleted line": _deleted_line,
    "a name that nothing else has": _unused_name,
}
