import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type ApiOptions, loopbackHosts } from "../../src/http/api.ts";
import { routes } from "../../src/http/api-routes.ts";
import { openApiDocument } from "../../src/http/openapi.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { decodeBody } from "../../src/otlp/decode-body.ts";
import { checkOf } from "../credentials.ts";
import { hugeTrace } from "../huge-trace.ts";
import { rowsOf } from "../notation.ts";
import { type Answer, type ApiClient, startApi } from "./api-server.ts";
import { schemaErrors } from "./json-schema.ts";

const shop = `
  web       GET /cart       0..90ms  server error
    web     GET             5..85ms  client error server.address=cart
      cart  GET /items     10..80ms  server error
        cart SELECT        20..70ms  client error db.system.name=postgresql db.namespace=items
  web       GET /           0..10ms  server trace=2
`;
const traceId = "00000000000000000000000000000001";

type Json = Readonly<Record<string, never>>;

function checkError(answer: Answer, status: number, code: string, message: RegExp): void {
  expect(answer.status).toBe(status);
  const { error } = answer.json() as { readonly error: { code: string; message: string; hint: string } };
  expect(error.code).toBe(code);
  expect(error.message).toMatch(message);
}

test("a trace is answered with its spans as OTLP JSON and with its report", async () => {
  const api = await startApi(shop);
  const spans = (await api.get(`/api/v1/traces/${traceId}`)).json() as {
    readonly resourceSpans: readonly Json[];
  };
  expect(spans.resourceSpans.length).toBeGreaterThan(0);
  const report = (await api.get(`/api/v1/traces/${traceId}/analysis`)).json();
  expect(report).toMatchObject({
    version: 1,
    trace_id: traceId,
    trace: { root_service: "web", span_count: 4 },
  });
});

test("a report is compared with a healthy time that the request names", async () => {
  const healthy = Array.from(
    { length: 8 },
    (_, i) => `web GET /slow ${600 + i}000..${600 + i}010ms server trace=${i + 10}`,
  ).join("\n");
  const api = await startApi(`web GET /slow 0..900ms server\n${healthy}`);
  const verdictOf = async (query: string): Promise<string> =>
    ((await api.get(`/api/v1/traces/${traceId}/analysis${query}`)).json() as { readonly verdict: string })
      .verdict;
  expect(await verdictOf("")).toContain("too few requests to compare with");
  expect(await verdictOf("?baseline_from=2024-01-01T00:10:00Z&baseline_to=2024-01-01T00:11:00Z")).toContain(
    "it took 900 ms, usually 10 ms",
  );
  checkError(
    await api.get(`/api/v1/traces/${traceId}/analysis?baseline_from=now&baseline_to=now-1h`),
    400,
    "bad_request",
    /"baseline_from" is later/,
  );
});

test("structural scoring answers with the structural report alone", async () => {
  const api = await startApi(shop);
  const answer = await api.get(
    `/api/v1/traces/${traceId}/analysis?scoring=structural&failed_service=cart&lang=ko`,
  );
  expect(Object.keys(answer.json() as object).sort()).toEqual([
    "cascade_analysis",
    "dependency_chain",
    "failed_service",
    "recommendations",
    "root_cause_candidates",
    "service_states",
    "trace_id",
  ]);
  expect(answer.json()).toMatchObject({ failed_service: "cart" });
  expect(answer.headers["trace-version"]).toBe("1");
});

test("an id may be short and of any case", async () => {
  const api = await startApi(shop);
  for (const id of ["0000000000000001", traceId.toUpperCase()])
    expect((await api.get(`/api/v1/traces/${id}/analysis`)).json()).toMatchObject({ trace_id: traceId });
});

