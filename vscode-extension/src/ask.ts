/** Asks the user what a rewrite is to do, with what was asked before. */
import * as vscode from "vscode";

const HISTORY = "instructions";
const MAX_KEPT = 30;
const SETTLES_MS = 100;
const WITHOUT_WORDS = "$(sparkle) Rewrite without words";

/** The instruction; empty for a rewrite without words, `undefined` where the user gave up. */
export async function askInstruction(memory: vscode.Memento): Promise<string | undefined> {
  const history = memory.get<string[]>(HISTORY, []);
  const said = await pick(history);
  if (said) {
    const kept = [said, ...history.filter((one) => one !== said)].slice(0, MAX_KEPT);
    await memory.update(HISTORY, kept);
  }
  return said;
}

async function pick(history: string[]): Promise<string | undefined> {
  const box = vscode.window.createQuickPick();
  box.title = "Rewrite";
  box.placeholder = "What should change? Nothing: rewrite without words";
  const offer = () => {
    const typed = box.value.trim();
    // What is typed is what Enter asks for: which line is chosen is told by its number, in a list
    // that lags behind the typing. So there is nothing to choose beside it.
    box.items = typed
      ? [{ label: typed, alwaysShow: true }]
      : [
          { label: WITHOUT_WORDS, alwaysShow: true },
          ...history.map((label) => ({ label, description: "asked before" })),
        ];
  };
  offer();
  try {
    return await new Promise<string | undefined>((resolve) => {
      box.onDidChangeValue(offer);
      box.onDidAccept(() => {
        // The last letter that was typed may be told after Enter.
        setTimeout(() => {
          const [item] = box.activeItems;
          const earlier = item === box.items[0] ? "" : (item?.label ?? "");
          resolve(box.value.trim() || earlier);
        }, SETTLES_MS);
      });
      box.onDidHide(() => resolve(undefined));
      box.show();
    });
  } finally {
    box.dispose();
  }
}
