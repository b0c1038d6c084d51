/** Shows reports about the server: the doctor's report, a trace, a report for an issue. */
import { execFile } from "node:child_process";
import { homedir } from "node:os";
import * as vscode from "vscode";
import type { Client } from "./client";
import { COMMAND_TRACE } from "./lspExt";
import { Pages, type Action } from "./pages";

const DOCTOR_PATIENCE_MS = 120_000;
/** Some servers reject longer URLs; the full report is on the clipboard. */
const MAX_URL_CHARS = 6000;

const SETTINGS: Action = { label: "Open Settings", command: "dgLsp.openSettings" };
const LOG: Action = { label: "Open Log", command: "dgLsp.showLog" };
const REPORT: Action = { label: "Report an Issue…", command: "dgLsp.reportIssue" };
const copy = (text: string): Action => ({
  label: "Copy",
  command: "dgLsp.copyText",
  argument: text,
});

export class Reports implements vscode.Disposable {
  private readonly pages = new Pages();

  constructor(private readonly context: vscode.ExtensionContext) {}

  /** Shows the report of `dg-lsp doctor`, which works even if the server does not run. */
  async doctor(command: string | undefined): Promise<void> {
    const markdown = await ask(command, "--markdown");
    if (markdown !== undefined) {
      const again: Action = { label: "Look Again", command: "dgLsp.doctor" };
      const actions = [again, SETTINGS, LOG, copy(markdown), REPORT];
      await this.pages.show("doctor", { title: "dg-lsp: Doctor", markdown, actions });
    }
  }

  /** Shows what became of the last request in a file, by default that of the active editor. */
  async trace(client: Client, uri = vscode.window.activeTextEditor?.document.uri.toString()) {
    const asked = { markdown: true, text: true, ...(uri === undefined ? {} : { uri }) };
    const found = await client.execute<{ markdown?: string } | null>(COMMAND_TRACE, asked);
    if (found === undefined || found === null) {
      await vscode.window.showInformationMessage(`dg-lsp: ${whyNoTrace(client, found, uri)}`);
      return;
    }
    const json = `\`\`\`json\n${JSON.stringify(found, undefined, 2)}\n\`\`\``;
    const markdown = found.markdown ?? json;
    const again = { label: "Look Again", command: "dgLsp.trace", argument: uri };
    const doctor: Action = { label: "Doctor's Report", command: "dgLsp.doctor" };
    const actions = [again, SETTINGS, LOG, copy(markdown), doctor, REPORT];
    await this.pages.show("trace", { title: "dg-lsp: Last Request", markdown, actions });
  }

  /** Shows what would be sent; sending it is up to the user. */
  async issue(command: string | undefined): Promise<void> {
    const report = await ask(command, "--anonymous");
    if (report === undefined) {
      return;
    }
    await vscode.env.clipboard.writeText(report);
    const tracker = this.tracker();
    const where =
      tracker === undefined
        ? "It is on the clipboard; nothing has been sent."
        : "It is on the clipboard, and *Open the Issue Page* fills it in there. Nothing has been sent yet.";
    const markdown = `# Report an issue

This is everything that the report holds: versions, sizes and times, no paths and none of your text.
${where}

\`\`\`\`markdown
${report}
\`\`\`\``;
    const open: Action = {
      label: "Open the Issue Page",
      command: "dgLsp.openIssue",
      argument: report,
    };
    const actions = [...(tracker === undefined ? [] : [open]), copy(report)];
    await this.pages.show("issue", { title: "dg-lsp: Report an Issue", markdown, actions });
  }

  async openIssue(report: string): Promise<void> {
    const body = encodeURIComponent(`### What happened\n\n\n\n${report}`).slice(0, MAX_URL_CHARS);
    const whole = body.replace(/%[^%]{0,1}$/, "");
    await vscode.env.openExternal(vscode.Uri.parse(`${this.tracker()}/new?body=${whole}`, true));
  }

  dispose(): void {
    this.pages.dispose();
  }

  private tracker(): string | undefined {
    const bugs: unknown = this.context.extension.packageJSON.bugs;
    const url = typeof bugs === "object" && bugs !== null && "url" in bugs ? bugs.url : bugs;
    return typeof url === "string" && url !== "" ? url.replace(/\/$/, "") : undefined;
  }
}

function whyNoTrace(client: Client, found: null | undefined, uri: string | undefined): string {
  if (client.language === undefined) {
    return "the server is not running";
  }
  if (found === undefined) {
    return "this dg-lsp keeps no traces";
  }
  return uri === undefined
    ? "nothing has been asked for yet, or dgLsp.trace is off"
    : "nothing has been asked for in this file yet, or dgLsp.trace is off";
}

/** The doctor's output in this form; if there is none, tells the user why. */
async function ask(command: string | undefined, form: string): Promise<string | undefined> {
  if (command === undefined) {
    await vscode.window.showWarningMessage("dg-lsp: there is no server to be looked at.");
    return undefined;
  }
  const options = { location: vscode.ProgressLocation.Window, title: "dg-lsp: examining" };
  const { output, error } = await vscode.window.withProgress(options, () => doctor(command, form));
  if (output.startsWith("#")) {
    return output;
  }
  const why = error.trim().split("\n").at(-1) || "it said nothing";
  await vscode.window.showWarningMessage(`dg-lsp doctor gave no report: ${why}`);
  return undefined;
}

/** The doctor prints a report with any exit status, which says whether all is well. */
async function doctor(command: string, form: string): Promise<{ output: string; error: string }> {
  const options = { cwd: homedir(), timeout: DOCTOR_PATIENCE_MS };
  return new Promise((resolve) => {
    execFile(command, ["doctor", form], options, (_, output, error) => {
      resolve({ output, error });
    });
  });
}
