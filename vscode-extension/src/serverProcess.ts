/** The process of a server, from its start to its last output. */
import { spawn, type ChildProcess } from "node:child_process";
import { homedir } from "node:os";
import * as readline from "node:readline";
import type { Server } from "./discovery";

/** Its last output may arrive after it has exited. */
const LAST_WORDS_MS = 300;

export class ServerProcess {
  private readonly child: ChildProcess;
  private line = "";
  private end = "";

  constructor(server: Server) {
    // Not in the open folder, from which nothing must be run or imported.
    const child = spawn(server.command, ["serve"], { cwd: homedir() });
    readline.createInterface({ input: child.stderr }).on("line", (line) => {
      this.line = line.trim() || this.line;
    });
    child.once("exit", (status, signal) => {
      this.end = `it ended with ${signal ?? `status ${status}`}`;
    });
    this.child = child;
  }

  /** The running process; an error says why it could not be started. */
  async started(): Promise<ChildProcess> {
    return new Promise((resolve, reject) => {
      this.child.once("spawn", () => resolve(this.child));
      this.child.once("error", reject);
    });
  }

  /** Kills the process, because one that hangs may ignore other signals; `why` becomes `words`. */
  kill(why = ""): void {
    this.line = why || this.line;
    this.child.kill("SIGKILL");
  }

  /** The last line that it wrote, or else how it ended; empty if neither is known yet. */
  get words(): string {
    return this.line || this.end;
  }

  async lastWords(): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
    return this.words;
  }
}
