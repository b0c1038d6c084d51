/** Finds the Python environment that is selected in the Python extension or the settings. */
import * as vscode from "vscode";

const EXTENSION = "ms-python.python";
/** The Python extension may still be starting, and the server must not wait long for it. */
const PATIENCE_MS = 3000;

/** The part of the Python extension's interface that is used here. */
interface Python {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(path: {
      path: string;
    }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

/** An untrusted folder must not decide what is run: it may contain the environment. */
export async function selectedInterpreter(): Promise<string | undefined> {
  if (!vscode.workspace.isTrusted) {
    return undefined;
  }
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const extension = vscode.extensions.getExtension<Python>(EXTENSION);
  if (extension !== undefined) {
    try {
      const found = await within(PATIENCE_MS, async () => {
        const { environments } = await extension.activate();
        const active = environments.getActiveEnvironmentPath(folder);
        return (await environments.resolveEnvironment(active))?.executable.uri?.fsPath;
      });
      if (found !== undefined) {
        return found;
      }
    } catch {
      // The Python extension failed; the server may be found elsewhere.
    }
  }
  const setting = vscode.workspace
    .getConfiguration("python", folder)
    .get<unknown>("defaultInterpreterPath");
  return typeof setting === "string" && /[\\/]/.test(setting)
    ? setting.replace("${workspaceFolder}", folder?.fsPath ?? "")
    : undefined;
}

/** Reports when another environment is selected in the Python extension, if installed. */
export function onDidSelectInterpreter(listener: () => void): vscode.Disposable {
  let isWanted = true;
  let registration: vscode.Disposable | undefined;
  vscode.extensions
    .getExtension<Python>(EXTENSION)
    ?.activate()
    .then(
      ({ environments }) => {
        registration = isWanted
          ? environments.onDidChangeActiveEnvironmentPath(listener)
          : undefined;
      },
      // An extension that does not start reports no changes.
      () => undefined,
    );
  return new vscode.Disposable(() => {
    isWanted = false;
    registration?.dispose();
  });
}

async function within<Value>(
  patienceMs: number,
  work: () => Promise<Value>,
): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), patienceMs);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
