import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/interop/**/*.test.ts"],
    globalSetup: "test/build.ts",
    testTimeout: 60_000,
    // the collector is built from its Go modules at the first run
    hookTimeout: 900_000,
    pool: "forks",
  },
});
