/** Puts the fake in the place of `vscode`, also for the language client. */
import Module from "node:module";
import { beforeEach } from "vitest";
import * as vscode from "vscode";
import { newWorkbench } from "./workbench";

// The client comes from node_modules, where vitest's alias does not reach.
type Load = (request: string, ...rest: unknown[]) => unknown;
const loader = Module as unknown as { _load: Load };
const load = loader._load;
loader._load = (request, ...rest) => (request === "vscode" ? vscode : load(request, ...rest));

beforeEach(newWorkbench);
