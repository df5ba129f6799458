import { describe, expect, test } from "vitest";
import { fuse } from "../../src/cascade/fusion.ts";
import type { LatencySide, Series } from "../../src/cascade/latency-series.ts";
import { latencySignal } from "../../src/cascade/latency-signal.ts";

const nanosPerMs = 1_000_000;

interface SeriesText {
  readonly values: (i: number) => number;
  readonly request?: (i: number) => number;
  /** which instance of the callee, and of the caller */
  readonly instance?: (i: number) => number;
  readonly callerInstance?: (i: number) => number;
  readonly kind?: Series["kind"];
}

/** One value a trace; names are `service operation` for own time and `caller > callee operation` for calls. */
function sideOf(traces: number, texts: Readonly<Record<string, SeriesText>>): LatencySide {
  const series = new Map<string, Series>();
  const ofTraces = (value: (i: number) => number): number[] =>
    Array.from({ length: traces }, (_, i) => value(i));
  for (const [name, text] of Object.entries(texts)) {
    const { values, request, instance = () => -1, callerInstance = () => -1, kind } = text;
    const [from, to] = name.split(" > ") as [string, string?];
    const [service = "", operation = ""] = (to ?? from).split(" ");
    series.set(name, {
      kind: kind ?? (to === undefined ? "own" : "call"),
      caller: to === undefined ? service : from,
      callee: service,
      operation,
      values: Float64Array.from(ofTraces((i) => values(i) * nanosPerMs)),
      traces: Int32Array.from(ofTraces((i) => i)),
      requestsEach: 1,
      requestNanos: () =>
        request === undefined ? null : Float64Array.from(ofTraces((i) => request(i) * nanosPerMs)),
      callerInstances: Int32Array.from(ofTraces(callerInstance)),
      calleeInstances: Int32Array.from(ofTraces(instance)),
    });
  }
  return {
    traces,
    requests: traces,
    requestNanos: 100 * nanosPerMs,
    series,
    instances: ["cart-0", "cart-1", "cart-2", "cart-3"],
  };
}

const jitter = (i: number): number => 0.5 * (i % 4);

interface Gaps {
  readonly get?: readonly [gap: number, request: number];
  readonly put?: readonly [gap: number, request: number];
  readonly me?: readonly [gap: number, request: number];
}

/** web calls two operations of cart and one of user; usual gaps are 2 ms with 1 ms on the way there. */
function shop(traces: number, { get = [2, 1], put = [2, 1], me = [2, 1] }: Gaps = {}): LatencySide {
  const calls = ([gap, request]: readonly [number, number]): SeriesText => ({
    values: (i) => gap + jitter(i),
    request: (i) => request + jitter(i) / 2,
  });
  return sideOf(traces, {
    "web /cart": { values: (i) => 20 + (i % 5) },
    "cart GET": { values: (i) => 10 + jitter(i) },
    "cart PUT": { values: (i) => 12 + jitter(i) },
    "user ME": { values: (i) => 5 + jitter(i) },
    "web > cart GET": calls(get),
    "web > cart PUT": calls(put),
    "web > user ME": calls(me),
  });
}

function strengthsOf(after: LatencySide, before = shop(20)): Readonly<Record<string, number>> {
  const { findings } = latencySignal(before, after);
  return Object.fromEntries(
    [...findings].map(([service, { strength }]) => [service, Math.round(strength * 1e5) / 1e5]),
  );
}

describe("calls that lose time speak for the end", () => {
  test.each<readonly [string, Gaps, Readonly<Record<string, number>>]>([
    [
      "where answers arrive late, on all its connections",
      { get: [52, 1], put: [52, 1] },
      { web: 0.5975, cart: 0.99583 },
    ],
    [
      "whose connections are all late, even if requests arrive late",
      { get: [52, 51], put: [52, 51] },
      { web: 0.66389, cart: 0.89625 },
    ],
    [
      "that sends all its requests late",
      { get: [52, 51], put: [52, 51], me: [52, 51] },
      { web: 1.49375, cart: 0.89625, user: 0.44813 },
    ],
    [
      "whose only late connection is one of two rather than of three",
      { get: [52, 1] },
      { web: 0.14938, cart: 0.24896 },
    ],
  ])("%s", (_, gaps, strengths) => {
    expect(strengthsOf(shop(10, gaps))).toEqual(
      Object.fromEntries(
        Object.entries(strengths).map(([name, strength]) => [name, expect.closeTo(strength, 4)]),
      ),
    );
  });
});

