/**
 * Remembers the text that was accepted last, and underlines its unsure parts until they are edited.
 *
 * VS Code draws ghost text in one colour, so that doubt can only be shown once it is accepted.
 */
import * as vscode from "vscode";
import { showsDoubt } from "./config";
import { unsureParts } from "./doubt";
import { followed, stretched, type Span } from "./follow";
import type { Confidence } from "./lspExt";

/** Runs when VS Code has inserted ghost text. */
export const ACCEPTED = "dgLsp.noteAccepted";
const SHOWN_MS = 60_000;

export interface Accepted {
  readonly document: vscode.TextDocument;
  readonly span: Span;
  /** As it was accepted. */
  readonly text: string;
}

export class Inserted implements vscode.Disposable {
  private readonly decoration = vscode.window.createTextEditorDecorationType({
    borderStyle: "none none dotted none",
    borderWidth: "0 0 2px 0",
    borderColor: new vscode.ThemeColor("dgLsp.unsureUnderline"),
  });
  private readonly subscriptions = [
    this.decoration,
    vscode.workspace.onDidChangeTextDocument((event) => this.follow(event)),
    vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
  ];
  private accepted: Accepted | undefined;
  private unsure: Span[] = [];
  private clearing: NodeJS.Timeout | undefined;

  /** Notes a text that now begins at a place of a document. */
  note(
    document: vscode.TextDocument,
    at: vscode.Position,
    given: string,
    confidence: Confidence,
  ): void {
    const start = document.offsetAt(at);
    const text = document.getText(new vscode.Range(at, document.positionAt(start + given.length)));
    this.clear();
    // Line ends may have been converted, and another extension may have formatted the text.
    if (text !== given) {
      this.accepted = undefined;
      return;
    }
    this.accepted = { document, span: { start, end: start + text.length }, text };
    if (showsDoubt()) {
      this.unsure = unsureParts(text, confidence).map((part) => ({
        start: start + part.start,
        end: start + part.end,
      }));
      this.clearing = setTimeout(() => this.clear(), SHOWN_MS);
      this.draw();
    }
  }

  /** The text that was accepted last, if it is still in the document. */
  in(document: vscode.TextDocument): Accepted | undefined {
    const { accepted } = this;
    return accepted?.document === document && accepted.span.start < accepted.span.end
      ? accepted
      : undefined;
  }

  dispose(): void {
    this.clear();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private clear(): void {
    clearTimeout(this.clearing);
    this.unsure = [];
    this.draw();
  }

  private follow({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    const { accepted } = this;
    if (document !== accepted?.document || contentChanges.length === 0) {
      return;
    }
    // What is typed behind it is no part of it.
    const within = contentChanges.filter((one) => one.rangeOffset < accepted.span.end);
    const span = stretched(accepted.span, within);
    this.accepted = span && { ...accepted, span };
    this.unsure = this.unsure.flatMap((part) => followed(part, contentChanges) ?? []);
    this.draw();
  }

  private draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const { document } = editor;
      const parts = document === this.accepted?.document ? this.unsure : [];
      const ranges = parts.map(
        ({ start, end }) => new vscode.Range(document.positionAt(start), document.positionAt(end)),
      );
      editor.setDecorations(this.decoration, ranges);
    }
  }
}
