/** What VS Code hands to the extension when it activates it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type * as vscode from "vscode";
import { onTestFinished } from "vitest";
import { URI } from "vscode-uri";
import manifest from "../../../package.json";

/** A directory that is gone when the test is over. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(path.join(tmpdir(), "dg-lsp-unit-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The extension's own files are where `files` says. */
export function newContext(storage: string, files = storage): vscode.ExtensionContext {
  const memory = new Map<string, unknown>();
  const context = {
    extension: { id: "dg-lsp.dg-lsp", packageJSON: manifest },
    extensionUri: URI.file(files),
    globalStorageUri: URI.file(storage),
    globalState: {
      get: (name: string, otherwise: unknown) => memory.get(name) ?? otherwise,
      update: async (name: string, value: unknown) => memory.set(name, value),
    },
    subscriptions: [],
  };
  return context as unknown as vscode.ExtensionContext;
}
