/**
 * The part of the `vscode` API that the extension and its language client use, in front of a
 * workbench that tests look at. What is not here is not used, or a test that uses it fails.
 */
import type * as vscode from "vscode";
import { URI, Utils } from "vscode-uri";
import { Editor } from "./documents";
import { Panel, StatusBarItem, QuickPick, workbench } from "./workbench";
import {
  CancellationTokenSource,
  Disposable,
  EventEmitter,
  TabInputTextDiff,
  type WorkspaceEdit,
} from "./values";

export * from "./unused";
export * from "./values";
export const Uri = Object.assign(URI, { joinPath: Utils.joinPath });
export const version = "1.91.0";
export const env = {
  appName: "Fake Code",
  language: "en",
  openExternal: async (uri: vscode.Uri) => void workbench.visited.push(uri.toString(true)),
  clipboard: { writeText: async (text: string) => void workbench.copied.push(text) },
};

export enum StatusBarAlignment {
  Left = 1,
  Right,
}
export enum ProgressLocation {
  SourceControl = 1,
  Window = 10,
  Notification = 15,
}
export enum ConfigurationTarget {
  Global = 1,
  Workspace,
  WorkspaceFolder,
}
export enum InlineCompletionTriggerKind {
  Invoke,
  Automatic,
}
export enum TextEditorRevealType {
  InCenterIfOutsideViewport = 2,
}
export enum ViewColumn {
  Active = -1,
}
export enum QuickPickItemKind {
  Separator = -1,
  Default,
}
export enum EndOfLine {
  LF = 1,
  CRLF,
}
export enum LogLevel {
  Off,
  Trace,
  Debug,
  Info,
}

type Listed = vscode.QuickPickItem;

/** An event that never comes. */
const never = () => new Disposable(undefined);

function output(): object {
  const write = (level: string) => (text: string) => workbench.log.push(`${level}: ${text}`);
  return {
    logLevel: LogLevel.Info,
    onDidChangeLogLevel: never,
    trace: write("trace"),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    append: write("text"),
    appendLine: write("text"),
    show: () => workbench.executed.push(["log.show"]),
    dispose: () => undefined,
  };
}

const say =
  (kind: "error" | "warning" | "information") =>
  (text: string, ...rest: (string | vscode.MessageOptions)[]) => {
    const buttons = rest.filter((one) => typeof one === "string");
    const [options] = rest.filter((one) => typeof one !== "string");
    return workbench.ask(kind, text, buttons, options?.detail ? [options.detail] : []);
  };

export const window = {
  get activeTextEditor() {
    return workbench.active;
  },
  get visibleTextEditors() {
    return workbench.visible;
  },
  tabGroups: {
    get all() {
      return [{ tabs: workbench.comparisons.map((input) => ({ input })) }];
    },
    onDidChangeTabs: never,
    close: async (tabs: { input: TabInputTextDiff }[]) => {
      const closed = tabs.map((one) => one.input);
      workbench.comparisons = workbench.comparisons.filter((one) => !closed.includes(one));
    },
  },
  onDidChangeActiveTextEditor: listen("activated"),
  onDidChangeVisibleTextEditors: listen("shown"),
  onDidChangeTextEditorSelection: listen("selected"),
  createOutputChannel: output,
  createTextEditorDecorationType: (options: vscode.DecorationRenderOptions) => ({
    key: JSON.stringify(options),
    dispose: () => undefined,
  }),
  createStatusBarItem: () => {
    const item = new StatusBarItem();
    workbench.statusBar.push(item);
    return item;
  },
  createQuickPick: () => {
    const box = new QuickPick();
    workbench.inputs.push(box);
    return box;
  },
  showErrorMessage: say("error"),
  showWarningMessage: say("warning"),
  showInformationMessage: say("information"),
  setStatusBarMessage: (text: string) => {
    workbench.log.push(`status bar: ${text}`);
    return new Disposable(undefined);
  },
  showQuickPick: async (coming: Listed[] | Promise<Listed[]>, options: { placeHolder: string }) => {
    const items = await coming;
    const labels = items.map((one) => one.label);
    const details = items.map((one) => `${one.description ?? ""} ${one.detail ?? ""}`.trim());
    const label = await workbench.ask("pick", options.placeHolder, labels, details);
    return items.find((one) => one.label === label && one.kind !== QuickPickItemKind.Separator);
  },
  showOpenDialog: async ({ title }: { title: string }) => {
    const file = await workbench.ask("file", title, []);
    return file === undefined ? undefined : [URI.file(file)];
  },
  showInputBox: ({ title }: { title: string }) => workbench.ask("input", title, []),
  createWebviewPanel: (
    _kind: string,
    title: string,
    _column: unknown,
    { enableCommandUris }: { enableCommandUris: string[] },
  ) => {
    const panel = new Panel(title, enableCommandUris);
    workbench.panels.push(panel);
    return panel;
  },
  withProgress: <Result>(
    { title = "" }: { title?: string },
    task: (
      progress: { report(said: { message?: string }): void },
      cancelled: vscode.CancellationToken,
    ) => Promise<Result>,
  ) => {
    const cancel = new CancellationTokenSource();
    const work = { title, messages: [] as string[], cancel, isOver: false };
    workbench.work.push(work);
    const report = (said: { message?: string }) => work.messages.push(said.message ?? "");
    return task({ report }, work.cancel.token).finally(() => (work.isOver = true));
  },
  showTextDocument: async (document: Editor["document"]) => {
    const editor = new Editor(document);
    workbench.focus(editor);
    return editor;
  },
};

