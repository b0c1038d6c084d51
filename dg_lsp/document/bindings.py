"""Which places of a document mean the same by a name, by its syntax tree.

Only what is certain counts: a name in a string or a comment means nothing here, and neither
does one whose role is not known.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dg_lsp.document.trees import ParsedSite, encoded

if TYPE_CHECKING:
    from tree_sitter import Node

MOST_OCCURRENCES = 400
"""A name that occurs more often is left alone."""

_NAME = re.compile(r"\w*identifier|constant")
_NO_NAME = re.compile(
    r"shorthand_property_identifier_pattern|(?:package|statement|label)_identifier"
)
_FUNCTION = re.compile(
    r"(?:\w+_)?function(?:_definition|_declaration|_item|_expression|_statement)?"
    r"|arrow_function|method(?:_definition|_declaration)?|singleton_method"
    r"|constructor_declaration|lambda(?:_expression)?|closure_expression|func_literal"
    r"|anonymous_method_expression|\w+_comprehension|generator_expression|do_block"
)
_CLASS = re.compile(
    r"class(?:_definition|_declaration|_specifier)?|(?:impl|trait|struct|enum)_item"
    r"|(?:interface|struct|enum|record|trait|module)(?:_declaration|_specifier)?"
)
_BLOCK = re.compile(
    r"\w*block|compound_statement|(?:enhanced_)?for_\w*statement|for_expression|catch_clause"
    r"|match_arm|if_statement|switch_\w+|using_statement|try_with_resources_statement"
)
_ROOT = re.compile(r"module|program|source_file|translation_unit|chunk|compilation_unit")
_BINDING = re.compile(
    r"(?:\w+_)?(?:function|method|constructor|class|interface|struct|enum|record|trait)"
    r"(?:_definition|_declaration|_item|_specifier|_statement|_signature)?"
    r"|(?:const|static|type|mod|macro)_(?:item|spec|definition|declaration)|var_spec"
    r"|(?:\w+_)?parameter|parameter_declaration|variable_declarator|init_declarator"
    r"|declaration|field_declaration|type_alias_declaration"
    r"|assignment|short_var_declaration|let_declaration|named_expression"
    r"|for_(?:statement|in_clause|in_statement|expression)|range_clause|catch_clause"
    r"|as_pattern|aliased_import|import_specifier|import(?:_from)?_statement|import_clause"
    r"|enhanced_for_statement|foreach_statement|resource|let_condition"
)
_BINDING_FIELDS = (
    *("name", "left", "pattern", "declarator", "alias", "parameter", "parameters", "variable"),
)
_IMPORT = re.compile(r"import(?:_from)?_(?:statement|declaration|spec)|use_declaration")
_PARAMETERS = re.compile(r"\w*parameters|parameter_list")
_THROUGH = re.compile(
    r"\w*_pattern|pattern_list|tuple|expression_list|variable_list|\w*_declarator|dotted_name"
    r"|typed_parameter|as_pattern_target|import_clause|rest_pattern|identifier_list"
)
_VALUE_FIELDS = ("value", "type", "right", "default", "default_value", "return_type", "body")
_MEMBER_FIELDS = ("attribute", "property", "field", "method")
_SELF = (b"self", b"this", b"cls", b"@")
_OPEN_CLASSES = ("java", "csharp", "cpp")
"""Languages whose methods see the members of their class by their bare names."""


class Role(enum.Enum):
    """What a name stands for at a place."""

    BARE = "bare"
    """Whatever the scopes around it make of it."""
    OWN_MEMBER = "own member"
    """A member of the class around it: `self.name`, or its definition."""
    MEMBER = "member"
    """A member of something."""
    KEYWORD = "keyword"
    """The name of a parameter in a call."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A place where a name stands. Offsets are in bytes."""

    node: Node
    role: Role
    scope: Node | None
    """The scope that it is defined for, if it is defined here."""

    @property
    def start(self) -> int:
        return self.node.start_byte


