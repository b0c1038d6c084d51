/**
 * Creates the private environment of the server, with uv if it is installed and otherwise with one
 * of the user's Pythons. Each environment gets its own directory and is used only once it is
 * complete and works, so an interrupted installation leaves the previous one intact. Does not
 * import `vscode`.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import * as path from "node:path";
import { scriptIn } from "./discovery";
import { LEAST_PYTHON } from "./interpreters";
import { ProgramError, run, type RunOptions } from "./programs";
import type { Build } from "./torchBuild";

export interface Wish {
  /** Where the extension keeps its environments. */
  readonly root: string;
  /** What pip installs: a wheel, a directory or a requirement. */
  readonly requirement: string;
  readonly version: string;
  readonly build: Build;
  readonly interpreter: string | undefined;
  readonly uv: string | undefined;
  readonly platform: NodeJS.Platform;
}

export interface Installed {
  readonly command: string;
  /** The version of the extension that installed it. */
  readonly version: string;
}

const TORCH = "torch>=2.9";
const POINTER = "installed.json";
const LEFT_FOR_MS = 24 * 3600 * 1000;
/** Overrides pip settings of the user that would prevent the installation. */
const PIP = { PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0", PIP_DISABLE_PIP_VERSION_CHECK: "1" };

/** The server that was installed last, if its record can be read. */
export async function installed(root: string): Promise<Installed | undefined> {
  try {
    const found = JSON.parse(await readFile(path.join(root, POINTER), "utf8")) as Installed;
    return typeof found.command === "string" ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Creates an environment and starts using it; an error says why that failed. */
export async function install(
  wish: Wish,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<Installed> {
  const { root, version, platform, build } = wish;
  const name = `${version}-${Date.now().toString(36)}`;
  const directory = path.join(root, name);
  const options: RunOptions = { report, signal, environment: PIP };
  try {
    await mkdir(root, { recursive: true });
    const pip = await makeEnvironment(wish, directory, options);
    if (build.index !== undefined) {
      report("installing PyTorch");
      await pip(["--index-url", build.index, TORCH]).catch((error: unknown) => {
        signal.throwIfAborted();
        const why = error instanceof Error ? error.message : String(error);
        throw new ProgramError(`PyTorch could not be got from ${build.index}: ${why}`);
      });
    }
    report("installing dg-lsp and what it needs");
    await pip([build.extra === undefined ? wish.requirement : withExtra(wish, build.extra)]);
    const command = scriptIn(directory, "dg-lsp", platform);
    report("starting it once");
    await run(command, ["--version"], options);
    const record: Installed = { command, version };
    await writeFile(path.join(root, `${POINTER}.new`), JSON.stringify(record));
    await rename(path.join(root, `${POINTER}.new`), path.join(root, POINTER));
    return record;
  } catch (error) {
    await remove(directory);
    throw error;
  }
}

type Pip = (options: readonly string[]) => Promise<unknown>;

/** Creates an empty environment, and returns the command that installs into it. */
async function makeEnvironment(wish: Wish, directory: string, options: RunOptions): Promise<Pip> {
  const python = scriptIn(directory, "python", wish.platform);
  const { uv, interpreter } = wish;
  if (uv !== undefined) {
    options.report?.(`making an environment with ${uv}`);
    // If there is no suitable Python, uv downloads one.
    await run(uv, ["venv", "--python", interpreter ?? `>=${LEAST_PYTHON.join(".")}`, directory], {
      ...options,
    });
    return (wanted) => run(uv, ["pip", "install", "--python", python, ...wanted], options);
  }
  if (interpreter === undefined) {
    throw new ProgramError("there is no Python to make an environment with");
  }
  options.report?.(`making an environment with ${interpreter}`);
  await run(interpreter, ["-m", "venv", directory], options);
  const progress = await progressOptions(python, options);
  return (wanted) =>
    run(python, ["-m", "pip", "install", "--no-input", ...progress, ...wanted], options);
}

/** Newer versions of pip can report the progress of a download. */
async function progressOptions(python: string, options: RunOptions): Promise<string[]> {
  const said = await run(python, ["-m", "pip", "--version"], { ...options, report: () => {} });
  const [, major, minor] = /^pip (\d+)\.(\d+)/.exec(said) ?? [];
  return Number(major) * 100 + Number(minor) >= 2401 ? ["--progress-bar", "raw"] : [];
}

function withExtra({ requirement }: Wish, extra: string): string {
  return requirement.includes("==")
    ? requirement.replace("==", `[${extra}]==`)
    : `${requirement}[${extra}]`;
}

/**
 * Removes interrupted installations and environments that have been replaced, but only after a
 * day, because another window may still be creating or using them.
 */
export async function removeLeftovers(root: string): Promise<void> {
  const current = (await installed(root))?.command ?? "";
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.filter((one) => one.isDirectory())) {
    const directory = path.join(root, entry.name);
    const age = Date.now() - (await stat(directory)).mtimeMs;
    if (age > LEFT_FOR_MS && !current.startsWith(directory + path.sep)) {
      await remove(directory);
    }
  }
}

async function remove(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}