export const workspace = {
  get textDocuments() {
    return workbench.documents;
  },
  get workspaceFolders() {
    return workbench.folders;
  },
  get isTrusted() {
    return workbench.isTrusted;
  },
  notebookDocuments: [],
  getConfiguration: (section?: string) => workbench.settings.configuration(section),
  onDidChangeConfiguration: (listener: (event: vscode.ConfigurationChangeEvent) => void) =>
    workbench.settings.changed.event(listener),
  onDidOpenTextDocument: listen("opened"),
  onDidCloseTextDocument: listen("closed"),
  onDidChangeTextDocument: listen("changed"),
  onDidGrantWorkspaceTrust: listen("trusted"),
  onDidSaveTextDocument: never,
  onWillSaveTextDocument: never,
  onDidChangeWorkspaceFolders: never,
  applyEdit: (edit: WorkspaceEdit) => workbench.applyEdit(edit),
  registerTextDocumentContentProvider: (
    scheme: string,
    provider: vscode.TextDocumentContentProvider,
  ) => {
    workbench.contents.set(scheme, provider);
    return new Disposable(() => workbench.contents.delete(scheme));
  },
  openTextDocument: async (uri: vscode.Uri | { content: string; language: string }) => {
    if ("content" in uri) {
      return workbench.open(uri.content, "untitled:Untitled-1").document;
    }
    const provider = workbench.contents.get(uri.scheme);
    const { token } = new CancellationTokenSource();
    const text = String((await provider?.provideTextDocumentContent(uri, token)) ?? "");
    return workbench.open(text, uri.toString()).document;
  },
};

export const commands = {
  registerCommand: (name: string, run: (...values: unknown[]) => unknown) => {
    if (workbench.commands.has(name)) {
      throw new Error(`command '${name}' already exists`);
    }
    workbench.commands.set(name, run);
    return new Disposable(() => workbench.commands.delete(name));
  },
  executeCommand: async (name: string, ...values: unknown[]) => {
    if (name === "vscode.diff") {
      const [original, modified] = values as [vscode.Uri, vscode.Uri];
      workbench.comparisons.push(new TabInputTextDiff(original, modified));
      await workspace.openTextDocument(modified);
      return undefined;
    }
    return workbench.execute(name, ...values);
  },
};

export const extensions = {
  getExtension: (name: string) => workbench.extensions.get(name),
};

/** Providers of all kinds, by the name of what registers them. */
export const languages = new Proxy(
  {
    match: (selector: vscode.DocumentFilter[], document: vscode.TextDocument) =>
      selector.some((one) => one.scheme === document.uri.scheme) ? 10 : 0,
    createDiagnosticCollection: () => ({ set: () => undefined, dispose: () => undefined }),
  },
  {
    get: (own, name: string) =>
      name in own
        ? own[name as keyof typeof own]
        : (_selector: unknown, provider: unknown) => workbench.register(name, provider),
  },
);

/** An event of whichever workbench is there. */
function listen<
  Name extends "activated" | "shown" | "selected" | "opened" | "closed" | "changed" | "trusted",
>(name: Name): (typeof workbench)[Name]["event"] {
  const subscribe: vscode.Event<never> = (listener, self, disposables) =>
    (workbench[name] as unknown as EventEmitter<never>).event(listener, self, disposables);
  return subscribe as (typeof workbench)[Name]["event"];
}
