/**
 * Asks the server for a rewrite without applying it: resolves a code action whose data is the
 * target.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import {
  CodeActionResolveRequest,
  TextDocumentEdit,
  type CodeAction,
  type Range,
  type TextEdit,
} from "vscode-languageserver-protocol";
import type { Span } from "./follow";
import type { Holes } from "./holes";
import type { Confidence, Target } from "./lspExt";

export interface Attempt {
  readonly document: vscode.TextDocument;
  /** Where the text is now, after any edits elsewhere. */
  readonly span: Span;
  /** Where the text started in each version of the document since the request. */
  readonly starts: ReadonlyMap<number, vscode.Position>;
  /** The text, which such edits do not change. */
  readonly old: string;
  readonly instruction?: string;
  readonly holes?: Holes;
  /** What stays of the text; offsets in it. */
  readonly pinned?: readonly Span[];
  readonly strength: number;
  readonly seed: number;
  /** What attempts with other seeds have proposed. */
  readonly shown: readonly string[];
  readonly token: string;
}

export interface Proposal {
  /** Replaces the span. */
  readonly text: string;
  /** What is wrong with the text, if the server found a flaw and no attempt was better. */
  readonly warning: string | undefined;
  readonly confidence: Confidence;
}

/** The server's proposal; an error says why there is none. */
export async function propose(
  client: LanguageClient | undefined,
  attempt: Attempt,
  cancelled: vscode.CancellationToken,
): Promise<Proposal> {
  if (client === undefined) {
    throw new Error("the server is not running");
  }
  const { document, old, instruction, holes, pinned, strength, seed, shown, token } = attempt;
  const converter = client.code2ProtocolConverter;
  const data: Target = {
    uri: converter.asUri(document.uri),
    version: document.version,
    range: converter.asRange(rangeOf(attempt)),
    ...(instruction === undefined ? {} : { instruction }),
    ...(holes === undefined ? {} : { holes: targetHoles(attempt, holes, converter) }),
    ...(pinned === undefined ? {} : { pinned: rangesIn(attempt, pinned, converter) }),
    strength,
    seed,
    shown: holes === undefined || holes === "marks" ? [...shown] : shownIn(old, holes, shown),
    token,
  };
  const action: CodeAction = { title: "Rewrite", kind: "refactor.rewrite", data };
  const answer = await client.sendRequest(CodeActionResolveRequest.type, action, cancelled);
  const said = (answer.data ?? {}) as { warning?: string | null; confidence?: Confidence };
  const text = withEdit(attempt, answer);
  return { text, warning: said.warning ?? undefined, confidence: said.confidence ?? [] };
}

export function rangeOf({ document, span }: Pick<Attempt, "document" | "span">): vscode.Range {
  return new vscode.Range(document.positionAt(span.start), document.positionAt(span.end));
}

function targetHoles(
  attempt: Attempt,
  holes: Holes,
  converter: LanguageClient["code2ProtocolConverter"],
): true | Range[] {
  if (holes === "marks") {
    return true;
  }
  return rangesIn(attempt, holes, converter);
}

/** What was shown from the first hole to the last one, where all else is as it is now. */
function shownIn(old: string, holes: readonly Span[], shown: readonly string[]): string[] {
  const before = old.slice(0, holes[0]?.start);
  const after = old.slice(Math.max(...holes.map((hole) => hole.end)));
  return shown
    .filter((text) => text.length >= before.length + after.length)
    .filter((text) => text.startsWith(before) && text.endsWith(after))
    .map((text) => text.slice(before.length, text.length - after.length));
}

/** Parts of the text as ranges of the document. */
function rangesIn(
  { document, span }: Attempt,
  parts: readonly Span[],
  converter: LanguageClient["code2ProtocolConverter"],
): Range[] {
  return parts.map((part) => {
    const inDocument = { start: span.start + part.start, end: span.start + part.end };
    return converter.asRange(rangeOf({ document, span: inDocument }));
  });
}

/** The server sends a minimal edit, for the version of the document that it has. */
function withEdit({ document, old, starts }: Attempt, action: CodeAction): string {
  const [change] = action.edit?.documentChanges ?? [];
  if (change === undefined || !TextDocumentEdit.is(change)) {
    throw new Error("the server sent no edit of this document");
  }
  const [edit] = change.edits;
  if (edit === undefined || !("newText" in edit)) {
    return old;
  }
  const start = starts.get(change.textDocument.version ?? document.version);
  if (start === undefined) {
    throw new Error("the text has changed in the meantime");
  }
  const at = ({ line, character }: TextEdit["range"]["start"]) =>
    line === start.line
      ? character - start.character
      : startOfLine(old, line - start.line) + character;
  return old.slice(0, at(edit.range.start)) + edit.newText + old.slice(at(edit.range.end));
}

function startOfLine(text: string, line: number): number {
  const ends = [...text.matchAll(/\r\n|\r|\n/g)];
  const end = ends[line - 1];
  return end === undefined ? text.length : end.index + end[0].length;
}
