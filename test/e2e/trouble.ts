import { expect } from "vitest";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import type { RunningServer } from "../cli/run-hypocenter.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";

const minutes = 16;
const requestsPerMinute = 30;

/** Sixteen minutes that end now; in the last one most requests fail in the cart. */
function requests(): string {
  const nowMs = Date.now() - Number(notationStart / 1_000_000n);
  return Array.from({ length: minutes * requestsPerMinute }, (_, i) => {
    const at = nowMs - (minutes - i / requestsPerMinute) * 60_000;
    const times = (start: number, end: number): string => `${at + start}..${at + end}ms`;
    const failed = i >= (minutes - 1) * requestsPerMinute && i % 5 > 0 ? "error" : "";
    return `
web GET /cart ${times(0, 40 + (i % 4))} server ${failed} trace=${i + 1}
  web GET ${times(5, 30)} client ${failed} server.address=cart
    cart GET /items ${times(8, 25)} server ${failed}`;
  }).join("\n");
}

/** Sends a server something that it will notice. */
export async function sendTrouble({ http }: RunningServer): Promise<void> {
  const answer = await fetch(`http://${http}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: tracesToJson(rowsOf(tableOf(requests()))),
  });
  expect(answer.status).toBe(200);
}
