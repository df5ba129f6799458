import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/interop/**", "node_modules/**"],
    globalSetup: "test/build.ts",
    testTimeout: 30_000,
    pool: "forks",
    // many tests wait for sockets and processes, so every core gets a worker
    maxWorkers: "100%",
    // no test leaves anything behind in its process, and loading the sources once saves half of the time
    isolate: false,
  },
});
