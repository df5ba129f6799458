import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { faultKinds, healthyKinds } from "./faults.ts";
import { failuresIn, lengthOf, medianOf, Seen, smallCase } from "./seen.ts";

/** What each fault does to the requests that meet its mechanism. */
const mechanisms: Readonly<Record<string, (seen: Seen) => void>> = {
  error: throws,
  error_masked: (seen) => {
    throws(seen);
    expect(seen.simulated.impact?.failedRequests).toBeLessThan(5);
    expect(seen.simulated.impact?.visibility).toBe("masked");
  },
  latency: isSlower,
  latency_operation: (seen) => {
    isSlower(seen, ({ operation }) => operation?.name === seen.cause.operation);
    isAsBefore(seen, ({ operation }) => operation?.name !== seen.cause.operation);
  },
  latency_instance: (seen) => {
    isSlower(seen, ({ instance }) => instance.ordinal === seen.cause.instance);
    isAsBefore(seen, ({ instance }) => instance.ordinal !== seen.cause.instance);
  },
  latency_version: ({ on, cause }) => {
    const lengths = (isNew: boolean): number[] =>
      on
        .servedBy(cause.name)
        .filter(({ version }) => (version === cause.version) === isNew)
        .map(lengthOf);
    expect(medianOf(lengths(true))).toBeGreaterThan(medianOf(lengths(false)) + 100);
  },
  client_timeout: (seen) => {
    expect(failuresIn(seen.on.callsTo(seen.cause.name), "timeout")).toBeGreaterThan(5);
    expect(failuresIn(seen.on.servedBy(seen.cause.name))).toBe(
      failuresIn(seen.off.servedBy(seen.cause.name)),
    );
  },
  crash: ({ on, off, cause }) => {
    expect(on.servedBy(cause.name)).toEqual([]);
    expect(off.servedBy(cause.name).length).toBeGreaterThan(5);
    expect(failuresIn(on.callsTo(cause.name))).toBeGreaterThan(5);
  },
  crash_instance: ({ on, cause }) => {
    const alive = new Set(on.servedBy(cause.name).map(({ instance }) => instance.ordinal));
    expect(alive.has(cause.instance!)).toBe(false);
    expect(alive.size).toBeGreaterThan(0);
    expect(failuresIn(on.callsTo(cause.name))).toBeGreaterThan(0);
  },
  network_delay: (seen) => {
    expect(medianOf(gapsAtInstance(seen, "on"))).toBeGreaterThan(medianOf(gapsAtInstance(seen, "off")) + 50);
    const elsewhere = (run: "on" | "off"): number =>
      medianOf(
        seen[run].gaps((client, server) => !isAt(seen, client.instance) && !isAt(seen, server.instance)),
      );
    expect(elsewhere("on")).toBeCloseTo(elsewhere("off"), 0);
  },
  packet_loss: (seen) => {
    const resent = (run: "on" | "off"): number => gapsAtInstance(seen, run).filter((gap) => gap > 200).length;
    expect(resent("off")).toBe(0);
    expect(resent("on")).toBeGreaterThan(3);
  },
  edge_delay: (seen) => {
    expect(medianOf(gapsOnEdge(seen, "on"))).toBeGreaterThan(medianOf(gapsOnEdge(seen, "off")) + 100);
  },
  edge_loss: (seen) => {
    const { edge } = seen.cause;
    const resent = (run: "on" | "off"): number =>
      seen[run].callsTo(edge?.callee ?? "", edge?.caller).filter((span) => lengthOf(span) > 200).length;
    expect(resent("on")).toBeGreaterThan(resent("off") + 3);
  },
  dns: ({ on, cause }) => {
    const unresolved = on.spans.filter(({ failure }) => failure?.type === "dns");
    const own = unresolved.filter(({ role }) => role === "client");
    expect(own.length).toBeGreaterThan(5);
    expect(new Set(own.map(({ instance }) => instance.service.name))).toEqual(new Set([cause.name]));
  },
  db_slow: (seen) => {
    sendsNoSpans(seen);
    const [on, off] = [seen.on, seen.off].map((run) => medianOf(run.callsTo(seen.cause.name).map(lengthOf)));
    expect(on).toBeGreaterThan(off! + 30);
  },
  db_lock: (seen) => {
    sendsNoSpans(seen);
    const writes = seen.on.callsTo(seen.cause.name).filter(({ call }) => call?.verb !== "SELECT");
    expect(medianOf(writes.map(lengthOf))).toBeGreaterThan(500);
  },
  db_down: (seen) => {
    sendsNoSpans(seen);
    const calls = seen.on.callsTo(seen.cause.name);
    expect(failuresIn(calls, "refused")).toBe(calls.length);
  },
  cache_down: (seen) => {
    sendsNoSpans(seen);
    const calls = seen.on.callsTo(seen.cause.name);
    expect(failuresIn(calls)).toBe(calls.length);
    const behind = new Set(calls.map(({ call }) => call?.onMiss));
    const queries = (run: "on" | "off"): number =>
      seen[run].spans.filter(({ call }) => behind.has(call)).length;
    expect(queries("on")).toBeGreaterThan(queries("off") * 2);
  },
  external_down: (seen) => {
    sendsNoSpans(seen);
    expect(failuresIn(seen.on.callsTo(seen.cause.name))).toBeGreaterThan(5);
    expect(failuresIn(seen.off.callsTo(seen.cause.name))).toBe(0);
  },
  retry_storm: ({ on, off, cause }) => {
    expect(on.callsTo(cause.name).length).toBeGreaterThan(off.callsTo(cause.name).length * 1.5);
    expect(on.callsTo(cause.name).some(({ attempt }) => attempt > 1)).toBe(true);
  },
  leak: ({ on, cause, simulated }) => {
    const spans = on.servedBy(cause.name);
    const half = Math.floor(spans.length / 2);
    expect(medianOf(spans.slice(half).map(lengthOf))).toBeGreaterThan(
      medianOf(spans.slice(0, half).map(lengthOf)) + 20,
    );
    const memory = samplesOf(simulated, cause.name).map(({ memoryRatio }) => memoryRatio);
    expect(Math.max(...memory)).toBeGreaterThan(0.85);
  },
  gc_pauses: ({ on, off, cause, simulated }) => {
    const longest = (lengths: readonly number[]): number => Math.max(...lengths);
    expect(longest(on.servedBy(cause.name).map(lengthOf))).toBeGreaterThan(
      longest(off.servedBy(cause.name).map(lengthOf)) + 200,
    );
    expect(longest(samplesOf(simulated, cause.name).map(({ gcSeconds }) => gcSeconds))).toBeGreaterThan(0.5);
  },
  cpu_contention: (seen) => {
    isSlower(seen, () => true, 10);
    const busy = seen.simulated.incident.samples.filter(({ cpuRatio }) => cpuRatio > 0.6);
    expect(new Set(busy.map(({ instance }) => instance.service.name))).toContain(seen.cause.name);
  },
  breaker_open: ({ on, off, cause }) => {
    expect(on.callsTo(cause.name).length).toBeLessThan(off.callsTo(cause.name).length * 0.8);
    expect(on.spans.some(({ withheld }) => withheld !== null)).toBe(true);
    expect(off.spans.some(({ withheld }) => withheld !== null)).toBe(false);
  },
  pool_exhausted: ({ on, off, cause, simulated }) => {
    expect(failuresIn(on.servedBy(cause.name), "pool")).toBeGreaterThan(3);
    expect(failuresIn(off.servedBy(cause.name), "pool")).toBe(0);
    const isFull = samplesOf(simulated, cause.name).some(({ pools }) =>
      pools.some(({ used, size }) => used >= size),
    );
    expect(isFull).toBe(true);
  },
  consumer_stalled: ({ on, off, cause, simulated }) => {
    const consumed = (run: typeof on): number =>
      run.servedBy(cause.name).filter(({ role }) => role === "consumer").length;
    expect(consumed(on)).toBeLessThan(consumed(off));
    expect(Math.max(...simulated.incident.topicSamples.map(({ lag }) => lag))).toBeGreaterThan(5);
  },
  poison_message: ({ on, cause }) => {
    const again = on.servedBy(cause.name).filter(({ attempt }) => attempt > 0);
    expect(again.length).toBeGreaterThan(3);
    expect(failuresIn(again)).toBe(again.length);
  },
  traffic_surge: (seen) => {
    isSlower(seen, ({ operation }) => operation?.name === seen.cause.operation, 20);
    expect(seen.simulated.incident.requests.filter(({ isExtra }) => isExtra).length).toBeGreaterThan(20);
    expect(seen.simulated.faultFree.requests.some(({ isExtra }) => isExtra)).toBe(false);
  },
  bad_release: ({ on, cause }) => {
    const failing = on.servedBy(cause.name).filter(({ failure }) => failure?.type === "error");
    const ofNew = failing.filter(({ version }) => version === cause.version);
    expect(ofNew.length).toBeGreaterThan(3);
    expect(ofNew.length).toBeGreaterThan(failing.length * 0.8);
  },
  missing_step: ({ on, off, cause, simulated }) => {
    const callee = cause.edge?.callee ?? "";
    const made = (run: typeof on): number =>
      run.callsTo(callee, cause.name).filter(({ parent }) => parent?.operation?.name === cause.operation)
        .length;
    expect(made(off)).toBeGreaterThan(5);
    expect(made(on)).toBe(0);
    expect(simulated.impact?.wrongRequests).toBeGreaterThan(5);
  },
  error_in_body: ({ on, off, cause, simulated }) => {
    expect(failuresIn(on.spans)).toBeLessThanOrEqual(failuresIn(off.spans));
    expect(on.errorLogsOf(cause.name)).toBeGreaterThan(off.errorLogsOf(cause.name) + 5);
    expect(simulated.impact?.wrongRequests).toBeGreaterThan(5);
  },
  low_traffic: (seen) => {
    throws(seen);
    expect(seen.off.servedBy(seen.cause.name).length).toBeLessThan(45);
  },
  two_faults: (seen) => {
    throws(seen);
    expect(seen.simulated.scenario.causes).toHaveLength(2);
    expect(seen.simulated.impactOfCause.map(({ touchedRequests }) => touchedRequests > 5)).toEqual([
      true,
      true,
    ]);
  },
  innocent_deploy: ({ on, cause }) => {
    const deployed = new Set(
      on.spans
        .filter(({ version, instance }) => version === instance.service.nextVersion)
        .map(({ instance }) => instance.service.name),
    );
    expect(deployed.size).toBe(1);
    expect(deployed).not.toContain(cause.name);
  },
};

