/** Finds the holes that are filled together: several cursors or selections, or marks. */
import * as vscode from "vscode";
import type { Span } from "./follow";

/** The marks in a range, or parts of its text: the first at its start, the last at its end. */
export type Holes = "marks" | readonly Span[];

export interface Holed {
  readonly range: vscode.Range;
  readonly holes: Holes;
}

/** Without several cursors, the marks in the selection, or in the document if it is empty. */
export function holesIn(editor: vscode.TextEditor, mark: string): Holed | undefined {
  const { document, selections } = editor;
  return selections.length > 1
    ? holesAt(document, selections)
    : marksIn(document, editor.selection, mark);
}

function holesAt(document: vscode.TextDocument, selections: readonly vscode.Selection[]): Holed {
  const spans = selections
    .map(({ start, end }) => ({ start: document.offsetAt(start), end: document.offsetAt(end) }))
    .sort((one, other) => one.start - other.start || one.end - other.end);
  const start = spans[0]?.start ?? 0;
  const end = Math.max(...spans.map((span) => span.end));
  const holes = spans.map((span) => ({ start: span.start - start, end: span.end - start }));
  return { range: new vscode.Range(document.positionAt(start), document.positionAt(end)), holes };
}

function marksIn(
  document: vscode.TextDocument,
  selection: vscode.Selection,
  mark: string,
): Holed | undefined {
  const text = document.getText();
  const from = selection.isEmpty ? 0 : document.offsetAt(selection.start);
  const to = selection.isEmpty ? text.length : document.offsetAt(selection.end);
  const start = text.indexOf(mark, from);
  const last = text.lastIndexOf(mark, to - mark.length);
  if (mark === "" || start < 0 || last < start) {
    return undefined;
  }
  const end = document.positionAt(last + mark.length);
  return { range: new vscode.Range(document.positionAt(start), end), holes: "marks" };
}
