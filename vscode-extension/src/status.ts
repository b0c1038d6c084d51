/** The status bar item, its menu, and the languages that the user has paused. */
import * as vscode from "vscode";
import type { Client } from "./client";
import { enable, enableLanguage, isEnabled, isLanguageEnabled } from "./config";
import type { Status } from "./lspExt";
import { describe, type Shown } from "./statusText";

const COLORS = { warning: "warningBackground", error: "errorBackground" } as const;

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    "dgLsp.status",
    vscode.StatusBarAlignment.Right,
    100,
  );
  private readonly subscriptions: vscode.Disposable[];
  private readonly pausedFiles = new Set<string>();
  /** What the server said last. */
  said: Status | undefined;
  private shown: Shown = { text: "", tooltip: "", severity: "normal" };

  constructor(private readonly client: Client) {
    this.item.name = "dg-lsp";
    this.item.command = "dgLsp.showMenu";
    this.subscriptions = [
      this.item,
      client.onDidChange(() => {
        if (client.phase !== "running") {
          this.said = undefined;
        }
        this.update();
      }),
      client.onStatus((status) => {
        this.said = status;
        this.update();
      }),
      vscode.window.onDidChangeActiveTextEditor(() => this.update()),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.update()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration("dgLsp")) {
          this.update();
        }
      }),
    ];
    this.update();
    this.item.show();
  }

  isPaused(document: vscode.TextDocument): boolean {
    return this.pausedFiles.has(document.uri.toString());
  }

  toggleFile(): void {
    const uri = vscode.window.activeTextEditor?.document.uri.toString();
    if (uri !== undefined && !this.pausedFiles.delete(uri)) {
      this.pausedFiles.add(uri);
    }
    this.update();
  }

  async toggleLanguage(): Promise<void> {
    const language = vscode.window.activeTextEditor?.document.languageId;
    if (language !== undefined) {
      await enableLanguage(language, !isLanguageEnabled(language));
    }
  }

  async toggleEverywhere(): Promise<void> {
    await enable(!isEnabled());
  }

  async showMenu(): Promise<void> {
    const lead: Entry[] = this.shown.isSmall ? [HELPFUL_MODEL] : [];
    const models: Entry[] = this.shown.isSmall ? [] : [MODELS];
    const entries = [...lead, ...this.pauses(), ...ACTIONS, ...models, ...REPORTS];
    const items = entries.map(([label, command, description = ""]) => ({
      label,
      command,
      description,
    }));
    const picked = await vscode.window.showQuickPick(items, {
      title: "dg-lsp",
      placeHolder: this.shown.tooltip.split("\n").slice(0, 2).join(" · "),
    });
    if (picked !== undefined) {
      await vscode.commands.executeCommand(`dgLsp.${picked.command}`);
    }
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions).dispose();
  }

  private pauses(): Entry[] {
    const document = vscode.window.activeTextEditor?.document;
    const verb = (isOn: boolean) => (isOn ? "$(debug-pause) Pause" : "$(debug-start) Resume");
    const everywhere: Entry = [`${verb(isEnabled())} everywhere`, "toggleEverywhere"];
    if (document === undefined) {
      return [everywhere];
    }
    const language = document.languageId;
    return [
      [`${verb(!this.isPaused(document))} in this file`, "toggleFile"],
      [`${verb(isLanguageEnabled(language))} for ${language}`, "toggleLanguage"],
      everywhere,
    ];
  }

  private paused(): string | undefined {
    if (!isEnabled()) {
      return "everywhere";
    }
    const document = vscode.window.activeTextEditor?.document;
    if (document === undefined) {
      return undefined;
    }
    if (this.isPaused(document)) {
      return "in this file";
    }
    return isLanguageEnabled(document.languageId) ? undefined : `for ${document.languageId}`;
  }

  private update(): void {
    const { phase, trouble } = this.client;
    const { isTrusted } = vscode.workspace;
    const paused = this.paused();
    const shown = describe({ phase, trouble, status: this.said, paused, isTrusted });
    this.shown = shown;
    this.item.text = shown.text;
    this.item.tooltip = shown.isSmall ? withLead(shown.tooltip) : shown.tooltip;
    // Otherwise a screen reader reads the Markdown source of a tooltip with links.
    const name = shown.text.replace(/^\$\(.*?\) /, "");
    this.item.accessibilityInformation = { label: `${name}, ${shown.tooltip}` };
    this.item.backgroundColor =
      shown.severity === "normal"
        ? undefined
        : new vscode.ThemeColor(`statusBarItem.${COLORS[shown.severity]}`);
  }
}

type Entry = [label: string, command: string, description?: string];

const HELPFUL_MODEL: Entry = [
  "$(cloud-download) Get a model that helps…",
  "getModel",
  "the small one is only a demonstration",
];
const MODELS: Entry = ["$(cloud-download) Get or choose a model…", "getModel"];

const ACTIONS: Entry[] = [
  ["$(edit) Rewrite the selection…", "rewrite"],
  ["$(refresh) Restart the server", "restart"],
  ["$(server) Choose the server…", "chooseServer"],
  ["$(refresh) Restart the engine, for all windows", "restartEngine"],
  ["$(archive) Unload the model", "unloadModel"],
];
const REPORTS: Entry[] = [
  ["$(pulse) Doctor's report", "doctor"],
  ["$(list-tree) Trace of this file's last request", "trace"],
  ["$(report) Report an issue…", "reportIssue"],
  ["$(output) Log", "showLog"],
  ["$(gear) Settings", "openSettings"],
  ["$(book) Walkthrough", "openWalkthrough"],
];

/** Adds a link to a better model to the tooltip. */
function withLead(tooltip: string): vscode.MarkdownString {
  const shown = new vscode.MarkdownString("", true);
  shown.isTrusted = { enabledCommands: ["dgLsp.getModel"] };
  shown.appendText(tooltip);
  shown.appendMarkdown("\n\n[$(cloud-download) Get a model that helps…](command:dgLsp.getModel)");
  return shown;
}