test("what is not there and what is not understood is named", async () => {
  const api = await startApi(shop);
  checkError(await api.get(`/api/v1/traces/${"a".repeat(32)}`), 404, "trace_not_found", /aaaa/);
  checkError(await api.get(`/api/v1/traces/${"a".repeat(32)}/analysis`), 404, "trace_not_found", /aaaa/);
  checkError(await api.get("/api/v1/traces/xyz"), 400, "bad_trace_id", /"trace_id": "xyz"/);
  checkError(
    await api.get(`/api/v1/traces/${traceId}/analysis?failed_service=nobody`),
    404,
    "service_not_found",
    /nobody/,
  );
  checkError(await api.get("/api/v1/services/nobody"), 404, "service_not_found", /nobody/);
  checkError(await api.get("/api/v1/graph?focus=nobody"), 404, "service_not_found", /nobody/);
  checkError(await api.get("/api/v1/graph?depth=-1"), 400, "bad_request", /"depth": "-1"/);
  checkError(await api.get("/api/v1/graph?from=yesterday"), 400, "bad_request", /"from": "yesterday"/);
  checkError(await api.get("/api/v1/graph?from=now&to=now-1h"), 400, "bad_request", /later/);
  checkError(await api.get("/api/v1/traces?from=now&to=now-1h"), 400, "bad_request", /later/);
  checkError(await api.get("/api/v1/traces?limit=1&limit=2"), 400, "bad_request", /"limit" is given twice/);
  checkError(await api.get("/api/v1/traces?servce=web"), 400, "bad_request", /Unknown parameter "servce"/);
  checkError(await api.get("/api/v1/services/%ff"), 400, "bad_request", /not URL-encoded/);
  checkError(await api.get("/api/v1/nothing"), 404, "not_found", /nothing/);
  checkError(await api.get("/api/v1/graph", { method: "POST" }), 405, "method_not_allowed", /takes GET/);
});

test("a method that is not taken is answered with those that are", async () => {
  const api = await startApi(shop);
  expect((await api.get("/api/v1/graph", { method: "DELETE" })).headers["allow"]).toBe("GET, HEAD");
});

test("HEAD is GET without the body", async () => {
  const api = await startApi(shop);
  const head = await api.get("/api/v1/graph", { method: "HEAD" });
  expect([head.status, head.body]).toEqual([200, ""]);
  expect(head.headers["content-length"]).toBe(String((await api.get("/api/v1/graph")).body.length));
});

test("search finds traces and pages through them", async () => {
  const api = await startApi(shop);
  const idsOf = (answer: Answer) =>
    (answer.json() as { readonly traces: readonly { readonly trace_id: string }[] }).traces.map(
      (each) => each.trace_id,
    );
  expect(idsOf(await api.get("/api/v1/traces?status=error"))).toEqual([traceId]);
  expect(idsOf(await api.get("/api/v1/traces?min_duration_ms=50.5"))).toEqual([traceId]);
  const first = (await api.get("/api/v1/traces?limit=1")).json() as {
    readonly cursor: string;
    readonly total: number;
  };
  expect(first).toMatchObject({ total: 2, truncated: true });
  const second = await api.get(`/api/v1/traces?limit=1&cursor=${encodeURIComponent(first.cursor)}`);
  expect(second.json()).toMatchObject({ total: 2, truncated: false, cursor: null });
});

test("the graph can be narrowed to a service and its neighbours", async () => {
  const api = await startApi(shop);
  const nodesOf = async (query: string) =>
    (
      (await api.get(`/api/v1/graph${query}`)).json() as {
        readonly nodes: readonly { readonly service: string }[];
      }
    ).nodes
      .map(({ service }) => service)
      .sort();
  expect(await nodesOf("")).toEqual(["cart", "items", "web"]);
  expect(await nodesOf("?focus=web")).toEqual(["cart", "web"]);
  expect(await nodesOf("?focus=web&depth=2")).toEqual(["cart", "items", "web"]);
  expect(await nodesOf("?focus=items&depth=0")).toEqual(["items"]);
});

