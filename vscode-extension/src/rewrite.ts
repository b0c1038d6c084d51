/**
 * A rewrite that can be looked at before it is made: it is drawn over the text that it is about,
 * as a diff that comes into focus, and the document stays as it is until the user accepts. So
 * accepting is one edit and one step of undo, and what is typed elsewhere meanwhile is only moved
 * along. Knows nothing of how the user says what to do.
 */
import * as vscode from "vscode";
import { SCHEMES, type Client } from "./client";
import { Comparison, type Sides } from "./compare";
import { shifted } from "./diff";
import { followed, type Span } from "./follow";
import { lensesOf } from "./lenses";
import type { Draft } from "./lspExt";
import { previewRows } from "./preview";
import { propose, rangeOf } from "./proposal";

const UNDER_WAY = "dgLsp.rewriting";
const READY = "dgLsp.rewriteReady";
const FREEDOM_STEP = 0.2;

export interface Wish {
  readonly document: vscode.TextDocument;
  readonly range: vscode.Range;
  readonly instruction?: string;
}

interface Session extends Wish {
  /** Where the text that is rewritten is by now. */
  span: Span;
  readonly old: string;
  readonly starts: Map<number, vscode.Position>;
  noise: number;
  seed: number;
  token: string;
  /** Ends the attempt that is under way. */
  stop: vscode.CancellationTokenSource;
  /** The last draft or, when `isReady`, what is proposed. */
  text?: string;
  confidence: Draft["confidence"];
  isReady: boolean;
  /** Accepted: it is shown until the document holds it. */
  isTaken: boolean;
}

export class Rewriting implements vscode.CodeLensProvider, vscode.Disposable {
  private readonly decoration = vscode.window.createTextEditorDecorationType({});
  private readonly comparison = new Comparison();
  private readonly lensesChanged = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.lensesChanged.event;
  private readonly subscriptions: vscode.Disposable[];
  private session: Session | undefined;
  private numAttempts = 0;

  constructor(private readonly client: Client) {
    this.subscriptions = [
      this.decoration,
      this.comparison,
      this.lensesChanged,
      vscode.languages.registerCodeLensProvider(
        SCHEMES.map((scheme) => ({ scheme })),
        this,
      ),
      client.onDraft((draft) => this.take(draft)),
      vscode.workspace.onDidChangeTextDocument((event) => this.follow(event)),
      vscode.workspace.onDidCloseTextDocument((document) => {
        if (document === this.session?.document) {
          this.discard();
        }
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => this.draw()),
      vscode.window.onDidChangeActiveTextEditor(() => this.setContexts()),
    ];
  }

  async begin(wish: Wish): Promise<void> {
    this.discard();
    const { document, range } = wish;
    const old = document.getText(range);
    const start = document.offsetAt(range.start);
    this.session = {
      ...wish,
      span: { start, end: document.offsetAt(range.end) },
      old,
      starts: new Map(),
      noise: 0.6,
      seed: 0,
      token: "",
      stop: new vscode.CancellationTokenSource(),
      confidence: [],
      isReady: false,
      isTaken: false,
    };
    await this.attempt(this.session);
  }

  async accept(): Promise<void> {
    const session = this.session;
    if (!session?.isReady || session.isTaken || session.text === undefined) {
      return;
    }
    session.isTaken = true;
    const edit = new vscode.WorkspaceEdit();
    edit.replace(session.document.uri, rangeOf(session), session.text);
    const isDone = await vscode.workspace.applyEdit(edit);
    if (this.session === session) {
      this.end();
    }
    if (!isDone) {
      await vscode.window.showWarningMessage("dg-lsp: the editor did not take the rewrite.");
    }
  }

  discard(): void {
    if (this.session !== undefined) {
      this.session.stop.cancel();
      this.end();
    }
  }

  /** Another attempt: at the same freedom the noise is another. */
  async retry(freedom: "same" | "more" | "less"): Promise<void> {
    const session = this.session;
    if (!session?.isReady || session.isTaken) {
      return;
    }
    const by = { same: 0, more: FREEDOM_STEP, less: -FREEDOM_STEP }[freedom];
    session.noise = shifted(session.noise, by);
    session.seed += 1;
    await this.attempt(session);
  }

  /** The whole document as it is and as it would be, where nothing is covered. */
  async compare(): Promise<void> {
    const session = this.session;
    if (session?.isReady) {
      const { line } = rangeOf(session).start;
      await this.comparison.show(session.document.uri, sidesOf(session), line);
    }
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    if (document !== this.session?.document) {
      return [];
    }
    const { span, isReady, noise } = this.session;
    return lensesOf(document.positionAt(span.start), isReady, noise);
  }

  dispose(): void {
    this.discard();
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private async attempt(session: Session): Promise<void> {
    const token = (session.token = `rewrite-${++this.numAttempts}`);
    session.stop = new vscode.CancellationTokenSource();
    session.isReady = false;
    delete session.text;
    noteStart(session);
    this.changed();
    try {
      const client = await this.client.whenRunning(session.stop.token);
      const text = await this.client.patiently(propose(client, session, session.stop.token));
      if (this.session !== session || session.token !== token) {
        return;
      }
      session.text = text;
      session.confidence = [[1, text.length]];
      session.isReady = true;
      this.changed();
      this.comparison.update(session.document.uri, sidesOf(session));
    } catch (error) {
      if (this.session === session && session.token === token) {
        this.end();
        const said = error instanceof Error ? error.message : String(error);
        const why = this.client.language ? said : "the server is not running";
        await vscode.window.showWarningMessage(`dg-lsp: ${why}`);
      }
    }
  }

  private take(draft: Draft): void {
    const session = this.session;
    if (session && !session.isReady && draft.token === session.token) {
      session.text = draft.text;
      session.confidence = draft.confidence;
      this.draw();
    }
  }

  private follow(event: vscode.TextDocumentChangeEvent): void {
    const session = this.session;
    if (!session || event.document !== session.document || event.contentChanges.length === 0) {
      return;
    }
    const span = followed(session.span, event.contentChanges);
    if (span === undefined) {
      this.discard();
      if (!session.isTaken) {
        vscode.window.setStatusBarMessage("dg-lsp: the text was edited, its rewrite is gone", 5000);
      }
      return;
    }
    session.span = span;
    noteStart(session);
    this.changed();
  }

  private end(): void {
    this.session = undefined;
    this.changed();
    void this.comparison.close();
  }

  private changed(): void {
    this.setContexts();
    this.lensesChanged.fire();
    this.draw();
  }

  /** The keys have other meanings in other editors. */
  private setContexts(): void {
    const active = vscode.window.activeTextEditor?.document;
    const isHere = active === this.session?.document || this.comparison.shows(active);
    const session = isHere ? this.session : undefined;
    void vscode.commands.executeCommand("setContext", UNDER_WAY, session !== undefined);
    void vscode.commands.executeCommand("setContext", READY, session?.isReady === true);
  }

  private draw(): void {
    for (const editor of vscode.window.visibleTextEditors) {
      const isShown = this.session?.document === editor.document;
      editor.setDecorations(
        this.decoration,
        this.session && isShown ? previewRows(this.session, editor) : [],
      );
    }
  }
}

function noteStart({ document, span, starts }: Session): void {
  starts.set(document.version, document.positionAt(span.start));
}

function sidesOf({ document, span, text = "" }: Session): Sides {
  const before = document.getText();
  return { before, after: before.slice(0, span.start) + text + before.slice(span.end) };
}
