/** Reads the settings: the server's, which are passed on unchanged, and the extension's own. */
import * as vscode from "vscode";
import { SECTION, withoutOwn } from "./section";

/** The server's settings; the server itself reports invalid ones. */
export function serverSettings(scope?: vscode.ConfigurationScope): unknown {
  return withoutOwn(vscode.workspace.getConfiguration(undefined, scope).get(SECTION));
}

export function serverPath(): string {
  return text("server.path").trim();
}

/** What pip installs into the private environment. */
export function installFrom(): string {
  return text("server.installFrom").trim();
}

export function showsDrafts(): boolean {
  const wanted = own<string>("drafts.show", "auto");
  if (wanted === "on" || wanted === "off") {
    return wanted === "on";
  }
  // A screen reader reads ghost text when it appears; drafts would only interfere.
  return vscode.workspace.getConfiguration("editor").get("accessibilitySupport") !== "on";
}

export function offersNextEdits(): boolean {
  return own<string>("nextEdits", "certain") !== "off";
}

export function holeMark(): string {
  return text("holeMark");
}

/** Off by default: an underline looks like a problem. */
export function showsDoubt(): boolean {
  return own<boolean>("doubt.show", false) === true;
}

export function isEnabled(): boolean {
  return own<boolean>("enable", true) !== false;
}

export function isLanguageEnabled(language: string): boolean {
  const languages = languagesByName();
  return (languages[language] ?? languages["*"] ?? true) !== false;
}

export async function enable(wanted: boolean): Promise<void> {
  await update("enable", wanted);
}

export async function enableLanguage(language: string, wanted: boolean): Promise<void> {
  await update("languages", { ...languagesByName(), [language]: wanted });
}

function languagesByName(): Record<string, unknown> {
  const found = own<unknown>("languages", {});
  return typeof found === "object" && found !== null ? { ...found } : {};
}

async function update(name: string, value: unknown): Promise<void> {
  const config = vscode.workspace.getConfiguration(SECTION);
  const inWorkspace = config.inspect(name)?.workspaceValue !== undefined;
  const where = inWorkspace
    ? vscode.ConfigurationTarget.Workspace
    : vscode.ConfigurationTarget.Global;
  await config.update(name, value, where);
}

function own<Value>(name: string, otherwise: Value): Value {
  return vscode.workspace.getConfiguration(SECTION).get<Value>(name, otherwise);
}

function text(name: string): string {
  const found = own<unknown>(name, "");
  return typeof found === "string" ? found : "";
}
