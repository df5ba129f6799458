import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ByteBudget } from "../../src/engine/byte-budget.ts";
import { createEngine } from "../../src/engine/engine.ts";
import type { Clock } from "../../src/engine/ports.ts";
import { ReceiverCounters } from "../../src/engine/receiver-counters.ts";
import { startGrpcReceiver } from "../../src/grpc/grpc-receiver.ts";
import { guardOtlp } from "../../src/http/access.ts";
import { createOtlpHttpHandler } from "../../src/http/otlp-handler.ts";
import { listenHttp } from "../../src/http/server.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { createMemoryStore } from "../../src/storage/memory-store.ts";
import { runInProcess } from "../cli/in-process.ts";
import { checkOf } from "../credentials.ts";
import { serveApi } from "../http/api-server.ts";

const clock: Clock = {
  unixNanos: () => (BigInt(Date.now()) * 1_000_000n) as UnixNanos,
  monotonicMs: () => performance.now(),
};

/** A whole server on free ports; gone when the test ends. */
async function startServer(tokens: readonly string[] = []) {
  const onFault = (fault: unknown): never => {
    throw fault;
  };
  const store = createMemoryStore();
  const engine = createEngine({ store, clock, onFault });
  const credentials = checkOf({ tokens });
  const receiving = { ingest: engine, budget: new ByteBudget(1 << 24), bodyBytesMax: 1 << 24, onFault };
  const counters = new ReceiverCounters("http");
  const receiver = createOtlpHttpHandler({ ...receiving, counters });
  const address = { host: "127.0.0.1", port: 0 };
  const http = await listenHttp(guardOtlp(receiver, { cors: null, credentials, counters }), address);
  const grpcCounters = new ReceiverCounters("grpc");
  const grpc = await startGrpcReceiver({ ...receiving, ...address, counters: grpcCounters, credentials });
  const { port } = await serveApi({ query: engine, clock, credentials }, onFault);
  onTestFinished(async () => {
    await Promise.all([http.close(0), grpc.close(0)]);
    await engine.stop();
    await store.close();
  });
  return { engine, http: http.address, grpc: grpc.address, api: `http://127.0.0.1:${port}` };
}

/** Something on a free port; its address. */
async function listening(listener: (...exchange: Parameters<RequestListener>) => unknown): Promise<string> {
  const server = createServer((request, response) => void listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

// biome-ignore lint/suspicious/noExplicitAny: answers are taken apart and put together wrongly
type Answer = any;

type Falsify = (answer: Answer) => Answer;

/** Stands before an API and falsifies what it answers to paths that match; null = it says that there is nothing. */
function falsifying(api: string, rules: readonly (readonly [RegExp, Falsify])[]): Promise<string> {
  return listening(async (request, response) => {
    const real = await fetch(api + request.url);
    const body = await real.json();
    const falsify = rules.find(([path]) => path.test(request.url ?? ""))?.[1];
    const shown = falsify !== undefined && real.status === 200 ? falsify(body) : body;
    const notFound = { error: { code: "trace_not_found", message: "no such trace", hint: "" } };
    response.writeHead(shown === null ? 404 : real.status, { "content-type": "application/json" });
    response.end(JSON.stringify(shown ?? notFound));
  });
}

const aTrace = /^\/api\/v1\/traces\/[0-9a-f]{32}$/;

/** The lines of human output that say that something is wrong, with the hint below each. */
async function wrongLines(server: string, to: string): Promise<readonly string[]> {
  const { exitCode, stdout } = await runInProcess(`selfcheck --server ${server} --to ${to} --format human`);
  expect(exitCode).toBe(1);
  const lines = stdout.split("\n");
  return lines.filter((line, i) => line.startsWith("WRONG") || lines[i - 1]?.startsWith("WRONG") === true);
}

test.each(["http", "grpc"] as const)("a server that works is found right over %s", async (transport) => {
  const server = await startServer();
  const line = `selfcheck --server ${server.api} --to ${transport}://${server[transport]}`;
  const { exitCode, stdout, stderr } = await runInProcess(`${line} --format json`);
  expect(stderr).toBe("");
  const outcome = JSON.parse(stdout) as {
    readonly run: string;
    readonly checks: readonly { readonly check: string; readonly ok: boolean }[];
  };
  expect(outcome).toMatchObject({ ok: true, version: "1.2.3", server: server.api });
  expect(outcome.checks.filter(({ ok }) => !ok)).toEqual([]);
  const counts = new Map<string, number>();
  for (const { check } of outcome.checks) counts.set(check, (counts.get(check) ?? 0) + 1);
  expect(Object.fromEntries(counts)).toEqual({ accepted: 1, readable: 6, trace: 6, graph: 3, root_cause: 2 });
  expect(exitCode).toBe(0);
  const human = await runInProcess(
    `selfcheck ${server.api} --to ${transport}://${server[transport]} --format human`,
  );
  expect(human.stdout).toMatch(/^hypocenter 1\.2\.3 at .*\nright {2}accepted/);
  expect(human.stdout).toContain("All 18 checks are right.");
});

test("runs do not disturb each other, and do not look like an incident", async () => {
  const server = await startServer();
  const line = `selfcheck --server ${server.api} --to ${server.http}`;
  const runs = await Promise.all([1, 2, 3, 4].map(() => runInProcess(line)));
  expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0]);
  const { services } = await server.engine.services(null);
  expect(services.map(({ service }) => service)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^hypocenter-selfcheck-[0-9a-f]{8}-web$/)]),
  );
  await server.engine.lookForIncidents();
  expect(server.engine.incidents()).toEqual([]);
});

