import { createRequire } from "node:module";

/** The version of this package, as its package.json states it. */
export function version(): string {
  // by the package's own name, for sources and the built program lie at different depths
  const manifest: unknown = createRequire(import.meta.url)("hypocenter/package.json");
  return (manifest as { readonly version: string }).version;
}
