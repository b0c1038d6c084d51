"""Which names of a Python file mean the same, as Python's own compiler sees it.

`symtable` says to which scope a name belongs, and `ast` where it stands. This is independent of
the syntax trees that next edits are found with, and therefore judges them.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Names:
    """The places of each name of a file, by the scope that it belongs to."""

    places: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    """Offsets in characters, ascending; a key has the identity of the scope's table."""
    bound: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    """Those where it is bound."""
    parameters: dict[tuple[int, str], str] = field(default_factory=dict)
    """The function of each name that is a parameter, as its calls name it: a method with its
    class, and `__init__` by the class alone."""
    members: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """`self.name` and the methods of a class, by the class and the name."""
    member_bound: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    keywords: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """Where calls name a parameter, by the function and the parameter's name. What is called
    on anything but `self` and `cls` may be any function, and is left out."""
    declared: set[str] = field(default_factory=set)
    """The names of `global` and `nonlocal` statements, and of patterns."""


def names_of(text: str) -> Names | None:
    """The names of a file; `None` if it is not valid Python."""
    try:
        tree = ast.parse(text)
        table = symtable.symtable(text, "file", "exec")
    except (SyntaxError, ValueError):
        return None
    reader = _Reader(text, table)
    try:
        reader.visit(tree)
    except _StrayError:
        return None
    for found in (reader.names.places, reader.names.bound, reader.names.members):
        for places in found.values():
            places.sort()
    return reader.names


_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


class _StrayError(Exception):
    """The compiler's scopes are not in the order of the syntax tree."""


_SCOPES = {
    ast.Lambda: "lambda",
    ast.ListComp: "listcomp",
    ast.SetComp: "setcomp",
    ast.DictComp: "dictcomp",
    ast.GeneratorExp: "genexpr",
}


