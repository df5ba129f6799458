import { expect, test } from "vitest";
import { LogTemplates } from "../../src/cascade/log-template.ts";
import { settings } from "../../src/config/settings.ts";
import { servicesMax } from "../../src/model/limits.ts";
import { Span } from "../../src/model/span.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { collect, streamOf } from "../formats/sources.ts";
import { oracleEncode } from "../otlp/protobuf-oracle.ts";
import { isThorough } from "../runs.ts";
import {
  attribute,
  bothWays,
  edgesOf,
  json,
  kindsOf,
  protobuf,
  request,
  serviceName,
  spans,
} from "./both-ways.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "00f067aa0ba902b7";

test("P8: spans with ids that are zero or of a wrong length are rejected and counted, the others kept", async () => {
  const bad = [
    { traceId: "" },
    { traceId: "0".repeat(32) },
    { traceId: traceId.slice(16) },
    { traceId: `${traceId}00` },
    { spanId: "0".repeat(16) },
    { spanId: "00" },
  ];
  const { accepted, rejected, replies, window } = await bothWays([json(request([...bad, {}]))]);
  expect([accepted, rejected]).toEqual([1, 6]);
  expect(JSON.parse(replies[0]!.body.toString())).toMatchObject({ partialSuccess: { rejectedSpans: "6" } });
  expect(kindsOf(window.problems)).toEqual(["rejected_span"]);
});

test("P8: ids in upper case are the same ids", async () => {
  const upper = request([{ traceId: "ABCDEF".padStart(32, "0"), spanId: "ABC".padStart(16, "0") }]);
  const child = request([
    {
      traceId: "abcdef".padStart(32, "0"),
      spanId: "2".padStart(16, "0"),
      parentSpanId: "abc".padStart(16, "0"),
    },
  ]);
  const { window } = await bothWays([json(upper), json(child)]);
  expect(window.totals).toMatchObject({ traces: 1, spans: 2 });
  expect(kindsOf(window.problems)).toEqual([]);
});

test("P8: in files of Jaeger and Zipkin a trace id of 16 digits is one of 32; in OTLP it is none", async () => {
  const short = traceId.slice(16);
  const jaeger = {
    traceID: short,
    spanID: spanId,
    operationName: "x",
    references: [],
    startTime: 1_700_000_000_000_000,
    duration: 9,
    tags: [],
    logs: [],
    processID: "p1",
  };
  const processes = { p1: { serviceName: "web", tags: [] } };
  const zipkin = [{ traceId: short, id: spanId, name: "x", timestamp: 1_700_000_000_000_000, duration: 9 }];
  for (const content of [{ data: [{ traceID: short, spans: [jaeger], processes }] }, zipkin]) {
    const { tables } = await collect([streamOf(JSON.stringify(content))]);
    expect(new Span(tables[0]!, 0).traceId).toBe(short.padStart(32, "0"));
  }
  const { accepted, rejected } = await bothWays([json(request([{}, { traceId: short }]))]);
  expect([accepted, rejected]).toEqual([1, 1]);
});

test("P9: a parent id of zeros or of a wrong length makes a root", async () => {
  const parents = ["0".repeat(16), "", "00f0", `${spanId}00`];
  const { accepted, report } = await bothWays([
    json(request(parents.map((parentSpanId) => ({ parentSpanId })))),
  ]);
  expect(accepted).toBe(4);
  expect(report().problems).toMatchObject([{ kind: "several_roots", count: 4 }]);
});

