import path from "node:path";
import { defineConfig } from "vitest/config";

const FAKE = path.join(import.meta.dirname, "test", "unit", "fake");

export default defineConfig({
  test: {
    include: ["test/unit/**/*.test.ts"],
    alias: { vscode: path.join(FAKE, "vscode.ts") },
    setupFiles: [path.join(FAKE, "setup.ts")],
  },
});
