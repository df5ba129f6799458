import { execFile } from "node:child_process";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Row } from "./measure.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the production dependencies take up on disk, each with everything that it brings along. */
export async function benchInstall(): Promise<readonly Row[]> {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { stdout } = await promisify(execFile)(npm, ["ls", "--all", "--omit=dev", "--parseable"], {
    cwd: root,
  });
  const [, ...packages] = stdout.trim().split("\n");
  let bytes = 0;
  for (const folder of new Set(packages)) bytes += await bytesOnDisk(folder);
  return [
    {
      subject: "installed production dependencies",
      result: `${(bytes / 1e6).toFixed(1)} MB`,
      bar: "< 40 MB",
      note: `${packages.length} packages, whole blocks as on disk`,
    },
  ];
}

/** Packages within a package are counted where `npm ls` names them. */
async function bytesOnDisk(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    bytes += entry.isDirectory() ? await bytesOnDisk(path) : (await lstat(path)).blocks * 512;
  }
  return bytes;
}
