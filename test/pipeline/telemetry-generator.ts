import * as fc from "fast-check";
import type { MetricPoint, MetricValue } from "../../src/model/telemetry.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { notationStart } from "../notation.ts";

/** What some services told about themselves: spans in the notation of the tests, so that a counterexample can be read. */
export interface Telemetry {
  readonly text: string;
  readonly metrics: readonly MetricPoint[];
}

/**
 * Small systems as they are in the world: requests that fail, retry and time out, databases and queues, links between traces,
 * services of one name in two namespaces, and every way in which spans can be broken. All traces start within two minutes.
 */
export function telemetry(): fc.Arbitrary<Telemetry> {
  return fc
    .record({ steps: fc.array(step(), { minLength: 1, maxLength: 14 }), metrics: fc.array(metricPoint()) })
    .map(({ steps, metrics }) => ({ text: new Writer().write(steps), metrics }));
}

/** One thing that happens. Numbers choose among what there is, so that any list of steps means something. */
type Step =
  | { readonly kind: "request"; readonly service: number; readonly at: number; readonly outcome: Outcome }
  | { readonly kind: "call"; readonly from: number; readonly service: number; readonly outcome: Outcome }
  | { readonly kind: "peer"; readonly from: number; readonly peer: number; readonly outcome: Outcome }
  | { readonly kind: "message"; readonly from: number; readonly service: number; readonly isLinked: boolean }
  | { readonly kind: "work"; readonly from: number; readonly outcome: Outcome }
  | { readonly kind: "repeat"; readonly from: number; readonly words: string }
  | {
      readonly kind: "broken";
      readonly from: number;
      readonly service: number;
      readonly parent: "none" | "missing" | "itself" | "later" | "other";
      readonly interval: string;
      readonly words: string;
    };

interface Outcome {
  readonly offset: number;
  readonly ms: number;
  readonly words: string;
  readonly calleeWords: string;
  readonly isRetried: boolean;
}

function step(): fc.Arbitrary<Step> {
  const from = fc.nat(40);
  const service = fc.nat(places.length - 1);
  return fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("request" as const), service, at: fc.nat(115), outcome: outcome() }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("call" as const), from, service, outcome: outcome() }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("peer" as const), from, peer: fc.nat(peers.length - 1), outcome: outcome() }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("message" as const), from, service, isLinked: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("work" as const), from, outcome: outcome() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("repeat" as const), from, words: fc.constantFrom("", "error", "more=1") }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("broken" as const),
        from,
        service,
        parent: fc.constantFrom("none", "missing", "itself", "later", "other"),
        interval: fc.constantFrom("0..5", "3..3", "9..2", "4..", "..", "0..40000", "-20..700"),
        words: fc.constantFrom("", "server", "client error", "consumer link=999", "producer", "internal link=3/3"),
      }),
    },
  ); // biome-ignore format: one line a kind
}

function outcome(): fc.Arbitrary<Outcome> {
  return fc.record({
    offset: fc.constantFrom(0, 1, 5, 20, -3),
    ms: fc.constantFrom(0, 1, 10, 50, 300, 2000),
    words: fc.constantFrom(
      "", "", "", "error", "error error.type=timeout", "error http.response.status_code=503", "http.status_code=404",
      `error exception="java.io.IOException: reset"`, `error status="no answer within 300 ms"`, "ok", "rpc.grpc.status_code=14",
      "tracestate=ot=th:5", "tracestate=ot=th:c",
    ),
    calleeWords: fc.constantFrom("", "", "error", "http.response.status_code=500", "error error.type=OutOfMemoryError"),
    isRetried: fc.boolean(),
  }); // biome-ignore format: lists
}

/** What a client span says of somebody who sends no spans of its own, or of a service by its address. */
const peers = [
  "db.system.name=postgresql db.namespace=orders server.address=db.example db.operation.name=SELECT",
  "db.system=mysql db.name=stock net.peer.name=10.0.0.7",
  "db.system=redis net.peer.name=10.0.0.7 net.peer.port=6379",
  "server.address=pay.example server.port=443 http.request.method=POST",
  "service.peer.name=payments server.address=pay.example",
  "server.address=a3 server.port=8080",
  "server.address=h1",
  "messaging.system=kafka messaging.destination.name=orders",
  "url.full=https://pay.example/charges",
  "",
];

/** Where the spans of a service say that they come from: two of one name in two namespaces, two instances, one without a name. */
const places = [
  { service: "a0", words: "host=h0" },
  { service: "a1", words: "host=h1 instance=i1" },
  { service: "a1", words: "host=h2 instance=i2 namespace=shop" },
  { service: "a3", words: "" },
  { service: "a4", words: "host=h1 version=2" },
  { service: "-", words: "host=h5" },
];

interface Written {
  readonly id: number;
  readonly trace: number;
  readonly service: number;
  readonly start: number;
  readonly line: string;
}

class Writer {
  readonly #spans: Written[] = [];
  readonly #lines: string[] = [];
  #traces = 0;

  write(steps: readonly Step[]): string {
    for (const each of steps) this.#step(each);
    return this.#lines.join("\n");
  }