test("P12: a span with values of megabytes and ten thousand of everything is kept, and reported in few words", async () => {
  const megabytes = "x".repeat(isThorough ? 10_000_000 : 2_000_000);
  const many = Array.from({ length: 10_000 }, (_, i) => attribute(`key ${i}`, i));
  const span = {
    name: `GET ${megabytes.slice(0, 100_000)}`,
    attributes: [attribute("payload", megabytes), ...many, attribute("http.response.status_code", 500)],
    events: many.map((entry) => ({ name: "tick", timeUnixNano: "1704067200000000001", attributes: [entry] })),
    links: many.map((_, i) => ({ traceId, spanId: (i + 1).toString(16).padStart(16, "0") })),
    status: { code: 2, message: megabytes },
  };
  const { accepted, report, services } = await bothWays([json(request([span]))]);
  expect(accepted).toBe(1);
  // what is stored stays whole
  const { tables } = await collect([streamOf(JSON.stringify(request([span])))]);
  const stored = new Span(tables[0]!, 0);
  expect([stored.attributes.get("payload"), stored.attributes.size]).toEqual([megabytes, 10_002]);
  expect([stored.events.length, stored.links.length, stored.statusMessage]).toEqual([
    10_000,
    10_000,
    megabytes,
  ]);
  expect(report().trace.error_count).toBe(1);
  expect(JSON.stringify(report()).length).toBeLessThan(100_000);
  expect(JSON.stringify(services).length).toBeLessThan(100_000);
});

const nasty = [
  "\u0000nul\u0007bell",
  "<script>alert(1)</script>",
  `"onload="alert(1)`,
  "\u202egnp.exe",
  "line\nbreak\r\nX-Injected: 1",
  "👩‍🚀",
  "\ud800 alone",
];

test("P24: names with controls, markup, line breaks and half characters arrive as they are, but for what is no text", async () => {
  const body = json(
    request(nasty.map((name, i) => ({ name, spanId: (i + 1).toString(16).padStart(16, "0") }))),
  );
  const { services } = await bothWays([body]);
  const operations = services[0]!.operations.map(({ operation }) => operation);
  expect(operations.sort()).toEqual(
    nasty.map((name) => name.replace(/[\ud800\0](?! *[\udc00-\udfff])/g, "\ufffd")).sort(),
  );
});

test("P24: bytes that are no UTF-8 read as U+FFFD, and the report says so", async () => {
  const bytes = Buffer.from(spans("web GET_cart 0..9ms server")[0]!.bytes);
  bytes[bytes.indexOf("GET_cart") + 3] = 0xff;
  const { report } = await bothWays([protobuf(bytes)]);
  expect(report().trace.root_operation).toBe("GET\ufffdcart");
  expect(kindsOf(report().problems)).toEqual(["ill_formed_utf8"]);
});

