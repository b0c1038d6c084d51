"""What the client can do, according to `initialize`, as named questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsprotocol import types
from pygls.capabilities import get_capability

from dg_lsp.server.lsp_ext import ClientExtensions, read_extensions


@dataclass(frozen=True, slots=True)
class ClientFeatures:
    """The answers; all `False` for a client that announced nothing."""

    name: str = ""
    version: str = ""
    extensions: ClientExtensions = field(default_factory=ClientExtensions)
    announces_inline_completion: bool = False
    """Some clients ask for inline completions without announcing that."""
    registers_inline_completion: bool = False
    registers_completion: bool = False
    has_configuration: bool = False
    """Answers `workspace/configuration`."""
    registers_configuration: bool = False
    shows_progress: bool = False
    """Accepts progress that the server begins."""
    versions_edits: bool = False
    annotates_edits: bool = False
    """Shows a preview of edits that need a confirmation."""
    takes_action_literals: bool = False
    shows_disabled_actions: bool = False
    resolves_edits: bool = False
    """Asks for the edit of a code action when it is chosen."""
    knows_llm_tag: bool = False
    tears_ghost_text: bool = False
    """Draws the rest of the cursor's line after the first line of ghost text, not the last."""
    inserts_line_ends_as_they_are: bool = False
    """Supports only LF in ghost text, whatever line ends the document has."""


def read_features(params: types.InitializeParams) -> ClientFeatures:
    """The features that a client announces."""
    capabilities = params.capabilities

    def can(name: str) -> bool:
        return bool(get_capability(capabilities, name, False))

    action = "text_document.code_action"
    resolved = get_capability(capabilities, f"{action}.resolve_support.properties", []) or []
    tags = get_capability(capabilities, f"{action}.tag_support.value_set", []) or []
    literals = get_capability(capabilities, f"{action}.code_action_literal_support", None)
    inline = get_capability(capabilities, "text_document.inline_completion", None)
    annotates = get_capability(
        capabilities, "workspace.workspace_edit.change_annotation_support", None
    )
    info = params.client_info
    # No capability says how a client draws; this is true of Neovim 0.12.
    is_neovim = info is not None and info.name == "Neovim"
    return ClientFeatures(
        name=_one_line(info.name) if info else "",
        version=_one_line(info.version or "") if info else "",
        extensions=read_extensions(capabilities.experimental),
        announces_inline_completion=inline is not None,
        registers_inline_completion=can("text_document.inline_completion.dynamic_registration"),
        registers_completion=can("text_document.completion.dynamic_registration"),
        has_configuration=can("workspace.configuration"),
        registers_configuration=can("workspace.did_change_configuration.dynamic_registration"),
        shows_progress=can("window.work_done_progress"),
        versions_edits=can("workspace.workspace_edit.document_changes"),
        annotates_edits=annotates is not None and can(f"{action}.honors_change_annotations"),
        takes_action_literals=literals is not None,
        # Neovim lists disabled actions among the others, with " (disabled)" after the title.
        shows_disabled_actions=can(f"{action}.disabled_support") and not is_neovim,
        resolves_edits=can(f"{action}.data_support") and "edit" in resolved,
        knows_llm_tag=types.CodeActionTag.LlmGenerated in tags,
        tears_ghost_text=is_neovim,
        inserts_line_ends_as_they_are=is_neovim,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:60]