test("lists that are cut say so, and how long they are", async () => {
  const api = await startApi(shop);
  const services = (await api.get("/api/v1/services?limit=1")).json();
  expect(services).toMatchObject({ services: [{ service: "cart" }], total: 3, truncated: true });
  expect((await api.get("/api/v1/services")).json()).toMatchObject({ total: 3, truncated: false });
  const graph = (await api.get("/api/v1/graph?limit=1")).json() as {
    readonly nodes: readonly unknown[];
    readonly edges: readonly unknown[];
  };
  expect(graph).toMatchObject({ total: 2, truncated: true });
  expect([graph.nodes.length, graph.edges.length]).toEqual([2, 1]);
  expect((await api.get("/api/v1/graph")).json()).toMatchObject({ total: 2, truncated: false });
  expect((await api.get("/api/v1/traces")).json()).toMatchObject({ truncated: false, pending: 0 });
});

test("what is wrong with a service is said in the language that is asked for", async () => {
  const api = await startApi(shop);
  const issuesOf = async (path: string) =>
    ((await api.get(path)).json() as { readonly issues: readonly string[] }).issues.join();
  expect(await issuesOf("/api/v1/services/web")).toMatch(/^[ -~]+$/);
  expect(await issuesOf("/api/v1/services/web?lang=ko")).toMatch(/[가-힣]/);
  expect((await api.get("/api/v1/services?lang=ko")).body).toMatch(/[가-힣]/);
});