test("a server that asks for a token gets it, and one without it is told so", async () => {
  const server = await startServer(["secret"]);
  const words = ["selfcheck", "--server", server.api, "--to", server.http];
  const shown = await runInProcess([...words, "--header", "authorization=Bearer secret"]);
  expect(shown.exitCode).toBe(0);
  const hidden = await runInProcess(words);
  expect(hidden.exitCode).toBe(2);
  expect(hidden.stderr).toMatch(/No credentials/);
});

test("what is lost, doubled, changed, gone or late is told apart, and so are edges", async () => {
  const server = await startServer();
  const startedAt = performance.now();
  const traces: string[] = [];
  const falsifyTrace: Falsify = (answer) => {
    const parts: Answer[] = answer.resourceSpans;
    const { traceId } = parts[0].scopeSpans[0].spans[0];
    if (!traces.includes(traceId)) traces.push(traceId);
    const text = JSON.stringify(answer);
    return [
      { resourceSpans: parts.slice(1) },
      { resourceSpans: [...parts, parts[0]] },
      JSON.parse(text.replace("9007199254740993", "9007199254740992")),
      null,
      performance.now() - startedAt < 2_600 ? null : answer,
      answer,
    ][traces.indexOf(traceId)];
  };
  const falsifyGraph: Falsify = ({ edges }) => ({
    edges: edges
      .filter(({ kind }: Answer) => kind === "sync")
      .map((edge: Answer) => (edge.caller.endsWith("web") ? edge : { ...edge, calls: 7 })),
  });
  const fake = await falsifying(server.api, [
    [aTrace, falsifyTrace],
    [/^\/api\/v1\/graph/, falsifyGraph],
  ]);
  const lines = await wrongLines(fake, server.http);
  const told = (start: string): string | undefined => {
    const at = lines.findIndex((line) => line.startsWith(start));
    return at < 0 ? undefined : `${lines[at]}\n${lines[at + 1]}`;
  };
  const [lost, doubled, changed, gone, late] = traces;
  expect(told(`WRONG  trace       ${lost}`)).toMatch(
    /-selfcheck-\S+ .* was accepted and is not there\n.*are lost/,
  );
  expect(told(`WRONG  trace       ${doubled}`)).toMatch(/is there 2 times.*\n.*sends twice/);
  expect(told(`WRONG  trace       ${changed}`)).toMatch(
    /attribute selfcheck\.integer is .*992.*, sent was .*993.*\n.*changes spans/,
  );
  expect(told(`WRONG  readable    ${gone}`)).toMatch(
    /was accepted and is not there 5\.0 s later\n.*same server/,
  );
  expect(told(`WRONG  readable    ${late}`)).toMatch(
    /was whole \d\.\d s after .*\(promised: 2\.0 s\)\n.*is behind/,
  );
  expect(told("WRONG  graph")).toMatch(
    /-orders -> \S+-stock: has 7 calls \(2 failed\); 6 were made \(2 failed\)\n/,
  );
  expect(lines.join("\n")).toMatch(/WRONG {2}graph {7}\S+-stock -> \S+-database: is missing/);
  expect(lines.filter((line) => line.startsWith("WRONG"))).toHaveLength(7);
});

test("a wrong root cause is told, with the right one", async () => {
  const server = await startServer();
  const fake = await falsifying(server.api, [
    [/\/analysis$/, ({ root_cause_candidates: [, ...others] }) => ({ root_cause_candidates: others })],
  ]);
  const lines = await wrongLines(fake, server.http);
  expect(lines[0]).toMatch(
    /WRONG {2}root cause {2}[0-9a-f]{32}: .* is named first; the failure began at \S+-stock$/,
  );
  expect(lines[1]).toMatch(/hypocenter query [0-9a-f]{32} --server/);
  expect(lines[2]).toMatch(/the failure began at \S+-database$/);
});

test.each([
  [400, { message: "not today" }, /was not accepted: HTTP 400: not today\n.*--header/],
  [
    200,
    { partialSuccess: { rejectedSpans: "2", errorMessage: "two are odd" } },
    /2 of 24 spans were not accepted: two are odd/,
  ],
  [503, { message: "full" }, /was not accepted within 5 seconds: HTTP 503: full\n.*no room/],
] as const)(
  "what is not accepted (%i) is told, and then nothing is asked",
  async (status, body, expected) => {
    const server = await startServer();
    const receiver = await listening((request, response) => {
      request.resume();
      response.writeHead(status, { "content-type": "application/json", "retry-after": "60" });
      response.end(JSON.stringify(body));
    });
    const lines = await wrongLines(server.api, receiver);
    expect(lines.join("\n")).toMatch(expected);
    expect(lines.length).toBe(2);
  },
);

test("exit code 5 where nobody answers, or somebody else does", async () => {
  const server = await startServer();
  const nobody = await runInProcess(`selfcheck --server ${server.api} --to http://127.0.0.1:1`);
  expect([nobody.exitCode, nobody.stdout]).toEqual([5, ""]);
  expect(nobody.stderr).toMatch(/Nobody takes telemetry at http:\/\/127\.0\.0\.1:1/);
  const noApi = await runInProcess("selfcheck --server http://127.0.0.1:1");
  expect(noApi.exitCode).toBe(5);
  expect(await runInProcess("selfcheck tracing:4320")).toMatchObject({
    exitCode: 2,
    stderr: "hypocenter: tracing:4320 is no address of a server\nExpected an http:// or https:// address.\n",
  });
  const other = await listening((_, response) => response.end("<h1>It works!</h1>"));
  const stranger = await runInProcess(`selfcheck --server ${other} --to ${server.http}`);
  expect(stranger.exitCode).toBe(5);
  expect(stranger.stderr).toMatch(/is no hypocenter/);
});
