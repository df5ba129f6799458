import { request } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { goOn } from "../engine/incident-traffic.ts";
import { live } from "../engine/live.ts";
import { type ApiClient, serveApi } from "./api-server.ts";
import { schemaErrors } from "./json-schema.ts";

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}
interface Operation {
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: object }>> }>
  >;
}

async function startServer() {
  const server = live();
  const api = await serveApi({ query: server.engine, clock: server.clock }, (fault) =>
    server.faults.push(fault),
  );
  return { server, api };
}

async function checkSchema(api: ApiClient, path: string, value: unknown): Promise<void> {
  const document = (await api.get("/openapi.json")).json() as OpenApi;
  const { schema } = document.paths[path]!["get"]!.responses["200"]!.content["application/json"]!;
  expect(schemaErrors(value, schema as Readonly<Record<string, unknown>>, document)).toEqual([]);
}

/** What an event source receives until the test ends. */
function listen(port: number): { text: string } {
  const received = { text: "" };
  const outgoing = request({ host: "127.0.0.1", port, path: "/api/v1/events" }, (response) => {
    response.setEncoding("utf8").on("data", (chunk: string) => {
      received.text += chunk;
    });
    response.on("error", () => {
      // the server ends it
    });
  });
  outgoing.on("error", () => {
    // the same
  });
  outgoing.end();
  onTestFinished(() => void outgoing.destroy());
  return received;
}

test("an incident is listed, told to those who listen, and answered with its report", async () => {
  const { server, api } = await startServer();
  await goOn(server, 20);
  const heard = listen(api.port);
  await expect.poll(() => heard.text).toBe(": events follow\n\n");
  await goOn(server, 2, { cartFails: true });
  const list = (await api.get("/api/v1/incidents?status=open")).json() as {
    readonly incidents: readonly { readonly id: string }[];
  };
  expect(list).toMatchObject({
    incidents: [{ status: "open", end: null, cause: { service: "cart", kind: "error" } }],
  });
  await checkSchema(api, "/api/v1/incidents", list);
  const id = list.incidents[0]!.id;
  const report = (await api.get(`/api/v1/incidents/${id}`)).json();
  expect(report).toMatchObject({ id, healthy: false, root_cause_candidates: [{ service: "cart", rank: 1 }] });
  await checkSchema(api, "/api/v1/incidents/{id}", report);
  expect((await api.get(`/api/v1/incidents/${id}?lang=ko`)).body).toMatch(/[가-힣]/);
  await expect.poll(() => heard.text).toContain("event: opened\n");
  const data = /^data: (.*)$/m.exec(heard.text)?.[1] ?? "";
  expect(JSON.parse(data)).toMatchObject({ id, status: "open" });
  expect((await api.get("/api/v1/incidents?status=closed")).json()).toMatchObject({ incidents: [] });
  expect(await api.get("/api/v1/incidents/nope")).toMatchObject({ status: 404 });
});

test("a window that somebody names is analysed, against the hour before it or a time that is named", async () => {
  const { server, api } = await startServer();
  await goOn(server, 20);
  await goOn(server, 2, { dbMs: 90 });
  const answer = await api.post("/api/v1/analyze", { from: "now-2m" });
  const report = answer.json() as { readonly root_cause_candidates: readonly object[] };
  expect(report).toMatchObject({ healthy: false, totals: { services: 3 } });
  expect(report.root_cause_candidates[0]).toMatchObject({ service: "items", kind: "latency" });
  const same = { from: "now-2m", baseline_from: "now-2m", baseline_to: "now" };
  expect((await api.post("/api/v1/analyze", same)).json()).toMatchObject({ healthy: true });
  const early = await api.post("/api/v1/analyze", { from: "now-20m", to: "now-19m" });
  expect(early.json()).toMatchObject({ baseline: null });
});

test.each([
  ["no JSON", "{", "application/json", 400, /not JSON/],
  ["a list", "[]", "application/json", 400, /not a JSON object/],
  ["an unknown field", '{"since":"now-1h"}', "application/json", 400, /Unknown field "since"/],
  ["a time that is none", '{"from":"yesterday"}', "application/json", 400, /"from": "yesterday"/],
  ["a field that is an object", '{"from":{}}', "application/json", 400, /"from" is neither/],
  ["a form", "from=now-1h", "application/x-www-form-urlencoded", 415, /not application\/json/],
  ["a service that is not there", '{"failed_service":"nope"}', "application/json", 404, /No service nope/],
  ["more than a question", `{"from":"${"x".repeat(70_000)}"}`, "application/json", 413, /more than/],
])("a question that is %s is answered with what is wrong", async (_, body, type, status, message) => {
  const { api } = await startServer();
  const answer = await api.send("/api/v1/analyze", body, { "content-type": type });
  expect(answer.status).toBe(status);
  expect((answer.json() as { readonly error: { readonly message: string } }).error.message).toMatch(message);
});

test("of a window with very many visits an even choice of traces is compared, and the report says so", async () => {
  const server = live({ windowVisitsMax: 100 });
  const api = await serveApi({ query: server.engine, clock: server.clock }, (fault) =>
    server.faults.push(fault),
  );
  await goOn(server, 3);
  const report = (await api.post("/api/v1/analyze", { from: "now-3m" })).json();
  expect(report).toMatchObject({
    totals: { traces: 180 },
    problems: [{ kind: "overflow", count: expect.toSatisfy((left: number) => left >= 90 && left < 170) }],
  });
});
