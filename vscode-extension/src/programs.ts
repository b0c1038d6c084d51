/** Runs programs in the user's home directory until they exit. Does not import `vscode`. */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import * as readline from "node:readline";

/** The last error message of a program that failed. */
export class ProgramError extends Error {}

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called for each line that the program writes to either stream. */
  readonly report?: (line: string) => void;
  /** The program is killed after this time. */
  readonly patienceMs?: number;
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Returns the standard output of a program after it has exited. A program that is stopped has also
 * exited by then, so its files can be removed.
 */
export async function run(
  command: string,
  options: readonly string[],
  { signal, report, patienceMs, environment }: RunOptions = {},
): Promise<string> {
  signal?.throwIfAborted();
  const lines: string[] = [];
  let last = "";
  let fault = "";
  await new Promise<void>((resolve, reject) => {
    // Windows searches the working directory first, so it must not be the open folder.
    const child = spawn(command, [...options], {
      cwd: homedir(),
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    const stop = () => child.kill("SIGKILL");
    let isLate = false;
    const late =
      patienceMs === undefined
        ? undefined
        : setTimeout(() => {
            isLate = true;
            stop();
          }, patienceMs);
    signal?.addEventListener("abort", stop);
    const listen = (stream: NodeJS.ReadableStream, keep: boolean) =>
      readline.createInterface({ input: stream }).on("line", (line) => {
        last = line.trim() || last;
        // Programs often print advice after the actual error.
        fault = /^(error|ERROR): /.test(line) && !/ResolutionImpossible/.test(line) ? line : fault;
        if (keep) {
          lines.push(line);
        }
        report?.(line);
      });
    listen(child.stdout, true);
    listen(child.stderr, false);
    const end = (error?: Error) => {
      clearTimeout(late);
      signal?.removeEventListener("abort", stop);
      if (error === undefined) {
        resolve();
      } else {
        reject(signal?.aborted ? signal.reason : error);
      }
    };
    child.on("error", (error) => end(new ProgramError(`${command}: ${error.message}`)));
    child.on("close", (status) => {
      if (status === 0) {
        end();
      } else if (isLate) {
        end(new ProgramError(`${command} did not end within ${Number(patienceMs) / 1000} s`));
      } else {
        end(
          new ProgramError(
            fault.replace(/^error: /i, "") || last || `${command} ended with status ${status}`,
          ),
        );
      }
    });
  });
  return lines.join("\n");
}