  #step(each: Step): void {
    switch (each.kind) {
      case "request":
        this.#request(each.service, each.at * 1000, each.outcome);
        return;
      case "call": {
        const caller = this.#some(each.from);
        for (let time = 0; time <= Number(each.outcome.isRetried); time += 1)
          this.#call(caller, each.service, time * 20, each.outcome);
        return;
      }
      case "peer": {
        const { offset, ms, words } = each.outcome;
        const caller = this.#some(each.from);
        const start = caller.start + offset;
        this.#span(caller.service, caller, { start, ms, words: `client ${words} ${peers[each.peer]}` });
        return;
      }
      case "message":
        this.#message(this.#some(each.from), each.service, each.isLinked);
        return;
      case "work": {
        const { offset, ms, words } = each.outcome;
        const above = this.#some(each.from);
        this.#span(above.service, above, { start: above.start + offset, ms, words });
        return;
      }
      case "repeat":
        this.#lines.push(`${this.#some(each.from).line} ${each.words}`.trimEnd());
        return;
      case "broken":
        this.#broken(this.#some(each.from), each);
    }
  }

  #request(service: number, start: number, { ms, words }: Outcome): Written {
    this.#traces += 1;
    return this.#span(service, null, { start, ms, words: `server ${words}`, trace: this.#traces });
  }

  #call(
    caller: Written,
    service: number,
    delayMs: number,
    { offset, ms, words, calleeWords }: Outcome,
  ): void {
    const start = caller.start + offset + delayMs;
    const client = this.#span(caller.service, caller, { start, ms, words: `client ${words}` });
    // an answer may come after its caller has given up
    const calleeMs = words.includes("timeout") ? ms * 3 : Math.max(0, ms - 2);
    this.#span(service, client, { start: start + 1, ms: calleeMs, words: `server ${calleeWords}` });
  }

  #message(sender: Written, service: number, isLinked: boolean): void {
    const words = "messaging.system=kafka messaging.destination.name=mails";
    const sent = this.#span(sender.service, sender, {
      start: sender.start + 1,
      ms: 1,
      words: `producer ${words}`,
    });
    if (isLinked) this.#traces += 1;
    const link = isLinked ? `link=${sent.trace}/${sent.id}` : "";
    const trace = isLinked ? this.#traces : sent.trace;
    this.#span(service, isLinked ? null : sent, {
      start: sent.start + 30,
      ms: 5,
      words: `consumer ${words} ${link}`,
      trace,
    });
  }

  #broken(near: Written, { service, parent, interval, words }: Extract<Step, { kind: "broken" }>): void {
    const id = this.#spans.length + 1;
    const { trace } = near;
    const parents = { none: "none", missing: 998, itself: id, later: id + 1, other: near.id };
    const [from, to] = interval.split("..") as [string, string];
    const time = (digits: string): string => (digits === "" ? "" : `${near.start + Number(digits)}`);
    this.#push(service, near.start, {
      id,
      trace,
      words: `${time(from)}..${time(to)}ms ${words} parent=${parents[parent]}`,
    });
  }

  #some(choice: number): Written {
    if (this.#spans.length === 0)
      this.#request(0, 0, { offset: 0, ms: 50, words: "", calleeWords: "", isRetried: false });
    return this.#spans[choice % this.#spans.length]!;
  }

  #span(
    service: number,
    above: Written | null,
    { start, ms, words, trace }: { start: number; ms: number; words: string; trace?: number },
  ): Written {
    const id = this.#spans.length + 1;
    return this.#push(service, start, {
      id,
      trace: trace ?? above?.trace ?? 1,
      words: `${start}..${start + ms}ms ${words} parent=${above?.id ?? "none"}`,
    });
  }

  #push(
    service: number,
    start: number,
    { id, trace, words }: { id: number; trace: number; words: string },
  ): Written {
    const place = places[service]!;
    const line = `${place.service} op${id % 3} ${words} ${place.words} id=${id} trace=${trace}`.replace(
      / +/g,
      " ",
    );
    const written = { id, trace, service, start, line };
    this.#spans.push(written);
    this.#lines.push(line);
    return written;
  }
}

function metricPoint(): fc.Arbitrary<MetricPoint> {
  return fc
    .record({
      service: fc.constantFrom("a0", "a1", "a3", "z9"),
      instance: fc.constantFrom("i1", "i2"),
      metric: fc.constantFrom(...metrics),
      second: fc.nat(170),
      value: fc.constantFrom(0, 0.1, 0.2, 0.7, 12, 100),
      startSecond: fc.constantFrom(null, 0, -90_000),
    })
    .map(({ service, instance, metric: [name, read], second, value, startSecond }) => ({
      resource: new Map([
        ["service.name", service],
        ["service.instance.id", instance],
      ]),
      name,
      unit: "",
      attributes: new Map(),
      startTime: startSecond === null ? (0n as UnixNanos) : atSecond(startSecond),
      time: atSecond(second),
      value: read(value),
    }));
}

const metrics: readonly (readonly [name: string, read: (value: number) => MetricValue])[] = [
  ["process.cpu.utilization", (value) => ({ kind: "gauge", value })],
  ["process.memory.utilization", (value) => ({ kind: "gauge", value })],
  ["queue.depth", (value) => ({ kind: "sum", value, isMonotonic: false, temporality: "cumulative" })],
  ["db.deadlocks", (value) => ({ kind: "sum", value, isMonotonic: true, temporality: "cumulative" })],
  ["api.timeouts", (value) => ({ kind: "sum", value, isMonotonic: true, temporality: "delta" })],
];

function atSecond(second: number): UnixNanos {
  return (notationStart + BigInt(second) * 1_000_000_000n) as UnixNanos;
}
