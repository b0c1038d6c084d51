/** Shows the progress of a long rewrite wherever the user scrolls, with a way to stop it. */
import * as vscode from "vscode";
import type { Draft } from "./lspExt";

export class Progress implements vscode.Disposable {
  private task: vscode.Progress<{ message: string; increment: number }> | undefined;
  private finish: (() => void) | undefined;
  private percent = 0;
  private isOver = false;

  constructor(private readonly stop: () => void) {}

  show({ block, blocks, step, stepsAllowed }: Draft): void {
    if (this.isOver || blocks < 2) {
      return;
    }
    if (this.finish === undefined) {
      const over = new Promise<void>((resolve) => (this.finish = resolve));
      const options = {
        location: vscode.ProgressLocation.Notification,
        title: "dg-lsp: rewriting",
        cancellable: true,
      };
      void vscode.window.withProgress(options, (task, cancelled) => {
        this.task = task;
        cancelled.onCancellationRequested(this.stop);
        return over;
      });
    }
    const percent = (100 * (block - 1 + step / stepsAllowed)) / blocks;
    if (this.task !== undefined) {
      const message = `block ${block} of ${blocks}, step ${step} of ${stepsAllowed}`;
      // A text that would break the code is rewritten, starting again from the first block.
      this.task.report({ message, increment: Math.max(0, percent - this.percent) });
      this.percent = Math.max(percent, this.percent);
    }
  }

  dispose(): void {
    this.isOver = true;
    this.finish?.();
  }
}
