/** Installs the server: asks for the build, and shows its size, the progress and any failure. */
import { readdir, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { installFrom } from "./config";
import { pathOf } from "./discovery";
import { install, installed, type Installed } from "./install";
import { findInterpreters, findUv, LEAST_PYTHON, type Found, type Search } from "./interpreters";
import { ProgramError } from "./programs";
import { selectedInterpreter } from "./python";
import { buildsFor, hasNvidiaGpu, sizeOf, type Build } from "./torchBuild";

/** Where the extension keeps its environments. */
export function environmentsRoot(context: vscode.ExtensionContext): string {
  return vscode.Uri.joinPath(context.globalStorageUri, "server").fsPath;
}

export function extensionVersion(context: vscode.ExtensionContext): string {
  return String(context.extension.packageJSON.version);
}

/** The installed server, with the version of the extension that installed it. */
export async function installedServer(
  context: vscode.ExtensionContext,
): Promise<Installed | undefined> {
  return installed(environmentsRoot(context));
}

export async function interpreterSearch(preferred?: string): Promise<Search> {
  return {
    preferred: preferred ?? (await selectedInterpreter()),
    environment: process.env,
    home: homedir(),
    platform: process.platform,
  };
}

/** Returns whether a new server was installed. The user may have chosen `interpreter`. */
export async function installServer(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  interpreter?: string,
): Promise<boolean> {
  const abort = new AbortController();
  try {
    const requirement = await requirementOf(context);
    const search = await interpreterSearch(interpreter);
    const looking = {
      location: vscode.ProgressLocation.Window,
      title: "dg-lsp: looking for Python",
    };
    const [uv, found, hasGpu] = await vscode.window.withProgress(looking, () =>
      Promise.all([
        findUv(search),
        findInterpreters(search),
        hasNvidiaGpu(process.env, process.platform),
      ]),
    );
    const chosen = interpreter === undefined ? found.usable[0] : ofCommand(found, interpreter);
    found.rejected.forEach((one) => log.info(`not used: ${one.command}, as ${one.reason}`));
    if (chosen === undefined && uv === undefined) {
      await sayNoPython(log, found);
      return false;
    }
    const root = environmentsRoot(context);
    const version = extensionVersion(context);
    const using = chosen === undefined ? "a Python that uv downloads" : `Python ${chosen.version}`;
    const build = await pickBuild(buildsFor(process.platform, hasGpu), version, using, root);
    if (build === undefined) {
      return false;
    }
    const { platform } = process;
    const wish = { root, requirement, version, build, interpreter: chosen?.command, uv, platform };
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: "Installing dg-lsp",
      cancellable: true,
    };
    await vscode.window.withProgress(options, async (progress, cancelled) => {
      cancelled.onCancellationRequested(() => abort.abort());
      const shown = new Progress((message) => progress.report({ message }));
      try {
        const report = (line: string) => shown.take(line) && log.info(line);
        const { command } = await install(wish, report, abort.signal);
        log.info(`installed ${command}`);
      } finally {
        shown.end();
      }
    });
    return true;
  } catch (error) {
    if (abort.signal.aborted) {
      log.info("installing was cancelled; nothing is left of it");
      return false;
    }
    const why = error instanceof Error ? error.message : String(error);
    log.error(why);
    const show = "Show Log";
    const text = `dg-lsp could not be installed: ${why}`;
    if ((await vscode.window.showErrorMessage(text, show)) === show) {
      log.show();
    }
    return false;
  }
}

/** What pip installs: what the settings say, or else the wheel bundled with the extension. */
async function requirementOf(context: vscode.ExtensionContext): Promise<string> {
  const set = installFrom();
  if (set !== "") {
    return set;
  }
  const directory = vscode.Uri.joinPath(context.extensionUri, "dist", "wheel").fsPath;
  const names = await readdir(directory).catch(() => []);
  const wheel = names.find((name) => name.endsWith(".whl"));
  if (wheel === undefined) {
    throw new ProgramError(
      "this build of the extension carries no server; set dgLsp.server.installFrom to a checkout of dg-lsp",
    );
  }
  return path.join(directory, wheel);
}

