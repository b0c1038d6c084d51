/**
 * Draws a rewrite as a diff over the text that it would replace.
 */
import * as vscode from "vscode";
import { diffRows, type Frame } from "./diff";
import type { Span } from "./follow";
import type { Confidence } from "./lspExt";
import { coveringRow } from "./overlay";

/** More rows would not fit into a window anyway. */
const MAX_ROWS = 200;

export interface Preview {
  readonly document: vscode.TextDocument;
  readonly span: Span;
  readonly old: string;
  /** Without a text, nothing is drawn. */
  readonly text?: string;
  readonly confidence: Confidence;
  /** If only parts of the text are written. */
  readonly holes?: unknown;
  readonly pinned?: unknown;
  /** What is wrong with the text; shown below it. */
  readonly warning?: string | undefined;
}

/** Covers each line of the span, and lines below it if the diff has more rows. */
export function previewRows(
  preview: Preview,
  editor: vscode.TextEditor,
): vscode.DecorationOptions[] {
  const { document, span, old, text, confidence, holes, pinned, warning } = preview;
  if (text === undefined) {
    return [];
  }
  const first = document.positionAt(span.start).line;
  const tabSize = typeof editor.options.tabSize === "number" ? editor.options.tabSize : 4;
  const isPartly = holes !== undefined || pinned !== undefined;
  const frame = frameOf(document, span);
  const all = diffRows(frame, old, text, confidence, isPartly).slice(0, MAX_ROWS);
  if (warning !== undefined) {
    all.push({ look: "warning", runs: [{ text: `⚠ ${warning}`, probability: 1 }] });
  }
  return all.map((row, index) => {
    const wanted = first + index;
    const line = Math.min(wanted, document.lineCount - 1);
    const edge = index === all.length - 1 ? "bottom" : "none";
    const before = coveringRow(row, tabSize, wanted - line, edge);
    return { range: new vscode.Range(line, 0, line, 0), renderOptions: { before } };
  });
}

/** The text before and after the span on its first and last line. */
export function frameOf(document: vscode.TextDocument, span: Span): Frame {
  const start = document.positionAt(span.start);
  const end = document.positionAt(span.end);
  return {
    before: document.lineAt(start.line).text.slice(0, start.character),
    after: document.lineAt(end.line).text.slice(end.character),
  };
}
