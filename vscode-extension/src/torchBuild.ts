/** The builds of PyTorch that can be installed, with their sizes. Does not import `vscode`. */
import { pathDirectories, pathOf } from "./discovery";
import { ProgramError, run } from "./programs";

export interface Build {
  readonly label: string;
  readonly detail: string;
  /** The index for PyTorch; PyPI if there is none. */
  readonly index?: string;
  /** An extra of dg-lsp to install with it. */
  readonly extra?: string;
  /** The size of the download, with everything else that dg-lsp needs. */
  readonly downloadBytes: number;
  readonly diskBytes: number;
}

const CPU: Build = {
  label: "For the CPU",
  detail: "Runs the small bundled model. PyTorch comes from download.pytorch.org.",
  index: "https://download.pytorch.org/whl/cpu",
  downloadBytes: 0.35e9,
  diskBytes: 1.3e9,
};
const CUDA: Build = {
  label: "For an NVIDIA GPU",
  detail: "Needed for the models that help. PyTorch with CUDA comes from PyPI.",
  extra: "cuda",
  downloadBytes: 3.5e9,
  diskBytes: 8e9,
};
const PLAIN: Build = {
  label: "Install dg-lsp",
  detail: "With PyTorch from PyPI.",
  downloadBytes: 0.35e9,
  diskBytes: 1.3e9,
};

/** The available builds, the recommended one first. PyPI has CUDA builds only for Linux. */
export function buildsFor(platform: NodeJS.Platform, hasGpu: boolean): readonly Build[] {
  if (platform !== "linux") {
    return [PLAIN];
  }
  return hasGpu ? [CUDA, CPU] : [CPU, CUDA];
}

/** Whether NVIDIA's driver finds a GPU. */
export async function hasNvidiaGpu(
  environment: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
  signal?: AbortSignal,
): Promise<boolean> {
  if (platform !== "linux" && platform !== "win32") {
    return false;
  }
  const of = pathOf(platform);
  const name = platform === "win32" ? "nvidia-smi.exe" : "nvidia-smi";
  // In WSL, nvidia-smi is not on the PATH of every process.
  const directories = [...pathDirectories(environment, platform), "/usr/lib/wsl/lib"];
  for (const directory of directories) {
    try {
      const options = { signal, patienceMs: 10_000 };
      return /^GPU \d/m.test(await run(of.join(directory, name), ["-L"], options));
    } catch (error) {
      signal?.throwIfAborted();
      // It is not installed, or it finds no GPU.
      if (!(error instanceof ProgramError)) {
        throw error;
      }
    }
  }
  return false;
}

export function sizeOf(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}
