import { expect, test } from "vitest";
import { spansByRequest } from "./difference.ts";
import type { Effect } from "./effects.ts";
import { setPolicy } from "./fault-context.ts";
import { makeTopology } from "./make-topology.ts";
import { hasEnded, type Recording, type SimSpan } from "./recording.ts";
import { lengthOf } from "./seen.ts";
import { simulate } from "./simulate.ts";
import { allCalls, callsOf, nameOfTarget, type Topology } from "./topology.ts";

const seeds = [1, 2, 3];

test.each(seeds)("equal options give equal recordings (seed %d)", (seed) => {
  expect(factsOf(run(seed, []))).toEqual(factsOf(run(seed, [])));
});

test("another seed gives other requests", () => {
  expect(factsOf(run(1, []))).not.toEqual(factsOf(run(2, [])));
});

test.each(seeds)("an effect that never begins changes nothing (seed %d)", (seed) => {
  const topology = topologyOf(seed);
  const [service] = topology.services.filter(({ layer }) => layer > 0);
  const never = { from: 1e9, to: Infinity };
  const scope = { service: service! };
  const effects: Effect[] = [
    { kind: "error", ...never, scope, probability: 1, exception: "E", message: "" },
    { kind: "down", ...never, scope, isSilent: false, noticedMs: 0 },
    { kind: "arrivals", ...never, entry: topology.entries[0]!, factor: 10 },
  ];
  expect(factsOf(run(seed, effects, topology))).toEqual(factsOf(run(seed, [], topology)));
});

test.each(seeds)("an effect changes only requests that meet it (seed %d)", (seed) => {
  const topology = topologyOf(seed);
  const service = busiest(run(seed, [], topology));
  const scope = { service };
  const error: Effect = {
    kind: "error",
    from: 0,
    to: Infinity,
    scope,
    probability: 1,
    exception: "E",
    message: "",
  };
  // breakers and retries carry a fault from one request to the next
  setPolicy(allCalls(topology), { hasBreaker: false });
  const [off, on] = [run(seed, [], topology), run(seed, [error], topology)].map(spansByRequest);
  // what a message starts is labelled by what sent it
  const origin = (label: string): string => label.split(">")[0]!;
  const met = new Set<string>();
  for (const [label, spans] of off!)
    if ([...spans.values()].some(({ instance }) => instance.service === service)) met.add(origin(label));
  let untouched = 0;
  for (const [label, spans] of off!) {
    if (met.has(origin(label))) continue;
    untouched += 1;
    const lengths = (some: ReadonlyMap<number, SimSpan> | undefined): number[] =>
      [...(some?.values() ?? [])].map(lengthOf);
    expect(lengths(on!.get(label))).toEqual(lengths(spans));
  }
  expect(untouched).toBeGreaterThan(10);
  expect(untouched).toBeLessThan(off!.size);
});

test.each(seeds)("causes come before effects (seed %d)", (seed) => {
  const { spans } = run(seed, []);
  let [inside, after] = [0, 0];
  for (const span of spans.filter(hasEnded)) {
    const { parent, role, link } = span;
    expect(span.end).toBeGreaterThanOrEqual(span.start);
    const producer = role === "consumer" ? (parent ?? link) : null;
    if (producer !== null) {
      expect(span.start).toBeGreaterThanOrEqual(producer.end);
      after += 1;
    } else if (parent !== null) {
      expect(span.start).toBeGreaterThanOrEqual(parent.start);
      if (parent.failure?.type === "timeout") continue;
      expect(span.end).toBeLessThanOrEqual(parent.end);
      inside += 1;
    }
  }
  expect(inside).toBeGreaterThan(500);
  expect(after).toBeGreaterThan(0);
});

test.each([20, 60, 200])("a topology of %d services is layered, connected and uneven", (count) => {
  const topology = makeTopology({ seed: 5, services: count, requestRate: 2 });
  expect(topology.services).toHaveLength(count);
  expect(new Set(topology.services.map(({ name }) => name)).size).toBe(count);
  const peers = topology.peers.map(nameOfTarget);
  expect(new Set(peers).size).toBe(peers.length);
  expect(topology.entries.length).toBeGreaterThanOrEqual(2);
  expect(topology.entries.length).toBeLessThanOrEqual(15);
  for (const { from, to } of allCalls(topology))
    if (to.kind === "operation") expect(to.service.layer).toBeGreaterThan(from.service.layer);
  const roots = [...topology.entries, ...topology.crons].map(({ operation }) => operation);
  const reached = new Set(roots);
  for (const operation of reached)
    for (const { to } of callsOf(operation)) {
      if (to.kind === "operation") reached.add(to);
      else if (to.kind === "topic") reached.add(to.consumer);
    }
  const services = new Set([...reached].map(({ service }) => service));
  expect(services.size).toBeGreaterThan(count * 0.85);
  const indegrees = topology.services.map(
    (service) =>
      allCalls(topology).filter(({ to }) => to.kind === "operation" && to.service === service).length,
  );
  const most = indegrees.sort((a, b) => b - a);
  expect(most[0]!).toBeGreaterThan(3 * (most[Math.floor(count / 2)]! || 1));
});

test("more traffic than workers makes requests wait", () => {
  const topology = topologyOf(1);
  const service = busiest(run(1, [], topology));
  const waits = ({ spans }: Recording): number[] =>
    spans
      .filter(
        ({ role, instance, parent }) => role === "server" && parent !== null && instance.service === service,
      )
      .map((span) => lengthOf(span.parent!));
  const before = waits(run(1, [], topology));
  service.workers = 1;
  for (const operation of service.operations) operation.workMs *= 20;
  const after = waits(run(1, [], topology));
  expect(Math.max(...after)).toBeGreaterThan(Math.max(...before) * 5);
});

function topologyOf(seed: number): Topology {
  return makeTopology({ seed, services: 20, requestRate: 2 });
}

function run(seed: number, effects: readonly Effect[], topology = topologyOf(seed)): Recording {
  return simulate({ topology, seed, durationMs: 60_000, sampleEveryMs: 10_000, effects });
}

/** A service behind the entries with as many spans as none other. */
function busiest({ spans }: Recording) {
  const counts = new Map<SimSpan["instance"]["service"], number>();
  for (const { role, instance } of spans)
    if (role === "server" && instance.service.layer > 0)
      counts.set(instance.service, (counts.get(instance.service) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]![0];
}

/** What two runs are compared by: names instead of objects. */
function factsOf({ spans, logs, samples }: Recording): readonly unknown[] {
  return [
    spans.map(({ request, key, start, end, instance, failure }) => [
      request.label,
      key,
      start,
      end,
      instance.index,
      failure,
    ]),
    logs.map(({ time, text }) => [time, text]),
    samples.map(({ time, instance, cpuRatio, memoryRatio }) => [time, instance.index, cpuRatio, memoryRatio]),
  ];
}
