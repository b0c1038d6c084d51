/**
 * Finds the server, or makes it: the setting, the selected Python environment, the PATH, an
 * environment of the extension's own, and else a message with the ways out.
 */
import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import * as vscode from "vscode";
import { installFrom, serverPath } from "./config";
import { findServer, type Missing, type Places, type Server } from "./discovery";
import { install, InstallError } from "./install";
import { selectedInterpreter } from "./python";

export async function locateServer(context: vscode.ExtensionContext): Promise<Server | Missing> {
  return findServer(await places(context), isFile);
}

/** Says what is missing, and does what the user picks. True where it is worth another try. */
export async function offerWaysOut(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  missing: Missing,
): Promise<boolean> {
  const [make, choose, settings] = ["Install dg-lsp", "Choose File…", "Open Settings"] as const;
  const ways = missing.canInstall ? [make, choose, settings] : [choose, settings];
  const picked = await vscode.window.showErrorMessage(missing.reason, ...ways);
  switch (picked) {
    case make:
      return installServer(context, log);
    case choose:
      return chooseServer();
    case settings:
      await vscode.commands.executeCommand("workbench.action.openSettings", "dgLsp.server");
      return false;
    default:
      return false;
  }
}

/** Makes the private environment, and shows how far it is. */
export async function installServer(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const version = String(context.extension.packageJSON.version);
  const wish = {
    directory: privateEnvironment(context),
    requirement: installFrom() || `dg-lsp==${version}`,
    interpreter: await selectedInterpreter(),
    platform: process.platform,
  };
  const options = {
    location: vscode.ProgressLocation.Notification,
    title: "Installing dg-lsp",
    cancellable: true,
  };
  const abort = new AbortController();
  try {
    await vscode.window.withProgress(options, async (progress, cancelled) => {
      cancelled.onCancellationRequested(() => abort.abort());
      const report = (line: string) => {
        log.info(line);
        progress.report({ message: line.trim().slice(0, 80) });
      };
      const command = await install(wish, report, abort.signal);
      log.info(`installed ${command}`);
      if (!(await isFile(command))) {
        throw new InstallError(`${wish.requirement} brings no command dg-lsp.`);
      }
    });
    return true;
  } catch (error) {
    if (abort.signal.aborted) {
      log.info("installing was cancelled");
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

async function chooseServer(): Promise<boolean> {
  const [file] = (await vscode.window.showOpenDialog({ title: "The dg-lsp program" })) ?? [];
  if (file === undefined) {
    return false;
  }
  const config = vscode.workspace.getConfiguration("dgLsp");
  await config.update("server.path", file.fsPath, vscode.ConfigurationTarget.Global);
  // The change of the setting starts the server.
  return false;
}

async function places(context: vscode.ExtensionContext): Promise<Places> {
  return {
    setting: serverPath(),
    interpreter: await selectedInterpreter(),
    pathVariable: process.env["PATH"] ?? process.env["Path"] ?? "",
    privateEnvironment: privateEnvironment(context),
    home: homedir(),
    platform: process.platform,
  };
}

function privateEnvironment(context: vscode.ExtensionContext): string {
  return vscode.Uri.joinPath(context.globalStorageUri, "server").fsPath;
}

async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
