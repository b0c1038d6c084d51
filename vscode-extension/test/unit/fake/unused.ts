/**
 * What the language client wants to be there when it is loaded, and what nothing here goes into:
 * dg-lsp offers none of these features.
 */
export class CallHierarchyItem {}
export class CompletionItem {}
export class Diagnostic {}
export class DocumentLink {}
export class InlayHint {}
export class SymbolInformation {}
export class TypeHierarchyItem {}

/** An enumeration whose members are what they are called. */
const members = new Proxy({} as Record<string, string>, { get: (_, name) => String(name) });
export const CodeActionTriggerKind = members;
export const CompletionItemKind = members;
export const CompletionItemTag = members;
export const CompletionTriggerKind = members;
export const DiagnosticSeverity = members;
export const DiagnosticTag = members;
export const DocumentHighlightKind = members;
export const FileType = members;
export const FoldingRangeKind = members;
export const NotebookCellKind = members;
export const SignatureHelpTriggerKind = members;
export const SymbolKind = members;
export const SymbolTag = members;
export const TextDocumentSaveReason = members;
