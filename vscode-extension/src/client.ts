/**
 * The language client and the life of its server: starts it, starts it again when it goes, and
 * says when that is of no use. Knows nothing of what the messages are good for.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { homedir } from "node:os";
import * as readline from "node:readline";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  State,
  type LanguageClientOptions,
  type Middleware,
} from "vscode-languageclient/node";
import { serverSettings } from "./config";
import type { Server } from "./discovery";
import * as ext from "./lspExt";

/** Until `initialize` is answered; the server loads no model for that. */
const START_PATIENCE_MS = 30_000;
/** After so long without an answer the server is asked whether it is alive: a model may load. */
const OVERDUE_MS = 5_000;
/** For a question that the server answers at once if it is alive. */
const PING_PATIENCE_MS = 4_000;
const LAST_WORDS_MS = 300;
const MAX_RESTARTS = 4;
const RESTARTS_WITHIN_MS = 180_000;

/** Of the documents that the server is told of. */
export const SCHEMES = ["file", "untitled", "vscode-notebook-cell"];

export type Phase = "off" | "starting" | "running" | "failed";

/** Shows no messages of its own: what goes wrong is said once, with the ways out. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export class Client implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly drafted = new vscode.EventEmitter<ext.Draft>();
  private readonly statusSaid = new vscode.EventEmitter<ext.Status>();
  readonly onDidChange = this.changed.event;
  readonly onDraft = this.drafted.event;
  readonly onStatus = this.statusSaid.event;
  phase: Phase = "starting";
  /** Why the server is not running, or had to be started again, in one line. */
  trouble = "";
  private running: LanguageClient | undefined;
  private child: ChildProcess | undefined;
  private lastWords = "";
  private restarts: number[] = [];

  constructor(
    private readonly log: vscode.LogOutputChannel,
    private readonly middleware: Middleware,
  ) {}

  get language(): LanguageClient | undefined {
    return this.phase === "running" ? this.running : undefined;
  }

  /** The client once the server runs; `undefined` where it does not, or nobody waits. */
  async whenRunning(cancelled: vscode.CancellationToken): Promise<LanguageClient | undefined> {
    if (this.phase === "starting") {
      await new Promise<void>((resolve) => {
        const waiting = [
          this.onDidChange(() => this.phase !== "starting" && settle()),
          cancelled.onCancellationRequested(() => settle()),
        ];
        const settle = () => {
          vscode.Disposable.from(...waiting).dispose();
          resolve();
        };
      });
    }
    return this.language;
  }

  /** Starts the server; where that fails, `phase` and `trouble` say so. */
  async start(server: Server): Promise<void> {
    await this.stop();
    this.trouble = "";
    this.become("starting");
    this.log.info(`the server is ${server.command}, from ${server.foundIn}`);
    const client = new QuietClient("dg-lsp", "dg-lsp", () => this.spawn(server), this.options());
    const since = performance.now();
    client.registerFeature({
      fillClientCapabilities: (capabilities) => {
        capabilities.experimental = { ...capabilities.experimental, dgLsp: ext.CAPABILITIES };
      },
      initialize: () => undefined,
      getState: () => ({ kind: "static" }),
      clear: () => undefined,
    });
    client.onNotification(ext.DRAFT, (draft: ext.Draft) => this.drafted.fire(draft));
    client.onNotification(ext.STATUS, (status: ext.Status) => this.statusSaid.fire(status));
    client.onDidChangeState(({ newState }) => {
      if (this.running === client && newState === State.Running) {
        this.log.info(`the server answers after ${Math.round(performance.now() - since)} ms`);
        this.trouble = "";
        this.become("running");
      }
    });
    this.running = client;
    const late = setTimeout(() => {
      this.fail(`it did not answer within ${START_PATIENCE_MS / 1000} s`);
      this.child?.kill("SIGKILL");
    }, START_PATIENCE_MS);
    try {
      await client.start();
    } catch (error) {
      if (this.running === client) {
        await this.failWithLastWords(String(error instanceof Error ? error.message : error));
      }
    } finally {
      clearTimeout(late);
    }
  }

  /** Gives up a start that is under way: a server that hangs is not to be waited for. */
  abandon(): void {
    if (this.phase === "starting" && this.running !== undefined) {
      this.running = undefined;
      this.child?.kill("SIGKILL");
    }
  }

  async stop(): Promise<void> {
    const { child, running } = this;
    this.running = undefined;
    this.become("off");
    // One that does not answer would not heed a milder signal either.
    await running?.dispose().catch(() => child?.kill("SIGKILL"));
  }

  /** There is no server, for this reason. */
  fail(trouble: string): void {
    if (this.phase === "failed") {
      return;
    }
    this.trouble = trouble;
    this.log.error(trouble);
    this.become("failed");
  }

  /** Runs a command of the server; `undefined` where there is no server or no such command. */
  async execute<Result>(command: string, ...values: unknown[]): Promise<Result | undefined> {
    const client = this.language;
    const known = client?.initializeResult?.capabilities.executeCommandProvider?.commands;
    if (!client || !known?.includes(command)) {
      return undefined;
    }
    return client.sendRequest<Result>("workspace/executeCommand", {
      command,
      arguments: values,
    });
  }

  /** Waits for an answer of the server for as long as that is alive. */
  async patiently<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const overdue = setInterval(() => void this.checkPulse(), OVERDUE_MS);
    try {
      return await answer;
    } finally {
      clearInterval(overdue);
    }
  }

  /** Ends a server that answers nothing any more, which starts it again. */
  private async checkPulse(): Promise<void> {
    const child = this.child;
    const late = setTimeout(() => {
      this.lastWords = "it did not answer any more";
      child?.kill("SIGKILL");
    }, PING_PATIENCE_MS);
    try {
      await this.execute(ext.COMMAND_STATUS);
    } catch {
      // An error is an answer.
    } finally {
      clearTimeout(late);
    }
  }

  dispose(): void {
    void this.stop();
    vscode.Disposable.from(this.changed, this.drafted, this.statusSaid).dispose();
  }

  private options(): LanguageClientOptions {
    return {
      documentSelector: SCHEMES.map((scheme) => ({ scheme })),
      initializationOptions: () => serverSettings(),
      outputChannel: this.log,
      middleware: this.middleware,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => this.closed(),
      },
    };
  }

  private closed(): { action: CloseAction; handled: true } {
    const now = Date.now();
    this.restarts = this.restarts.filter((time) => now - time < RESTARTS_WITHIN_MS);
    if (this.phase !== "running" || this.restarts.length >= MAX_RESTARTS) {
      void this.failWithLastWords("it ended again and again");
      return { action: CloseAction.DoNotRestart, handled: true };
    }
    this.restarts.push(now);
    this.trouble = this.lastWords || "it ended";
    this.log.warn(`the server ended and is started again: ${this.trouble}`);
    this.become("starting");
    return { action: CloseAction.Restart, handled: true };
  }

  /** The reason that the server gave, which may arrive after its end. */
  private async failWithLastWords(otherwise: string): Promise<void> {
    const client = this.running;
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
    if (this.running === client) {
      this.fail(this.lastWords || otherwise);
    }
  }

  private async spawn(server: Server): Promise<ChildProcess> {
    // Not in the folder that is open: nothing of it is to be run or imported.
    const child = spawn(server.command, ["serve"], { cwd: homedir() });
    this.child = child;
    this.lastWords = "";
    readline.createInterface({ input: child.stderr }).on("line", (line) => {
      this.lastWords = line.trim() || this.lastWords;
    });
    await once(child, "spawn");
    return child;
  }

  private become(phase: Phase): void {
    this.phase = phase;
    this.changed.fire();
  }
}
