/**
 * Asks the server for a rewrite without making it: a code action with the target as its data is
 * resolved, which applies nothing.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  CodeActionResolveRequest,
  TextDocumentEdit,
  type CodeAction,
  type TextEdit,
} from "vscode-languageserver-protocol";
import type { Span } from "./follow";
import type { Target } from "./lspExt";

export interface Attempt {
  readonly document: vscode.TextDocument;
  /** Where the text is, also after edits elsewhere while the server was at work. */
  readonly span: Span;
  readonly instruction?: string;
  readonly noise: number;
  readonly seed: number;
  readonly token: string;
}

/** The text to be put in place of the span; an error says why there is none. */
export async function propose(
  client: LanguageClient | undefined,
  attempt: Attempt,
  cancelled: vscode.CancellationToken,
): Promise<string> {
  if (client === undefined) {
    throw new Error("the server is not running");
  }
  const { document, instruction, noise, seed, token } = attempt;
  const converter = client.code2ProtocolConverter;
  const data: Target = {
    uri: converter.asUri(document.uri),
    version: document.version,
    range: converter.asRange(rangeOf(attempt)),
    ...(instruction === undefined ? {} : { instruction }),
    noise,
    seed,
    token,
  };
  const action: CodeAction = { title: "Rewrite", kind: "refactor.rewrite", data };
  const answer = await client.sendRequest(CodeActionResolveRequest.type, action, cancelled);
  return withEdits(attempt, editsOf(answer));
}

export function rangeOf({ document, span }: Attempt): vscode.Range {
  return new vscode.Range(document.positionAt(span.start), document.positionAt(span.end));
}

function editsOf(action: CodeAction): TextEdit[] {
  const [change] = action.edit?.documentChanges ?? [];
  if (change !== undefined && TextDocumentEdit.is(change)) {
    return change.edits.filter((edit): edit is TextEdit => "newText" in edit);
  }
  return Object.values(action.edit?.changes ?? {}).flat();
}

/** The server sends the smallest edit that makes the change. */
function withEdits(attempt: Attempt, edits: TextEdit[]): string {
  const { document, span } = attempt;
  const old = document.getText(rangeOf(attempt));
  const [edit] = edits;
  if (edit === undefined) {
    return old;
  }
  const at = ({ line, character }: TextEdit["range"]["start"]) =>
    document.offsetAt(new vscode.Position(line, character)) - span.start;
  return old.slice(0, at(edit.range.start)) + edit.newText + old.slice(at(edit.range.end));
}