function ofCommand(found: Found, command: string) {
  const rejected = found.rejected.find((one) => one.command === command);
  if (rejected !== undefined) {
    throw new ProgramError(`${command} cannot be used, as ${rejected.reason}`);
  }
  return found.usable.find((one) => one.command === command);
}

/** Shows the size of each build before any download; `undefined` if the user cancels. */
async function pickBuild(
  builds: readonly Build[],
  version: string,
  using: string,
  root: string,
): Promise<Build | undefined> {
  const freeBytes = await freeIn(root);
  const free = freeBytes === undefined ? "" : `${sizeOf(freeBytes)} free in `;
  const items = builds.map((build, index) => ({
    label: build.label,
    description:
      `about ${sizeOf(build.downloadBytes)} to download, ${sizeOf(build.diskBytes)} on disk` +
      (index === 0 && builds.length > 1 ? " (recommended here)" : ""),
    detail: build.detail,
    build,
  }));
  const picked = await vscode.window.showQuickPick(items, {
    title: `Install dg-lsp ${version}`,
    placeHolder: `With ${using}; ${free}${root}`,
    ignoreFocusOut: true,
  });
  if (picked !== undefined && freeBytes !== undefined && freeBytes < picked.build.diskBytes) {
    const needed = sizeOf(picked.build.diskBytes);
    throw new ProgramError(`it needs ${needed} in ${root}, where ${sizeOf(freeBytes)} are free`);
  }
  return picked?.build;
}

/** The free bytes on the disk where a directory is or will be. */
async function freeIn(directory: string): Promise<number | undefined> {
  for (let at = directory; ; at = path.dirname(at)) {
    try {
      const { bavail, bsize } = await statfs(at);
      return bavail * bsize;
    } catch {
      if (at === path.dirname(at)) {
        return undefined;
      }
    }
  }
}

async function sayNoPython(log: vscode.LogOutputChannel, found: Found): Promise<void> {
  const least = LEAST_PYTHON.join(".");
  const closest = found.rejected.find(({ reason }) => /not installed/.test(reason));
  const why = (closest === undefined ? found.rejected : [closest])
    .slice(0, 3)
    .map(({ command, reason }) => `${command}: ${reason}.`)
    .join(" ");
  const remedy = /sudo apt install \S+/.exec(closest?.reason ?? "")?.[0];
  const [copy, show] = [`Copy "${remedy}"`, "Show Log"] as const;
  const ways = remedy === undefined ? [show] : [copy, show];
  const text = `dg-lsp needs Python ${least} or newer, and none was found that will do. ${why}`;
  const picked = await vscode.window.showErrorMessage(text.trim(), ...ways);
  if (picked === copy) {
    await vscode.env.clipboard.writeText(String(remedy));
  } else if (picked === show) {
    log.show();
  }
}

/** A short version of pip's output; while pip is silent, how long it has been running. */
export class Progress {
  private message = "";
  private since = Date.now();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly show: (message: string) => void) {
    this.timer = setInterval(() => this.tick(), 1000);
  }

  /** Returns false for a line that is useless in a log. */
  take(line: string): boolean {
    const [, done, total] = /^Progress (\d+) of (\d+)$/.exec(line.trim()) ?? [];
    if (done !== undefined) {
      this.show(`${this.message} · ${sizeOf(Number(done))} of ${sizeOf(Number(total))}`);
      this.since = Date.now();
      return false;
    }
    const [first = "", rest = ""] = line.trim().split(/\s+(.*)/s);
    const file = first === "Downloading" ? pathOf("linux").basename(rest) : rest;
    this.message = `${first} ${file}`.trim().slice(0, 60);
    this.since = Date.now();
    this.show(this.message);
    return true;
  }

  end(): void {
    clearInterval(this.timer);
  }

  private tick(): void {
    const seconds = Math.round((Date.now() - this.since) / 1000);
    if (seconds >= 3) {
      this.show(`${this.message} · ${seconds} s`);
    }
  }
}