def occurrences(site: ParsedSite, name: str) -> list[Occurrence]:
    """Where a name stands, and what for, in the order of the document."""
    return [one for node in _nodes(site, name) if (one := occurrence(site, node)) is not None]


def occurrence(site: ParsedSite, node: Node) -> Occurrence | None:
    """What a name stands for at one place; `None` if that is unknown."""
    role = _role(site, node)
    if role is None:
        return None
    scope = None
    if role is Role.BARE:
        scope = _scope_of_definition(site, node)
        if scope is None and _is_imported(node):
            return None
        if scope is not None and is_class(scope) and not _is_open(site):
            role = Role.OWN_MEMBER
    elif role is not Role.KEYWORD and _is_member_definition(node):
        role, scope = Role.OWN_MEMBER, class_around(node) or site.tree.root_node
    return Occurrence(node, role, scope)


def node_at(site: ParsedSite, at: int, name: str) -> Node | None:
    """The name at an offset in bytes."""
    node = site.tree.root_node.descendant_for_byte_range(at, at + len(encoded(name)))
    return node if node is not None and node.text == encoded(name) and _is_name(node) else None


def meaning(site: ParsedSite, node: Node, scopes: Collection[int]) -> Node | None:
    """The nearest of some scopes, by id, whose names a bare name may mean."""
    return next((scope for scope in scopes_around(site, node) if scope.id in scopes), None)


def scopes_around(site: ParsedSite, node: Node) -> Iterator[Node]:
    """The scopes whose names a bare name may mean, the nearest first."""
    is_nested = False
    child, parent = node, node.parent
    in_value = False
    while parent is not None:
        if is_scope(parent, site.language):
            is_head = _PARAMETERS.fullmatch(child.type) is not None and in_value
            if not (is_head or (is_class(parent) and is_nested and not _is_open(site))):
                yield parent
            is_nested = is_nested or is_function(parent)
            in_value = False
        elif field_of(child) in _VALUE_FIELDS:
            in_value = True
        child, parent = parent, parent.parent


def is_scope(node: Node, language: str) -> bool:
    """Whether names may be defined for a node alone."""
    if node.parent is None or is_function(node) or is_class(node):
        return True
    return language != "python" and _BLOCK.fullmatch(node.type) is not None


def is_function(node: Node) -> bool:
    return node.is_named and _FUNCTION.fullmatch(node.type) is not None


def is_class(node: Node) -> bool:
    # The root of Python is called what a Ruby module is.
    is_one = _CLASS.fullmatch(node.type) is not None
    return is_one and node.is_named and node.parent is not None


def function_at(site: ParsedSite, start: int, end: int) -> Node | None:
    """The function in whose parameters `[start, end)` is."""
    node = site.tree.root_node.descendant_for_byte_range(start, end)
    while node is not None:
        if is_function(node):
            listed = parameters_of(node)
            is_in = listed is not None and listed.start_byte < start <= end < listed.end_byte
            return node if is_in else None
        node = node.parent
    return None


def parameters_of(function: Node) -> Node | None:
    """The list of a function's parameters."""
    found = function.child_by_field_name("parameters")
    declarator = function.child_by_field_name("declarator")
    while found is None and declarator is not None:
        found = declarator.child_by_field_name("parameters")
        declarator = declarator.child_by_field_name("declarator")
    return found


def class_around(node: Node) -> Node | None:
    """The innermost class that a node is in."""
    parent = node.parent
    while parent is not None:
        if is_class(parent):
            return parent
        parent = parent.parent
    return None


def field_of(node: Node) -> str | None:
    """The name of the field of its parent that a node is."""
    parent = node.parent
    if parent is None or _BLOCK.fullmatch(parent.type) or _ROOT.fullmatch(parent.type):
        return None
    for number, child in enumerate(parent.children):
        if child == node:
            return parent.field_name_for_child(number)
    return None


