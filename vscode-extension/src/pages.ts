/**
 * Shows Markdown from the server as pages beside the editor, with links that run commands. A page
 * runs no scripts and loads nothing.
 */
import * as vscode from "vscode";

export interface Page {
  readonly title: string;
  readonly markdown: string;
  /** Shown in a row above the text. */
  readonly actions: readonly Action[];
}

export interface Action {
  readonly label: string;
  readonly command: string;
  readonly argument?: unknown;
}

/** Names that may occur on a page, and the command that each one links to. */
const LINKED: Record<string, string> = {
  "dg-lsp doctor": "dgLsp.doctor",
  "dg-lsp trace": "dgLsp.trace",
  "dg-lsp pull": "dgLsp.getModel",
  "dg-lsp models": "dgLsp.getModel",
  "dg-lsp engine stop": "dgLsp.restartEngine",
};
const SETTINGS = "workbench.action.openSettings";

export class Pages implements vscode.Disposable {
  private readonly panels = new Map<string, vscode.WebviewPanel>();

  /** Shows a page in the panel of this name, and creates the panel if there is none. */
  async show(name: string, page: Page): Promise<void> {
    const panel = this.panels.get(name) ?? this.make(name, page);
    panel.title = page.title;
    panel.webview.html = await html(page);
    panel.reveal();
  }

  dispose(): void {
    this.panels.forEach((panel) => panel.dispose());
  }

  private make(name: string, page: Page): vscode.WebviewPanel {
    const commands = [...page.actions.map((one) => one.command), ...Object.values(LINKED)];
    const panel = vscode.window.createWebviewPanel(
      `dgLsp.${name}`,
      page.title,
      vscode.ViewColumn.Active,
      { enableCommandUris: [...commands, SETTINGS], enableFindWidget: true },
    );
    this.panels.set(name, panel);
    panel.onDidDispose(() => this.panels.delete(name));
    return panel;
  }
}

async function html({ markdown, actions }: Page): Promise<string> {
  const text =
    (await vscode.commands.executeCommand<string>("markdown.api.render", markdown)) ??
    `<pre>${escaped(markdown)}</pre>`;
  const links = actions.map(({ label, command, argument }) => link(label, command, argument));
  return `<!DOCTYPE html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
  body { max-width: 60em; margin: 0 auto; padding: 0.5em 2em 3em; line-height: 1.5; }
  nav { padding: 0.7em 0; border-bottom: 1px solid var(--vscode-panel-border, #8884); }
  nav a { margin-right: 1.6em; }
  table { border-collapse: collapse; }
  th:empty { display: none; }
  td, th { padding: 0.25em 0.9em 0.25em 0; vertical-align: top; text-align: left; }
  tr + tr td { border-top: 1px solid var(--vscode-panel-border, #8884); }
  td:last-child { overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; background: var(--vscode-textCodeBlock-background); padding: 0.7em; }
</style>
<nav>${links.join("")}</nav>
${withLinks(text)}`;
}

/** Turns the settings and commands named in the text into links. */
function withLinks(text: string): string {
  return text.replaceAll(/<code>([^<]+)<\/code>/g, (whole, name: string) => {
    if (/^dgLsp(\.\w+)+$/.test(name)) {
      return link(name, SETTINGS, name);
    }
    const command = LINKED[name];
    return command === undefined ? whole : link(name, command);
  });
}

function link(label: string, command: string, argument?: unknown): string {
  const query = argument === undefined ? "" : `?${encodeURIComponent(JSON.stringify([argument]))}`;
  return `<a href="command:${command}${escaped(query)}">${escaped(label)}</a>`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}
