import { expect, test } from "vitest";
import type { Incident, IncidentEvent } from "../../src/engine/ports.ts";
import type { TraceId } from "../../src/model/ids.ts";
import { rawNaming } from "../../src/model/service-directory.ts";
import { formatTime, minuteOf, startOfMinute } from "../../src/model/time.ts";
import { assembleEpisodes } from "../../src/trace/episodes.ts";
import { durationOf } from "../../src/trace/trace.ts";
import { goOn } from "./incident-traffic.ts";
import { type Live, live } from "./live.ts";

function watch({ engine }: Live): readonly string[] {
  const seen: string[] = [];
  engine.onIncident(({ kind, incident }: IncidentEvent) => seen.push(`${kind} ${incident.id}`));
  return seen;
}

function causeOf(incident: Incident | undefined): string | undefined {
  return incident?.reports.get("en")?.root_cause_candidates[0]?.service;
}

test("what fails is noticed within two minutes, named, and closed when it is over", async () => {
  const server = live();
  const seen = watch(server);
  await goOn(server, 20);
  expect(server.engine.incidents()).toEqual([]);
  await goOn(server, 2, { cartFails: true });
  const [incident] = server.engine.incidents();
  expect(incident).toMatchObject({ status: "open", end: null, services: ["cart", "web"] });
  expect(causeOf(incident)).toBe("cart");
  expect(incident?.reports.get("ko")?.verdict).toMatch(/[가-힣]/);
  await goOn(server, 3, { cartFails: true });
  await goOn(server, 6);
  const [closed, ...others] = server.engine.incidents();
  expect(others).toEqual([]);
  expect(closed).toMatchObject({ id: incident?.id, status: "closed" });
  expect(causeOf(closed)).toBe("cart");
  expect([seen[0], seen.at(-1)]).toEqual([`opened ${incident?.id}`, `closed ${incident?.id}`]);
  expect(seen.filter((event) => event.startsWith("updated")).length).toBeGreaterThanOrEqual(2);
  expect(server.engine.stats()).toMatchObject({ incidents_opened_total: 1, open_incidents: 0 });
  expect(server.faults).toEqual([]);
});

test("a database that becomes slow is noticed though nothing fails, with traces that show it", async () => {
  const server = live({}, { tracesMax: 150 });
  await goOn(server, 20);
  const begin = server.clock.unixNanos();
  await goOn(server, 3, { dbMs: 90 });
  const [incident] = server.engine.incidents();
  expect(incident?.status).toBe("open");
  expect(causeOf(incident)).toBe("items");
  expect(incident?.start).toBeGreaterThan(begin - 60_000_000_000n);
  expect(incident?.delayMs).toBe(Number((incident?.detected ?? 0n) - (incident?.start ?? 0n)) / 1e6);
  // the incident's own time has gone from the store, but not what shows it
  await goOn(server, 6);
  const ids = incident?.reports.get("en")?.exemplar_trace_ids ?? [];
  expect(ids.length).toBeGreaterThan(0);
  for (const id of ids) {
    const [trace] = assembleEpisodes((await server.engine.readTrace(id as TraceId)) ?? [], rawNaming, {
      spansMax: 100,
    });
    expect(Math.max(...(trace?.spans ?? []).map(durationOf))).toBeGreaterThan(90e6);
  }
});

/** What a report says of when something was worse, the earliest first. */
function timesShown(incident: Incident | undefined): readonly string[] {
  const report = incident?.reports.get("en");
  const told = [...(report?.onset_order ?? []), ...(report?.propagation ?? [])];
  return told.flatMap(({ onset }) => onset ?? []).sort();
}

test.each([0, 35, 58])(
  "an incident starts no later than anything that its report shows, wherever in a minute it began (second %i)",
  async (second) => {
    for (const traffic of [{ cartFails: true }, { dbMs: 90 }, { tailMs: 90 }]) {
      const server = live();
      await server.wait(60_000 - (server.clock.nowMs % 60_000) + second * 1000);
      await goOn(server, 20);
      const fault = startOfMinute(minuteOf(server.clock.unixNanos()));
      await goOn(server, 4, traffic);
      const [incident] = server.engine.incidents();
      const [first] = timesShown(incident);
      expect(formatTime(incident?.start ?? fault) <= (first ?? "")).toBe(true);
      expect(incident?.start).toBeGreaterThanOrEqual(fault);
      expect(incident?.delayMs).toBe(Number((incident?.detected ?? 0n) - (incident?.start ?? 0n)) / 1e6);
    }
  },
);

