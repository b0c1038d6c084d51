/**
 * Asks the server for what goes at the cursor, in place of the language client's own request:
 * with a token for drafts and with the indentation of the editor.
 *
 * VS Code cancels a request with each keystroke and asks anew a moment later. The server picks up
 * the job under way where the typed text agrees with it, so a cancellation waits for that moment.
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

/** Between a cancelled request and the next one lie some 40 ms. */
const LINGER_MS = 150;

/** What docs/lsp-extensions.md adds. */
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
  // There before the server is, so that what is typed first is answered too.
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
      // The server has nothing of it to pick up here.
      this.underWay?.withdraw.cancel();
    }
    const token = `ghost-${++this.numRequests}`;
    const withdraw = new vscode.CancellationTokenSource();
    this.underWay = { document, token, withdraw };
    const listener = cancelled.onCancellationRequested(() => this.giveUpSoon(token));
    this.drafts.expect(token);
    if (context.selectedCompletionInfo !== undefined) {
      // The list of completions is open.
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
      return cancelled.isCancellationRequested ? [] : items(answer);
    } catch (error) {
      const type = InlineCompletionRequest.type;
      return client.handleFailedRequest(type, withdraw.token, error, [], false);
    } finally {
      listener.dispose();
      this.handOver(token);
    }
  }

  /** The user wants to see no more of what is under way. */
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

  /** Drafts are drawn until VS Code has the ghost text, which goes the same way to the window. */
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
  answer: InlineCompletionList | InlineCompletionItem[] | null,
): vscode.InlineCompletionItem[] {
  const found = Array.isArray(answer) ? answer : (answer?.items ?? []);
  return found.map((one) => {
    const text = typeof one.insertText === "string" ? one.insertText : one.insertText.value;
    const range = one.range;
    return new vscode.InlineCompletionItem(
      text,
      range &&
        new vscode.Range(
          range.start.line,
          range.start.character,
          range.end.line,
          range.end.character,
        ),
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