def _nodes(site: ParsedSite, name: str) -> list[Node]:
    pattern = re.compile(rb"(?<![\w])" + re.escape(encoded(name)) + rb"(?![\w])")
    found = []
    for number, match in enumerate(pattern.finditer(site.source)):
        if number >= MOST_OCCURRENCES:
            return []
        node = node_at(site, match.start(), name)
        if node is not None:
            found.append(node)
    return found


def _is_name(node: Node) -> bool:
    return (
        node.child_count == 0
        and _NAME.fullmatch(node.type) is not None
        and _NO_NAME.fullmatch(node.type) is None
    )


def _is_open(site: ParsedSite) -> bool:
    return site.language in _OPEN_CLASSES


def _role(site: ParsedSite, node: Node) -> Role | None:
    parent = node.parent
    if parent is None:
        return None
    field = field_of(node)
    if field == "name" and parent.type in ("keyword_argument", "named_argument", "argument"):
        return Role.KEYWORD
    if field in _MEMBER_FIELDS or _follows_dot(site, node):
        return Role.OWN_MEMBER if _owner(node) in _SELF else Role.MEMBER
    if node.type in ("property_identifier", "field_identifier"):
        # A key of an object, unless it defines a member of a class.
        return Role.MEMBER if _is_member_definition(node) else None
    return Role.BARE


def _follows_dot(site: ParsedSite, node: Node) -> bool:
    before = site.source[max(0, node.start_byte - 2) : node.start_byte]
    return (before[-1:] == b"." and before != b"..") or before in (b"->", b"::")


def _owner(node: Node) -> bytes:
    """What is before the dot of a member."""
    before = node.prev_sibling
    while before is not None and not before.is_named and before.type not in ("self", "this"):
        before = before.prev_sibling
    return (before.text or b"") if before is not None else b""


def _is_member_definition(node: Node) -> bool:
    """Whether a member comes to be here: a method, a field, or `self.name = ...`."""
    parent = node.parent
    if parent is None:
        return False
    if field_of(node) in ("name", "property") and re.search(
        r"method_\w*(?:definition|declaration|signature)|field_definition", parent.type
    ):
        return True
    return (
        _owner(node) in _SELF
        and field_of(parent) == "left"
        and parent.parent is not None
        and parent.parent.type in ("assignment", "assignment_expression")
    )


def _scope_of_definition(site: ParsedSite, node: Node) -> Node | None:
    """The scope that a bare name is defined for, or `None` if it is not defined here."""
    child, parent = node, node.parent
    while parent is not None:
        field = field_of(child)
        if _PARAMETERS.fullmatch(parent.type):
            return _scope_around(parent, site.language)
        if field in _VALUE_FIELDS:
            return None
        if field in _BINDING_FIELDS and _BINDING.fullmatch(parent.type):
            if parent.type == "aliased_import" and field == "name":
                return None
            if parent.type == "import_specifier" and field == "name" and _has(parent, "alias"):
                return None
            is_head = is_scope(parent, site.language) and field in ("name", "declarator")
            return _scope_around(parent if is_head else child, site.language, parent)
        if parent.type == "import_clause":
            return _scope_around(parent, site.language)
        if not _THROUGH.fullmatch(parent.type):
            return None
        child, parent = parent, parent.parent
    return None


def _is_imported(node: Node) -> bool:
    """Whether a name is one of another file, as an import statement says it."""
    parent = node.parent
    while parent is not None and not _BLOCK.fullmatch(parent.type):
        if _IMPORT.fullmatch(parent.type):
            return True
        parent = parent.parent
    return False


def _has(node: Node, field: str) -> bool:
    return node.child_by_field_name(field) is not None


def _scope_around(node: Node, language: str, binding: Node | None = None) -> Node | None:
    """The scope that has what is defined in a node."""
    is_var = (
        binding is not None
        and binding.parent is not None
        and (binding.parent.type == "variable_declaration" and "script" in language)
    )
    parent = node.parent
    while parent is not None:
        if is_scope(parent, language) and not (is_var and _BLOCK.fullmatch(parent.type)):
            return parent
        parent = parent.parent
    return None
