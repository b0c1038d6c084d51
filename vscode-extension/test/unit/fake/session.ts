/** The extension's client with a server that a test answers for, and an editor. */
import * as vscode from "vscode";
import { Client } from "../../../src/client";
import type { Draft } from "../../../src/lspExt";
import * as ext from "../../../src/lspExt";
import { programsServe, until, type Server } from "./server";

/** A request of the client that waits for its answer. */
export interface Asked<Params> {
  readonly params: Params;
  isCancelled: boolean;
  answer(result: unknown): void;
  refuse(why: string): void;
}

export class Session {
  readonly client = new Client(vscode.window.createOutputChannel("dg-lsp", { log: true }), {});
  private readonly servers = programsServe();

  async start(): Promise<void> {
    await this.client.start({ command: "/bin/dg-lsp", foundIn: "the PATH" });
  }

  get server(): Server {
    const last = this.servers.at(-1);
    if (last === undefined) {
      throw new Error("no server was started");
    }
    return last;
  }

  /** The requests of a method, from now on, in order. */
  requests<Params>(method: string): Asked<Params>[] {
    const all: Asked<Params>[] = [];
    this.server.connection.onRequest(method, (params: Params, token) => {
      return new Promise((resolve, reject) => {
        const asked: Asked<Params> = {
          params,
          isCancelled: false,
          answer: resolve,
          refuse: (why) => reject(new Error(why)),
        };
        token.onCancellationRequested(() => (asked.isCancelled = true));
        all.push(asked);
      });
    });
    return all;
  }

  /** Comes back when the client has heard it. */
  async draft(draft: Partial<Draft>): Promise<void> {
    let isHeard = false;
    const listener = this.client.onDraft(() => (isHeard = true));
    await this.server.connection.sendNotification(ext.DRAFT, draft);
    await until(() => isHeard);
    listener.dispose();
  }

  async status(status: Partial<ext.Status>): Promise<void> {
    let isHeard = false;
    const listener = this.client.onStatus(() => (isHeard = true));
    await this.server.connection.sendNotification(ext.STATUS, status);
    await until(() => isHeard);
    listener.dispose();
  }
}
