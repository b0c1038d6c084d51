/** What stands over a rewrite: how it is going, or what can be done with it. */
import * as vscode from "vscode";

export function lensesOf(at: vscode.Position, isReady: boolean, noise: number): vscode.CodeLens[] {
  const lens = (title: string, command: string) =>
    new vscode.CodeLens(new vscode.Range(at, at), { title, command: `dgLsp.${command}` });
  if (!isReady) {
    return [lens("$(loading~spin) Rewriting… Stop", "discardRewrite")];
  }
  return [
    lens("$(check) Accept", "acceptRewrite"),
    lens("$(close) Discard", "discardRewrite"),
    lens("$(diff) Compare", "compareRewrite"),
    lens("$(refresh) Retry", "retryRewrite"),
    lens("More Freely", "rewriteMoreFreely"),
    lens(`Less Freely (now ${Math.round(noise * 100)}%)`, "rewriteLessFreely"),
  ];
}
