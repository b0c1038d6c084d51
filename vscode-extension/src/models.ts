/** Downloads and selects models: shows which exist, whether they fit, and the progress. */
import * as path from "node:path";
import * as vscode from "vscode";
import type { Client } from "./client";
import { COMMAND_RESTART_ENGINE } from "./lspExt";
import { ProgramError, run } from "./programs";
import { sizeOf } from "./torchBuild";

/** What `dg-lsp models --available --json` prints. */
export interface Available {
  name: string;
  repository: string;
  about: string;
  licence: string;
  licence_url: string;
  download_bytes: number;
  kept_bytes: number;
  is_here: boolean;
  is_begun: boolean;
  /** The most capable one that fits this machine. */
  is_best: boolean;
  obstacles: string[];
  /** Figures of its quality, each with its source. */
  published: string[];
}

/** What `dg-lsp models --json` prints. */
interface Here {
  name: string;
  bytes: number;
  default: boolean;
  checksum: string;
}

/** A line of `dg-lsp pull --json`. */
interface PullEvent {
  event: "found" | "progress" | "said" | "done";
  what: string;
  done: number;
  total: number;
  name: string;
  licence: string;
  needs_consent: boolean;
  missing_bytes: number;
  obstacles?: { code: string; message: string }[];
}

/** A repository of the hub, or a local directory. */
type Source = { repository: string; url: string } | { directory: string };

/** Remembers that the user was told what the bundled model is. */
const TOLD = "toldOfModels";

interface Choice extends vscode.QuickPickItem {
  readonly take?: () => Promise<void>;
}

export class Models {
  constructor(
    private readonly client: Client,
    private readonly log: vscode.LogOutputChannel,
    private readonly command: () => string | undefined,
    private readonly memory: vscode.Memento,
  ) {}

  /** Says once that the bundled model is a demonstration, and what this machine could run. */
  async introduce(): Promise<void> {
    const command = this.command();
    if (command === undefined || this.memory.get<boolean>(TOLD) === true) {
      return;
    }
    await this.memory.update(TOLD, true);
    const demonstration = "dg-lsp: the bundled model is only a demonstration";
    const [get, all] = ["Get It", "Show All Models"] as const;
    try {
      const available = await lines<Available>(command, ["models", "--available", "--json"]);
      const best = available.find((one) => one.is_best);
      const picked = await (best === undefined
        ? vscode.window.showInformationMessage(
            `${demonstration}, and no larger one fits this machine.`,
            all,
          )
        : vscode.window.showInformationMessage(
            `${demonstration}. This machine could run ${titleOf(best)}: ${sizesOf(best)}.`,
            get,
            all,
          ));
      if (picked === get && best !== undefined) {
        await this.get(command, best);
      } else if (picked === all) {
        await this.choose();
      }
    } catch (error) {
      this.log.warn(`Could not list the models: ${String(error)}`);
    }
  }

  /** Shows all models and does what the user chooses. */
  async choose(): Promise<void> {
    const command = this.command();
    if (command === undefined) {
      const install = "Install dg-lsp";
      const text = "dg-lsp: install the server first; it downloads and runs the models.";
      if ((await vscode.window.showWarningMessage(text, install)) === install) {
        await vscode.commands.executeCommand("dgLsp.installServer");
      }
      return;
    }
    try {
      const picked = await vscode.window.showQuickPick(this.choices(command), {
        title: "Models for dg-lsp",
        placeHolder: "Download a model, or choose an installed one",
        matchOnDetail: true,
      });
      await picked?.take?.();
    } catch (error) {
      await this.fail("Could not list the models", error);
    }
  }

