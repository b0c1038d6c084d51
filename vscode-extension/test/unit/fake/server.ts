/**
 * The programs that the extension starts, without starting any: a test says what each of them
 * does. One that serves speaks the protocol, to the real language client.
 */
import { EventEmitter } from "node:events";
import { stat } from "node:fs/promises";
import { PassThrough } from "node:stream";
import {
  createProtocolConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type ProtocolConnection,
} from "vscode-languageserver-protocol/node";
import * as ext from "../../../src/lspExt";

/** The capabilities that dg-lsp answers with, as far as they matter here. */
const CAPABILITIES = {
  textDocumentSync: { openClose: true, change: 2 },
  inlineCompletionProvider: {},
  codeActionProvider: { resolveProvider: true },
  executeCommandProvider: {
    commands: [
      ext.COMMAND_STATUS,
      ext.COMMAND_TRACE,
      ext.COMMAND_RESTART_ENGINE,
      ext.COMMAND_UNLOAD_MODEL,
      ext.COMMAND_ACCEPT_NEXT_EDIT,
      ext.COMMAND_DISMISS_NEXT_EDIT,
      ext.COMMAND_ALTERNATIVES,
    ],
  },
};

export class Program extends EventEmitter {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  exitCode: number | null = null;
  signalCode: NodeJS.Signals | null = null;
  /** Other than by itself. */
  wasKilled = false;
  isStarted = true;

  constructor(
    readonly command: string,
    readonly options: readonly string[],
    readonly cwd: string | undefined,
  ) {
    super();
  }

  get isRunning(): boolean {
    return this.exitCode === null && this.signalCode === null;
  }

  say(line: string): void {
    this.stderr.write(`${line}\n`);
  }

  end(status: number | null, signal: NodeJS.Signals | null = null): void {
    this.exitCode = status;
    this.signalCode = signal;
    setImmediate(() => {
      this.emit("exit", status, signal);
      this.stdout.end();
      this.stderr.end();
      // What it wrote is read before that.
      setImmediate(() => this.emit("close", status, signal));
    });
  }

  /** The system does not start it. */
  refuse(why: string): void {
    this.isStarted = false;
    this.emit("error", new Error(why));
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): boolean {
    if (!this.isRunning) {
      return false;
    }
    this.wasKilled = true;
    this.end(null, signal);
    return true;
  }
}

type Behaviour = (program: Program) => void;

/** Every program that was started in this test, in order. */
export const programs: Program[] = [];
let behave: Behaviour = () => undefined;

/** What programs do from now on. */
export function programsDo(behaviour: Behaviour): void {
  programs.length = 0;
  behave = behaviour;
}

/** In place of that of `node:child_process`. */
export function spawn(command: string, options: string[], { cwd }: { cwd?: string }): Program {
  const program = new Program(command, options, cwd);
  programs.push(program);
  queueMicrotask(() => {
    behave(program);
    if (program.isStarted) {
      program.emit("spawn");
    }
  });
  return program;
}

/** In place of that of `node:child_process`: runs a program to its end. */
export function execFile(
  command: string,
  options: string[],
  settings: { cwd?: string },
  done: (error: Error | null, output: string, errors: string) => void,
): void {
  const program = spawn(command, options, settings);
  const written = [program.stdout, program.stderr].map((stream) => {
    const chunks: string[] = [];
    stream.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
    return chunks;
  });
  program.on("close", (status) => {
    const [output = "", errors = ""] = written.map((chunks) => chunks.join(""));
    done(status === 0 ? null : new Error(`status ${status}`), output, errors);
  });
}

/** A server that answers what a test wants to be answered. */
export class Server {
  readonly connection: ProtocolConnection;
  /** What the client said in `initialize`. */
  initialized: { initializationOptions?: unknown; capabilities?: { experimental?: unknown } } = {};
  hasShutDown = false;

  constructor(readonly program: Program) {
    this.connection = createProtocolConnection(
      new StreamMessageReader(program.stdin),
      new StreamMessageWriter(program.stdout),
    );
    this.connection.onRequest("initialize", (params: typeof this.initialized) => {
      this.initialized = params;
      return { capabilities: CAPABILITIES };
    });
    this.connection.onRequest("shutdown", () => {
      this.hasShutDown = true;
      return null;
    });
    this.connection.onNotification("exit", () => program.end(0));
    this.connection.listen();
  }
}

/** Programs serve from now on; the list grows with each that is started. */
export function programsServe(): Server[] {
  const servers: Server[] = [];
  programsDo((program) => servers.push(new Server(program)));
  return servers;
}

// The clock that the tests may have replaced by then.
const { setTimeout: wait } = globalThis;
const PATIENCE_MS = 5000;

/** Lets whatever is under way go on until something is so; no time passes for the extension. */
export async function until(isSo: () => boolean): Promise<void> {
  const start = performance.now();
  while (!isSo()) {
    if (performance.now() - start > PATIENCE_MS) {
      throw new Error(`never: ${isSo}`);
    }
    await rest();
    // Files take their time.
    await new Promise((resolve) => wait(resolve, 1));
  }
}

/** One turn of everything that does not wait for time to pass. */
export async function rest(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Lets everything come to rest, so that what has not happened by then does not. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await stat(".");
    await rest();
  }
}
