/**
 * Asks the server for ghost text, replacing the language client's own request: adds a token for
 * drafts and the indentation of the editor.
 *
 * VS Code cancels a request at each keystroke and asks again a moment later. If the typed text
 * agrees with the running job, the server continues that job, so a cancellation waits a moment.
 */
import * as vscode from "vscode";
import {
  InlineCompletionRequest,
  type InlineCompletionItem,
  type InlineCompletionList,
  type InlineCompletionParams,
  type TextDocumentIdentifier,
} from "vscode-languageserver-protocol";
import { SCHEMES, type Client } from "./client";
import type { Drafts } from "./drafts";
import { ACCEPTED } from "./inserted";
import type { Confidence } from "./lspExt";

/** The next request comes about 40 ms after a cancelled one. */
const LINGER_MS = 150;

/** The parameters with our additions, which docs/lsp-extensions.md describes. */
interface ExtendedParams extends InlineCompletionParams {
  textDocument: TextDocumentIdentifier & { version: number };
  formattingOptions: { tabSize: number; insertSpaces: boolean };
  draftToken: string;
}

interface UnderWay {
  readonly document: vscode.TextDocument;
  readonly token: string;
  readonly withdraw: vscode.CancellationTokenSource;
}

export class Completion implements vscode.InlineCompletionItemProvider, vscode.Disposable {
  // Registered before the server runs, so that the first keystrokes are answered too.
  private readonly registration = vscode.languages.registerInlineCompletionItemProvider(
    SCHEMES.map((scheme) => ({ scheme })),
    this,
  );
  private numRequests = 0;
  private cancelling: NodeJS.Timeout | undefined;
  private underWay: UnderWay | undefined;

  constructor(
    private readonly client: Client,
    private readonly drafts: Drafts,
    private readonly isPaused: (document: vscode.TextDocument) => boolean,
  ) {}

  async provideInlineCompletionItems(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    cancelled: vscode.CancellationToken,
  ): Promise<vscode.InlineCompletionItem[]> {
    const isByHand = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke;
    if (!isByHand && this.isPaused(document)) {
      return [];
    }
    const client = await this.client.whenRunning(cancelled);
    if (client === undefined || cancelled.isCancellationRequested) {
      return [];
    }
    clearTimeout(this.cancelling);
    if (this.underWay?.document !== document) {
      // The server cannot continue that job in another document.
      this.underWay?.withdraw.cancel();
    }
    const token = `ghost-${++this.numRequests}`;
    const withdraw = new vscode.CancellationTokenSource();
    this.underWay = { document, token, withdraw };
    const listener = cancelled.onCancellationRequested(() => this.giveUpSoon(token));
    this.drafts.expect(token);
    if (context.selectedCompletionInfo !== undefined) {
      // The completion list is open.
      this.drafts.clear();
    }
    const params = client.code2ProtocolConverter.asInlineCompletionParams(
      document,
      position,
      context,
    );
    const extended: ExtendedParams = {
      ...params,
      textDocument: { ...params.textDocument, version: document.version },
      formattingOptions: indentation(document),
      draftToken: token,
    };
    try {
      const answer = await this.client.patiently(
        client.sendRequest(InlineCompletionRequest.type, extended, withdraw.token),
      );
      return cancelled.isCancellationRequested ? [] : items(document, answer);
    } catch (error) {
      const type = InlineCompletionRequest.type;
      return client.handleFailedRequest(type, withdraw.token, error, [], false);
    } finally {
      listener.dispose();
      this.handOver(token);
    }
  }

  /** Stops the current request and hides its drafts. */
  discard(): void {
    clearTimeout(this.cancelling);
    this.underWay?.withdraw.cancel();
    this.drafts.end(this.underWay?.token);
    this.drafts.clear();
  }

  dispose(): void {
    this.discard();
    this.registration.dispose();
  }

  /** Keeps drafts until VS Code shows the ghost text, which takes the same way to the window. */
  private handOver(token: string): void {
    setImmediate(() => {
      this.drafts.end(token);
      if (this.underWay?.token === token) {
        this.underWay = undefined;
      }
    });
  }

  private giveUpSoon(token: string): void {
    if (this.underWay?.token !== token) {
      return;
    }
    const { withdraw } = this.underWay;
    clearTimeout(this.cancelling);
    this.cancelling = setTimeout(() => {
      withdraw.cancel();
      this.drafts.end(token);
    }, LINGER_MS);
  }
}

function items(
  document: vscode.TextDocument,
  answer: InlineCompletionList | InlineCompletionItem[] | null,
): vscode.InlineCompletionItem[] {
  const found = Array.isArray(answer) ? answer : (answer?.items ?? []);
  return found.map((one) => {
    const text = typeof one.insertText === "string" ? one.insertText : one.insertText.value;
    const range = one.range;
    const { confidence = [] } = one as { confidence?: Confidence };
    return new vscode.InlineCompletionItem(
      text,
      range &&
        new vscode.Range(
          range.start.line,
          range.start.character,
          range.end.line,
          range.end.character,
        ),
      range && {
        title: "Note what was accepted",
        command: ACCEPTED,
        arguments: [document.uri.toString(), range.start, text, confidence],
      },
    );
  });
}

function indentation(document: vscode.TextDocument): ExtendedParams["formattingOptions"] {
  const editor = vscode.window.visibleTextEditors.find((one) => one.document === document);
  const { tabSize, insertSpaces } = editor?.options ?? {};
  return {
    tabSize: typeof tabSize === "number" ? tabSize : 4,
    insertSpaces: typeof insertSpaces === "boolean" ? insertSpaces : true,
  };
}
