/** The process of a server, from its start to its last output. */
import { spawn, type ChildProcess } from "node:child_process";
import { homedir } from "node:os";
import * as readline from "node:readline";
import type { Server } from "./discovery";

/** What it wrote may arrive after its end. */
const LAST_WORDS_MS = 300;

export class ServerProcess {
  private readonly child: ChildProcess;
  private line = "";
  private end = "";

  constructor(server: Server) {
    // Not in the folder that is open: nothing of it is to be run or imported.
    const child = spawn(server.command, ["serve"], { cwd: homedir() });
    readline.createInterface({ input: child.stderr }).on("line", (line) => {
      this.line = line.trim() || this.line;
    });
    child.once("exit", (status, signal) => {
      this.end = `it ended with ${signal ?? `status ${status}`}`;
    });
    this.child = child;
  }

  /** An error says why it cannot be started. */
  async started(): Promise<ChildProcess> {
    return new Promise((resolve, reject) => {
      this.child.once("spawn", () => resolve(this.child));
      this.child.once("error", reject);
    });
  }

  /** What it hangs in does not heed a milder signal. The reason is its last word. */
  kill(why = ""): void {
    this.line = why || this.line;
    this.child.kill("SIGKILL");
  }

  /** The last line that it wrote, else how it ended; empty where neither is known yet. */
  get words(): string {
    return this.line || this.end;
  }

  async lastWords(): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS));
    return this.words;
  }
}
