import { existsSync } from "node:fs";
import { join } from "node:path";

/** Where the recorded data lies; it is not part of the project. */
const folder = process.env["HYPOCENTER_DATA"] ?? "../shared/data";

/** The path of recorded data, and why tests on it are skipped where it is missing. */
export function recorded(...path: readonly string[]): {
  readonly path: string;
  readonly missing: boolean;
  readonly reason: string;
} {
  const full = join(folder, ...path);
  const missing = !existsSync(full);
  return { path: full, missing, reason: missing ? `no recorded data at ${full} (set HYPOCENTER_DATA)` : "" };
}
