/**
 * Finds the Pythons of this machine that can create a private environment, and says why others
 * cannot. An editor started from a desktop has a short PATH, so the directories where pyenv, conda,
 * Homebrew and others put interpreters are searched as well. Does not import `vscode`.
 */
import { readdir, realpath } from "node:fs/promises";
import { pathDirectories, pathOf } from "./discovery";
import { run } from "./programs";

export const LEAST_PYTHON = [3, 11] as const;
/** PyTorch wheels for the newest Python appear late, so it is not the first choice. */
const PREFERRED = ["3.13", "3.12", "3.11", "3.14"];
const PROBE_PATIENCE_MS = 15_000;
const PROBES_AT_ONCE = 4;

export interface Interpreter {
  readonly command: string;
  readonly version: string;
}

export interface Rejected {
  readonly command: string;
  readonly reason: string;
}

export interface Search {
  /** Used if it is suitable: that of the selected environment, or one that the user chose. */
  readonly preferred: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

export interface Found {
  /** Best first. */
  readonly usable: readonly Interpreter[];
  readonly rejected: readonly Rejected[];
}

export async function findInterpreters(search: Search, signal?: AbortSignal): Promise<Found> {
  const waiting = await candidates(search, signal);
  const answers: (Interpreter | Rejected)[] = [];
  const work = async () => {
    for (let command = waiting.shift(); command !== undefined; command = waiting.shift()) {
      answers.push(await probe(command, signal));
    }
  };
  await Promise.all(Array.from({ length: PROBES_AT_ONCE }, work));
  signal?.throwIfAborted();
  const usable = answers.filter((one): one is Interpreter => "version" in one);
  const rank = ({ command, version }: Interpreter) =>
    command === search.preferred ? 0 : PREFERRED.indexOf(minorOf(version)) + 1 || Infinity;
  return {
    usable: usable.sort((a, b) => rank(a) - rank(b) || a.command.localeCompare(b.command)),
    rejected: answers.filter((one): one is Rejected => "reason" in one),
  };
}

/** The program uv, if it is installed. */
export async function findUv(search: Search, signal?: AbortSignal): Promise<string | undefined> {
  const of = pathOf(search.platform);
  const name = search.platform === "win32" ? "uv.exe" : "uv";
  const directories = [
    ...pathDirectories(search.environment, search.platform),
    of.join(search.home, ".local", "bin"),
    of.join(search.home, ".cargo", "bin"),
    "/opt/homebrew/bin",
    "/usr/local/bin",
  ];
  for (const directory of new Set(directories)) {
    const command = of.join(directory, name);
    if (await exists(command)) {
      try {
        await run(command, ["--version"], { signal, patienceMs: PROBE_PATIENCE_MS });
        return command;
      } catch {
        signal?.throwIfAborted();
      }
    }
  }
  return undefined;
}

const PROBE = `
import json, os, struct, sys
from importlib.util import find_spec
print(json.dumps({
    "version": list(sys.version_info[:3]), "implementation": sys.implementation.name,
    "bits": struct.calcsize("P") * 8,
    "venv": find_spec("venv") is not None, "ensurepip": find_spec("ensurepip") is not None,
    "debian": os.path.exists("/etc/debian_version")}))
`;

interface Probed {
  version: [number, number, number];
  implementation: string;
  bits: number;
  venv: boolean;
  ensurepip: boolean;
  debian: boolean;
}

async function probe(command: string, signal?: AbortSignal): Promise<Interpreter | Rejected> {
  try {
    const options = { signal, patienceMs: PROBE_PATIENCE_MS };
    return judged(command, JSON.parse(await run(command, ["-I", "-c", PROBE], options)) as Probed);
  } catch (error) {
    signal?.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    return { command, reason: `it does not run (${why})` };
  }
}

function judged(command: string, found: Probed): Interpreter | Rejected {
  const [major, minor] = found.version;
  const version = found.version.join(".");
  const least = LEAST_PYTHON.join(".");
  if (major < LEAST_PYTHON[0] || (major === LEAST_PYTHON[0] && minor < LEAST_PYTHON[1])) {
    return { command, reason: `Python ${version} is too old; ${least} or newer is needed` };
  }
  if (found.implementation !== "cpython" || found.bits !== 64) {
    const what = `${found.bits}-bit ${found.implementation}`;
    return { command, reason: `there is no PyTorch for it (${what}); a 64-bit CPython is needed` };
  }
  if (!found.venv || !found.ensurepip) {
    const lacking = found.venv ? "ensurepip" : "venv";
    const remedy = found.debian ? `; sudo apt install python${major}.${minor}-venv` : "";
    return { command, reason: `its module ${lacking} is not installed${remedy}` };
  }
  return { command, version };
}

/** Files that may be a Python interpreter, without duplicates. */
async function candidates(search: Search, signal?: AbortSignal): Promise<string[]> {
  const { platform, preferred } = search;
  const named = [
    ...(preferred === undefined ? [] : [preferred]),
    ...(await onPath(search)),
    ...(platform === "win32" ? await ofLauncher(signal) : []),
    ...(await inKnownPlaces(search)),
  ];
  const seen = new Set<string>();
  const found: string[] = [];
  for (const command of named) {
    // The Python of macOS is too old, and running it asks to install the developer tools.
    const isApple = platform === "darwin" && command.startsWith("/usr/bin/");
    // The interpreters behind the shims of pyenv and others are found directly.
    const isShim = /[\\/]shims[\\/]/.test(command) && command !== preferred;
    const real = await realpath(command).catch(() => undefined);
    if (real !== undefined && !isApple && !isShim && !seen.has(real)) {
      seen.add(real);
      found.push(command);
    }
  }
  return found;
}

const POSIX_NAMES = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"];

async function onPath({ environment, platform }: Search): Promise<string[]> {
  const of = pathOf(platform);
  const names = platform === "win32" ? ["python.exe", "python3.exe"] : POSIX_NAMES;
  return pathDirectories(environment, platform).flatMap((directory) =>
    names.map((name) => of.join(directory, name)),
  );
}

/** The interpreters that the Windows launcher lists. */
async function ofLauncher(signal?: AbortSignal): Promise<string[]> {
  try {
    const listed = await run("py", ["-0p"], { signal, patienceMs: PROBE_PATIENCE_MS });
    return listed.match(/[A-Za-z]:\\.*?python\.exe/gi) ?? [];
  } catch {
    signal?.throwIfAborted();
    return [];
  }
}

async function inKnownPlaces({ environment, home, platform }: Search): Promise<string[]> {
  const of = pathOf(platform);
  const at = (...names: string[]) => of.join(home, ...names);
  if (platform === "win32") {
    const local = environment["LOCALAPPDATA"] ?? at("AppData", "Local");
    const each = [
      of.join(local, "Programs", "Python"),
      at(".pyenv", "pyenv-win", "versions"),
      at("AppData", "Roaming", "uv", "python"),
      at("miniconda3", "envs"),
      at("anaconda3", "envs"),
    ];
    const roots = [at("miniconda3"), at("anaconda3"), at("miniforge3"), ...(await inEach(each))];
    return roots.map((root) => of.join(root, "python.exe"));
  }
  const each = [
    of.join(environment["PYENV_ROOT"] || at(".pyenv"), "versions"),
    at(".local", "share", "uv", "python"),
    at(".local", "share", "mise", "installs", "python"),
    at(".asdf", "installs", "python"),
    at("miniconda3", "envs"),
    at("anaconda3", "envs"),
    at("miniforge3", "envs"),
    "/Library/Frameworks/Python.framework/Versions",
  ];
  const conda = ["miniconda3", "anaconda3", "miniforge3", "mambaforge"];
  const roots = [
    ...conda.map((name) => at(name)),
    ...(await inEach(each)),
    ...["/opt/conda", "/opt/miniconda3"],
  ];
  const directories = [
    ...["/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin", "/usr/bin"],
    at(".local", "bin"),
  ];
  return [
    ...directories.flatMap((directory) => POSIX_NAMES.map((name) => of.join(directory, name))),
    ...roots.map((root) => of.join(root, "bin", "python3")),
  ];
}

/** The entries of directories, some of which may not exist. */
async function inEach(directories: string[]): Promise<string[]> {
  const listed = await Promise.all(
    directories.map(async (directory) => {
      const names = await readdir(directory).catch(() => []);
      return names.sort().map((name) => `${directory}/${name}`);
    }),
  );
  return listed.flat();
}

async function exists(file: string): Promise<boolean> {
  return realpath(file).then(
    () => true,
    () => false,
  );
}

function minorOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}
