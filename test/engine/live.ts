import { createEngine, type Engine } from "../../src/engine/engine.ts";
import type { EngineLimits } from "../../src/engine/limits.ts";
import type { Clock, Encoding, TelemetryStore } from "../../src/engine/ports.ts";
import type { TraceId } from "../../src/model/ids.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { encodeTraces } from "../../src/otlp/encode-traces.ts";
import { tracesToJson } from "../../src/otlp/json-write.ts";
import {
  createMemoryStore,
  defaultMemoryStoreLimits,
  type MemoryStoreLimits,
} from "../../src/storage/memory-store.ts";
import type { RowRef } from "../../src/trace/trace.ts";
import { notationStart, rowsOf, tableOf } from "../notation.ts";

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  nowMs = 1_000_000;
  /** how far the wall clock was set forward */
  jumpMs = 0;

  unixNanos(): UnixNanos {
    return (notationStart + BigInt(Math.round((this.nowMs + this.jumpMs) * 1e6))) as UnixNanos;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
}

export interface Live {
  readonly engine: Engine;
  readonly store: TelemetryStore;
  readonly clock: FakeClock;
  readonly faults: unknown[];
  /** One request with the spans of the notation. */
  send(text: string): Promise<void>;
  sendRows(rows: readonly RowRef[], encoding?: Encoding): Promise<void>;
  /** Time passes, and what is due is folded. */
  wait(ms: number): Promise<void>;
}

export function live(
  limits: Partial<EngineLimits> = {},
  storeLimits: Partial<MemoryStoreLimits> = {},
  store = createMemoryStore({ ...defaultMemoryStoreLimits, ...storeLimits }),
  clock = new FakeClock(),
): Live {
  const faults: unknown[] = [];
  const engine = createEngine({
    store,
    clock,
    limits: { windowAgeMsMax: 0, ...limits },
    onFault: (fault) => faults.push(fault),
  });
  const sendRows = async (rows: readonly RowRef[], encoding: Encoding = "protobuf"): Promise<void> => {
    const body = encoding === "json" ? Buffer.from(tracesToJson(rows)) : encodeTraces(rows);
    const { decoded } = decodeBody("traces", encoding, body);
    await engine.ingest({ signal: "traces", encoding, body }, decoded);
  };
  return {
    engine,
    store,
    clock,
    faults,
    sendRows,
    send: (text) => sendRows(rowsOf(tableOf(text))),
    wait: async (ms) => {
      clock.nowMs += ms;
      await engine.foldDue();
    },
  };
}

/** The trace that the notation calls `trace=N`. */
export function idOf(trace: number): TraceId {
  return trace.toString(16).padStart(32, "0") as TraceId;
}
