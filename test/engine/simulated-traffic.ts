import type { Signal } from "../../src/engine/ports.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { notationStart, rowsOf } from "../notation.ts";
import { simulateCase } from "../simulator/case.ts";
import { filesOf } from "../simulator/write-case.ts";
import type { Live } from "./live.ts";

/** A small simulated case as requests to a server, and when its two windows are. */
export interface CaseTraffic {
  readonly requests: readonly { readonly signal: Signal; readonly body: Uint8Array }[];
  readonly baseline: CaseWindow;
  readonly incident: CaseWindow;
  /** where the fault is */
  readonly cause: string;
}

interface CaseWindow {
  readonly from: bigint;
  readonly to: bigint;
}

interface Truth {
  readonly root_cause_service: string;
  readonly windows: {
    readonly baseline: readonly [readonly [string, string]];
    readonly incident: readonly [string, string];
  };
}

export function caseTraffic(faultType: string, seed: number, requests = 300): CaseTraffic {
  const simulated = simulateCase({
    seed,
    faultType,
    services: 20,
    requests,
    windowMs: 240_000,
    sampleEveryMs: 15_000,
  });
  const files = filesOf(simulated, { dataset: "live", lostShare: 0 });
  const truth = files.truth as unknown as Truth;
  const bodies = (signal: Signal, lines: readonly string[]) =>
    lines.map((line) => ({ signal, body: Buffer.from(line) }));
  const [[from, to]] = truth.windows.baseline;
  const [start, end] = truth.windows.incident;
  return {
    requests: [
      ...bodies("traces", files.baseline),
      ...bodies("traces", files.incident),
      ...bodies("metrics", files.metrics),
      ...bodies("logs", files.logs),
    ],
    baseline: { from: BigInt(from), to: BigInt(to) },
    incident: { from: BigInt(start), to: BigInt(end) },
    cause: truth.root_cause_service,
  };
}

/**
 * The clock of a server is set to the end of the case, and everything arrives in the order given; with a pause, every third
 * span of a request so much earlier than the others.
 */
export async function play(
  server: Live,
  { incident }: CaseTraffic,
  { requests, pauseMs }: { readonly requests: CaseTraffic["requests"]; readonly pauseMs: number },
): Promise<void> {
  server.clock.nowMs = Number((incident.to - notationStart) / 1_000_000n) + 60_000;
  await server.wait(0);
  for (const { signal, body } of requests) {
    const { decoded } = decodeBody(signal, "json", body);
    if (decoded.signal === "traces" && pauseMs > 0) {
      const rows = rowsOf(decoded.table);
      await server.sendRows(rows.filter((_, i) => i % 3 === 0));
      await server.wait(pauseMs);
      await server.sendRows(rows.filter((_, i) => i % 3 !== 0));
    } else await server.engine.ingest({ signal, encoding: "json", body }, decoded);
  }
  await server.wait(60_000);
}