class _Reader(ast.NodeVisitor):
    def __init__(self, text: str, table: symtable.SymbolTable) -> None:
        self.names = Names()
        self._lines = [0]
        for line in text.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._text = text
        self._tables = [table]
        self._children = [iter(table.get_children())]
        self._classes: list[str | None] = [None]

    def _at(self, line: int, column: int) -> int:
        start = self._lines[line - 1]
        line_bytes = self._text[start : self._lines[line] - 1].encode()
        return start + len(line_bytes[:column].decode())

    def _note(self, name: str, at: int, *, is_bound: bool) -> None:
        if name.startswith("__") or self._text[at : at + len(name)] != name:
            self.names.declared.add(name)
            return
        key = self._owner(name), name
        self.names.places.setdefault(key, []).append(at)
        if is_bound:
            self.names.bound.setdefault(key, []).append(at)

    def _owner(self, name: str) -> int:
        for number, table in enumerate(reversed(self._tables)):
            try:
                symbol = table.lookup(name)
            except KeyError:
                continue
            if number and table.get_type() == "class":
                continue
            if symbol.is_global() and table.get_type() != "module":
                return self._tables[0].get_id()
            if symbol.is_local() or table.get_type() == "module":
                return table.get_id()
        return self._tables[0].get_id()

    def _enter(self, name: str, owner: str | None = None) -> None:
        table = next(self._children[-1], None)
        if table is None or table.get_name() != name:
            raise _StrayError
        self._tables.append(table)
        self._children.append(iter(table.get_children()))
        self._classes.append(owner)

    def _leave(self) -> None:
        self._tables.pop()
        self._children.pop()
        self._classes.pop()

    def _name_after(self, node: ast.stmt, word: str, name: str) -> int:
        at = self._at(node.lineno, node.col_offset)
        found = re.compile(rf"(?:async\s+)?{word}\s+").match(self._text, at)
        return found.end() if found else 0

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        at = self._name_after(node, "def", node.name)
        owner = self._classes[-1]
        self._note(node.name, at, is_bound=True)
        if owner is not None:
            key = owner, node.name
            self.names.members.setdefault(key, []).append(at)
            self.names.member_bound.setdefault(key, []).append(at)
        arguments = node.args
        for outer in (*node.decorator_list, *arguments.defaults, *arguments.kw_defaults):
            if outer is not None:
                self.visit(outer)
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        for one in every:
            if one.annotation is not None:
                self.visit(one.annotation)
        if node.returns is not None:
            self.visit(node.returns)
        self._enter(node.name)
        function = node.name
        if owner is not None:
            is_constructor = node.name == "__init__"
            function = owner.split()[0] if is_constructor else f"{owner}.{node.name}"
        for one in every:
            self._note(one.arg, self._at(one.lineno, one.col_offset), is_bound=True)
            self.names.parameters[self._tables[-1].get_id(), one.arg] = function
        for statement in node.body:
            self.visit(statement)
        self._leave()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._note(node.name, self._name_after(node, "class", node.name), is_bound=True)
        for outer in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outer)
        self._enter(node.name, f"{node.name} {node.lineno}")
        for statement in node.body:
            self.visit(statement)
        self._leave()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for outer in (*node.args.defaults, *node.args.kw_defaults):
            if outer is not None:
                self.visit(outer)
        self._enter("lambda")
        for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self._note(one.arg, self._at(one.lineno, one.col_offset), is_bound=True)
        for extra in (node.args.vararg, node.args.kwarg):
            if extra is not None:
                self._note(extra.arg, self._at(extra.lineno, extra.col_offset), is_bound=True)
        self.visit(node.body)
        self._leave()

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        first, *others = node.generators
        self.visit(first.iter)
        self._enter(_SCOPES[type(node)])
        self.visit(first.target)
        for condition in first.ifs:
            self.visit(condition)
        for other in others:
            self.visit(other)
        if isinstance(node, ast.DictComp):
            self.visit(node.key)
            self.visit(node.value)
        else:
            self.visit(node.elt)
        self._leave()

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def visit_Name(self, node: ast.Name) -> None:
        is_bound = isinstance(node.ctx, ast.Store)
        self._note(node.id, self._at(node.lineno, node.col_offset), is_bound=is_bound)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = self._owner_of(node)
        if owner is not None:
            at = self._at(node.end_lineno or 0, node.end_col_offset or 0) - len(node.attr)
            key = owner, node.attr
            self.names.members.setdefault(key, []).append(at)
            if isinstance(node.ctx, ast.Store):
                self.names.member_bound.setdefault(key, []).append(at)
        self.generic_visit(node)

    def _owner_of(self, node: ast.Attribute) -> str | None:
        """The class whose own member is meant; `None` if that is unknown."""
        value = node.value
        if not (isinstance(value, ast.Name) and value.id in ("self", "cls")):
            return None
        return next((one for one in reversed(self._classes) if one is not None), None)

    def visit_Call(self, node: ast.Call) -> None:
        called, name = node.func, ""
        if isinstance(called, ast.Name):
            name = called.id
        elif isinstance(called, ast.Attribute) and (owner := self._owner_of(called)):
            name = f"{owner}.{called.attr}"
        for one in node.keywords:
            if one.arg is not None and name:
                at = self._at(one.lineno, one.col_offset)
                self.names.keywords.setdefault((name, one.arg), []).append(at)
        self.generic_visit(node)

    def visit_alias(self, node: ast.alias) -> None:
        name = node.asname or node.name.partition(".")[0]
        at = self._at(node.lineno, node.col_offset)
        if node.asname:
            at = self._at(node.end_lineno or 0, node.end_col_offset or 0) - len(name)
        if name != "*":
            self._note(name, at, is_bound=True)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name is not None:
            self.names.declared.add(node.name)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.names.declared.update(node.names)

    visit_Nonlocal = visit_Global

    def visit_match_case(self, node: ast.match_case) -> None:
        for inner in ast.walk(node.pattern):
            name = getattr(inner, "name", None)
            if isinstance(name, str):
                self.names.declared.add(name)
        self.generic_visit(node)


def scopes(names: Names) -> Iterator[tuple[int, str]]:
    """The names that can be renamed: bound in the file, and declared nowhere else."""
    for key, bound in names.bound.items():
        if bound and key[1] not in names.declared:
            yield key
