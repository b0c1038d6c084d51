/** Asks the user for the instruction of a rewrite, and shows earlier instructions. */
import * as vscode from "vscode";
import { StrayKeys } from "./stray";

const HISTORY = "instructions";
const MAX_KEPT = 30;
const SETTLES_MS = 100;
const GET_MODEL = "dgLsp.getModel";

/** What the box needs to know about the model, which may be loaded while the box is open. */
export interface Listener {
  /** The model's name if it is known not to follow instructions. */
  deafModel(): string | undefined;
  readonly onDidChange: vscode.Event<unknown>;
}

export interface Selected {
  readonly document: vscode.TextDocument;
  readonly range: vscode.Range;
}

type Entry = vscode.QuickPickItem & { readonly does: "words" | "anew" | "get" };

/** The instruction; empty for a rewrite without one, `undefined` if the user cancelled. */
export async function askInstruction(
  memory: vscode.Memento,
  listener: Listener,
  selected: Selected,
): Promise<string | undefined> {
  const history = memory.get<string[]>(HISTORY, []);
  const said = await pick(history, listener, selected);
  if (said) {
    const kept = [said, ...history.filter((one) => one !== said)].slice(0, MAX_KEPT);
    await memory.update(HISTORY, kept);
  }
  return said;
}

async function pick(
  history: string[],
  listener: Listener,
  selected: Selected,
): Promise<string | undefined> {
  const box = vscode.window.createQuickPick<Entry>();
  const offer = () => {
    const deaf = listener.deafModel();
    box.title = deaf === undefined ? "Rewrite" : `Rewrite: the ${deaf} model can't follow words`;
    box.placeholder =
      deaf === undefined
        ? "What should change? Nothing: rewrite without words"
        : "Enter rewrites the selection anew, without words";
    box.items = entries(box.value.trim(), history, deaf);
  };
  offer();
  let strayLength = 0;
  const stray = strayKeys(selected, (typed) => {
    box.value = box.value.slice(0, strayLength) + typed + box.value.slice(strayLength);
    strayLength += typed.length;
    offer();
  });
  const subscriptions = [box, listener.onDidChange(offer)];
  try {
    return await new Promise<string | undefined>((resolve) => {
      box.onDidChangeValue(offer);
      box.onDidAccept(() => {
        // Keys typed from now on are not meant for the box, and must not replace the selection.
        unselect(selected);
        // VS Code may report the last typed letter after Enter.
        setTimeout(() => {
          const [item] = box.activeItems;
          if (item?.does === "get") {
            void vscode.commands.executeCommand(GET_MODEL);
            resolve(undefined);
          } else if (listener.deafModel() !== undefined) {
            resolve("");
          } else {
            const earlier = item === undefined || item === box.items[0] ? "" : item.label;
            resolve(box.value.trim() || earlier);
          }
        }, SETTLES_MS);
      });
      box.onDidHide(() => resolve(undefined));
      box.show();
    });
  } finally {
    await stray?.settled();
    vscode.Disposable.from(...subscriptions, ...(stray ? [stray] : [])).dispose();
  }
}

function entries(typed: string, history: string[], deaf: string | undefined): Entry[] {
  const anew = typed ? "anew, without these words" : "without words";
  const without: Entry = { label: `$(sparkle) Rewrite ${anew}`, does: "anew", alwaysShow: true };
  if (deaf !== undefined) {
    return [
      { ...without, detail: `The ${deaf} model can only write the selection once more.` },
      {
        label: "$(cloud-download) Get a model that follows instructions…",
        does: "get",
        alwaysShow: true,
      },
    ];
  }
  if (typed) {
    // Enter must submit the typed text. VS Code reports the chosen entry by its position in a list
    // that lags behind the typing, so there is no other entry.
    return [{ label: typed, does: "words", alwaysShow: true }];
  }
  const earlier = history.map((label) => ({ label, description: "asked before" }));
  return [without, ...earlier.map((one) => ({ ...one, does: "words" as const }))];
}

function strayKeys(selected: Selected, take: (typed: string) => void): StrayKeys | undefined {
  const editor = editorOf(selected.document);
  return editor && new StrayKeys(editor, selected.range, take);
}

/** Moves the cursor to the start of the selection, so that typing does not replace the text. */
export function unselect({ document, range }: Selected): void {
  const editor = editorOf(document);
  if (editor !== undefined) {
    editor.selection = new vscode.Selection(range.start, range.start);
    editor.revealRange(new vscode.Range(range.start, range.start));
  }
}

function editorOf(document: vscode.TextDocument): vscode.TextEditor | undefined {
  const active = vscode.window.activeTextEditor;
  return active?.document === document
    ? active
    : vscode.window.visibleTextEditors.find((one) => one.document === document);
}
