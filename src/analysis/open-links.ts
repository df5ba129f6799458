import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { type TraceId, wordsOfHex } from "../model/ids.ts";
import { openLinksMax } from "../model/limits.ts";
import type { Call, CallKind, CallSide, NodeKind, OpenLink, TraceCalls } from "../trace/calls.ts";
import { callsOfLink } from "../trace/extract-calls.ts";
import { spanIdOf, type Trace } from "../trace/trace.ts";
import { LinkTargets } from "./link-targets.ts";

/**
 * Joins links with spans of other traces, whichever is seen first: the same calls come out in any order. Links wait for
 * their span; beyond `openLinksMax` the longest waiting go.
 */
export class OpenLinks {
  readonly #targets = new LinkTargets();
  /** by trace and span id of the target, oldest first */
  readonly #waiting = new Map<string, WaitingLink[]>();
  /** span ids that are waited for, as the low word: most spans of a trace need no look at their hex id */
  readonly #waitingWords = new Map<number, number>();
  /** what links of a trace became, by the linking trace */
  readonly #resolved = new Map<string, ResolvedLink[]>();
  /** the linking traces, by the trace that they found a span in */
  readonly #linkedFrom = new Map<string, Set<string>>();
  #waitingCount = 0;
  #droppedCount = 0;
  #version = 0;
  #keepsTargets = true;

  /** Grows with every link that begins to wait, finds its span or goes. */
  get version(): number {
    return this.#version;
  }

  /** Links whose span has not been seen. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Links that were given up to make room. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Promises that no link comes: no span need be remembered for one. */
  expectNone(): void {
    this.#keepsTargets = false;
  }

  /** The calls that come to light with this trace. */
  addTrace(trace: Trace, { openLinks }: TraceCalls): readonly Call[] {
    const found: Call[] = [];
    if (this.#keepsTargets) this.#targets.addTrace(trace);
    if (this.#waitingCount > 0) this.#joinWaiting(trace, found);
    for (const link of openLinks) this.#join(trace.traceId, link, found);
    return found;
  }

  /** The calls that links of this trace, or links to it, had become. Those to it wait for their span again. */
  removeTrace({ traceId }: Trace, { openLinks }: TraceCalls): readonly Call[] {
    for (const link of openLinks) this.#takeWaiting(keyOf(link), ({ from }) => from === traceId);
    if (openLinks.length > 0) this.#version += 1;
    const undone = this.#forget(traceId);
    for (const from of this.#linkedFrom.get(traceId) ?? []) {
      const all = this.#forget(from);
      for (const resolved of all)
        if (resolved.link.traceId === traceId) undone.push(resolved);
        else this.#remember(from, resolved);
      for (const { link } of all) if (link.traceId === traceId) this.#wait(from, link);
      this.#version += 1;
    }
    return undone.flatMap(({ calls }) => calls);
  }

  /** The traces that links of this one still wait for. */
  waitedForBy({ traceId }: Trace, { openLinks }: TraceCalls): readonly TraceId[] {
    const isWaiting = (link: OpenLink): boolean =>
      this.#waiting.get(keyOf(link))?.some(({ from }) => from === traceId) === true;
    return [...new Set(openLinks.filter(isWaiting).map((link) => link.traceId))];
  }

  /** What failed of other traces and links to spans of this one, in a stable order. */
  failuresLinkedTo(traceId: TraceId): readonly { readonly from: string; readonly link: OpenLink }[] {
    const found: { from: string; link: OpenLink }[] = [];
    for (const from of this.#linkedFrom.get(traceId) ?? [])
      for (const { link } of this.#resolved.get(from) ?? [])
        if (link.failed && link.traceId === traceId) found.push({ from, link });
    const keyed = found.map((failure) => ({
      failure,
      key: `${failure.from} ${keyOf(failure.link)} ${failure.link.span}`,
    }));
    return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ failure }) => failure);
  }

  save(out: SnapshotWriter): void {
    this.#targets.save(out);
    out.flag(this.#keepsTargets);
    out.number(this.#droppedCount);
    out.map(this.#waiting, (_, all) =>
      out.list(all, ({ from, link }) => {
        out.text(from);
        writeLink(out, link);
      }),
    );
    out.map(this.#resolved, (from, all) => {
      out.text(from);
      out.list(all, ({ link, calls }) => {
        writeLink(out, link);
        out.list(calls, (call) => writeCall(out, call));
      });
    });
  }

  load(from: SnapshotReader): void {
    this.#targets.load(from);
    this.#keepsTargets = from.flag();
    this.#droppedCount = from.number();
    const waiting = from.list(() => from.list(() => ({ from: from.text(), link: readLink(from) })));
    for (const { from: trace, link } of waiting.flat()) this.#wait(trace, link);
    for (let left = from.number(); left > 0; left -= 1) {
      const trace = from.text();
      const read = (): ResolvedLink => ({ link: readLink(from), calls: from.list(() => readCall(from)) });
      for (const resolved of from.list(read)) this.#remember(trace, resolved);
    }
    this.#version += 1;
  }

  #joinWaiting(trace: Trace, found: Call[]): void {
    for (const span of trace.spans) {
      if (!this.#waitingWords.has(span.table.spanId[span.row * 2 + 1] as number)) continue;
      const key = `${trace.traceId}${spanIdOf(span)}`;
      for (const { from, link } of this.#takeWaiting(key, () => true)) this.#join(from, link, found);
    }
  }

  #join(from: string, link: OpenLink, found: Call[]): void {
    this.#version += 1;
    const target = this.#targets.find(wordsOfHex(link.traceId), wordsOfHex(link.spanId));
    if (target === null) {
      this.#wait(from, link);
      return;
    }
    const calls = callsOfLink(link, target);
    found.push(...calls);
    this.#remember(from, { link, calls });
  }

  #remember(from: string, resolved: ResolvedLink): void {
    const known = this.#resolved.get(from);
    if (known !== undefined) known.push(resolved);
    else {
      if (this.#resolved.size >= openLinksMax) this.#forget(firstKey(this.#resolved) ?? "");
      this.#resolved.set(from, [resolved]);
    }
    const { traceId } = resolved.link;
    const linking = this.#linkedFrom.get(traceId);
    if (linking === undefined) this.#linkedFrom.set(traceId, new Set([from]));
    else linking.add(from);
  }

  #forget(from: string): ResolvedLink[] {
    const all = this.#resolved.get(from) ?? [];
    this.#resolved.delete(from);
    for (const { link } of all) {
      const linking = this.#linkedFrom.get(link.traceId);
      linking?.delete(from);
      if (linking?.size === 0) this.#linkedFrom.delete(link.traceId);
    }
    return all;
  }

  #wait(from: string, link: OpenLink): void {
    if (this.#waitingCount >= openLinksMax) {
      const dropped = this.#takeWaiting(firstKey(this.#waiting) ?? "", () => true);
      this.#droppedCount += dropped.length;
    }
    const key = keyOf(link);
    const known = this.#waiting.get(key);
    if (known !== undefined) known.push({ from, link });
    else this.#waiting.set(key, [{ from, link }]);
    this.#waitingCount += 1;
    const word = lowWordOf(key);
    this.#waitingWords.set(word, (this.#waitingWords.get(word) ?? 0) + 1);
  }

