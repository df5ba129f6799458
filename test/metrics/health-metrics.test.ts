import * as fc from "fast-check";
import { expect, test } from "vitest";
import { HealthRollup } from "../../src/metrics/health-metrics.ts";
import type { ResourceHealth } from "../../src/metrics/resource-health.ts";
import type { AnyValue } from "../../src/model/attributes.ts";
import { ServiceDirectory } from "../../src/model/service-directory.ts";
import { identityOf } from "../../src/model/service-identity.ts";
import type { MetricPoint, MetricValue, Temporality } from "../../src/model/telemetry.ts";
import { minuteOf, type UnixNanos } from "../../src/model/time.ts";
import { notationStart } from "../notation.ts";

type Words = Readonly<Record<string, string>>;
interface Written {
  readonly resource?: Words;
  readonly attributes?: Words;
  readonly unit?: string;
  /** seconds */
  readonly at?: number;
  readonly start?: number;
}

test.each([
  ["process.cpu.utilization", gauge(0.6), {}, { cpu_usage: 0.6 }],
  ["k8s.container.cpu.limit_utilization", gauge(0.6), {}, { cpu_usage: 0.6 }],
  ["k8s.container.cpu_limit_utilization", gauge(0.6), {}, { cpu_usage: 0.6 }],
  ["jvm.cpu.recent_utilization", gauge(0.6), {}, { cpu_usage: 0.6 }],
  ["cpu_usage", gauge(0.6), {}, { cpu_usage: 0.6 }],
  ["app.cpu.usage", gauge(60), { unit: "%" }, { cpu_usage: 0.6 }],
  ["process_cpu_utilization_ratio", gauge(0.6), {}, { cpu_usage: 0.6 }],
  ["process.memory.utilization", gauge(0.7), {}, { memory_usage: 0.7 }],
  ["k8s.pod.memory_limit_utilization", gauge(1.05), {}, { memory_usage: 1.05 }],
  ["container.memory.percent", gauge(70), {}, { memory_usage: 0.7 }],
  ["memory_usage", gauge(0.7), {}, { memory_usage: 0.7 }],
  ["system.memory.utilization", gauge(0.7), { attributes: { state: "used" } }, { memory_usage: 0.7 }],
  ["queue.depth", gauge(156), {}, { queue_depth: 156 }],
  ["payments.queue.size", upDown(156), {}, { queue_depth: 156 }],
  ["kafka.consumer_group.lag_sum", gauge(156), {}, { queue_depth: 156 }],
  ["rabbitmq.message.current", upDown(156), { attributes: { state: "ready" } }, { queue_depth: 156 }],
  ["db.client.connections.usage", upDown(45), { attributes: { state: "used" } }, { connection_count: 45 }],
  [
    "db.client.connection.count",
    upDown(45),
    { attributes: { "db.client.connection.state": "used" } },
    { connection_count: 45 },
  ],
  ["postgresql.backends", upDown(45), {}, { connection_count: 45 }],
  ["db.client.connection.max", upDown(100), {}, { max_connections: 100 }],
  ["db.client.connections.max", upDown(100), {}, { max_connections: 100 }],
  ["max_connections", gauge(100), {}, { max_connections: 100 }],
  ["postgresql.deadlocks", counter(12), {}, { deadlock_count: 12 }],
  ["orders.deadlocks", delta(12), {}, { deadlock_count: 12 }],
  ["deadlock_count", gauge(12), {}, { deadlock_count: 12 }],
  ["mysql.query.slow.count", counter(8), {}, { slow_query_count: 8 }],
  ["db.slow_queries_total", counter(8), {}, { slow_query_count: 8 }],
  ["db.client.connection.timeouts", counter(23), {}, { timeout_count: 23 }],
  ["api.timeouts", counter(23), {}, { timeout_count: 23 }],
  ["rate_limit_hits", counter(5), {}, { rate_limit_hits: 5 }],
  ["http.client.rate_limited", counter(5), {}, { rate_limit_hits: 5 }],
  ["http.server.request.duration", gauge(3), {}, undefined],
  ["system.memory.utilization", gauge(0.2), { attributes: { state: "free" } }, undefined],
  ["process.cpu.utilization", gauge(Number.NaN), {}, undefined],
  ["process.cpu.utilization", gauge(-1), {}, undefined],
  ["process.cpu.utilization", gauge(Number.POSITIVE_INFINITY), {}, undefined],
  ["k8s.node.cpu.usage", gauge(3.2), {}, {}],
  ["mysql.connection.count", counter(45), {}, {}],
  ["kestrel.active_connections", upDown(45), {}, { connection_count: 45 }],
  ["kestrel.queued_connections", upDown(7), {}, { queue_depth: 7 }],
  ["kestrel.rejected_connections", counter(5), {}, { rate_limit_hits: 5 }],
  ["http.client.open_connections", upDown(9), { attributes: { "http.connection.state": "idle" } }, undefined],
] as const)("%s", (name, value, written, health) => {
  expect(healthOf([point(name, value, written)])).toEqual(health);
});

