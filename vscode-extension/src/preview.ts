/**
 * Draws a rewrite over the text that it is about, as a diff. Knows nothing of how it comes about.
 */
import * as vscode from "vscode";
import { diffRows, type Frame } from "./diff";
import type { Span } from "./follow";
import type { Confidence } from "./lspExt";
import { coveringRow } from "./overlay";

/** More would cover the whole window anyway. */
const MAX_ROWS = 200;

export interface Preview {
  readonly document: vscode.TextDocument;
  readonly span: Span;
  readonly old: string;
  /** Nothing is drawn without one. */
  readonly text?: string;
  readonly confidence: Confidence;
  /** What is wrong with the text, which is said below it. */
  readonly warning?: string | undefined;
}

/** A line over each line of the span, and over those below it where there are more. */
export function previewRows(
  preview: Preview,
  editor: vscode.TextEditor,
): vscode.DecorationOptions[] {
  const { document, span, old, text, confidence, warning } = preview;
  if (text === undefined) {
    return [];
  }
  const first = document.positionAt(span.start).line;
  const tabSize = typeof editor.options.tabSize === "number" ? editor.options.tabSize : 4;
  const all = diffRows(frameOf(document, span), old, text, confidence).slice(0, MAX_ROWS);
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

/** What stands before and after the span in its lines. */
export function frameOf(document: vscode.TextDocument, span: Span): Frame {
  const start = document.positionAt(span.start);
  const end = document.positionAt(span.end);
  return {
    before: document.lineAt(start.line).text.slice(0, start.character),
    after: document.lineAt(end.line).text.slice(end.character),
  };
}