  #takeWaiting(key: string, isTaken: (waiting: WaitingLink) => boolean): readonly WaitingLink[] {
    const all = this.#waiting.get(key) ?? [];
    const taken = all.filter(isTaken);
    if (taken.length === 0) return taken;
    if (taken.length === all.length) this.#waiting.delete(key);
    else
      this.#waiting.set(
        key,
        all.filter((waiting) => !isTaken(waiting)),
      );
    this.#waitingCount -= taken.length;
    const word = lowWordOf(key);
    const left = (this.#waitingWords.get(word) ?? 0) - taken.length;
    if (left > 0) this.#waitingWords.set(word, left);
    else this.#waitingWords.delete(word);
    return taken;
  }
}

/** A link that found its span, and the calls that came of it. */
interface ResolvedLink {
  readonly link: OpenLink;
  readonly calls: readonly Call[];
}

interface WaitingLink {
  /** the linking trace */
  readonly from: string;
  readonly link: OpenLink;
}

function writeLink(out: SnapshotWriter, link: OpenLink): void {
  out.texts([link.traceId, link.spanId, link.service, link.operation]);
  out.optional(link.destination, (destination) => out.text(destination));
  for (const number of [link.span, link.startTime.minute, link.startTime.nanos, link.weight])
    out.number(number);
  out.optional(link.durationNanos, (nanos) => out.number(nanos));
  out.flag(link.failed);
}

function readLink(from: SnapshotReader): OpenLink {
  const [traceId, spanId = "", service = "", operation = ""] = from.texts();
  const destination = from.optional(() => from.text());
  return {
    traceId: traceId as TraceId,
    spanId,
    service,
    operation,
    destination,
    span: from.number(),
    startTime: { minute: from.number(), nanos: from.number() },
    weight: from.number(),
    durationNanos: from.optional(() => from.number()),
    failed: from.flag(),
  };
}

function writeCall(out: SnapshotWriter, call: Call): void {
  out.texts([call.caller, call.callerKind, call.callee, call.calleeKind, call.kind, call.operation]);
  for (const number of [call.startTime.minute, call.startTime.nanos, call.weight]) out.number(number);
  for (const side of [call.client, call.server])
    out.optional(side, ({ span, durationNanos, failed }) => {
      out.number(span);
      out.optional(durationNanos, (nanos) => out.number(nanos));
      out.flag(failed);
    });
  out.flag(call.isRefused === true);
}

function readCall(from: SnapshotReader): Call {
  const [caller = "", callerKind, callee = "", calleeKind, kind, operation = ""] = from.texts();
  const readSide = (): CallSide => ({
    span: from.number(),
    durationNanos: from.optional(() => from.number()),
    failed: from.flag(),
  });
  return {
    caller,
    callerKind: callerKind as NodeKind,
    callee,
    calleeKind: calleeKind as NodeKind,
    kind: kind as CallKind,
    operation,
    startTime: { minute: from.number(), nanos: from.number() },
    weight: from.number(),
    client: from.optional(readSide),
    server: from.optional(readSide),
    isRefused: from.flag(),
  };
}

function keyOf({ traceId, spanId }: OpenLink): string {
  return traceId + spanId;
}

function lowWordOf(key: string): number {
  return Number.parseInt(key.slice(-8), 16);
}

function firstKey<Value>(map: ReadonlyMap<string, Value>): string | undefined {
  return map.keys().next().value;
}