test("metrics are Prometheus text", async () => {
  const api = await startApi(shop);
  const { headers, body } = await api.get("/metrics");
  expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(body).toMatch(
    /^# TYPE hypocenter_ingested_spans_total counter\nhypocenter_ingested_spans_total 5$/m,
  );
  for (const line of body.trimEnd().split("\n"))
    expect(line).toMatch(/^(# TYPE [a-z0-9_]+ (counter|gauge)|[a-z0-9_]+(\{[^}]*\})? -?[0-9.e+-]+)$/);
});

test("search by attributes: equality of texts, all of them on one span or its resource, several at once", async () => {
  const api = await startApi(`
    web       GET /cart   0..90ms  server trace=1 http.route=/cart shop.user=ann
      cart    GET /items 10..80ms  server trace=1 http.route=/items shop.note=a=b
    web       GET /cart   0..50ms  server trace=2 http.route=/cart shop.user=bob`);
  const found = async (...attributes: readonly string[]): Promise<unknown> => {
    const query = attributes.map((each) => `attribute=${encodeURIComponent(each)}`).join("&");
    const answer = (await api.get(`/api/v1/traces?${query}`)).json() as {
      readonly traces: readonly { readonly trace_id: string }[];
    };
    expect(answer).toMatchObject({ complete: true, searched_from: null, truncated: false });
    expect(answer).toMatchObject({ total: answer.traces.length });
    return answer.traces.map(({ trace_id: id }) => id.slice(-1)).sort();
  };
  expect(await found("http.route=/cart")).toEqual(["1", "2"]);
  expect(await found("shop.user=ann")).toEqual(["1"]);
  expect(await found("http.route=/cart", "shop.user=bob")).toEqual(["2"]);
  // of one trace, but not of one span
  expect(await found("http.route=/items", "shop.user=ann")).toEqual([]);
  expect(await found("service.name=cart", "shop.note=a=b")).toEqual(["1"]);
  expect(await found("shop.user=an")).toEqual([]);
  expect(await found("shop.user=")).toEqual([]);
  const narrower = await api.get("/api/v1/traces?attribute=http.route%3D/cart&min_duration_ms=60");
  expect(narrower.json()).toMatchObject({ total: 1, traces: [{ duration_ms: 90 }] });
  for (const wrong of ["http.route", "=x"])
    checkError(
      await api.get(`/api/v1/traces?attribute=${encodeURIComponent(wrong)}`),
      400,
      "bad_request",
      /attribute/,
    );
  const many = Array.from({ length: 9 }, (_, i) => `attribute=a=${i}`).join("&");
  checkError(await api.get(`/api/v1/traces?${many}`), 400, "bad_request", /more than 8 times/);
});

test("health is told apart: alive, and ready", async () => {
  const api = await startApi(shop, { isReady: () => false });
  expect((await api.get("/livez")).status).toBe(200);
  for (const path of ["/readyz", "/healthz", "/ready", "/health"]) {
    const answer = await api.get(path);
    expect([answer.status, answer.json()]).toEqual([
      503,
      { status: "starting_or_stopping", version: "1.2.3" },
    ]);
  }
});

test("the page at / says where to send telemetry, as text or HTML", async () => {
  const api = await startApi(shop);
  const text = await api.get("/");
  expect(text.headers["content-type"]).toMatch(/^text\/plain/);
  expect(text.body).toContain("endpoint: 127.0.0.1:4317");
  const page = await api.get("/", { headers: { accept: "text/html,*/*" } });
  expect(page.headers["content-type"]).toMatch(/^text\/html/);
  expect(page.body).toMatch(/^<!doctype html>/);
});

test("the collector configuration at / is whole: every signal, and everything that a pipeline names", async () => {
  interface Collector {
    readonly receivers: Readonly<Record<string, unknown>>;
    readonly exporters: Readonly<Record<string, { readonly endpoint: string; readonly tls: object }>>;
    readonly service: {
      readonly pipelines: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
    };
  }
  const identity = { current: () => ({}), asksClients: false, onChange: () => undefined };
  const options = [
    { tls: null, expected: { insecure: true } },
    { tls: identity, expected: { ca_file: "/path/to/authority.pem" } },
  ];
  for (const { tls, expected } of options) {
    const { body } = await (await startApi(shop, { tls })).get("/");
    const indented = /(?:^ {2}.*\n)*^ {2}receivers:\n(?:^ {2}.*\n)*/m.exec(body)?.[0] ?? "";
    const { receivers, exporters, service } = parse(indented.replaceAll(/^ {2}/gm, "")) as Collector;
    expect(Object.keys(service.pipelines)).toEqual(["traces", "metrics", "logs"]);
    for (const pipeline of Object.values(service.pipelines)) {
      for (const name of pipeline["receivers"] ?? []) expect(receivers).toHaveProperty([name]);
      for (const name of pipeline["exporters"] ?? [])
        expect(exporters[name]).toEqual({ endpoint: "127.0.0.1:4317", tls: expected });
    }
    expect(body).toContain(
      tls === null ? "ENDPOINT=http://127.0.0.1:4318" : "ENDPOINT=https://127.0.0.1:4318",
    );
  }
});

test("no other site may read, embed or guess at answers", async () => {
  const api = await startApi(shop, { allowedHosts: loopbackHosts(["traces.test"]) });
  for (const host of ["localhost:4320", "127.0.0.1", "[::1]:4320", "Traces.test"]) {
    const { status, headers } = await api.get("/api/v1/services", {
      headers: { host, origin: "http://evil.test" },
    });
    expect(status).toBe(200);
    expect(headers["access-control-allow-origin"]).toBeUndefined();
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "cache-control": "no-store" });
    expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
  }
  checkError(
    await api.get("/livez", { headers: { host: "evil.test" } }),
    421,
    "host_not_allowed",
    /evil\.test/,
  );
});

test("a fault of ours is answered without its details, and logged", async () => {
  const faults: unknown[] = [];
  const query = { graph: () => Promise.reject(new TypeError("secret")) };
  const api = await startApi(shop, { query: query as never, onFault: (fault) => faults.push(fault) });
  const answer = await api.get("/api/v1/graph");
  checkError(answer, 500, "internal", /fault inside/);
  expect(answer.body).not.toContain("secret");
  expect(faults).toHaveLength(1);
});

interface OpenApi {
  readonly openapi: string;
  readonly components: { readonly securitySchemes: Json };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}
interface Operation {
  readonly operationId: string;
  readonly security: readonly Json[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Json }>> }>
  >;
}