test("a gauge shows its last value, of the highest instance", () => {
  const cpu = (instance: string, at: number, value: number): MetricPoint =>
    point("process.cpu.utilization", gauge(value), { at, resource: { "service.instance.id": instance } });
  expect(healthOf([cpu("a", 10, 0.9), cpu("a", 70, 0.4), cpu("b", 70, 0.6), cpu("b", 20, 0.95)])).toEqual({
    cpu_usage: 0.6,
  });
});

test("absurd numbers are left out", () => {
  expect(healthOf([point("queue.depth", gauge(1e300), {})])).toBeUndefined();
  const limit = point("k8s.container.cpu.limit", gauge(1e-310), {});
  expect(healthOf([point("container.cpu.usage", gauge(1), {}), limit])).toEqual({});
});

test.each([
  ["container.cpu.usage", gauge(1), "k8s.container.cpu.limit", gauge(2), { cpu_usage: 0.5 }],
  ["k8s.pod.cpu.usage", gauge(1), "k8s.container.cpu.limit.desired", gauge(2), { cpu_usage: 0.5 }],
  ["jvm.memory.used", upDown(5), "jvm.memory.limit", upDown(10), { memory_usage: 0.5 }],
  ["v8js.memory.heap.used", gauge(5), "v8js.memory.heap.limit", gauge(10), { memory_usage: 0.5 }],
  ["v8js.memory.heap.used", gauge(5), "v8js.memory.heap.space.size", gauge(10), { memory_usage: 0.5 }],
  ["go.memory.used", upDown(5), "go.memory.limit", upDown(10), { memory_usage: 0.5 }],
  ["container.memory.working_set", gauge(5), "k8s.container.memory.limit", gauge(10), { memory_usage: 0.5 }],
  [
    "k8s.pod.memory.working_set",
    gauge(5),
    "k8s.container.memory.limit.desired",
    gauge(10),
    { memory_usage: 0.5 },
  ],
] as const)("%s against %s", (used, usedValue, limit, limitValue, health) => {
  expect(healthOf([point(used, usedValue, {}), point(limit, limitValue, {})])).toEqual(health);
});

test("a counter shows its growth in the window, over restarts and all instances", () => {
  const deadlocks = (instance: string, at: number, value: number, start = -90_000): MetricPoint =>
    point("db.deadlocks", counter(value), { at, start, resource: { "service.instance.id": instance } });
  const points = [
    // counting since yesterday: 500 -> 507, then a restart and 3 more
    deadlocks("a", 10, 500),
    deadlocks("a", 70, 507),
    deadlocks("a", 130, 3, 100),
    deadlocks("b", 15, 40),
    deadlocks("b", 75, 42),
  ];
  expect(healthOf(points)).toEqual({ deadlock_count: 12 });
  expect(healthOf(points.toReversed())).toEqual({ deadlock_count: 12 });
  expect(healthOf([...points, ...points])).toEqual({ deadlock_count: 12 });
  // the second minute alone: the growth since the last value before it
  expect(healthOf(points, { from: 1, to: 1 })).toEqual({ deadlock_count: 9 });
});

test("one value of a counter that began long ago says nothing of the window", () => {
  expect(healthOf([point("db.deadlocks", counter(500), { at: 10, start: -90_000 })])).toBeUndefined();
});

test("deltas add up, each once", () => {
  const points = [5, 65, 125].map((at) => point("api.timeouts", delta(4), { at }));
  expect(healthOf([...points, ...points])).toEqual({ timeout_count: 12 });
});

test("CPU seconds become a ratio by time and limit", () => {
  expect(
    healthOf(
      [
        point("process.cpu.time", counter(100), { at: 0, attributes: { "cpu.mode": "user" } }),
        point("process.cpu.time", counter(190), { at: 60, attributes: { "cpu.mode": "user" } }),
        point("process.cpu.time", counter(10), { at: 0, attributes: { "cpu.mode": "system" } }),
        point("process.cpu.time", counter(16), { at: 60, attributes: { "cpu.mode": "system" } }),
        point("k8s.container.cpu.limit", gauge(2), { at: 60 }),
      ].map((each) => ({ ...each, startTime: 1n as UnixNanos })),
    ),
  ).toEqual({ cpu_usage: 96 / (60 * 2) });
});

test("CPU time by mode is busy against all", () => {
  const mode = (cpu: string, state: string, value: number): MetricPoint =>
    point("system.cpu.utilization", gauge(value), { attributes: { cpu, state } });
  expect(
    healthOf([
      mode("0", "idle", 0.1),
      mode("0", "user", 0.9),
      mode("1", "idle", 0.3),
      mode("1", "user", 0.7),
    ]),
  ).toEqual({ cpu_usage: 0.8 });
});

test("used memory against its limit is a ratio", () => {
  expect(
    healthOf([
      point("container.memory.working_set", gauge(700), { unit: "By" }),
      point("k8s.container.memory.limit", gauge(1000), { unit: "By" }),
    ]),
  ).toEqual({ memory_usage: 0.7 });
});

test("what a sender computes itself wins over what we compute", () => {
  expect(
    healthOf([
      point("k8s.container.cpu.limit_utilization", gauge(0.9), {}),
      point("process.cpu.utilization", gauge(0.2), {}),
    ]),
  ).toEqual({ cpu_usage: 0.9 });
});

