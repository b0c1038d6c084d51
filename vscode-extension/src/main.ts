/** Activates and deactivates the extension. */
import type { ExtensionContext } from "vscode";
import { registerCommands } from "./commands";
import { Extension } from "./extension";

declare global {
  /** Set by the first line of the bundle. */
  var dgLspLoading: { since: number; cpu: NodeJS.CpuUsage };
}

let extension: Extension | undefined;

export function activate(context: ExtensionContext): void {
  extension = new Extension(context);
  context.subscriptions.push(extension, ...registerCommands(extension));
  // Activation does not wait for the server.
  void extension.start();
  const { since, cpu } = globalThis.dgLspLoading;
  const { user, system } = process.cpuUsage(cpu);
  const elapsedMs = Math.round(performance.now() - since);
  const busyMs = Math.round((user + system) / 1000);
  extension.log.info(`activated in ${elapsedMs} ms, with ${busyMs} ms of processor time`);
}

/** Tells the server to exit; a closing window waits a moment for that. */
export async function deactivate(): Promise<void> {
  await extension?.client.stop();
}
