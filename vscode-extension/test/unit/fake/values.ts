/** The plain values of the `vscode` API, behaving as VS Code documents them. */
import type * as vscode from "vscode";

export class Position implements vscode.Position {
  constructor(
    readonly line: number,
    readonly character: number,
  ) {
    if (line < 0 || character < 0) {
      throw new Error(`no such position: ${line}:${character}`);
    }
  }

  compareTo(other: vscode.Position): number {
    return this.line - other.line || this.character - other.character;
  }
  isBefore(other: vscode.Position): boolean {
    return this.compareTo(other) < 0;
  }
  isBeforeOrEqual(other: vscode.Position): boolean {
    return this.compareTo(other) <= 0;
  }
  isAfter(other: vscode.Position): boolean {
    return this.compareTo(other) > 0;
  }
  isAfterOrEqual(other: vscode.Position): boolean {
    return this.compareTo(other) >= 0;
  }
  isEqual(other: vscode.Position): boolean {
    return this.compareTo(other) === 0;
  }
  translate(): Position {
    throw new Error("Position.translate is not part of the fake");
  }
  with(change: { line?: number; character?: number } | number = {}): Position {
    const { line, character } = typeof change === "number" ? { line: change } : change;
    return new Position(line ?? this.line, character ?? this.character);
  }
}

export class Range implements vscode.Range {
  readonly start: Position;
  readonly end: Position;

  constructor(start: vscode.Position, end: vscode.Position);
  constructor(line: number, character: number, endLine: number, endCharacter: number);
  constructor(...given: [vscode.Position, vscode.Position] | [number, number, number, number]) {
    const [a, b] =
      given.length === 2
        ? given.map(({ line, character }) => new Position(line, character))
        : [new Position(given[0], given[1]), new Position(given[2], given[3])];
    if (a === undefined || b === undefined) {
      throw new Error("a range has two ends");
    }
    [this.start, this.end] = a.isAfter(b) ? [b, a] : [a, b];
  }

  get isEmpty(): boolean {
    return this.start.isEqual(this.end);
  }
  get isSingleLine(): boolean {
    return this.start.line === this.end.line;
  }
  contains(other: vscode.Position | vscode.Range): boolean {
    const [start, end] = "start" in other ? [other.start, other.end] : [other, other];
    return this.start.isBeforeOrEqual(start) && this.end.isAfterOrEqual(end);
  }
  isEqual(other: vscode.Range): boolean {
    return this.start.isEqual(other.start) && this.end.isEqual(other.end);
  }
  intersection(): Range | undefined {
    throw new Error("Range.intersection is not part of the fake");
  }
  union(): Range {
    throw new Error("Range.union is not part of the fake");
  }
  with(): Range {
    throw new Error("Range.with is not part of the fake");
  }
}

export class Selection extends Range implements vscode.Selection {
  constructor(
    readonly anchor: Position,
    readonly active: Position,
  ) {
    super(anchor, active);
  }

  get isReversed(): boolean {
    return this.active.isBefore(this.anchor);
  }
}

export class Disposable implements vscode.Disposable {
  static from(...all: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => all.forEach((one) => one.dispose()));
  }

  constructor(private callOnDispose: (() => unknown) | undefined) {}

  dispose(): void {
    const call = this.callOnDispose;
    this.callOnDispose = undefined;
    call?.();
  }
}

/** As in VS Code, a listener that throws does not keep the others from hearing. */
export class EventEmitter<Value> implements vscode.EventEmitter<Value> {
  private readonly listeners = new Set<(value: Value) => unknown>();

  readonly event: vscode.Event<Value> = (listener, self, disposables) => {
    const call = (value: Value) => listener.call(self, value);
    this.listeners.add(call);
    const registration = new Disposable(() => this.listeners.delete(call));
    disposables?.push(registration);
    return registration;
  };

  get numListeners(): number {
    return this.listeners.size;
  }

  fire(value: Value): void {
    for (const listener of [...this.listeners]) {
      try {
        listener(value);
      } catch (error) {
        console.error("a listener threw", error);
      }
    }
  }

  dispose(): void {
    this.listeners.clear();
  }
}

class Token implements vscode.CancellationToken {
  readonly cancelled = new EventEmitter<unknown>();
  isCancellationRequested = false;

  readonly onCancellationRequested: vscode.Event<unknown> = (listener, self) => {
    if (!this.isCancellationRequested) {
      return this.cancelled.event(listener, self);
    }
    const soon = setTimeout(() => listener.call(self, undefined), 0);
    return new Disposable(() => clearTimeout(soon));
  };
}

export class CancellationTokenSource implements vscode.CancellationTokenSource {
  readonly token = new Token();

  cancel(): void {
    if (!this.token.isCancellationRequested) {
      this.token.isCancellationRequested = true;
      this.token.cancelled.fire(undefined);
    }
  }

  dispose(): void {
    this.token.cancelled.dispose();
  }
}

export class CancellationError extends Error {}

interface Replacement {
  readonly uri: vscode.Uri;
  readonly range: vscode.Range;
  readonly newText: string;
}

export class WorkspaceEdit {
  readonly replacements: Replacement[] = [];

  replace(uri: vscode.Uri, range: vscode.Range, newText: string): void {
    this.replacements.push({ uri, range, newText });
  }
}

export class InlineCompletionItem {
  constructor(
    public insertText: string | vscode.SnippetString,
    public range?: vscode.Range,
    public command?: vscode.Command,
  ) {}
}

export class CodeLens {
  constructor(
    public range: vscode.Range,
    public command?: vscode.Command,
  ) {}
}

export class CodeActionKind {
  static readonly Empty = new CodeActionKind("");
  static readonly QuickFix = new CodeActionKind("quickfix");
  static readonly Refactor = new CodeActionKind("refactor");
  static readonly RefactorExtract = new CodeActionKind("refactor.extract");
  static readonly RefactorInline = new CodeActionKind("refactor.inline");
  static readonly RefactorRewrite = new CodeActionKind("refactor.rewrite");
  static readonly Source = new CodeActionKind("source");
  static readonly SourceOrganizeImports = new CodeActionKind("source.organizeImports");

  constructor(readonly value: string) {}

  append(part: string): CodeActionKind {
    return new CodeActionKind(this.value === "" ? part : `${this.value}.${part}`);
  }
}

export class CodeAction {
  command?: vscode.Command;
  constructor(
    public title: string,
    public kind?: unknown,
  ) {}
}

export class TabInputTextDiff implements vscode.TabInputTextDiff {
  constructor(
    readonly original: vscode.Uri,
    readonly modified: vscode.Uri,
  ) {}
}

export class ThemeColor implements vscode.ThemeColor {
  constructor(readonly id: string) {}
}

/** Only what is built up piece by piece. */
export class MarkdownString {
  isTrusted: boolean | { readonly enabledCommands: readonly string[] } | undefined;
  constructor(
    public value = "",
    readonly supportThemeIcons = false,
  ) {}
  appendText(text: string): this {
    this.value += text;
    return this;
  }
  appendMarkdown(text: string): this {
    this.value += text;
    return this;
  }
}