test("P21: clocks that differ do not change which end is late, and one that was set in between tells nothing", () => {
  const skewed = (ms: number, lost: "before" | "after"): LatencySide =>
    shop(10, { get: [52, (lost === "before" ? 51 : 1) + ms], put: [2, 1 + ms] });
  const usual = (ms: number): LatencySide => shop(20, { get: [2, 1 + ms], put: [2, 1 + ms] });
  const atCaller = strengthsOf(skewed(0, "before"), usual(0));
  const atCallee = strengthsOf(skewed(0, "after"), usual(0));
  expect(atCaller["web"]).toBeGreaterThan(atCallee["web"]!);
  expect(atCaller["cart"]).toBeLessThan(atCallee["cart"]!);
  for (const ms of [-3_000, 30, 3_000]) {
    expect(strengthsOf(skewed(ms, "before"), usual(ms))).toEqual(atCaller);
    expect(strengthsOf(skewed(ms, "after"), usual(ms))).toEqual(atCallee);
  }
  for (const lost of ["before", "after"] as const)
    for (const ms of [-3_000, 3_000]) expect(strengthsOf(skewed(ms, lost), usual(0))).toEqual(atCallee);
});

test("the sentence tells what was measured", () => {
  const { findings } = latencySignal(shop(20), shop(10, { get: [52, 1], put: [52, 1] }));
  expect(findings.get("cart")?.kind).toBe("network");
  expect(findings.get("cart")?.evidence[0]).toMatchObject({
    kind: "became_slower",
    role: "called",
    caller: "web",
    callee: "cart",
    operation: "GET",
    slower: 2,
    series: 2,
    before: 20,
    after: 10,
    beforeNanos: 2.75 * nanosPerMs,
    afterNanos: 52.5 * nanosPerMs,
    z: expect.closeTo(4.4441, 4),
    addedNanos: expect.closeTo(99.583 * nanosPerMs, -4),
  });
  expect(
    fuse({ latency: findings }).map(({ service, score }) => [service, Number(score.toFixed(5))]),
  ).toEqual([
    ["cart", 0.76175],
    ["web", 0.44293],
  ]);
});

test("nothing has changed", () => {
  expect(latencySignal(shop(20), shop(20)).findings.size).toBe(0);
});

test("times that are twice as long everywhere, a power of two, change no share", () => {
  const twice = (side: LatencySide): LatencySide => ({
    ...side,
    requestNanos: side.requestNanos * 2,
    series: new Map(
      [...side.series].map(([name, series]) => [
        name,
        {
          ...series,
          values: series.values.map((value) => value * 2),
          requestNanos: () => series.requestNanos()?.map((value) => value * 2) ?? null,
        },
      ]),
    ),
  });
  const slow = shop(10, { get: [52, 1], put: [52, 1] });
  expect(strengthsOf(twice(slow), twice(shop(20)))).toEqual(strengthsOf(slow));
});

test("what became slower within the healthy time already is no finding", () => {
  const drifting = (traces: number, from: number): LatencySide =>
    sideOf(traces, { "web /cart": { values: (i) => (i < from ? 20 : 30) + (i % 5) } });
  expect(strengthsOf(drifting(20, 0), drifting(20, 10))).toEqual({});
  expect(strengthsOf(drifting(20, 0), drifting(20, 20))).toHaveProperty("web");
});

