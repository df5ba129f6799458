import { Broker } from "./broker.ts";
import type { Effect } from "./effects.ts";
import { exponential, mix, Purpose, uniform } from "./random.ts";
import type { Recording, SimRequest } from "./recording.ts";
import { runOperation, serve } from "./server.ts";
import type { Entry, Instance, Operation, Topology } from "./topology.ts";
import { type Execution, World } from "./world.ts";

export interface RunOptions {
  readonly topology: Topology;
  /** decides every draw: two runs of one seed differ by their effects only */
  readonly seed: number;
  readonly durationMs: number;
  /** how much more or less each entry gets than the topology says, by its place in `entries`; left out = 1 */
  readonly entryFactors?: readonly number[];
  readonly effects: readonly Effect[];
  readonly sampleEveryMs: number;
}

/** How long requests in flight may still take when no new ones arrive. */
const drainMs = 35_000;
const probeEveryMs = 20_000;

/** One window of traffic, event by event. Equal options give equal recordings. */
export function simulate(options: RunOptions): Recording {
  const world = new World(options.topology, options.seed, options.effects);
  const broker = new Broker(world);
  world.serve = (execution) => serve(world, execution);
  world.publish = (producer, key) => broker.publish(producer, key);
  scheduleUsers(world, options);
  scheduleCrons(world, options);
  scheduleProbes(world, options);
  for (let time = options.sampleEveryMs; time <= options.durationMs; time += options.sampleEveryMs)
    world.queue.at(time, () => sample(world, broker, options));
  world.queue.runUntil(options.durationMs + drainMs);
  return world.recording();
}

function scheduleUsers(
  world: World,
  { topology, seed, durationMs, entryFactors, effects }: RunOptions,
): void {
  topology.entries.forEach((entry, place) => {
    const rate = entry.rate * (entryFactors?.[place] ?? 1);
    scheduleArrivals(world, entry, {
      label: `e${place}`,
      key: mix(seed, 1000 + place),
      rate,
      from: 0,
      to: durationMs,
    });
  });
  effects.forEach((effect, place) => {
    if (effect.kind !== "arrivals") return;
    const { entry, factor, from, to } = effect;
    const rate = entry.rate * (factor - 1);
    const label = `x${topology.entries.indexOf(entry)}`;
    const key = mix(seed, 2000 + place);
    scheduleArrivals(world, entry, { label, key, rate, from, to: Math.min(to, durationMs) });
  });
}

interface Arrivals {
  readonly label: string;
  readonly key: number;
  /** requests a second */
  readonly rate: number;
  readonly from: number;
  readonly to: number;
}

function scheduleArrivals(
  world: World,
  { operation }: Entry,
  { label, key, rate, from, to }: Arrivals,
): void {
  if (rate <= 0) return;
  let time = from;
  for (let i = 0; ; i += 1) {
    const requestKey = mix(key, i);
    time += exponential(requestKey, Purpose.Arrival, 1000 / rate);
    if (time >= to) return;
    const request = newRequest(`${label}#${i}`, requestKey, "user", operation);
    world.queue.at(time, () => start(world, request, operation, "server"));
  }
}

function scheduleCrons(world: World, { topology, seed, durationMs }: RunOptions): void {
  topology.crons.forEach(({ operation, periodMs }, place) => {
    const key = mix(seed, 3000 + place);
    const first = periodMs * uniform(key, Purpose.Arrival);
    for (let i = 0; first + i * periodMs < durationMs; i += 1) {
      const request = newRequest(`c${place}#${i}`, mix(key, i), "cron", operation);
      world.queue.at(first + i * periodMs, () => start(world, request, operation, "internal"));
    }
  });
}

/** A request that nobody else made; where no process is alive it leaves no trace. */
function start(world: World, request: SimRequest, operation: Operation, role: "server" | "internal"): void {
  world.requests.push(request);
  const { key } = request;
  const instance = world.balance(operation.service, key);
  if (instance === null || world.effects.down(instance, world.now) !== null) return;
  const execution: Execution = {
    request,
    key,
    parent: null,
    link: null,
    role,
    instance,
    operation,
    attempt: 0,
    isPoison: false,
    onDone: () => {},
  };
  if (role === "server") world.serve(execution);
  else runOperation(world, execution, world.now, () => {});
}

function scheduleProbes(world: World, { topology, seed, durationMs }: RunOptions): void {
  for (const instance of topology.probed.flatMap(({ instances }) => instances)) {
    const key = mix(seed, 4000 + instance.index);
    const first = probeEveryMs * uniform(key, Purpose.Arrival);
    for (let i = 0; first + i * probeEveryMs < durationMs; i += 1)
      world.queue.at(first + i * probeEveryMs, () =>
        probe(world, instance, mix(key, i), `p${instance.index}#${i}`),
      );
  }
}

function probe(world: World, instance: Instance, key: number, label: string): void {
  if (world.effects.down(instance, world.now) !== null) return;
  const request = newRequest(label, key, "probe", null);
  world.requests.push(request);
  const span = world.openSpan({ request, key, parent: null, role: "server", instance, attempt: 0 });
  request.root = span;
  world.queue.after(0.2 + uniform(key, Purpose.Work), () => {
    span.end = world.now;
  });
}

function newRequest(
  label: string,
  key: number,
  kind: SimRequest["kind"],
  operation: Operation | null,
): SimRequest {
  return { label, key, kind, isExtra: label.startsWith("x"), operation, root: null, isWrong: false };
}

function sample(world: World, broker: Broker, { topology, seed, sampleEveryMs }: RunOptions): void {
  const { now: time, effects } = world;
  for (const instance of topology.services.flatMap(({ instances }) => instances)) {
    const state = world.stateOf(instance);
    const { cpuLimitMs, cpuIdleRatio } = instance.service;
    const key = mix(mix(seed, 5000 + instance.index), Math.round(time));
    const used = state.cpuMs / (sampleEveryMs / 1000) / cpuLimitMs;
    state.cpuMs = 0;
    if (effects.down(instance, time) !== null) continue;
    const noise = 0.9 + 0.2 * uniform(key, Purpose.Cpu);
    const pauses = effects.pauseShare(instance, time);
    const busy = (cpuIdleRatio + used) * noise + effects.foreignLoad(instance, time) + pauses * 0.8;
    const usualMemory =
      0.3 + 0.3 * uniform(instance.index + 1, Purpose.Memory) + 0.02 * uniform(key, Purpose.Memory);
    const leak = Math.max(effects.leakShare(instance, time), pauses > 0 ? 0.9 : 0);
    world.samples.push({
      time,
      instance,
      version: effects.versionOf(instance, time),
      cpuRatio: Math.min(1, busy),
      memoryRatio: usualMemory + (0.98 - usualMemory) * leak,
      active: state.workers.used,
      queued: state.workers.waiting,
      gcSeconds: (pauses * sampleEveryMs) / 1000 + 0.01 * uniform(key, Purpose.Pause),
      pools: Array.from(state.pools, ([peer, pool]) => {
        const leaked = effects.leakedConnections(instance.service, peer, time);
        return {
          name: `${peer.system}-${peer.namespace}`,
          used: pool.used + leaked,
          size: pool.capacity + leaked,
          pending: pool.waiting,
        };
      }),
    });
  }
  for (const topic of topology.topics) world.topicSamples.push({ time, topic, lag: broker.lagOf(topic) });
}
