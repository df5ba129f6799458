import { isThorough } from "../runs.ts";

/** Decides what happens to what: `CHAOS_SEED=7 npm run test:chaos` tries others. */
export const seed = Number(process.env["CHAOS_SEED"] ?? 1);

/** Says how far a long run is, a few times a minute; a short one says nothing. */
export function progress(what: string): (figures: string, isEnd?: boolean) => void {
  const startedAt = performance.now();
  let nextAt = startedAt + 15_000;
  return (figures, isEnd = false) => {
    const now = performance.now();
    if (!isThorough || (!isEnd && now < nextAt)) return;
    nextAt = now + 15_000;
    console.log(
      `${what}: ${figures} in ${((now - startedAt) / 1_000).toFixed()} s${isEnd ? ", the end" : ""}`,
    );
  };
}