  private async choices(command: string): Promise<Choice[]> {
    const [available, here] = await Promise.all([
      lines<Available>(command, ["models", "--available", "--json"]),
      lines<Here>(command, ["models", "--json"]),
    ]);
    const coming = available.filter((one) => !one.is_here);
    return [
      ...(coming.length === 0 ? [] : [heading("Can be downloaded")]),
      ...coming.map((model) => this.availableChoice(command, model)),
      heading("Installed"),
      ...here.map(({ name, bytes, default: isDefault, checksum }) => ({
        label: `$(${name === "bundled" ? "package" : "sparkle"}) ${name}`,
        description: `${sizeOf(bytes)}${isDefault ? ", used by default" : ""}`,
        detail: name === "bundled" ? "Only a demonstration" : whole(checksum),
        take: () => this.use(name),
      })),
      heading("From another place"),
      {
        label: "$(folder-opened) A checkpoint on this disk…",
        take: () => this.fromDisk(command),
      },
      {
        label: "$(globe) Another repository on the Hugging Face Hub…",
        take: () => this.fromHub(command),
      },
    ];
  }

  private availableChoice(command: string, model: Available): Choice {
    const { about, licence, is_begun, is_best, obstacles, published } = model;
    const begun = is_begun ? "Partly downloaded; it continues where it stopped. " : "";
    const fits = is_best
      ? "$(star-full) The best that fits this machine"
      : "$(check) Fits this machine";
    const verdict = obstacles.length === 0 ? fits : `$(warning) ${obstacles.join(" ")}`;
    return {
      label: `$(cloud-download) ${about}`,
      description: sizesOf(model),
      detail: [begun + verdict, `Licence: ${licence}`, ...published].join(" · "),
      take: () => this.get(command, model),
    };
  }

  private async get(command: string, model: Available): Promise<void> {
    if (model.obstacles.length > 0) {
      const anyway = "Download Anyway";
      const text = `${model.name} will not help on this machine.`;
      const options = { modal: true, detail: model.obstacles.join("\n") };
      if ((await vscode.window.showWarningMessage(text, options, anyway)) !== anyway) {
        return;
      }
    }
    await this.fetch(command, { repository: model.repository, url: model.licence_url });
  }

  private async fromDisk(command: string): Promise<void> {
    const [folder] =
      (await vscode.window.showOpenDialog({
        title: "A checkpoint that dg-lsp reads",
        canSelectFolders: true,
        canSelectFiles: false,
      })) ?? [];
    if (folder !== undefined) {
      await this.pull(command, { directory: folder.fsPath });
    }
  }

  private async fromHub(command: string): Promise<void> {
    const repository = await vscode.window.showInputBox({
      title: "A repository on the Hugging Face Hub",
      prompt: "OWNER/NAME of a checkpoint that dg-lsp reads, or a short name such as dreamon",
      ignoreFocusOut: true,
    });
    if (repository?.trim()) {
      const url = `https://huggingface.co/${repository.trim()}`;
      await this.fetch(command, { repository: repository.trim(), url });
    }
  }

  /** Shows the current licence and size from the hub before the download. */
  private async fetch(command: string, source: { repository: string; url: string }) {
    const options = {
      location: vscode.ProgressLocation.Window,
      title: "dg-lsp: asking the Hugging Face Hub",
    };
    try {
      const look = ["pull", source.repository, "--look", "--json"];
      const [found] = await vscode.window.withProgress(options, () =>
        lines<PullEvent>(command, look),
      );
      if (found === undefined || !(await agreed(source, found))) {
        return;
      }
    } catch (error) {
      await this.fail(`Could not read ${source.repository}`, error);
      return;
    }
    await this.pull(command, source);
  }

