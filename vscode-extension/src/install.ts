/**
 * Makes the private environment of the server, with uv where there is one and with a Python of
 * the user's otherwise. Knows nothing of `vscode`.
 */
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { homedir } from "node:os";
import * as readline from "node:readline";
import { scriptIn } from "./discovery";

export const NEEDED_PYTHON = "3.11";

export interface Wish {
  readonly directory: string;
  /** What pip is to install. */
  readonly requirement: string;
  /** A Python to be preferred, such as that of the selected environment. */
  readonly interpreter: string | undefined;
  readonly platform: NodeJS.Platform;
}

export class InstallError extends Error {}

/** Makes the environment anew and returns the server's command; `InstallError` says why not. */
export async function install(
  wish: Wish,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<string> {
  try {
    await rm(wish.directory, { recursive: true, force: true });
    const python = scriptIn(wish.directory, "python", wish.platform);
    if (await works("uv", ["--version"], signal)) {
      report("making an environment with uv");
      await run("uv", ["venv", "--python", `>=${NEEDED_PYTHON}`, wish.directory], report, signal);
      const options = ["pip", "install", "--python", python, wish.requirement];
      await run("uv", options, report, signal);
    } else {
      const [base, ...options] = await findPython(wish, signal);
      report(`making an environment with ${base}`);
      await run(base, [...options, "-m", "venv", wish.directory], report, signal);
      const pip = ["-m", "pip", "--disable-pip-version-check", "install", wish.requirement];
      await run(python, pip, report, signal);
    }
    return scriptIn(wish.directory, "dg-lsp", wish.platform);
  } catch (error) {
    // Half an environment would be taken for a whole one.
    await rm(wish.directory, { recursive: true, force: true });
    throw error;
  }
}

type CommandLine = [command: string, ...options: string[]];

async function findPython(wish: Wish, signal: AbortSignal): Promise<CommandLine> {
  const known: CommandLine[] = wish.interpreter ? [[wish.interpreter]] : [];
  const named: CommandLine[] =
    wish.platform === "win32"
      ? [["py", "-3"], ["python"]]
      : [["python3"], ["python3.14"], ["python3.13"], ["python3.12"], ["python3.11"], ["python"]];
  const [major, minor] = NEEDED_PYTHON.split(".");
  const check = `import sys, venv; sys.exit(sys.version_info < (${major}, ${minor}))`;
  for (const [command, ...options] of [...known, ...named]) {
    if (await works(command, [...options, "-c", check], signal)) {
      return [command, ...options];
    }
  }
  throw new InstallError(`Python ${NEEDED_PYTHON} or newer, with venv, was not found.`);
}

async function works(command: string, options: string[], signal: AbortSignal): Promise<boolean> {
  try {
    await run(command, options, () => undefined, signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** Runs a program to its end; an `InstallError` carries the last line that it wrote. */
async function run(
  command: string,
  options: string[],
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    // Windows looks for a program in the working directory first; that must not be the user's folder.
    const cwd = homedir();
    const child = spawn(command, options, { cwd, signal, stdio: ["ignore", "pipe", "pipe"] });
    let last = "";
    for (const stream of [child.stdout, child.stderr]) {
      readline.createInterface({ input: stream }).on("line", (line) => {
        last = line.trim() || last;
        report(line);
      });
    }
    child.on("error", (error) => reject(new InstallError(`${command}: ${error.message}`)));
    child.on("close", (status) => {
      if (status === 0) {
        resolve();
      } else {
        reject(new InstallError(last || `${command} ended with status ${status}.`));
      }
    });
  });
}
