#!/usr/bin/env node
import { main, reportBug } from "./cli/main.ts";

// A reader that has seen enough (`| head`) closes the pipe: no error of anybody.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.stderr.on("error", () => {
  // Nobody reads the messages; the result is worth going on for.
});
process.on("uncaughtException", (error) => process.exit(reportBug(error, process)));

process.exitCode = await main(process.argv.slice(2), process);
