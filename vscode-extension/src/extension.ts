/** Connects the parts of the extension, and starts and restarts the server. */
import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";
import { Client } from "./client";
import { Completion } from "./completion";
import { offersNextEdits, showsDrafts } from "./config";
import type { Missing, Server } from "./discovery";
import { Drafts } from "./drafts";
import { Inserted } from "./inserted";
import type { Target } from "./lspExt";
import { Models } from "./models";
import { NextEdits } from "./nextEdit";
import { onDidSelectInterpreter } from "./python";
import { Reports } from "./reports";
import { Rewriting } from "./rewrite";
import { withoutOwn } from "./section";
import { environmentsRoot, extensionVersion, installedServer, installServer } from "./installing";
import { removeLeftovers } from "./install";
import { chooseServer, locateServer, offerWaysOut } from "./server";
import { StatusItem } from "./status";
import { isSmall } from "./statusText";

/** The version of the extension that last offered to update the server. */
const UPDATE_OFFERED = "updateOffered";

export class Extension implements vscode.Disposable {
  readonly log = vscode.window.createOutputChannel("dg-lsp", { log: true });
  readonly client: Client;
  readonly completion: Completion;
  readonly drafts = new Drafts(showsDrafts);
  readonly inserted = new Inserted();
  readonly models: Models;
  readonly nextEdits: NextEdits;
  readonly reports: Reports;
  readonly rewriting: Rewriting;
  readonly status: StatusItem;
  /** The server's file, whether or not it runs. */
  serverCommand: string | undefined;
  private readonly subscriptions: vscode.Disposable[];
  private starting: Promise<void> = Promise.resolve();

  constructor(readonly context: vscode.ExtensionContext) {
    this.client = new Client(this.log, this.middleware());
    this.status = new StatusItem(this.client);
    this.completion = new Completion(this.client, this.drafts, (document) =>
      this.status.isPaused(document),
    );
    this.nextEdits = new NextEdits(
      this.client,
      (document) => offersNextEdits() && !this.status.isPaused(document),
    );
    this.rewriting = new Rewriting(this.client, this.inserted.note.bind(this.inserted));
    this.models = new Models(this.client, this.log, () => this.serverCommand, context.globalState);
    this.reports = new Reports(context);
    void removeLeftovers(environmentsRoot(context)).catch((error) => this.log.warn(String(error)));
    this.subscriptions = [
      this.client.onDraft((draft) => this.drafts.take(draft)),
      this.client.onStatus((status) => {
        if (isSmall(status) && !status.busy) {
          void this.models.introduce();
        }
      }),
      this.client.onDidChange(() => {
        const isRunning = this.client.phase === "running";
        void vscode.commands.executeCommand("setContext", "dgLsp.running", isRunning);
        if (this.client.phase === "failed" && this.serverCommand !== undefined) {
          void this.offerRestart(this.serverCommand);
        }
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.start()),
      onDidSelectInterpreter(() => void this.startOther()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        const names = ["dgLsp.server.path", "python.defaultInterpreterPath"];
        if (names.some((name) => event.affectsConfiguration(name))) {
          void this.start();
        }
      }),
    ];
  }

  /** Finds the server and starts it; several calls are carried out one after the other. */
  start(): Promise<void> {
    this.client.abandon();
    const started = this.starting.then(() => this.startOnce());
    this.starting = started.catch(() => undefined);
    return started;
  }

  /** Installs a server and starts it; a running server continues until then. */
  async install(): Promise<void> {
    if (await installServer(this.context, this.log)) {
      await this.start();
    }
  }

  async choose(): Promise<void> {
    if (await chooseServer(this.context, this.log)) {
      await this.start();
    }
  }

  dispose(): void {
    vscode.Disposable.from(
      ...this.subscriptions,
      this.completion,
      this.drafts,
      this.nextEdits,
      this.rewriting,
      this.inserted,
      this.reports,
      this.status,
      this.client,
      this.log,
    ).dispose();
  }

  private async startOnce(): Promise<void> {
    const found = await locateServer(this.context);
    if ("reason" in found) {
      this.serverCommand = undefined;
      await this.client.stop();
      this.client.fail(found.reason);
      void this.offerWaysOut(found);
    } else {
      this.serverCommand = found.command;
      await this.client.start(found);
      void this.offerUpdate(found);
    }
  }

  /** Restarts if the newly selected Python environment has another server. */
  private async startOther(): Promise<void> {
    const found = await locateServer(this.context);
    if ("command" in found && found.command !== this.serverCommand) {
      await this.start();
    }
  }

  private async offerWaysOut(missing: Missing): Promise<void> {
    if (await offerWaysOut(this.context, this.log, missing)) {
      await this.start();
    }
  }

  /** Offers, once per version, to update a server that an older extension has installed. */
  private async offerUpdate(server: Server): Promise<void> {
    const own = await installedServer(this.context);
    const version = extensionVersion(this.context);
    const memory = this.context.globalState;
    const isNews = memory.get<string>(UPDATE_OFFERED) !== version;
    if (own?.command !== server.command || own.version === version || !isNews) {
      return;
    }
    await memory.update(UPDATE_OFFERED, version);
    const update = "Update";
    const text = `dg-lsp ${own.version} is installed, and the extension brings ${version}.`;
    if ((await vscode.window.showInformationMessage(text, update)) === update) {
      await this.install();
    }
  }

  /** Reports a server that was found but keeps exiting. */
  private async offerRestart(command: string): Promise<void> {
    const [again, show, settings] = ["Try Again", "Show Log", "Open Settings"] as const;
    const text = `The language server ${command} does not run: ${this.client.trouble}`;
    switch (await vscode.window.showErrorMessage(text, again, show, settings)) {
      case again:
        return this.start();
      case show:
        return this.log.show();
      case settings:
        await vscode.commands.executeCommand("workbench.action.openSettings", "dgLsp.server");
    }
  }

  private middleware(): Middleware {
    return {
      // The extension has its own provider.
      provideInlineCompletionItems: () => undefined,
      // The user sees a rewrite before it is applied, so its edit is not requested here.
      provideCodeActions: async (document, range, context, token, next) => {
        const actions = await next(document, range, context, token);
        for (const action of actions ?? []) {
          previewed(action);
        }
        return actions;
      },
      resolveCodeAction: (action, token, next) => (action.command ? action : next(action, token)),
      workspace: {
        configuration: async (params, token, next) => {
          const answers = await next(params, token);
          return Array.isArray(answers) ? answers.map(withoutOwn) : answers;
        },
      },
    };
  }
}

/** Turns a code action that rewrites a range into the command that shows the preview. */
function previewed(action: vscode.Command | vscode.CodeAction): void {
  const data = "data" in action ? (action.data as Target | undefined) : undefined;
  if (!(action instanceof vscode.CodeAction) || data === undefined || isEmpty(data.range)) {
    return;
  }
  action.command = {
    title: action.title,
    command: "dgLsp.previewRewrite",
    arguments: [data],
  };
}

function isEmpty({ start, end }: Target["range"]): boolean {
  return start.line === end.line && start.character === end.character;
}
