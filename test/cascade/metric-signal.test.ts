import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { factText } from "../../src/advice/evidence-texts.ts";
import { metricSignal } from "../../src/cascade/metric-signal.ts";
import type { SignalFindings } from "../../src/cascade/signals.ts";
import { MetricRollup } from "../../src/metrics/metric-courses.ts";
import { metricCoursesMax } from "../../src/model/limits.ts";
import { ServiceDirectory } from "../../src/model/service-directory.ts";
import type { MetricPoint, MetricValue, Temporality } from "../../src/model/telemetry.ts";
import type { TimeRange, UnixNanos } from "../../src/model/time.ts";

const start = 1_700_000_000n * 1_000_000_000n;
const at = (minute: number): UnixNanos =>
  (start + BigInt(Math.round(minute * 60)) * 1_000_000_000n) as UnixNanos;

interface Written {
  readonly service?: string;
  readonly instance?: string;
  readonly unit?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

function point(name: string, minute: number, value: MetricValue, written: Written = {}): MetricPoint {
  const { service = "cart", instance = `${service}-1`, unit = "1", attributes = {} } = written;
  return {
    resource: new Map([
      ["service.name", service],
      ["service.instance.id", instance],
    ]),
    name,
    unit,
    attributes: new Map(Object.entries(attributes)),
    startTime: start as UnixNanos,
    time: at(minute),
    value,
  };
}

const gauge = (value: number): MetricValue => ({ kind: "gauge", value });
const sum = (value: number, isMonotonic = true, temporality: Temporality = "cumulative"): MetricValue => ({
  kind: "sum",
  value,
  isMonotonic,
  temporality,
});

/** A gauge (or what `make` makes of its values) of minutes 0, 1, 2, … */
function course(name: string, values: readonly number[], written: Written = {}, make = gauge): MetricPoint[] {
  return values.map((value, minute) => point(name, minute, make(value), written));
}

const window = (from: number, to: number): TimeRange[] => [{ from: at(from), to: at(to) }];

/** What minutes 10 to 12 say against those before. */
function signalOf(
  points: readonly MetricPoint[],
  ranges: readonly TimeRange[] = window(10, 12),
): SignalFindings {
  const rollup = new MetricRollup();
  rollup.add(points);
  const courses = rollup.read({ directory: new ServiceDirectory(), isKnown: () => false });
  return metricSignal({ courses, ranges }, null);
}

function checkStrengths(points: readonly MetricPoint[], expected: Readonly<Record<string, number>>): void {
  const strengths = [...signalOf(points)].map(([service, { strength }]) => [
    service,
    Math.round(strength * 1e4) / 1e4,
  ]);
  expect(Object.fromEntries(strengths)).toEqual(expected);
}

const cpu = "k8s.pod.cpu_limit_utilization";
const quiet = [0.2, 0.22, 0.18, 0.21, 0.19, 0.2, 0.23, 0.2, 0.19, 0.21];
const flat = (value: number, count = 10): number[] => Array.from({ length: count }, () => value);
const shortage = [
  ...course(cpu, [...quiet, 0.7, 0.74, 0.72]),
  ...course(cpu, [...quiet, 0.24, 0.25, 0.26], { service: "web" }),
  ...course(cpu, [...quiet, 0.22, 0.24, 0.23], { service: "user" }),
];

describe("shares of a limit", () => {
  test("who uses much more than before is short of it, less the rise that all have in common", () => {
    const findings = signalOf(shortage);
    expect([...findings.keys()]).toEqual(["cart"]);
    const cart = findings.get("cart");
    expect(cart?.strength).toBeCloseTo(0.47, 10);
    expect(cart).toMatchObject({ kind: "saturation", instance: "cart-1", operation: null, edge: null });
    const [fact] = cart?.evidence ?? [];
    expect(fact).toMatchObject({ kind: "metric_rise", metric: cpu, resource: "cpu", isShare: true });
    expect(fact?.kind === "metric_rise" ? fact.z : 0).toBeCloseTo(35.0735, 3);
    expect(fact === undefined ? "" : factText(fact, "en").statement).toBe(
      "CPU of cart-1 rises from 20 % to 72 % of its limit, 35 times its usual ups and downs",
    );
  });

  test("what rises at several processes is said once, and of no single one", () => {
    const rises = ["cart-1", "cart-2", "cart-3"].flatMap((instance, i) =>
      course(cpu, [...quiet, ...flat(i === 2 ? 0.4 : 0.8, 3)], { instance }),
    );
    const idle = course(cpu, [...quiet, 0.2, 0.2, 0.2], { service: "web" });
    const cart = signalOf([...rises, ...idle]).get("cart");
    expect(cart).toMatchObject({ instance: null, evidence: [{ instance: "cart-1", alike: 1 }] });
  });

  test("a rise that is small, within the spread, or shared by all is none", () => {
    checkStrengths(course(cpu, [...quiet, 0.29, 0.29, 0.29]), {});
    checkStrengths(course(cpu, [0.2, 0.7, 0.1, 0.8, 0.2, 0.9, 0.1, 0.6, 0.3, 0.7, 0.9, 0.9, 0.9]), {});
    const all = ["a", "b", "c", "d"].flatMap((service) =>
      course(cpu, [...quiet, 0.8, 0.8, 0.8], { service }),
    );
    checkStrengths(all, {});
    checkStrengths(course(cpu, [...quiet, 0.05, 0.05, 0.05]), {});
  });

  test("of one process alone the rise is its own, of two it is compared with the other", () => {
    const alone = course(cpu, [...flat(0.2), 0.7, 0.7, 0.7]);
    checkStrengths(alone, { cart: 0.5 });
    checkStrengths([...alone, ...course(cpu, [...flat(0.2), 0.3, 0.3, 0.3], { service: "web" })], {
      cart: 0.4,
    });
  });

  test("points count from the first instant of the incident to half a minute after its end", () => {
    const points = course(cpu, [...flat(0.2, 10), 0.2, 0.2, 0.9]);
    const strengthOf = (to: number): number => signalOf(points, window(11.5, to)).get("cart")?.strength ?? 0;
    expect(strengthOf(11.5)).toBeCloseTo(0.7, 10);
    expect(strengthOf(11.4)).toBe(0);
  });

  test.each([
    [
      "CPU seconds against cores",
      [
        ...course(
          "process.cpu.time",
          [...flat(0, 10), 60, 120, 180].map((busy, i) => i * 12 + busy * 0.8),
          { unit: "s" },
          sum,
        ),
        ...course("jvm.cpu.count", flat(1, 13)),
      ],
    ],
    [
      "a heap against its limit",
      [
        ...course("jvm.memory.used", [...flat(200), 1000, 1000, 1000], {
          unit: "By",
          attributes: { "jvm.memory.type": "heap" },
        }),
        ...course("jvm.memory.limit", flat(1000, 13), {
          unit: "By",
          attributes: { "jvm.memory.type": "heap" },
        }),
      ],
    ],
    [
      "a pool against its size",
      [
        ...course("db.client.connection.count", [...flat(2), 10, 10, 10], {
          attributes: { "db.client.connection.state": "used" },
        }),
        ...course("db.client.connection.max", flat(10, 13)),
      ],
    ],
    [
      "busy threads",
      [
        ...course("tomcat.threads.busy", [...flat(40), 200, 200, 200]),
        ...course("tomcat.threads.config.max", flat(200, 13)),
      ],
    ],
    ["a disk", course("system.filesystem.utilization", [...flat(0.2), 1, 1, 1])],
    ["an event loop", course("nodejs.eventloop.utilization", [...flat(0.2), 1, 1, 1])],
    ["a share of anything", course("license.seats.utilization", [...flat(20), 100, 100, 100], { unit: "%" })],
  ])("%s", (_, points) => {
    checkStrengths(points, { cart: 0.8 });
  });

  test("time in garbage collection, summed up by a histogram, is a share of the time", () => {
    const histogram = (total: number): MetricValue => ({
      kind: "histogram",
      count: 1,
      sum: total,
      min: null,
      max: null,
      bounds: [],
      bucketCounts: [],
      temporality: "cumulative",
    });
    const totals = Array.from({ length: 13 }, (_, i) => (i < 10 ? i * 600 : 5400 + (i - 9) * 30_600));
    checkStrengths(course("jvm.gc.duration", totals, { unit: "ms" }, histogram), { cart: 0.5 });
  });

  test("the full one of two pools is seen beside the empty one", () => {
    const pool = (name: string, values: readonly number[]): MetricPoint[] => [
      ...course("hikaricp.connections.active", values, { attributes: { pool: name } }),
      ...course("hikaricp.connections.max", flat(10, 13), { attributes: { pool: name } }),
    ];
    checkStrengths([...pool("orders", [...flat(1), 10, 10, 10]), ...pool("users", flat(1, 13))], {
      cart: 0.9,
    });
  });
});

describe("figures without a limit", () => {
  test("a queue that fills up counts, but less than a limit that comes near", () => {
    const queue = course("orders.queue.depth", [...flat(0), 500, 900, 700]);
    checkStrengths(queue, { cart: 0.15 });
    checkStrengths([...queue, ...course(cpu, [...flat(0.2), 0.4, 0.4, 0.4], { service: "web" })], {
      cart: 0.15,
      web: 0.2,
    });
  });

  test("any other figure has to double, for more than a moment, at few services alone", () => {
    const figure = (values: readonly number[], service = "cart"): MetricPoint[] =>
      course("open.files", values, { service });
    checkStrengths(figure([...flat(100), 1615, 1615, 1615]), { cart: 0.02 });
    checkStrengths(figure([...flat(100), 180, 180, 180]), {});
    checkStrengths(figure([...flat(100), 100, 9000, 100]), {});
    checkStrengths(figure([100, 900, 100, 800, 100, 900, 100, 700, 100, 900, 1615, 1615, 1615]), {});
    const many = ["a", "b", "c", "d", "e"].flatMap((service, i) =>
      figure([...flat(100), ...flat(i < 2 ? 1615 : 100, 3)], service),
    );
    checkStrengths(many, { a: 0.01, b: 0.01 });
  });

  test("counters are looked at as rates, over restarts, whether sent as totals or as growth", () => {
    const rates = [...flat(10), 160, 160, 160];
    const totals = rates.map((_, i) => rates.slice(0, i + 1).reduce((a, b) => a + b));
    const restarted = totals.map((total, i) => (i < 5 ? total : total - (totals[4] as number)));
    for (const values of [totals, restarted])
      checkStrengths(course("api.timeouts", values, {}, sum), { cart: 0.1452 });
    checkStrengths(
      course("api.timeouts", rates, {}, (value) => sum(value, true, "delta")),
      { cart: 0.1452 },
    );
    checkStrengths(
      course(
        "api.timeouts",
        Array.from({ length: 13 }, (_, i) => i * 100),
        {},
        sum,
      ),
      {},
    );
  });

  test("CPU without a limit is compared in cores", () => {
    checkStrengths(course("container.cpu.usage", [...flat(0.1), 1.5, 1.5, 1.5], { unit: "{cpu}" }), {
      cart: 0.1125,
    });
  });

  test("more than was requested, or than all of it, is no share of a limit", () => {
    const bursts = (name: string, value: number): MetricPoint[] =>
      course(name, [...flat(0.2), value, value, value]);
    checkStrengths(bursts("k8s.pod.cpu_request_utilization", 1.5), {});
    checkStrengths(bursts("app.utilization", 15), { cart: 0.0187 });
  });

  test("durations are left to traces", () => {
    checkStrengths(course("pod.latency.p99", [...flat(0.1), 90, 90, 90], { unit: "s" }), {});
  });
});

describe("what is compared with", () => {
  const courses = (points: readonly MetricPoint[]): ReturnType<MetricRollup["read"]> => {
    const rollup = new MetricRollup();
    rollup.add(points);
    return rollup.read({ directory: new ServiceDirectory(), isKnown: () => false });
  };
  const full = course(cpu, flat(0.9, 5));

  test("a baseline of its own, or nothing", () => {
    const incident = { courses: courses(full), ranges: null };
    expect(metricSignal(incident, null).size).toBe(0);
    expect(
      metricSignal(incident, { courses: courses(course(cpu, flat(0.2))), ranges: null }).get("cart")
        ?.strength,
    ).toBeCloseTo(0.7, 10);
    expect(metricSignal(incident, { courses: courses(full), ranges: null }).size).toBe(0);
    expect(metricSignal(incident, { courses: courses(course(cpu, [0.2])), ranges: null }).size).toBe(0);
  });

  test("few points of a baseline are taken together with those before the incident", () => {
    const all = courses(course(cpu, [0.9, ...flat(0.2), 0.8, 0.8, 0.8]));
    const incident = { courses: all, ranges: window(11, 13) };
    expect(metricSignal(incident, { courses: all, ranges: window(0, 1) }).get("cart")?.strength).toBeCloseTo(
      0.6,
      10,
    );
  });

  test("a process that is new is compared with the others of its service", () => {
    const old = course(cpu, flat(0.2), { instance: "cart-0" });
    const incident = { courses: courses(course(cpu, flat(0.8, 3), { instance: "cart-7" })), ranges: null };
    const finding = metricSignal(incident, { courses: courses(old), ranges: null }).get("cart");
    expect([finding?.instance, finding?.strength]).toEqual(["cart-7", expect.closeTo(0.6, 10)]);
  });
});

test("neither order nor repetition of points shows", () => {
  const points = [...shortage, ...course("orders.queue.depth", [...flat(0), 500, 900, 700])];
  const expected = [...signalOf(points)];
  expect(expected.length).toBeGreaterThan(0);
  fc.assert(
    fc.property(fc.shuffledSubarray([...points, ...points], { minLength: points.length * 2 }), (shuffled) => {
      expect([...signalOf(shuffled)]).toEqual(expected);
    }),
  );
});

test("values and times that cannot be cost only themselves", () => {
  const bad = [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300].map((value, i) =>
    point(cpu, 10 + i / 10, gauge(value)),
  );
  const undated = { ...point(cpu, 0, gauge(0.9)), time: 0n as UnixNanos };
  const ended = point(cpu, 11, { kind: "none", of: "gauge" });
  const far = { ...point(cpu, 0, gauge(0.1)), time: 0xffff_ffff_ffff_ffffn as UnixNanos };
  expect([...signalOf([...bad, undated, ended, far, ...shortage])]).toEqual([...signalOf(shortage)]);
});

test("more series than are kept are counted", () => {
  const rollup = new MetricRollup();
  const resource = new Map([["service.name", "cart"]]);
  for (let i = 0; i < metricCoursesMax + 3; i += 1)
    rollup.add([{ ...point(`m${i}.x`, 0, gauge(1)), resource }]);
  expect(rollup.droppedPoints).toBe(3);
});
