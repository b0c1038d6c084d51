/** Documents that are edited with versions, events and steps of undo, and editors that draw. */
import type * as vscode from "vscode";
import { TextDocument as Text } from "vscode-languageserver-textdocument";
import { EventEmitter, Position, Range, Selection } from "./values";

export interface Edit {
  readonly range: vscode.Range;
  readonly newText: string;
}

export class Document implements vscode.TextDocument {
  version = 1;
  isClosed = false;
  isDirty = false;
  isReadonly = false;
  readonly undoSteps: string[] = [];
  private text: Text;

  constructor(
    readonly uri: vscode.Uri,
    readonly languageId: string,
    text: string,
    private readonly changed: EventEmitter<vscode.TextDocumentChangeEvent>,
  ) {
    this.text = Text.create(uri.toString(), languageId, this.version, text);
  }

  get fileName(): string {
    return this.uri.fsPath;
  }
  get isUntitled(): boolean {
    return this.uri.scheme === "untitled";
  }
  get eol(): vscode.EndOfLine {
    return this.getText().includes("\r\n") ? 2 : 1;
  }
  get lineCount(): number {
    return this.text.lineCount;
  }

  async save(): Promise<boolean> {
    this.isDirty = false;
    return true;
  }

  getText(range?: vscode.Range): string {
    return range === undefined ? this.text.getText() : this.text.getText(range);
  }

  offsetAt(position: vscode.Position): number {
    return this.text.offsetAt(position);
  }

  positionAt(offset: number): Position {
    const { line, character } = this.text.positionAt(offset);
    return new Position(line, character);
  }

  lineAt(where: number | vscode.Position): vscode.TextLine {
    const lineNumber = typeof where === "number" ? where : where.line;
    const lines = this.getText().split(/\r\n|\r|\n/);
    const text = lines[lineNumber];
    if (text === undefined) {
      throw new Error(`there is no line ${lineNumber}`);
    }
    const range = new Range(lineNumber, 0, lineNumber, text.length);
    return {
      lineNumber,
      text,
      range,
      rangeIncludingLineBreak:
        lineNumber + 1 < lines.length ? new Range(lineNumber, 0, lineNumber + 1, 0) : range,
      firstNonWhitespaceCharacterIndex: /^\s*/.exec(text)?.[0].length ?? 0,
      isEmptyOrWhitespace: text.trim() === "",
    };
  }

  validateRange(range: vscode.Range): Range {
    return new Range(this.validatePosition(range.start), this.validatePosition(range.end));
  }

  validatePosition(position: vscode.Position): Position {
    return this.positionAt(this.offsetAt(position));
  }

  getWordRangeAtPosition(): undefined {
    throw new Error("words are not part of the fake");
  }

  /** One step: a new version, one event, and one undo that takes it back. */
  apply(edits: readonly Edit[]): void {
    this.undoSteps.push(this.getText());
    this.replace(edits);
  }

  undo(): void {
    const newText = this.undoSteps.pop();
    if (newText === undefined) {
      throw new Error("there is nothing to undo");
    }
    const end = this.positionAt(this.getText().length);
    this.replace([{ range: new Range(new Position(0, 0), end), newText }]);
  }

  private replace(edits: readonly Edit[]): void {
    // VS Code tells of the last one first, all in terms of the text before.
    const contentChanges = edits
      .map(({ range, newText: text }) => {
        const rangeOffset = this.offsetAt(range.start);
        return { range, rangeOffset, rangeLength: this.offsetAt(range.end) - rangeOffset, text };
      })
      .sort((a, b) => b.rangeOffset - a.rangeOffset);
    this.version += 1;
    this.isDirty = true;
    Text.update(this.text, [...contentChanges], this.version);
    this.changed.fire({ document: this, contentChanges, reason: undefined });
  }
}

type Decoration = vscode.TextEditorDecorationType;

export class Editor implements vscode.TextEditor {
  selections: vscode.Selection[] = [new Selection(new Position(0, 0), new Position(0, 0))];
  options: vscode.TextEditorOptions = { tabSize: 4, insertSpaces: true };
  readonly visibleRanges = [];
  viewColumn = undefined;
  private readonly decorations = new Map<Decoration, readonly vscode.DecorationOptions[]>();

  constructor(readonly document: Document) {}

  get selection(): vscode.Selection {
    return this.selections[0] as vscode.Selection;
  }
  set selection(only: vscode.Selection) {
    this.selections = [only];
  }

  setDecorations(type: Decoration, found: readonly (vscode.Range | vscode.DecorationOptions)[]) {
    const options = found.map((one) => ("range" in one ? one : { range: one }));
    this.decorations.set(type, options);
  }

  /** What is written on the screen beside the text itself, line by line. */
  get drawn(): string[] {
    return [...this.decorations.values()].flat().flatMap(({ renderOptions }) => {
      const { before, after } = renderOptions ?? {};
      const text = (before ?? after)?.contentText;
      return text === undefined ? [] : [text.replaceAll("\u00a0", " ").trimEnd()];
    });
  }

  /** What of that is marked as removed or added, line by line. */
  get marked(): string[] {
    return [...this.decorations.values()].flat().flatMap(({ renderOptions }) => {
      const { contentText = "", textDecoration = "" } = renderOptions?.before ?? {};
      const fill = /-(?:inserted|removed)TextBackground\) (\d+)ch (\d+)ch/g;
      const parts = [...textDecoration.matchAll(fill)];
      const isWhole = parts.length === 0 && textDecoration.includes("TextBackground");
      const texts = parts.map(([, from, to]) => contentText.slice(Number(from), Number(to)));
      return (isWhole ? [contentText] : texts).map((text) => text.replaceAll("\u00a0", " "));
    });
  }

  /** What the decorations do to the text of the document itself. */
  get covered(): vscode.Range[] {
    const all = [...this.decorations.values()].flat();
    return all.filter((one) => one.renderOptions === undefined).map((one) => one.range);
  }

  async edit(callback: (edit: vscode.TextEditorEdit) => void): Promise<boolean> {
    if (this.document.isReadonly) {
      return false;
    }
    const edits: Edit[] = [];
    const builder = {
      insert: (at: vscode.Position, newText: string) =>
        edits.push({ range: new Range(at, at), newText }),
      replace: (range: vscode.Range, newText: string) => edits.push({ range, newText }),
    };
    callback(builder as unknown as vscode.TextEditorEdit);
    this.document.apply(edits);
    return true;
  }

  async insertSnippet(): Promise<boolean> {
    throw new Error("snippets are not part of the fake");
  }
  revealRange(): void {}
  show(): void {}
  hide(): void {}
}