test("P25: names that JavaScript reserves are names like any other", async () => {
  const names = ["__proto__", "constructor", "hasOwnProperty", "toString", ""];
  const bodies = names.map((name, i) => {
    const span = {
      traceId: (i + 1).toString(16).padStart(32, "0"),
      name,
      attributes: [attribute("__proto__", "polluted"), attribute("", 1), attribute("constructor", true)],
    };
    return json(request([span], [serviceName(name === "" ? "empty" : name)]));
  });
  const { services, report } = await bothWays(bodies);
  expect(services.map(({ service }) => service)).toEqual([
    "__proto__",
    "constructor",
    "empty",
    "hasOwnProperty",
    "toString",
  ]);
  expect(services.map(({ requests }) => requests)).toEqual([1, 1, 1, 1, 1]);
  expect(report(1).trace).toMatchObject({ root_service: "__proto__", root_operation: "__proto__" });
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

test("P25: of a key that comes twice the last value counts", async () => {
  const attributes = [
    attribute("http.response.status_code", 500),
    attribute("http.response.status_code", 200),
  ];
  const { report } = await bothWays([json(request([{ attributes }, { attributes: attributes.slice(1) }]))]);
  expect(report().trace.error_count).toBe(0);
  expect(report().problems).toMatchObject([
    { kind: "duplicate_attribute", count: 1 },
    { kind: "several_roots" },
  ]);
});

test("P26: a service's name may be a number, a list, too long, padded, or missing", async () => {
  const long = "x".repeat(1_000_000);
  const values: readonly (readonly [value: unknown, name: string | RegExp])[] = [
    [42, "42"],
    [{ arrayValue: { values: [{ stringValue: "first" }, { stringValue: "second" }] } }, "first"],
    ["  padded ", "padded"],
    ["Cart", "Cart"],
    ["cart", "cart"],
    ["", "unknown_service"],
    [{}, "unknown_service"],
    [long, /^x{246}~[0-9a-f]{8}$/],
    // two bytes a character, then four: no character is cut in two
    ["é".repeat(127), "é".repeat(127)],
    ["é".repeat(128), /^é{123}~[0-9a-f]{8}$/],
    ["😀".repeat(64), /^(?:😀){61}~[0-9a-f]{8}$/u],
    [{ doubleValue: 1.5 }, "1.5"],
  ];
  const apart = ["cart", "Cart", " cart "].map((name, i) =>
    json(request([{ traceId: String(i + 1).padStart(32, "0") }], [serviceName(name)])),
  );
  expect((await bothWays(apart)).services.map(({ service, requests }) => `${service} ${requests}`)).toEqual([
    "Cart 1",
    "cart 2",
  ]);
  for (const [value, name] of values) {
    const { services } = await bothWays([json(request([{}], [serviceName(value)]))]);
    if (typeof name === "string") expect(services.map(({ service }) => service)).toEqual([name]);
    else expect(services[0]?.service).toMatch(name);
    expect(Buffer.byteLength(services[0]?.service ?? "")).toBeLessThanOrEqual(255);
  }
});

test("P26: a missing name is unknown_service with the program as a hint; long names that differ at their end stay apart", async () => {
  const hinted = request([{}], [attribute("process.executable.name", "java")]);
  const long = ["a", "b"].map((end, i) =>
    json(request([{ traceId: String(i + 2).padStart(32, "0") }], [serviceName(`${"x".repeat(300)}${end}`)])),
  );
  const { services } = await bothWays([json(hinted), ...long]);
  expect(services.map(({ service }) => service.slice(0, 20))).toEqual([
    "unknown_service:java",
    "x".repeat(20),
    "x".repeat(20),
  ]);
});

/** The law is that of ten thousand, where nothing else is said; a tenth of them takes a tenth of the time. */
const toldApart = isThorough ? servicesMax : 1_000;

test("P26: ten thousand services are told apart where nothing else is said", () => {
  expect([servicesMax, settings.services.default]).toEqual([10_000, "10000"]);
});

test("P26: a service name for every request fills neither memory nor the report", async () => {
  const tooMany = toldApart / 5;
  const resourceSpans = Array.from({ length: toldApart + tooMany }, (_, i) => ({
    resource: { attributes: [serviceName(`job-${i}`)] },
    scopeSpans: [
      {
        spans: [
          {
            traceId: Buffer.from(traceId, "hex"),
            spanId: Buffer.from((i + 1).toString(16).padStart(16, "0"), "hex"),
            name: "run",
            kind: 2,
            startTimeUnixNano: "1704067200000000000",
            endTimeUnixNano: "1704067200050000000",
            status: { code: i % 2 === 0 ? 2 : 0 },
          },
        ],
      },
    ],
  }));
  const body = protobuf(oracleEncode("traces", { resourceSpans }));
  const limits = isThorough ? {} : { servicesMax: toldApart };
  const { services, window } = await bothWays([body], true, limits);
  expect(services.length).toBeLessThanOrEqual(toldApart + 1);
  expect(services.find(({ service }) => service === "__other__")?.requests).toBe(tooMany);
  expect(window.root_cause_candidates.map(({ service }) => service)).not.toContain("__other__");
  expect(window.problems.find(({ kind }) => kind === "overflow")).toMatchObject({
    count: tooMany,
    message: expect.stringContaining("job-{number} (service.name)"),
  });
}, 60_000);

test("P26: how many services are told apart is a setting, and holds for graph and metrics of many minutes", async () => {
  const jobs = Array.from({ length: 30 }, (_, i) => {
    const start = `${i * 60_000}..${i * 60_000 + 90}ms`;
    const callers = `job-${i} call ${start} client trace=${i + 1} peer.service=shop`;
    const failed = `task-${i} run ${start} server error trace=${i + 101}`;
    return `shop GET / ${start} server trace=${i + 201}\n${callers}\n${failed}`;
  });
  const { services, graph, window } = await bothWays(spans(jobs.join("\n")), false, { servicesMax: 12 });
  const names = services.map(({ service }) => service);
  expect(names.length).toBe(13);
  // those with the most requests stay
  expect(names).toContain("shop");
  expect(services.find(({ service }) => service === "__other__")).toMatchObject({ requests: 49, errors: 30 });
  expect(graph.nodes.length).toBe(13);
  expect(graph.edges.length).toBe(12);
  expect(edgesOf(graph)).toContain("__other__ -> shop inferred 19");
  expect(window.root_cause_candidates.map(({ service }) => service)).not.toContain("__other__");
  expect(window.problems.find(({ kind }) => kind === "overflow")).toMatchObject({
    count: 49,
    message: expect.stringContaining("more than 12 services"),
  });
});

test("P27: names that differ from request to request are one operation", async () => {
  const names = [
    "GET /user/17/cart",
    "GET /user/18/cart?page=2",
    "GET /file/0af76519-16cd-43dd-8448-eb211c80319c",
    "GET /file/1af76519-16cd-43dd-8448-eb211c80319c",
    "mail to ann@example.com",
    "mail to bob@example.org",
    "block 9f86d081884c7d65",
    "block 3a7bd3e2360a3d29",
    "SELECT * FROM cart WHERE owner = 'Ann' LIMIT 5",
    "SELECT * FROM cart WHERE owner = 'Bob' LIMIT 9",
    "GET /api/v2/http2",
    "step 3 of 5",
  ];
  const { services } = await bothWays([json(request(names.map((name) => ({ name }))))]);
  expect(services[0]!.operations.map(({ operation, requests }) => `${operation} ${requests}`).sort()).toEqual(
    [
      "GET /api/v2/http2 1",
      "GET /file/{uuid} 2",
      "GET /user/{id}/cart 2",
      "SELECT * FROM cart WHERE owner = ? LIMIT ? 2",
      "block {hex} 2",
      "mail to {email} 2",
      "step 3 of 5 1",
    ],
  );
});

test("P27: operations without end fill one overflow operation", async () => {
  const names = Array.from({ length: 2_500 }, (_, i) => ({
    name: `random ${i} word`,
    spanId: (i + 1).toString(16).padStart(16, "0"),
  }));
  const { services } = await bothWays([json(request(names))]);
  expect(services[0]!.operations.length).toBeLessThanOrEqual(2_001);
  expect(services[0]!.operations.find(({ operation }) => operation === "__other__")?.requests).toBe(500);
});

test("P29: statements, headers and bodies that spans carry are in no report", async () => {
  const secrets = [
    attribute("db.query.text", "SELECT pin FROM card WHERE owner = 'SECRET'"),
    attribute("db.statement", "SELECT 'SECRET'"),
    attribute("http.request.header.authorization", "Bearer SECRET"),
    attribute("http.url", "https://cart.example/pay?token=SECRET"),
    attribute("url.full", "https://cart.example/pay?token=SECRET"),
    attribute("enduser.id", "SECRET"),
    attribute("http.response.status_code", 500),
  ];
  const name = "SELECT pin FROM card WHERE owner = 'SECRET'";
  const { report, window, services, graph } = await bothWays([
    json(request([{ kind: 3, name, attributes: secrets, status: { code: 2 } }])),
  ]);
  for (const answer of [report(), window, services, graph])
    expect(JSON.stringify(answer)).not.toContain("SECRET");
});

test("P29: what programs say of their failures reaches no report with passwords, tokens, addresses or values in it", async () => {
  const messages = [
    "login of ann.smith@example.com failed",
    "refused: Authorization: Bearer abcdef0123456789",
    "redis://app:hunter22@cache:6379 is down",
    "cannot connect with password=hunter22;db=x",
    "card 4111 1111 1111 1111 declined",
    "ERROR at INSERT INTO card (pin, owner) VALUES (4711, 'Ann Smith')",
    "duplicate key: Key (owner)=(Ann Smith) already exists",
  ];
  const failed = messages.map((message, i) => ({
    traceId: (i + 1).toString(16).padStart(32, "0"),
    status: { code: 2, message },
  }));
  const { report, window, services } = await bothWays([json(request(failed))]);
  const answers = JSON.stringify([messages.map((_, i) => report(i + 1)), window, services]);
  for (const secret of ["ann.smith", "abcdef0123", "hunter22", "4111", "4711", "Ann Smith"])
    expect(answers).not.toContain(secret);
  for (const kept of ["cache:6379", "declined", "already exists"]) expect(answers).toContain(kept);
});

test("P29: what programs say of their failures is shown as sent where that is wanted", async () => {
  const body = json(request([{ status: { code: 2, message: "login of ann.smith@example.com failed" } }]));
  const shown = await bothWays([body], true, { redacts: false });
  expect(JSON.stringify(shown.report())).toContain("ann.smith@example.com");
  const redacted = await bothWays([body]);
  expect(JSON.stringify(redacted.report())).toContain("login of {email} failed");
});

test("P29: why a peer cannot be reached is told without the password of its address, unless wanted", async () => {
  const message = "connect ECONNREFUSED redis://app:hunter22@cache:6379";
  const attributes = [attribute("peer.service", "cache")];
  const body = json(request([{ kind: 3, attributes, status: { code: 2, message } }]));
  const redacted = await bothWays([body]);
  const answers = [redacted.report(), redacted.window, redacted.services];
  expect(JSON.stringify(answers)).not.toContain("hunter22");
  expect(JSON.stringify(redacted.services)).toContain("{secret}@cache:6379");
  expect(JSON.stringify((await bothWays([body], true, { redacts: false })).services)).toContain(message);
});

test("P29: kinds of log lines hold no token, address or value", () => {
  const templates = new LogTemplates();
  const textOf = (body: string): string =>
    templates.read({
      resource: new Map(),
      scopeName: "",
      time: 0n as UnixNanos,
      observedTime: 0n as UnixNanos,
      severityNumber: 17,
      severityText: "",
      body,
      attributes: new Map([["exception.message", `refused for ${body}`]]),
      traceId: "",
      spanId: "",
      eventName: "",
    }).text;
  const texts = [
    "login of ann.smith@example.com failed",
    "sent Authorization: Bearer abcdefghij",
    "got bearer abcdefghij",
    "cannot reach redis://app:hunter@cache",
    "INSERT INTO card (owner) VALUES ('Ann Smith')",
    "key ghp_abcdefghijklmnopqrstuvwx",
  ].map(textOf);
  for (const secret of ["ann.smith", "abcdefghij", "hunter", "Ann Smith"])
    expect(texts.join("\n")).not.toContain(secret);
  expect(textOf("login of bob@example.org failed")).toBe(texts[0]);
});

test("P30: one name in two environments or namespaces is two nodes", async () => {
  const { graph } = await bothWays(
    spans(
      "web GET / 0..90ms client env=prod\n  cart GET / 10..80ms server env=prod",
      "web GET / 0..90ms client trace=2 env=test\n  cart GET / 10..80ms server env=test",
    ),
  );
  expect(edgesOf(graph).sort()).toEqual(["web@prod -> cart@prod sync 1", "web@test -> cart@test sync 1"]);
  const spaced = await bothWays(
    spans(
      "web GET / 0..90ms client namespace=shop\n  cart GET / 10..80ms server namespace=shop",
      "web GET / 0..90ms client trace=2 namespace=bank\n  cart GET / 10..80ms server namespace=bank",
    ),
  );
  expect(edgesOf(spaced.graph).sort()).toEqual([
    "bank/web -> bank/cart sync 1",
    "shop/web -> shop/cart sync 1",
  ]);
});

test("P30: two versions of a service are one node, and an instance id that two services use joins nothing", async () => {
  const resource = (name: string, version: string): readonly object[] => [
    serviceName(name),
    attribute("service.version", version),
    attribute("service.instance.id", "1"),
  ];
  const bodies = [resource("cart", "1.0"), resource("cart", "2.0"), resource("mail", "1.0")].map(
    (attributes, i) => json(request([{ traceId: String(i + 1).padStart(32, "0") }], attributes)),
  );
  const { services } = await bothWays(bodies);
  expect(services.map(({ service, requests }) => `${service} ${requests}`)).toEqual(["cart 2", "mail 1"]);
});

test("P43: a status code may be a text or a fraction", async () => {
  for (const value of ["500", "500.0", { doubleValue: 500 }, 500]) {
    const { report } = await bothWays([
      json(request([{ attributes: [attribute("http.status_code", value)] }])),
    ]);
    expect(report().trace.error_count).toBe(1);
  }
});