test("a database without spans of its own is slow itself; its caller counts a little less", () => {
  const db = (traces: number, ms: number): LatencySide =>
    sideOf(traces, { "web > orders SELECT": { values: (i) => ms + jitter(i), kind: "peer" } });
  const { findings } = latencySignal(db(20, 5), db(10, 40));
  expect([...findings.keys()]).toEqual(["orders", "web"]);
  expect(findings.get("orders")).toMatchObject({ kind: "latency", operation: "SELECT" });
  expect(findings.get("web")?.strength).toBeCloseTo(0.9 * (findings.get("orders")?.strength ?? 0), 9);
});

test("one slow instance of four is named, though the service as a whole is no slower by the quartiles", () => {
  const cart = (slow: number): LatencySide =>
    sideOf(80, {
      "cart GET": { values: (i) => (i % 4 === 1 ? slow : 10) + (i % 5), instance: (i) => i % 4 },
    });
  const { findings } = latencySignal(cart(10), cart(90));
  expect(findings.get("cart")).toMatchObject({ kind: "latency", instance: "cart-1", operation: "GET" });
  expect(latencySignal(cart(10), cart(10)).findings.size).toBe(0);
});

test("of two instances a slow one is as certain as its own times say, with names of instances or without", () => {
  const cart = (slow: number, hasNames: boolean): LatencySide =>
    sideOf(40, {
      "cart GET": {
        values: (i) => (i % 20 < 9 ? slow : 10) + ((i * 7) % 5),
        instance: (i) => (hasNames ? Number(i % 20 < 9) : -1),
      },
    });
  const marginOf = (hasNames: boolean): number =>
    latencySignal(cart(10, hasNames), cart(900, hasNames)).margins.get("cart") ?? 0;
  // ranks of all values: z² = 13, a chance of 1 in 4,000; those of the slow instance alone, or of the slow ones, say more
  expect(marginOf(true)).toBeGreaterThan(24);
  expect(marginOf(false)).toBeGreaterThan(20);
});

test("one call in eight that is far slower is a finding, though the quartiles stay; a wave that was there before is not", () => {
  const cart = (isSlow: (i: number) => boolean): LatencySide =>
    sideOf(160, { "cart GET": { values: (i) => (isSlow(i) ? 300 : 10) + (i % 5) } });
  const usual = cart(() => false);
  const { findings } = latencySignal(
    usual,
    cart((i) => i % 8 === 3),
  );
  expect(findings.get("cart")?.evidence[0]).toMatchObject({
    kind: "became_slower",
    tail: { limitNanos: 28 * nanosPerMs, before: { count: 0, of: 160 }, after: { count: 20, of: 160 } },
    addedNanos: expect.closeTo(36.25 * nanosPerMs, -6),
  });
  const waves = cart((i) => i < 80 && i % 8 === 3);
  expect(
    latencySignal(
      waves,
      cart((i) => i % 8 === 3),
    ).findings.size,
  ).toBe(0);
});

describe("where only some instances of one end are slow, it lies at that end", () => {
  const calls = (slow: number, at: "instance" | "callerInstance"): LatencySide =>
    sideOf(80, {
      "web > orders SELECT": {
        values: (i) => (i % 4 === 1 ? slow : 5) + jitter(i),
        [at]: (i: number) => i % 4,
        kind: "peer",
      },
    });
  test.each([
    ["callerInstance", "web", "orders"],
    ["instance", "orders", "web"],
  ] as const)("%s", (at, slow, other) => {
    const { findings } = latencySignal(calls(5, at), calls(90, at));
    const strengthAt = (service: string): number => findings.get(service)?.strength ?? 0;
    expect(findings.get(slow)?.instance).toBe("cart-1");
    expect(strengthAt(other)).toBeCloseTo(0.25 * strengthAt(slow), 9);
  });
});

test("a message's waiting counts from where half wait longer than nearly all did before", () => {
  const queue = (ms: number): LatencySide =>
    sideOf(80, {
      "web > mailer send": { values: (i) => ms + (i % 10 === 0 ? 100 : i % 7), kind: "message" },
    });
  const strengths = (ms: number): number => latencySignal(queue(10), queue(ms)).findings.size;
  expect([strengths(10), strengths(60), strengths(200)]).toEqual([0, 0, 1]);
});