describe("OpenAPI", () => {
  const samples: Readonly<Record<string, string>> = { trace_id: traceId, name: "cart" };

  async function describedBy(api: ApiClient): Promise<OpenApi> {
    return (await api.get("/openapi.json")).json() as OpenApi;
  }

  /** An answer without an end, and one that is there only while something is wrong: see incidents.test.ts. */
  const elsewhere = ["/api/v1/events", "/api/v1/incidents/{id}"];

  function operationsOf({ paths }: OpenApi) {
    return Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({ path, method, ...operation })),
    );
  }

  function ask(
    api: ApiClient,
    { path, method }: { readonly path: string; readonly method: string },
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const target = path.replace(/\{(\w+)\}/g, (_, name: string) => samples[name]!);
    return method === "post" ? api.post(target, {}, headers) : api.get(target, { headers });
  }

  test("every address answers as it declares, member by member", async () => {
    const api = await startApi(shop);
    const document = await describedBy(api);
    expect(document.openapi).toBe("3.1.0");
    for (const operation of operationsOf(document)) {
      if (elsewhere.includes(operation.path)) continue;
      const answer = await ask(api, operation);
      const [mediaType, { schema }] = Object.entries(operation.responses["200"]!.content)[0]!;
      expect([operation.path, answer.status]).toEqual([operation.path, 200]);
      expect(answer.headers["content-type"]).toBe(`${mediaType}; charset=utf-8`);
      const value = mediaType.startsWith("application/json") ? answer.json() : answer.body;
      expect(schemaErrors(value, schema, document)).toEqual([]);
    }
  });

  test.each([
    ["nothing", { tokens: [], basic: [], header: null }, []],
    [
      "a token",
      { tokens: ["t0ken"], basic: [], header: "x-key" },
      [{ bearerToken: [] }, { tokenHeader: [] }],
    ],
    ["a password", { tokens: [], basic: ["ann:pass"], header: null }, [{ basic: [] }]],
  ])(
    "where callers have to show %s, the document says so, and every address does so",
    async (_, asked, alternatives) => {
      const credentials = checkOf(asked);
      const api = await startApi(shop, { credentials, allowedHosts: loopbackHosts([]) });
      const authorization = asked.basic.length > 0 ? `Basic ${btoa("ann:pass")}` : "Bearer t0ken";
      const document = (await api.get("/openapi.json", { headers: { authorization } })).json() as OpenApi;
      expect(Object.keys(document.components.securitySchemes)).toEqual(alternatives.flatMap(Object.keys));
      for (const operation of operationsOf(document)) {
        const { path, security, responses } = operation;
        if (elsewhere.includes(path)) continue;
        const isOpen = ["/livez", "/readyz", "/healthz", "/ready", "/health"].includes(path);
        expect([path, security]).toEqual([path, isOpen ? [] : alternatives]);
        const stranger = await ask(api, operation);
        expect([path, stranger.status]).toEqual([path, security.length > 0 ? 401 : 200]);
        const foreign = await ask(api, operation, { host: "evil.example" });
        expect(foreign.status).toBe(421);
        for (const answer of security.length > 0 ? [stranger, foreign] : [foreign]) {
          const { schema } = responses[String(answer.status)]!.content["application/json"]!;
          expect(schemaErrors(answer.json(), schema, document)).toEqual([]);
        }
      }
    },
  );

  test("a server that asks for certificates says so, beside what else it asks for", () => {
    const tls = { asksClients: true, current: () => ({}), onChange: () => {} };
    const credentials = checkOf({ tokens: ["t0ken"], basic: ["ann:pass"] });
    const securityOf = (access: Pick<ApiOptions, "credentials" | "tls">): unknown =>
      (openApiDocument(routes, { version: "1", ...access }) as unknown as OpenApi).paths["/metrics"]!["get"]!
        .security;
    expect(securityOf({ tls })).toEqual([{ clientCertificate: [] }]);
    expect(securityOf({ tls, credentials })).toEqual([
      { clientCertificate: [], bearerToken: [] },
      { clientCertificate: [], basic: [] },
    ]);
  });

  test("errors and the structural report are as declared too", async () => {
    const api = await startApi(shop);
    const document = await describedBy(api);
    const analysis = document.paths["/api/v1/traces/{trace_id}/analysis"]!["get"]!;
    const unknown = await api.get(`/api/v1/traces/${"b".repeat(32)}/analysis`);
    expect(
      schemaErrors(unknown.json(), analysis.responses["404"]!.content["application/json"]!.schema, document),
    ).toEqual([]);
    const structural = await api.get(`/api/v1/traces/${traceId}/analysis?scoring=structural`);
    expect(
      schemaErrors(
        structural.json(),
        analysis.responses["200"]!.content["application/json"]!.schema,
        document,
      ),
    ).toEqual([]);
  });

  test("paths, parameters and names are consistent", async () => {
    const document = await describedBy(await startApi(shop));
    const operations = operationsOf(document);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { path, parameters } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.filter((each) => each.in === "path").map(({ name }) => name)).toEqual(inPath);
    }
  });
});

