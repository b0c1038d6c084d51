/** The settings, with the defaults that the extension's own package.json gives them. */
import type * as vscode from "vscode";
import manifest from "../../../package.json";
import { EventEmitter } from "./values";

type Layer = Map<string, unknown>;

const DECLARED: Record<string, { default?: unknown }> =
  manifest.contributes.configuration.properties;

export class Settings {
  readonly changed = new EventEmitter<vscode.ConfigurationChangeEvent>();
  private readonly defaults: Layer = new Map(
    Object.entries(DECLARED).map(([name, { default: value }]) => [name, value]),
  );
  private readonly user: Layer = new Map();
  private readonly workspace: Layer = new Map();

  /** The user changes a setting by hand. */
  set(name: string, value: unknown, where: "user" | "workspace" = "user"): void {
    const layer = this[where];
    if (value === undefined) {
      layer.delete(name);
    } else {
      layer.set(name, value);
    }
    const affectsConfiguration = (section: string) =>
      name === section || name.startsWith(`${section}.`);
    this.changed.fire({ affectsConfiguration });
  }

  get(name: string): unknown {
    const found = [this.workspace, this.user, this.defaults].filter((layer) => layer.has(name));
    if (found.length > 0) {
      const values = found.map((layer) => layer.get(name));
      // Objects of several layers are put together.
      return values.every(isRecord) ? Object.assign({}, ...values.reverse()) : values[0];
    }
    const names = new Set(
      [this.defaults, this.user, this.workspace].flatMap((layer) => [...layer.keys()]),
    );
    const inside = [...names].filter((one) => one.startsWith(`${name}.`));
    if (inside.length === 0) {
      return undefined;
    }
    const section: Record<string, unknown> = {};
    for (const one of inside) {
      const [head = ""] = one.slice(name.length + 1).split(".");
      section[head] = this.get(`${name}.${head}`);
    }
    return section;
  }

  configuration(section?: string): vscode.WorkspaceConfiguration {
    const full = (name: string) => (section === undefined ? name : `${section}.${name}`);
    const configuration = {
      get: (name: string, otherwise?: unknown) => this.get(full(name)) ?? otherwise,
      has: (name: string) => this.get(full(name)) !== undefined,
      inspect: (name: string) => ({
        key: full(name),
        defaultValue: this.defaults.get(full(name)),
        globalValue: this.user.get(full(name)),
        workspaceValue: this.workspace.get(full(name)),
      }),
      update: async (name: string, value: unknown, where: vscode.ConfigurationTarget) => {
        this.set(full(name), value, where === 1 ? "user" : "workspace");
      },
    };
    return configuration as vscode.WorkspaceConfiguration;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
