import { request } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import type { IncidentReport } from "../../src/analysis/report.ts";
import { formatTime, type UnixNanos } from "../../src/model/time.ts";
import { goOn } from "../engine/incident-traffic.ts";
import { type Live, live } from "../engine/live.ts";
import { notationStart } from "../notation.ts";
import { type Answer, type ApiClient, serveApi } from "./api-server.ts";
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

test("reports of traces, windows and incidents come in every form that commands print", async () => {
  const { server, api } = await startServer();
  const firstMs = await atFullMinute(server);
  await goOn(server, 20);
  await goOn(server, 2, { cartFails: true });
  const incident = (await api.get("/api/v1/incidents/latest")).json() as IncidentReport;
  expect(incident.id).toBe(server.engine.incidents()[0]?.id);
  const window = { from: minuteText(firstMs, 20), to: minuteText(firstMs, 22) };
  const [traceId = ""] = incident.exemplar_trace_ids;
  const trace = `/api/v1/traces/${traceId}/analysis`;
  const asked: readonly (readonly [string, (format: string) => Promise<Answer>])[] = [
    ["incident", (format) => api.get(`/api/v1/incidents/${incident.id}?format=${format}`)],
    ["window", (format) => api.post("/api/v1/analyze", { ...window, format })],
    ["trace", (format) => api.get(`${trace}?format=${format}`)],
    ["structural", (format) => api.get(`${trace}?scoring=structural&format=${format}`)],
  ];
  for (const [kind, ask] of asked) {
    const typeOf = async (format: string, start: RegExp): Promise<unknown> => {
      const { status, headers, body } = await ask(format);
      expect([kind, format, status, body.slice(0, 500)]).toEqual([
        kind,
        format,
        200,
        expect.stringMatching(start),
      ]);
      return headers["content-type"];
    };
    expect(await typeOf("json", /^\{"/)).toBe("application/json; charset=utf-8");
    expect(await typeOf("html", /^<!doctype html>/)).toBe("text/html; charset=utf-8");
    expect(await typeOf("markdown", /^# /)).toBe("text/markdown; charset=utf-8");
    expect(await typeOf("human", kind === "structural" ? /web/ : /Root cause: cart/)).toBe(
      "text/plain; charset=utf-8",
    );
    expect(await typeOf("mermaid", /^(flowchart|graph) /)).toBe("text/plain; charset=utf-8");
    expect(await typeOf("dot", /^digraph /)).toBe("text/vnd.graphviz; charset=utf-8");
    expect((await ask("pdf")).status).toBe(400);
  }
  const page = await api.get(`/api/v1/incidents/latest?format=html&lang=ko`);
  expect(page.body).toContain(`장애 ${incident.id}`);
  const inside = /<script type="application\/json" id="report">(.*)<\/script>/.exec(page.body)?.[1] ?? "";
  expect(JSON.parse(inside)).toMatchObject({ id: incident.id, root_cause_candidates: [{ service: "cart" }] });
});

interface WindowAnswer {
  readonly window: { readonly from: string; readonly to: string };
  readonly baseline: { readonly from: string; readonly to: string; readonly reason?: string } | null;
  readonly root_cause_candidates: readonly { readonly service: string }[];
  readonly problems: readonly { readonly kind: string; readonly message: string }[];
}

/** Asks for the window from `from` to `to` minutes after the start of the traffic. */
async function analyze(
  api: ApiClient,
  { firstMs, from, to, ...more }: { firstMs: number; from: number; to: number; [field: string]: unknown },
): Promise<WindowAnswer> {
  const at = (minute: number): string => minuteText(firstMs, minute);
  const answer = await api.post("/api/v1/analyze", { from: at(from), to: at(to), ...more });
  expect(answer.status).toBe(200);
  return answer.json() as WindowAnswer;
}

function minuteText(firstMs: number, minute: number): string {
  return formatTime((notationStart + BigInt(firstMs + minute * 60_000) * 1_000_000n) as UnixNanos);
}

function lastOf(firstMs: number, minute: number): string {
  return formatTime((notationStart + BigInt(firstMs + (minute + 1) * 60_000) * 1_000_000n - 1n) as UnixNanos);
}

/** The minute that begins next: what happens in it is counted in it alone. */
async function atFullMinute(server: Live): Promise<number> {
  await server.wait(60_000 - (server.clock.nowMs % 60_000));
  return server.clock.nowMs;
}

test("a window that somebody names is analysed, against the hour before it or a time that is named", async () => {
  const { server, api } = await startServer();
  const firstMs = await atFullMinute(server);
  await goOn(server, 20);
  await goOn(server, 2, { dbMs: 90 });
  const report = await analyze(api, { firstMs, from: 20, to: 22 });
  expect(report).toMatchObject({ healthy: false, totals: { traces: 120, services: 3 } });
  expect(report.root_cause_candidates[0]).toMatchObject({ service: "items", kind: "latency" });
  expect(report.window).toEqual({
    from: minuteText(firstMs, 20),
    to: lastOf(firstMs, 21),
  });
  expect(report.baseline).toEqual({
    from: minuteText(firstMs, 0),
    to: lastOf(firstMs, 14),
    reason: "up to an hour before the window, its last 5 minutes left out",
  });
  const same = { baseline_from: minuteText(firstMs, 20), baseline_to: minuteText(firstMs, 22) };
  expect(await analyze(api, { firstMs, from: 20, to: 22, ...same })).toMatchObject({ healthy: true });
  const named = { baseline_from: minuteText(firstMs, 3) };
  expect((await analyze(api, { firstMs, from: 20, to: 22, ...named })).baseline).toEqual({
    from: minuteText(firstMs, 3),
    to: lastOf(firstMs, 19),
  });
});
test("where little or nothing is kept of the time before, the server says what it compared with instead", async () => {
  const { server, api } = await startServer();
  const firstMs = await atFullMinute(server);
  await goOn(server, 6);
  await goOn(server, 4, { dbMs: 90 });
  const short = await analyze(api, { firstMs, from: 6, to: 10 });
  expect(short.baseline).toEqual({
    from: minuteText(firstMs, 0),
    to: lastOf(firstMs, 5),
    reason: "up to an hour before the window",
  });
  const whole = await analyze(api, { firstMs, from: 0, to: 10 });
  expect(whole).toMatchObject({
    window: { from: minuteText(firstMs, 5), to: lastOf(firstMs, 9) },
    baseline: {
      from: minuteText(firstMs, 0),
      to: lastOf(firstMs, 4),
      reason: expect.stringMatching(/^until something changed: \w+ .* was slow 0 % → 100 %$/),
    },
  });
  for (const { root_cause_candidates: candidates } of [short, whole])
    expect(candidates[0]).toMatchObject({ service: "items", kind: "latency" });
  const calm = await analyze(api, { firstMs, from: 0, to: 6, lang: "ko" });
  expect(calm).toMatchObject({ baseline: null, healthy: true, problems: [] });
});

test("the minutes of a window count whole, and the answer says which they are", async () => {
  const { server, api } = await startServer();
  const firstMs = await atFullMinute(server);
  await goOn(server, 3);
  const within = await analyze(api, { firstMs, from: 1.5, to: 1.75 });
  expect(within).toMatchObject({
    window: { from: minuteText(firstMs, 1), to: lastOf(firstMs, 1) },
    totals: { traces: 60 },
    baseline: { from: minuteText(firstMs, 0), to: lastOf(firstMs, 0) },
  });
  expect((await analyze(api, { firstMs, from: 1, to: 1 })).window).toEqual(within.window);
});

test("a named baseline without traces, or with other services alone, is said to be one", async () => {
  const { server, api } = await startServer();
  const firstMs = await atFullMinute(server);
  await goOn(server, 1);
  await server.send(`bank POST /pay ${server.clock.nowMs}..${server.clock.nowMs + 9}ms server trace=9999999`);
  await server.wait(60_000);
  const window = { firstMs, from: 0, to: 1 };
  const times = { baseline_from: minuteText(firstMs, 1), baseline_to: minuteText(firstMs, 2) };
  expect(await analyze(api, { ...window, ...times })).toMatchObject({
    baseline: null,
    problems: [
      {
        kind: "unlike_baseline",
        message: expect.stringMatching(/Analysed: cart, mail, web\. Baseline: bank$/),
      },
    ],
  });
  const early = { baseline_from: minuteText(firstMs, -9), baseline_to: minuteText(firstMs, -8) };
  expect(await analyze(api, { ...window, ...early })).toMatchObject({
    baseline: null,
    problems: [{ kind: "unlike_baseline", message: expect.stringContaining("no spans") }],
  });
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