test("the doctor says what is wrong with the instrumentation, of a bounded number of traces", async () => {
  const api = await startApi(`
    web GET 0..    server trace=1
    web GET 0..9ms server trace=2
    web GET 1..9ms server trace=3`);
  const { findings, ...report } = (await api.get("/api/v1/doctor")).json() as {
    readonly findings: readonly { readonly id: string }[];
  };
  expect(report).toMatchObject({
    totals: { spans: 3, traces: 3, services: 1 },
    services: [{ service: "web" }],
    sample: { traces: 3, of: 3 },
  });
  expect(findings.map(({ id }) => id)).toContain("unfinished_span");
  expect((await api.get("/api/v1/doctor?limit=2")).json()).toMatchObject({
    totals: { traces: 2 },
    sample: { traces: 2, of: 3 },
  });
  expect((await api.get("/api/v1/doctor?to=2023-01-01T00:00:00Z")).json()).toMatchObject({
    score: null,
    sample: { traces: 0, of: 0 },
  });
  expect((await api.get("/api/v1/doctor?lang=ko")).body).toMatch(/[가-힣]/);
  checkError(await api.get("/api/v1/doctor?limit=0"), 400, "bad_request", /"limit": "0"/);
});

test("P10: the spans of a huge trace come piece by piece, all of them, and others are answered meanwhile", async () => {
  const spans = 12_000;
  const shape = {
    parent: (i: number) => (i === 1 ? 0 : 1),
    start: (i: number) => i,
    end: (i: number) => i + 9,
  };
  const table = hugeTrace(spans, { ...shape, kind: () => 2, failed: () => false });
  const api = await startApi("other GET / 0..9ms server trace=2", {
    query: { readTrace: () => Promise.resolve(rowsOf(table)) } as unknown as ApiOptions["query"],
  });
  const state = { isAnswered: false };
  const asking = api.get(`/api/v1/traces/${"1".padStart(32, "0")}`).finally(() => {
    state.isAnswered = true;
  });
  let answeredMeanwhile = 0;
  for (; !state.isAnswered; answeredMeanwhile += 1) expect((await api.get("/livez")).status).toBe(200);
  const answer = await asking;
  expect([answer.status, answer.headers["content-type"]]).toEqual([200, "application/json"]);
  const again = decodeBody("traces", "json", Buffer.from(answer.body));
  expect(again.result.accepted).toBe(spans);
  expect(answeredMeanwhile).toBeGreaterThan(1);
});

test("a fault while an answer is written piece by piece is told, and ends the connection", async () => {
  const faults: unknown[] = [];
  const lost = {
    get table(): SpanTable {
      throw new Error("the table is gone");
    },
    row: 0,
  };
  const rows = Array.from({ length: 6_000 }, () => lost);
  const api = await startApi("web GET / 0..9ms server", {
    query: { readTrace: () => Promise.resolve(rows) } as unknown as ApiOptions["query"],
    onFault: (fault) => faults.push(fault),
  });
  await expect(api.get(`/api/v1/traces/${"1".padStart(32, "0")}`)).rejects.toThrow();
  expect(faults).toEqual([new Error("the table is gone")]);
});
