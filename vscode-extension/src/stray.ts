/**
 * Catches keys that were meant for the instruction box. VS Code opens the box with a delay, and
 * keys typed before that go into the document, where they replace the selection. They are taken out
 * of the document and given to the box. Other edits are left alone.
 */
import * as vscode from "vscode";
import { stretched, type Change, type Span } from "./follow";

export class StrayKeys implements vscode.Disposable {
  private readonly subscription: vscode.Disposable;
  /** The original selection, and the text around it that must be restored. */
  private readonly selection: vscode.Selection;
  private readonly old: string;
  /** Where that text is now; `undefined` once something else has changed it. */
  private span: Span | undefined;
  /** The range that the next key replaces, relative to the start of the text. */
  private readonly selected: Span;
  private typing: Span;
  private mending = Promise.resolve();

  /** Watches the text until disposed; calls `take` with what was typed into it. */
  constructor(
    private readonly editor: vscode.TextEditor,
    range: vscode.Range,
    private readonly take: (typed: string) => void,
  ) {
    const { document } = editor;
    this.selection = editor.selection;
    // The last line end of the selection is not rewritten, but typing would replace it.
    const { selection } = this;
    const isBrushed = range.contains(selection.start) && selection.end.isAfter(range.end);
    const start = document.offsetAt(range.start);
    this.span = { start, end: document.offsetAt(isBrushed ? selection.end : range.end) };
    this.old = document.getText(this.range());
    this.typing = this.selected = {
      start: document.offsetAt(this.selection.start) - start,
      end: document.offsetAt(this.selection.end) - start,
    };
    this.subscription = vscode.workspace.onDidChangeTextDocument((event) => {
      if (event.document === document && event.contentChanges.length > 0) {
        this.see(event.contentChanges);
      }
    });
  }

  /** Resolves once the text is restored. */
  settled(): Promise<void> {
    return this.mending;
  }

  dispose(): void {
    this.subscription.dispose();
  }

  private see(changes: readonly Change[]): void {
    const span = this.span;
    this.span = span && stretched(span, changes);
    if (span === undefined || this.span === undefined) {
      return;
    }
    if (this.current() === this.old) {
      this.typing = this.selected;
      return;
    }
    // A bracket typed around a selection makes two changes; the later one in the text comes first.
    const inside = changes.filter((one) => one.rangeOffset >= span.start && endOf(one) <= span.end);
    const first = inside.at(-1);
    if (first === undefined || !inside.every((one) => this.isTyped(one, span.start))) {
      this.span = undefined;
      return;
    }
    const cursor = first.rangeOffset - span.start + first.text.length;
    this.typing = { start: cursor, end: cursor };
    this.take(first.text.replaceAll(/[\r\n]\s*/g, ""));
    this.mending = this.mending.then(() => this.mend());
  }

  private isTyped(change: Change, start: number): boolean {
    const at = change.rangeOffset - start;
    const end = endOf(change) - start;
    const { typing } = this;
    if (at === typing.start && end === typing.end) {
      return true;
    }
    // Around the selection; after the restored text, where the cursor is then; or Backspace.
    const isInserted = at === end && [typing.start, typing.end, this.old.length].includes(at);
    return isInserted || (typing.start === typing.end && end === typing.end);
  }

  /** Restores the text in one undo step with the typing; tries again if more was typed. */
  private async mend(): Promise<void> {
    const stops = { undoStopBefore: false, undoStopAfter: false };
    for (let attempt = 0; attempt < 10 && this.current() !== this.old; attempt += 1) {
      try {
        await this.editor.edit((edit) => edit.replace(this.range(), this.old), stops);
      } catch {
        return; // The editor was closed.
      }
    }
    this.editor.selection = this.selection;
  }

  private current(): string {
    return this.span === undefined ? this.old : this.editor.document.getText(this.range());
  }

  private range(): vscode.Range {
    const { start, end } = this.span ?? { start: 0, end: 0 };
    const { document } = this.editor;
    return new vscode.Range(document.positionAt(start), document.positionAt(end));
  }
}

function endOf({ rangeOffset, rangeLength }: Change): number {
  return rangeOffset + rangeLength;
}
