import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GraphJson, ServiceJson, TraceReport } from "../../src/analysis/report.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { go, java, type Language, type Protocol, python, startService } from "./services.ts";

const languages: readonly Language[] = [python, java, go];
const missing = new Map<Language, string | null>();
for (const language of languages) missing.set(language, await language.prepare());

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
});

describe.each(languages)("the OpenTelemetry SDK for $name", (language) => {
  const why = missing.get(language) ?? null;
  test.skipIf(why !== null).each<Protocol>(["grpc", "http/protobuf"])(
    `sends every span over %s${why === null ? "" : ` (skipped: ${why})`}`,
    async (protocol) => {
      const requests = 40;
      const service = `${language.name} over ${protocol}`;
      const running = await startService(language, server, { service, protocol });
      const traceIds = Array.from({ length: requests }, () => randomBytes(16).toString("hex"));
      for (const traceId of traceIds) expect(await request(`${running.url}/items`, traceId)).toBe(200);
      await running.stop();
      await until(async () => (await serviceOf(service))?.requests === requests);
      for (const traceId of traceIds)
        expect((await reportOf(traceId)).trace).toMatchObject({
          span_count: 1,
          error_count: 0,
          root_operation: expect.stringMatching(/^GET \//),
        });
    },
  );
});

const notAll = languages.map((language) => missing.get(language)).find((why) => why !== null);
test.skipIf(notAll !== undefined)(
  `a request through three languages gives one report${notAll === undefined ? "" : ` (skipped: ${notAll})`}`,
  async () => {
    const inventory = await startService(go, server, { service: "inventory", protocol: "grpc" });
    const orders = await startService(java, server, {
      service: "orders",
      protocol: "http/protobuf",
      next: `${inventory.url}/broken`,
    });
    const shop = await startService(python, server, {
      service: "shop",
      protocol: "http/protobuf",
      next: `${orders.url}/orders`,
    });
    const traceId = randomBytes(16).toString("hex");
    expect(await request(`${shop.url}/checkout`, traceId)).toBe(500);
    for (const running of [shop, orders, inventory]) await running.stop();
    await until(async () => (await reportOf(traceId)).trace?.services.length === 3);
    const report = await reportOf(traceId);
    expect(report.root_cause_candidates[0]).toMatchObject({ service: "inventory", kind: "error" });
    // the caller of the first service sends no spans
    expect(report.problems).toContainEqual(expect.objectContaining({ kind: "missing_parent", count: 1 }));
    const { edges } = (await fetchJson("/api/v1/graph")) as GraphJson;
    const seen = edges.map(({ caller, callee, calls, errors }) => `${caller} ${callee} ${calls} ${errors}`);
    expect(new Set(seen)).toEqual(new Set(["shop orders 1 1", "orders inventory 1 1"]));
  },
);

/** Asks as a sampled caller that sends no spans of its own. */
async function request(url: string, traceId: string): Promise<number> {
  const traceparent = `00-${traceId}-${randomBytes(8).toString("hex")}-01`;
  const response = await fetch(url, { headers: { traceparent } });
  return response.status;
}

async function serviceOf(name: string): Promise<ServiceJson | undefined> {
  const { services } = (await fetchJson("/api/v1/services")) as { readonly services: readonly ServiceJson[] };
  return services.find(({ service }) => service === name);
}

async function reportOf(traceId: string): Promise<TraceReport> {
  return (await fetchJson(`/api/v1/traces/${traceId}/analysis`)) as TraceReport;
}

async function fetchJson(path: string): Promise<unknown> {
  return (await fetch(`http://${server.api}${path}`)).json();
}

async function until(isDone: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100 && !(await isDone()); tries += 1) await sleep(200);
}