  private async pull(command: string, source: Source): Promise<void> {
    const named = "directory" in source ? source.directory : source.repository;
    const words =
      "directory" in source
        ? ["--from", source.directory]
        : [source.repository, "--accept-licence", "--force"];
    const abort = new AbortController();
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: `Downloading ${path.basename(named)}`,
      cancellable: true,
    };
    let name = "";
    try {
      await vscode.window.withProgress(options, async (progress, cancelled) => {
        cancelled.onCancellationRequested(() => abort.abort());
        let percent = 0;
        const report = (line: string) => {
          const event = parsed(line);
          if (event === undefined) {
            this.log.info(line);
          } else if (event.event === "progress") {
            const now = (100 * event.done) / Math.max(1, event.total);
            const message = `${event.what}: ${sizeOf(event.done)} of ${sizeOf(event.total)}`;
            // What is here is packed while the rest is downloaded, so the two take turns.
            progress.report({ message, increment: Math.max(0, now - percent) });
            percent = Math.max(percent, now);
          } else if (event.event === "done") {
            name = event.name;
          }
        };
        await run(command, ["pull", ...words, "--json"], { report, signal: abort.signal });
      });
    } catch (error) {
      const again = abort.signal.aborted ? "Continue" : "Try Again";
      const shown = abort.signal.aborted
        ? vscode.window.showInformationMessage(
            `The download of ${named} was stopped. What has arrived is kept.`,
            again,
          )
        : this.fail(`Could not get ${named}`, error, again);
      if ((await shown) === again) {
        await this.pull(command, source);
      }
      return;
    }
    await this.useAtOnce(command, name);
  }

  /** Restarts the engine with the model; keeps the setting empty if it is the default anyway. */
  private async useAtOnce(command: string, name: string): Promise<void> {
    const here = await lines<Here>(command, ["models", "--json"]);
    const isDefault = here.some((one) => one.default && one.name === name);
    const set = vscode.workspace.getConfiguration("dgLsp").get<string>("engine.model", "");
    if (!isDefault || set !== "") {
      await this.use(name);
    }
    await this.client.execute(COMMAND_RESTART_ENGINE, {});
    void vscode.window.showInformationMessage(`dg-lsp now uses ${name}.`);
  }

  private async use(name: string): Promise<void> {
    const config = vscode.workspace.getConfiguration("dgLsp");
    await config.update("engine.model", name, vscode.ConfigurationTarget.Global);
  }

  private async fail(what: string, error: unknown, ...ways: string[]): Promise<string | undefined> {
    const why = error instanceof Error ? error.message : String(error);
    this.log.error(`${what}: ${why}`);
    const show = "Show Log";
    const text = `${what}: ${why.replace(/^dg-lsp: /, "")}`;
    const picked = await vscode.window.showErrorMessage(text, ...ways, show);
    if (picked === show) {
      this.log.show();
    }
    return picked;
  }
}

/** Asks for consent to licence and size; opening the licence does not count as an answer. */
async function agreed({ repository, url }: { repository: string; url: string }, found: PullEvent) {
  const get = found.needs_consent ? "Agree and Download" : "Download";
  const read = "Read the Licence";
  const text = `${repository}: ${sizeOf(found.missing_bytes)} to download`;
  const detail = `Licence: ${found.licence} (${url}). You can stop the download and continue it later.`;
  for (;;) {
    const options = { modal: true, detail };
    const picked = await vscode.window.showInformationMessage(text, options, get, read);
    if (picked !== read) {
      return picked === get;
    }
    await vscode.env.openExternal(vscode.Uri.parse(url));
  }
}

/** "DreamOn 7B" of "DreamOn 7B: infills spans of unknown length". */
function titleOf({ about }: Available): string {
  return about.split(":")[0] ?? about;
}

function sizesOf({ download_bytes, kept_bytes }: Available): string {
  return `${sizeOf(download_bytes)} to download, ${sizeOf(kept_bytes)} on disk afterwards`;
}

function heading(label: string): Choice {
  return { label, kind: vscode.QuickPickItemKind.Separator };
}

function whole(checksum: string): string {
  return checksum === "wrong" || checksum === "damaged" ? "$(warning) Damaged" : "";
}

async function lines<Line>(command: string, options: string[]): Promise<Line[]> {
  const output = await run(command, options);
  return output.split("\n").map((line) => {
    try {
      return JSON.parse(line) as Line;
    } catch {
      throw new ProgramError(`${command} ${options.join(" ")} printed ${line.slice(0, 200)}`);
    }
  });
}

function parsed(line: string): PullEvent | undefined {
  try {
    return JSON.parse(line) as PullEvent;
  } catch {
    return undefined;
  }
}
