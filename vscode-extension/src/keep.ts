/** Keeps a part of the text that was accepted last; the rest is rewritten around it. */
import * as vscode from "vscode";
import { edited, wordAt } from "./doubt";
import type { Span } from "./follow";
import type { Accepted } from "./inserted";
import type { Wish } from "./rewriteSession";

const NOTHING = "accept a suggestion first; then a word of it can be kept.";
const OUTSIDE = "only a part of the text that was accepted last can stay.";

/** What is to be rewritten, or why it cannot be. */
export function keeping(editor: vscode.TextEditor, accepted: Accepted | undefined): Wish | string {
  if (accepted === undefined) {
    return NOTHING;
  }
  const { document, selection } = editor;
  const { span } = accepted;
  const range = new vscode.Range(document.positionAt(span.start), document.positionAt(span.end));
  const start = document.offsetAt(selection.start) - span.start;
  const end = document.offsetAt(selection.end) - span.start;
  const kept = keptIn(accepted.text, document.getText(range), { start, end });
  return kept === undefined ? OUTSIDE : { document, range, pinned: [kept] };
}

/** The selection, or else what was edited, or else the word at the cursor. */
function keptIn(accepted: string, now: string, selected: Span): Span | undefined {
  const isInside = selected.start >= 0 && selected.end <= now.length;
  if (selected.start < selected.end) {
    return isInside ? selected : undefined;
  }
  return edited(accepted, now) ?? (isInside ? wordAt(now, selected.start) : undefined);
}
