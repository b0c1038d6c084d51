/**
 * The language client and its server: starts the server, restarts it when it exits, and gives up if
 * it keeps failing. Other modules decide what the messages are for.
 */
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  State,
  type LanguageClientOptions,
  type Middleware,
} from "vscode-languageclient/node";
import { BackOff } from "./backOff";
import { serverSettings } from "./config";
import type { Server } from "./discovery";
import * as ext from "./lspExt";
import { ServerProcess } from "./serverProcess";

/** How long `initialize` may take; the server does not load a model for that. */
const START_PATIENCE_MS = 30_000;
/** After this long without an answer, asks whether the server is alive: a model may be loading. */
const OVERDUE_MS = 5_000;
/** How long a request may take that a healthy server answers immediately. */
const PING_PATIENCE_MS = 4_000;

/** The URI schemes of the documents that the server sees. */
export const SCHEMES = ["file", "untitled", "vscode-notebook-cell"];

export type Phase = "off" | "starting" | "running" | "failed";

/** Shows no messages itself: the extension reports each problem once, with the remedies. */
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
  /** Why the server is not running or had to be restarted, in one line. */
  trouble = "";
  private running: LanguageClient | undefined;
  private process: ServerProcess | undefined;
  private readonly backOff = new BackOff();
  private restarting: NodeJS.Timeout | undefined;

  constructor(
    private readonly log: vscode.LogOutputChannel,
    private readonly middleware: Middleware,
  ) {}

  get language(): LanguageClient | undefined {
    return this.phase === "running" ? this.running : undefined;
  }

  /** The client once the server runs; `undefined` if it does not, or if nobody waits any more. */
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

  /** Starts the server; if that fails, `phase` and `trouble` say so. */
  async start(server: Server): Promise<void> {
    this.trouble = "";
    // Requests that wait for a server now wait for this one.
    this.become("starting");
    await this.end();
    this.backOff.reset();
    this.log.info(`the server is ${server.command}, from ${server.foundIn}`);
    await this.launch(server);
  }

  /** Abandons a start in progress, so that nobody waits for a server that hangs. */
  abandon(): void {
    if (this.phase === "starting" && this.running !== undefined) {
      this.running = undefined;
      this.process?.kill();
    }
  }

  async stop(): Promise<void> {
    this.become("off");
    await this.end();
  }

  /** Records why there is no server. */
  fail(trouble: string): void {
    if (this.phase === "failed") {
      return;
    }
    this.trouble = trouble;
    this.log.error(trouble);
    this.become("failed");
  }

  /** Runs a command of the server; `undefined` if there is no server or no such command. */
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

  /** Waits for an answer of the server as long as the server is alive. */
  async patiently<Answer>(answer: Promise<Answer>): Promise<Answer> {
    const overdue = setInterval(() => void this.checkPulse(), OVERDUE_MS);
    try {
      return await answer;
    } finally {
      clearInterval(overdue);
    }
  }

  /** Kills a server that no longer answers, so that it is restarted. */
  private async checkPulse(): Promise<void> {
    const { process } = this;
    const why = "it stopped answering";
    const late = setTimeout(() => process?.kill(why), PING_PATIENCE_MS);
    try {
      await this.execute(ext.COMMAND_STATUS);
    } catch {
      // An error is also an answer.
    } finally {
      clearTimeout(late);
    }
  }

  dispose(): void {
    void this.stop();
    vscode.Disposable.from(this.changed, this.drafted, this.statusSaid).dispose();
  }

  private async end(): Promise<void> {
    const { running: client, process } = this;
    this.running = undefined;
    clearTimeout(this.restarting);
    // The client cannot end a server that is starting or hangs.
    await client?.dispose().catch(() => process?.kill());
  }

  /** Starts the server process with a new client. */
  private async launch(server: Server): Promise<void> {
    this.become("starting");
    this.process = undefined;
    const options = this.options(() => this.closed(client, server));
    const spawn = () => {
      this.process = new ServerProcess(server);
      return this.process.started();
    };
    const client = new QuietClient("dg-lsp", "dg-lsp", spawn, options);
    const since = performance.now();
    client.registerFeature(ext.OPT_IN);
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
      this.process?.kill();
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

  private options(closed: () => void): LanguageClientOptions {
    return {
      documentSelector: SCHEMES.map((scheme) => ({ scheme })),
      initializationOptions: () => serverSettings(),
      outputChannel: this.log,
      middleware: this.middleware,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          closed();
          const message = "the connection to the server was closed";
          return { action: CloseAction.DoNotRestart, handled: true, message };
        },
      },
    };
  }

  /** Restarts a server that has exited; `launch` reports one that exits during its start. */
  private closed(client: LanguageClient, server: Server): void {
    if (this.running !== client || this.phase !== "running") {
      return;
    }
    const pause = this.backOff.next();
    this.trouble = this.process?.words || "it ended";
    this.become("starting");
    if (pause === undefined) {
      void this.failWithLastWords("it exits each time it is started");
      return;
    }
    this.log.warn(`the server will be restarted in ${pause / 1000} s: ${this.trouble}`);
    this.restarting = setTimeout(() => void this.launch(server), pause);
  }

  private async failWithLastWords(otherwise: string): Promise<void> {
    const client = this.running;
    const why = await this.process?.lastWords();
    if (this.running === client) {
      this.fail(why || otherwise);
    }
  }

  private become(phase: Phase): void {
    this.phase = phase;
    this.changed.fire();
  }
}
