/** Activation. */
import type { ExtensionContext } from "vscode";
import { registerCommands } from "./commands";
import { Extension } from "./extension";

declare global {
  /** Set by the first line of the bundle. */
  var dgLspLoadingSince: number;
}

let extension: Extension | undefined;

export function activate(context: ExtensionContext): void {
  extension = new Extension(context);
  context.subscriptions.push(extension, ...registerCommands(extension));
  // Nobody waits for the server.
  void extension.start();
  const elapsedMs = performance.now() - globalThis.dgLspLoadingSince;
  extension.log.info(`activated in ${elapsedMs.toFixed(1)} ms`);
}

/** The server is told to end; a window that closes waits for that a moment. */
export async function deactivate(): Promise<void> {
  await extension?.client.stop();
}