test.each([20, 21])(
  "failures that there always were do not make an incident begin earlier, however long it goes on (after %i minutes)",
  async (minutes) => {
    const server = live();
    await server.wait(60_000 - (server.clock.nowMs % 60_000));
    await goOn(server, minutes, { cartStumbles: true });
    const fault = startOfMinute(minuteOf(server.clock.unixNanos()));
    await goOn(server, 8, { cartStumbles: true, cartFails: true });
    const [incident] = server.engine.incidents();
    expect(incident?.version).toBeGreaterThan(4);
    expect(incident?.start).toBe(fault);
    expect(timesShown(incident)[0]).toBe(formatTime(fault));
  },
);

test("how far the analysis is behind what has arrived is told", async () => {
  const server = live();
  await server.send("web GET /cart 0..9ms server trace=1\n  web read 1..2ms trace=1");
  expect(server.engine.lag()).toEqual({ seconds: 0, spans: 2, lookSeconds: null });
  server.clock.nowMs += 10_000;
  expect(server.engine.lag().seconds).toBeGreaterThan(7);
  await server.wait(0);
  await server.engine.lookForIncidents();
  server.clock.nowMs += 5_000;
  expect(server.engine.lag()).toMatchObject({ spans: 0, lookSeconds: 5 });
});

test("two faults in systems that do not call each other are two incidents, each with its own cause alone", async () => {
  const server = live();
  await goOn(server, 20);
  await goOn(server, 3, { cartFails: true, mailFails: true });
  const told = server.engine.incidents().map((incident) => ({
    services: incident.services,
    causes: incident.reports.get("en")?.root_cause_candidates.map(({ service }) => service),
  }));
  expect(told).toHaveLength(2);
  expect(told).toContainEqual({ services: ["cart", "web"], causes: ["cart"] });
  expect(told).toContainEqual({ services: ["mail"], causes: ["mail"] });
});

test("steady traffic, also with failures that were there before, is no incident", async () => {
  const server = live();
  await goOn(server, 40, { mailFails: true });
  expect(server.engine.incidents()).toEqual([]);
  expect(server.engine.stats()).toMatchObject({ incidents_unconfirmed_total: 0 });
});

test("a server that has seen little says nothing", async () => {
  const server = live();
  await goOn(server, 2);
  await goOn(server, 3, { cartFails: true });
  expect(server.engine.incidents()).toEqual([]);
});

test("what comes again is compared with the time before it came first", async () => {
  const server = live();
  await goOn(server, 20);
  await goOn(server, 4, { cartFails: true });
  await goOn(server, 8);
  await goOn(server, 2, { cartFails: true });
  const [second, first] = server.engine.incidents();
  expect([second?.status, first?.status]).toEqual(["open", "closed"]);
  expect(causeOf(second)).toBe("cart");
  const { to = "" } = second?.reports.get("en")?.baseline ?? {};
  expect(to !== "" && to < formatTime(first?.start ?? second!.start)).toBe(true);
});

test("what is over longest is forgotten first", async () => {
  const server = live({ incidentsMax: 1 });
  await goOn(server, 20);
  await goOn(server, 3, { cartFails: true });
  const [first] = server.engine.incidents();
  await goOn(server, 8);
  await goOn(server, 3, { cartFails: true });
  const kept = server.engine.incidents();
  expect(kept.map(({ status }) => status)).toEqual(["open"]);
  expect(server.engine.incident(first?.id ?? "")).toBeNull();
});

test("what cannot be told from chance yet is looked into again, and found", async () => {
  const server = live({ windowVisitsMax: 100 });
  await goOn(server, 20);
  await goOn(server, 2, { tailMs: 90 });
  expect(server.engine.stats()["incidents_unconfirmed_total"]).toBeGreaterThan(0);
  expect(server.engine.incidents()).toEqual([]);
  await goOn(server, 8, { dbMs: 90 });
  expect(causeOf(server.engine.incidents()[0])).toBe("items");
});

test("what stays unconfirmed is looked into less and less often", async () => {
  // of so few visits nothing can be told from chance
  const server = live({ windowVisitsMax: 10 });
  await goOn(server, 20);
  await goOn(server, 10, { tailMs: 90 });
  expect(server.engine.incidents()).toEqual([]);
  const lookedInto = server.engine.stats()["incidents_unconfirmed_total"];
  expect(lookedInto).toBeGreaterThanOrEqual(3);
  expect(lookedInto).toBeLessThanOrEqual(9);
});

test("an incident is named though the traces of the time before are gone", async () => {
  const server = live({}, { tracesMax: 150 });
  await goOn(server, 20);
  await goOn(server, 2, { cartFails: true });
  expect(causeOf(server.engine.incidents()[0])).toBe("cart");
});
