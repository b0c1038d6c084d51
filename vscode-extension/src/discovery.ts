/** Which file is the server, among the places where it may be. Knows nothing of `vscode`. */
import * as path from "node:path";

export interface Places {
  /** The setting; empty where it is not set. */
  readonly setting: string;
  /** The interpreter of the selected Python environment. */
  readonly interpreter: string | undefined;
  readonly pathVariable: string;
  /** Where the extension makes an environment of its own. */
  readonly privateEnvironment: string;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

export interface Server {
  readonly command: string;
  readonly foundIn: "the settings" | "the Python environment" | "the PATH" | "its own environment";
}

export interface Missing {
  /** Why, as a sentence for the user. */
  readonly reason: string;
  /** A private environment would help. */
  readonly canInstall: boolean;
}

type IsFile = (file: string) => Promise<boolean>;

/** A setting that names nothing is not passed over in silence; all other places are tried. */
export async function findServer(places: Places, isFile: IsFile): Promise<Server | Missing> {
  if (places.setting !== "") {
    const command = places.setting.replace(/^~(?=$|[\\/])/, places.home);
    const what = await fault(command, places.platform, isFile);
    if (what === undefined) {
      return { command, foundIn: "the settings" };
    }
    return { reason: `dgLsp.server.path is ${places.setting}, which ${what}.`, canInstall: false };
  }
  const tried: [Server["foundIn"], string[]][] = [
    ["the Python environment", besideInterpreter(places.interpreter, places.platform)],
    ["the PATH", onPath(places.pathVariable, places.platform)],
    ["its own environment", [scriptIn(places.privateEnvironment, "dg-lsp", places.platform)]],
  ];
  for (const [foundIn, commands] of tried) {
    for (const command of commands) {
      if (await isFile(command)) {
        return { command, foundIn };
      }
    }
  }
  return {
    reason:
      "The language server dg-lsp is neither in the selected Python environment nor on the PATH.",
    canInstall: true,
  };
}

/** The path of a script in a virtual environment. */
export function scriptIn(environment: string, name: string, platform: NodeJS.Platform): string {
  const of = pathOf(platform);
  return platform === "win32"
    ? of.join(environment, "Scripts", `${name}.exe`)
    : of.join(environment, "bin", name);
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
  // A conda environment has its interpreter above its scripts.
  return [of.join(directory, "dg-lsp.exe"), of.join(directory, "Scripts", "dg-lsp.exe")];
}

function onPath(variable: string, platform: NodeJS.Platform): string[] {
  const of = pathOf(platform);
  const name = platform === "win32" ? "dg-lsp.exe" : "dg-lsp";
  return (
    variable
      .split(of.delimiter)
      .map((directory) => directory.replace(/^"(.*)"$/, "$1"))
      // A relative entry would look into whatever folder is open.
      .filter((directory) => of.isAbsolute(directory))
      .map((directory) => of.join(directory, name))
  );
}

/** Why a path cannot be the server; `undefined` where it may be. */
async function fault(
  command: string,
  platform: NodeJS.Platform,
  isFile: IsFile,
): Promise<string | undefined> {
  if (!pathOf(platform).isAbsolute(command)) {
    return "is not an absolute path";
  }
  if (platform === "win32" && /\.(bat|cmd)$/i.test(command)) {
    // Windows runs those through a shell alone, where not every path is safe.
    return "is a batch file; the dg-lsp.exe is needed";
  }
  return (await isFile(command)) ? undefined : "is not a file";
}

function pathOf(platform: NodeJS.Platform): path.PlatformPath {
  return platform === "win32" ? path.win32 : path.posix;
}
