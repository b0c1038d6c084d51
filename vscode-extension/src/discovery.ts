/** Finds the server's file in the places where it may be. Does not import `vscode`. */
import * as path from "node:path";

export interface Places {
  /** The setting; empty if it is not set. */
  readonly setting: string;
  /** The interpreter of the selected Python environment. */
  readonly interpreter: string | undefined;
  /** The open folders, if they are trusted. */
  readonly folders: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** The server that the extension has installed. */
  readonly installed: string | undefined;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

export interface Server {
  readonly command: string;
  readonly foundIn:
    | "the settings"
    | "the Python environment"
    | "an environment of this folder"
    | "the PATH"
    | "the tools of uv or pipx"
    | "its own environment";
}

export interface Missing {
  /** Why, as a sentence for the user. */
  readonly reason: string;
  /** Whether installing a private environment would help. */
  readonly canInstall: boolean;
}

type IsFile = (file: string) => Promise<boolean>;

/** Reports a setting that names no server instead of ignoring it; tries all other places. */
export async function findServer(places: Places, isFile: IsFile): Promise<Server | Missing> {
  if (places.setting !== "") {
    const command = places.setting.replace(/^~(?=$|[\\/])/, places.home);
    const what = await fault(command, places.platform, isFile);
    if (what === undefined) {
      return { command, foundIn: "the settings" };
    }
    return { reason: `dgLsp.server.path is ${places.setting}, which ${what}.`, canInstall: false };
  }
  for await (const server of serversIn(places, isFile)) {
    return server;
  }
  return {
    reason:
      "The language server dg-lsp is neither in the selected Python environment nor on the PATH, and it has not been installed for VS Code yet.",
    canInstall: true,
  };
}

/** All servers found, except the setting's, in the order of preference. */
export async function findServers(places: Places, isFile: IsFile): Promise<Server[]> {
  const found: Server[] = [];
  for await (const server of serversIn(places, isFile)) {
    if (!found.some((one) => one.command === server.command)) {
      found.push(server);
    }
  }
  return found;
}

async function* serversIn(places: Places, isFile: IsFile): AsyncGenerator<Server> {
  const { platform } = places;
  const tried: [Server["foundIn"], string[]][] = [
    ["the Python environment", besideInterpreter(places.interpreter, platform)],
    ["an environment of this folder", ofFolders(places.folders, platform)],
    ["the PATH", inDirectories(pathDirectories(places.environment, platform), platform)],
    ["the tools of uv or pipx", ofTools(places)],
    ["its own environment", places.installed === undefined ? [] : [places.installed]],
  ];
  for (const [foundIn, commands] of tried) {
    for (const command of commands) {
      if (await isFile(command)) {
        yield { command, foundIn };
      }
    }
  }
}

/** The path of a script in a virtual environment. */
export function scriptIn(environment: string, name: string, platform: NodeJS.Platform): string {
  const of = pathOf(platform);
  return platform === "win32"
    ? of.join(environment, "Scripts", `${name}.exe`)
    : of.join(environment, "bin", name);
}

/** The directories of the PATH, without relative ones: they would be in the open folder. */
export function pathDirectories(
  environment: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): string[] {
  const of = pathOf(platform);
  return (environment["PATH"] ?? environment["Path"] ?? "")
    .split(of.delimiter)
    .map((directory) => directory.replace(/^"(.*)"$/, "$1"))
    .filter((directory) => of.isAbsolute(directory));
}

export function pathOf(platform: NodeJS.Platform): path.PlatformPath {
  return platform === "win32" ? path.win32 : path.posix;
}

function besideInterpreter(interpreter: string | undefined, platform: NodeJS.Platform): string[] {
  if (interpreter === undefined || interpreter === "") {
    return [];
  }
  const of = pathOf(platform);
  const directory = of.dirname(interpreter);
  if (platform !== "win32") {
    return [of.join(directory, "dg-lsp")];
  }
  // In a conda environment, the interpreter is in the directory above the scripts.
  return [of.join(directory, "dg-lsp.exe"), of.join(directory, "Scripts", "dg-lsp.exe")];
}

function ofFolders(folders: readonly string[], platform: NodeJS.Platform): string[] {
  return folders.flatMap((folder) =>
    [".venv", "venv", "env"].map((name) =>
      scriptIn(pathOf(platform).join(folder, name), "dg-lsp", platform),
    ),
  );
}

function inDirectories(directories: string[], platform: NodeJS.Platform): string[] {
  const name = platform === "win32" ? "dg-lsp.exe" : "dg-lsp";
  return directories.map((directory) => pathOf(platform).join(directory, name));
}

/** Where `uv tool install` and `pipx install` put programs; it may not be on an editor's PATH. */
function ofTools({ environment, home, platform }: Places): string[] {
  const of = pathOf(platform);
  const named = [environment["UV_TOOL_BIN_DIR"], environment["PIPX_BIN_DIR"]];
  const directories = [...named, of.join(home, ".local", "bin")].filter(
    (directory): directory is string => directory !== undefined && of.isAbsolute(directory),
  );
  return inDirectories(directories, platform);
}

/** Why a path cannot be the server; `undefined` if it can. */
async function fault(
  command: string,
  platform: NodeJS.Platform,
  isFile: IsFile,
): Promise<string | undefined> {
  if (!pathOf(platform).isAbsolute(command)) {
    return "is not an absolute path";
  }
  if (platform === "win32" && /\.(bat|cmd)$/i.test(command)) {
    // Windows runs these only through a shell, where not every path is safe.
    return "is a batch file; the dg-lsp.exe is needed";
  }
  return (await isFile(command)) ? undefined : "is not a file";
}
