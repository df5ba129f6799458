/**
 * How many times as often as usual: `TEST_RUNS=100 npx vitest run test/pipeline`. Continuous integration has more time too; while
 * somebody waits, laws are tried half as often, with other examples each time.
 */
const factor = Number(process.env["TEST_RUNS"] ?? 0.5);

/** Whether there is time for what is large: continuous integration has it. */
export const isThorough = factor > 1;

/** How often a law is tried that is usually tried `usual` times. */
export function runs(usual: number): number {
  return Math.ceil(usual * factor);
}
