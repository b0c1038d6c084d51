/** Finds the server, and says what to do if there is none. */
import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import * as path from "node:path";
import * as vscode from "vscode";
import { serverPath } from "./config";
import { findServer, findServers, type Missing, type Places, type Server } from "./discovery";
import { installedServer, installServer, interpreterSearch } from "./installing";
import { findInterpreters } from "./interpreters";
import { selectedInterpreter } from "./python";

export async function locateServer(context: vscode.ExtensionContext): Promise<Server | Missing> {
  return findServer(await places(context), isFile);
}

/** Says what is missing, and does what the user picks. Returns whether to try again. */
export async function offerWaysOut(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  missing: Missing,
): Promise<boolean> {
  const [make, choose, settings] = ["Install dg-lsp", "Choose…", "Open Settings"] as const;
  const ways = missing.canInstall ? [make, choose, settings] : [choose, settings];
  const picked = await vscode.window.showErrorMessage(missing.reason, ...ways);
  switch (picked) {
    case make:
      return installServer(context, log);
    case choose:
      return chooseServer(context, log);
    case settings:
      await vscode.commands.executeCommand("workbench.action.openSettings", "dgLsp.server");
      return false;
    default:
      return false;
  }
}

interface Choice extends vscode.QuickPickItem {
  /** Returns whether to start the server afterwards. */
  readonly take?: () => Promise<boolean>;
}

/** Offers the servers found, the Pythons that can install one, and any other file. */
export async function chooseServer(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const picked = await vscode.window.showQuickPick(choices(context, log), {
    title: "The dg-lsp server",
    placeHolder: "A server that is there, or a Python to install one with",
    matchOnDescription: true,
  });
  return (await picked?.take?.()) ?? false;
}

async function choices(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<Choice[]> {
  const [servers, pythons] = await Promise.all([
    places(context).then((found) => findServers(found, isFile)),
    interpreterSearch().then((search) => findInterpreters(search)),
  ]);
  const set = serverPath();
  const automatic: Choice = {
    label: "$(sparkle) The first that is found",
    description: set === "" ? "as now" : `in place of ${set}`,
    take: () => setPath(undefined),
  };
  return [
    automatic,
    ...servers.map(({ command, foundIn }) => ({
      label: `$(server) ${command}`,
      description: `in ${foundIn}`,
      take: () => setPath(command),
    })),
    heading("Install in an environment of its own"),
    ...pythons.usable.map(({ command, version }) => ({
      label: `$(cloud-download) With Python ${version}`,
      description: command,
      take: () => installServer(context, log, command),
    })),
    heading("Any other"),
    { label: "$(folder-opened) Browse…", take: () => browse(context, log) },
    ...(pythons.rejected.length === 0 ? [] : [heading("Pythons that will not do")]),
    ...pythons.rejected.map(({ command, reason }) => ({
      label: `$(circle-slash) ${command}`,
      description: reason,
    })),
  ];
}

function heading(label: string): Choice {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}

/** Lets the user open the program dg-lsp, or a Python to install it with. */
async function browse(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const title = "The program dg-lsp, or a Python to install it with";
  const [file] = (await vscode.window.showOpenDialog({ title })) ?? [];
  if (file === undefined) {
    return false;
  }
  return /^python[\d.]*(\.exe)?$/i.test(path.basename(file.fsPath))
    ? installServer(context, log, file.fsPath)
    : setPath(file.fsPath);
}

/** Sets the path; the extension starts the server when the setting changes. */
async function setPath(command: string | undefined): Promise<boolean> {
  const config = vscode.workspace.getConfiguration("dgLsp");
  await config.update("server.path", command, vscode.ConfigurationTarget.Global);
  return false;
}

async function places(context: vscode.ExtensionContext): Promise<Places> {
  const { isTrusted, workspaceFolders } = vscode.workspace;
  return {
    setting: serverPath(),
    interpreter: await selectedInterpreter(),
    folders: isTrusted ? (workspaceFolders ?? []).map(({ uri }) => uri.fsPath) : [],
    environment: process.env,
    installed: (await installedServer(context))?.command,
    home: homedir(),
    platform: process.platform,
  };
}

async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
