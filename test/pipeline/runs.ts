/** How often each law is tried; more for a longer search, as `PIPELINE_RUNS=5000 npx vitest run test/pipeline`. */
export const runs = Number(process.env["PIPELINE_RUNS"] ?? 25);