test("every fault has its mechanism checked", () => {
  expect(Object.keys(mechanisms).sort()).toEqual(Object.keys(faultKinds).sort());
});

test("the table in the README names every fault with its mechanism", () => {
  const readme = readFileSync(new URL("README.md", import.meta.url), "utf8");
  const rows = [
    ...Object.entries(faultKinds).map(
      ([name, { mechanism, wanted }]) => `| \`${name}\` | ${mechanism} | ${wanted} |`,
    ),
    ...Object.entries(healthyKinds).map(([name, { mechanism }]) => `| \`${name}\` | ${mechanism} |`),
  ];
  const table = readme
    .slice(readme.indexOf("## Faults"), readme.indexOf("## How it works"))
    .match(/^\| `(?!fault_type).*$/gm);
  expect(table).toEqual(rows);
});

describe("what the fault does", () => {
  test.each(Object.keys(mechanisms))("%s", (faultType) => {
    const seen = new Seen(smallCase(faultType));
    const { impact, scenario } = seen.simulated;
    expect(impact?.visibility).not.toBe("silent");
    expect(impact?.touchedRequests).toBeGreaterThan(0);
    expect(scenario.causes.length).toBeGreaterThan(0);
    mechanisms[faultType]!(seen);
  });
});

describe("windows without a fault name no cause", () => {
  test.each(Object.keys(healthyKinds))("%s", (faultType) => {
    const { impact, onsetMs, scenario, incident, baseline } = smallCase(faultType);
    expect([impact, onsetMs, scenario.causes]).toEqual([null, null, []]);
    const failing = ({ spans }: typeof incident): number => failuresIn(spans) / spans.length;
    expect(Math.abs(failing(incident) - failing(baseline))).toBeLessThan(0.02);
  });

  test("half as much traffic again is that", () => {
    const { incident, faultFree, baseline } = smallCase("healthy_load");
    const users = ({ requests }: typeof incident): number =>
      requests.filter(({ kind }) => kind === "user").length;
    expect(users(incident)).toBe(users(faultFree));
    expect(users(incident) / users(baseline)).toBeGreaterThan(1.2);
  });
});

type Fits = (span: Seen["on"]["spans"][number]) => boolean;

function throws({ on, off, cause }: Seen): void {
  const thrown = (run: typeof on): number => failuresIn(run.servedBy(cause.name), "error");
  expect(thrown(on)).toBeGreaterThan(thrown(off) + 2);
}

function isSlower({ on, off, cause }: Seen, fits: Fits = () => true, byMs = 80): void {
  const typical = (run: typeof on): number => medianOf(run.servedBy(cause.name).filter(fits).map(lengthOf));
  expect(typical(on)).toBeGreaterThan(typical(off) + byMs);
}

function isAsBefore({ on, off, cause }: Seen, fits: Fits): void {
  const typical = (run: typeof on): number => medianOf(run.servedBy(cause.name).filter(fits).map(lengthOf));
  expect(typical(on)).toBeLessThan(typical(off) * 1.2 + 2);
}

function sendsNoSpans({ on, cause }: Seen): void {
  expect(on.servedBy(cause.name)).toEqual([]);
}

function isAt({ cause }: Seen, instance: Seen["on"]["spans"][number]["instance"]): boolean {
  return instance.service.name === cause.name && instance.ordinal === cause.instance;
}

function gapsAtInstance(seen: Seen, run: "on" | "off"): number[] {
  return seen[run].gaps((client, server) => isAt(seen, client.instance) || isAt(seen, server.instance));
}

function gapsOnEdge(seen: Seen, run: "on" | "off"): number[] {
  const { edge } = seen.cause;
  return seen[run].gaps(
    (client, server) =>
      client.instance.service.name === edge?.caller && server.instance.service.name === edge.callee,
  );
}

function samplesOf({ incident, onsetMs }: Seen["simulated"], service: string) {
  return incident.samples.filter(
    ({ instance, time }) => instance.service.name === service && time > (onsetMs ?? 0) + 10_000,
  );
}
