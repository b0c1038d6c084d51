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
}

/** A line over each line of the span, and over those below it where there are more. */
export function previewRows(
  preview: Preview,
  editor: vscode.TextEditor,
): vscode.DecorationOptions[] {
  const { document, span, old, text, confidence } = preview;
  if (text === undefined) {
    return [];
  }
  const first = document.lineAt(document.positionAt(span.start).line);
  const last = document.lineAt(document.positionAt(span.end).line);
  const start = document.offsetAt(first.range.start);
  const end = document.offsetAt(last.range.end);
  const frame: Frame = {
    before: first.text.slice(0, span.start - start),
    after: last.text.slice(last.text.length - (end - span.end)),
  };
  const tabSize = typeof editor.options.tabSize === "number" ? editor.options.tabSize : 4;
  const all = diffRows(frame, old, text, confidence).slice(0, MAX_ROWS);
  return all.map((row, index) => {
    const wanted = first.lineNumber + index;
    const line = Math.min(wanted, document.lineCount - 1);
    const edge = index === all.length - 1 ? "bottom" : "none";
    const before = coveringRow(row, tabSize, wanted - line, edge);
    return { range: new vscode.Range(line, 0, line, 0), renderOptions: { before } };
  });
}