test("connections and their limit come from the same, the fullest pool", () => {
  const pool = (instance: string, used: number, max: number): readonly MetricPoint[] => [
    point("db.client.connection.count", upDown(used), {
      attributes: { "db.client.connection.state": "used" },
      resource: { "service.instance.id": instance },
    }),
    point("db.client.connection.count", upDown(7), {
      attributes: { "db.client.connection.state": "idle" },
      resource: { "service.instance.id": instance },
    }),
    point("db.client.connection.max", upDown(max), { resource: { "service.instance.id": instance } }),
  ];
  expect(healthOf([...pool("a", 45, 50), ...pool("b", 60, 100)])).toEqual({
    connection_count: 45,
    max_connections: 50,
  });
});

test.each([
  [{ "service.name": "database" }, {}, "database"],
  [{ "postgresql.database.name": "orders" }, {}, "orders"],
  [{}, { "db.namespace": "orders" }, "orders"],
  [{ "host.name": "cart-1" }, {}, "cart"],
  [{}, { "messaging.system": "kafka", "messaging.destination.name": "bills" }, "kafka:bills"],
  // the collector that scraped it is in the scope only as a sender
  [{ "service.name": "collector", "db.namespace": "orders" }, {}, "orders"],
])("metrics of %j %j are those of their node", (resource, attributes, service) => {
  const rollup = new HealthRollup();
  rollup.add([bare("db.deadlocks", delta(1), resource, attributes)]);
  const directory = new ServiceDirectory();
  directory.observe(identityOf(new Map(Object.entries({ "service.name": "cart", "host.name": "cart-1" }))));
  const known = new Set(["database", "orders", "cart", "kafka:bills"]);
  const health = rollup.window({ from: null, to: null, directory, isKnown: (name) => known.has(name) });
  expect(health.services).toEqual([service]);
});

test("the order of points does not show", () => {
  const points = fc.array(
    fc.record({
      name: fc.constantFrom("db.deadlocks", "process.cpu.utilization", "queue.depth"),
      at: fc.integer({ min: 0, max: 300 }),
      value: fc.integer({ min: 0, max: 50 }),
      instance: fc.constantFrom("a", "b"),
      kind: fc.constantFrom("gauge", "counter", "delta"),
    }),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(points, (all) => {
      const written = all.map(({ name, at, value, instance, kind }) =>
        point(name, kind === "gauge" ? gauge(value) : kind === "delta" ? delta(value) : counter(value), {
          at,
          resource: { "service.instance.id": instance },
        }),
      );
      expect(healthOf(written.toReversed())).toEqual(healthOf(written));
    }),
  );
});

test("old minutes can be dropped", () => {
  const rollup = new HealthRollup();
  rollup.add([point("queue.depth", gauge(5), { at: 10 }), point("queue.size", gauge(9), { at: 130 })]);
  rollup.dropBefore(minuteOf(notationStart as UnixNanos) + 1);
  expect(windowOf(rollup)).toEqual({ queue_depth: 9 });
});

function gauge(value: number): MetricValue {
  return { kind: "gauge", value };
}
function counter(value: number): MetricValue {
  return sum(value, true, "cumulative");
}
function delta(value: number): MetricValue {
  return sum(value, true, "delta");
}
function upDown(value: number): MetricValue {
  return sum(value, false, "cumulative");
}
function sum(value: number, isMonotonic: boolean, temporality: Temporality): MetricValue {
  return { kind: "sum", value, isMonotonic, temporality };
}

function point(name: string, value: MetricValue, written: Written): MetricPoint {
  const { resource = {}, attributes = {}, unit = "1", at = 30, start = 0 } = written;
  return {
    ...bare(name, value, { "service.name": "payment", ...resource }, attributes),
    unit,
    startTime: seconds(start),
    time: seconds(at),
  };
}

function bare(name: string, value: MetricValue, resource: Words, attributes: Words): MetricPoint {
  const mapOf = (words: Words): ReadonlyMap<string, AnyValue> => new Map(Object.entries(words));
  const time = notationStart as UnixNanos;
  return {
    resource: mapOf(resource),
    name,
    unit: "1",
    attributes: mapOf(attributes),
    startTime: time,
    time,
    value,
  };
}

function seconds(count: number): UnixNanos {
  return (notationStart + BigInt(count) * 1_000_000_000n) as UnixNanos;
}

function healthOf(
  points: readonly MetricPoint[],
  minutes?: { from: number; to: number },
): ResourceHealth | undefined {
  const rollup = new HealthRollup();
  rollup.add(points);
  return windowOf(rollup, minutes);
}

function windowOf(rollup: HealthRollup, minutes?: { from: number; to: number }): ResourceHealth | undefined {
  const first = minuteOf(notationStart as UnixNanos);
  return rollup
    .window({
      from: minutes === undefined ? null : first + minutes.from,
      to: minutes === undefined ? null : first + minutes.to,
      directory: new ServiceDirectory(),
      isKnown: () => true,
    })
    .service("payment");
}
