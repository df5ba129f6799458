import { readFileSync } from "node:fs";
import { runInProcess } from "../cli/in-process.ts";

/** Documents that show what commands print. */
export const documentsWithOutput = [
  "README.md",
  "samples/missing-orders/README.md",
  "samples/pool-exhausted/README.md",
  "samples/slow-rates/README.md",
];

const block = /<!-- output: (.+?) -->\n```text\n[\s\S]*?```/g;

/**
 * A document with the output of its commands as it is now. A block is a comment `output:` with the words of the command line, and
 * below it fenced text: what a terminal of 100 columns shows without colours.
 */
export async function withCurrentOutput(path: string): Promise<string> {
  const text = readFileSync(path, "utf8");
  const commands = [...text.matchAll(block)].map(([, command = ""]) => command);
  const outputs = new Map<string, string>();
  for (const command of commands) {
    const { stdout, exitCode } = await runInProcess(command, { isTerminal: true, env: { NO_COLOR: "1" } });
    if (exitCode !== 0) throw new Error(`${path}: "${command}" ended with exit code ${exitCode}`);
    outputs.set(command, stdout.trimEnd());
  }
  return text.replaceAll(block, (_, command: string) => {
    const output = outputs.get(command) ?? "";
    return `<!-- output: ${command} -->\n\`\`\`text\n${output}\n\`\`\``;
  });
}
