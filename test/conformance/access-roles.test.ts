import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { readStatus } from "../../src/formats/otlp-target.ts";
import { runInProcess } from "../cli/in-process.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { type Answered, ask, callGrpc, sendSpan } from "./ask.ts";

const permissionDenied = 7;
const unauthenticated = 16;
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const asking = ["/api/v1/services", "/api/v1/incidents", "/metrics", "/openapi.json", "/"];

const folder = mkdtempSync(join(tmpdir(), "hypocenter-tokens-"));
afterAll(() => rmSync(folder, { recursive: true }));

let server: RunningServer;
beforeAll(async () => {
  const file = join(folder, "roles");
  writeFileSync(file, "# who\ningest f1le-in\r\n\nquery  f1le-ask\n  all f1le-all\nf1le-plain\n");
  const flags = ["--auth-tokens", "b0th", "--auth-query-tokens", "ask-1", "--auth-query-tokens", "tw1ce"];
  server = await startServer(
    [...flags, "--auth-tokens-file", file, "--auth-basic", "ann:pass", "--auth-header", "x-api-key"],
    { HYPOCENTER_AUTH_INGEST_TOKENS: "in-1,in-2,tw1ce" },
  );
});
afterAll(async () => {
  await server.stop("SIGKILL");
});

/** What a token opens, over HTTP and gRPC alike. */
async function opens({ http, grpc, api }: RunningServer, token: string): Promise<string> {
  const sent = await sendSpan(`http://${http}`, bearer(token));
  const called = await callGrpc(grpc, bearer(token));
  expect([0, permissionDenied, unauthenticated]).toContain(called.code);
  expect(sent.status).toBe({ 0: 200, [permissionDenied]: 403, [unauthenticated]: 401 }[called.code]);
  const answers = await Promise.all(asking.map((path) => ask(`http://${api}${path}`, bearer(token))));
  const [status, ...others] = new Set(answers.map((answer) => answer.status));
  expect(others).toEqual([]);
  return `send ${sent.status}, ask ${status}`;
}

const both = "send 200, ask 200";
const ingestOnly = "send 200, ask 403";
const queryOnly = "send 403, ask 200";
const stranger = "send 401, ask 401";

test.each([
  ["b0th", both],
  ["in-1", ingestOnly],
  ["in-2", ingestOnly],
  ["ask-1", queryOnly],
  ["f1le-in", ingestOnly],
  ["f1le-ask", queryOnly],
  ["f1le-all", both],
  ["f1le-plain", both],
  // a token of two lists may do what either is for
  ["tw1ce", both],
  ["f1le-", stranger],
  ["ingest", stranger],
])("C-82 the token %s: %s", async (token, expected) => {
  expect(await opens(server, token)).toBe(expected);
});

test("C-82 users with a password may do both, and a header of choice carries roles too", async () => {
  const ann = { headers: { authorization: `Basic ${btoa("ann:pass")}` } };
  expect((await sendSpan(`http://${server.http}`, ann)).status).toBe(200);
  expect((await ask(`http://${server.api}/metrics`, ann)).status).toBe(200);
  const inHeader = { headers: { "x-api-key": "in-1" } };
  expect((await sendSpan(`http://${server.http}`, inHeader)).status).toBe(200);
  expect((await callGrpc(server.grpc, inHeader)).code).toBe(0);
  expect((await ask(`http://${server.api}/metrics`, inHeader)).status).toBe(403);
});

test("C-82 a refusal says what the token may not do and which to use, and no secret", async () => {
  const json = await sendSpan(`http://${server.http}`, bearer("ask-1"));
  expect(JSON.parse(json.body.toString())).toEqual({
    code: permissionDenied,
    message: expect.stringMatching(/may ask questions, but not send.*auth_ingest_tokens/),
  });
  const protobuf = await sendSpan(`http://${server.http}`, {
    headers: { ...bearer("ask-1").headers, "content-type": "application/x-protobuf" },
    body: "",
  });
  expect(readStatus(protobuf.body).message).toContain("auth_ingest_tokens");
  const call = await callGrpc(server.grpc, bearer("ask-1"));
  expect(call.details).toMatch(/may ask questions, but not send.*auth_ingest_tokens/);
  const api = await ask(`http://${server.api}/api/v1/services`, bearer("in-1"));
  expect(JSON.parse(api.body.toString()).error).toMatchObject({
    code: "forbidden",
    message: expect.stringContaining("not ask questions"),
    hint: expect.stringContaining("auth_query_tokens"),
  });
  // 401 asks for other credentials: whoever is known has no need of that
  for (const { headers } of [json, api] satisfies Answered[])
    expect(headers["www-authenticate"]).toBeUndefined();
  const said = [json.body, protobuf.body, call.details, api.body, server.stderr()].join();
  expect(said).not.toMatch(/b0th|in-\d|ask-1|f1le|tw1ce|ann:pass/);
});

test("C-82 refusals by role are counted apart from strangers", async () => {
  const counted = async (): Promise<readonly number[]> => {
    const { body } = await ask(`http://${server.api}/metrics`, bearer("b0th"));
    const text = body.toString();
    return ["http_forbidden", "grpc_forbidden", "http_unauthenticated"].map((name) =>
      Number(new RegExp(`otlp_${name}_requests_total (\\d+)`).exec(text)?.[1]),
    );
  };
  const [http, grpc, strangers] = await counted();
  await sendSpan(`http://${server.http}`, bearer("ask-1"));
  await callGrpc(server.grpc, bearer("ask-1"));
  expect(await counted()).toEqual([http! + 1, grpc! + 1, strangers]);
});

test("C-82 our own commands tell the way out when a token is for something else", async () => {
  const header = (token: string) => ["--header", `authorization=Bearer ${token}`];
  const sent = ["replay", "samples/missing-orders/traces.jsonl.gz", "--to", `http://${server.http}`];
  const replayed = await runInProcess([...sent, ...header("ask-1")]);
  expect(replayed.exitCode).toBe(5);
  expect(replayed.stderr).toContain("auth_ingest_tokens");
  const asked = ["query", "incidents", "--server", `http://${server.api}`];
  const query = await runInProcess([...asked, ...header("in-1")]);
  expect(query.exitCode).toBe(2);
  expect(query.stderr).toContain("auth_query_tokens");
  expect(replayed.stderr + query.stderr).not.toMatch(/in-1|ask-1/);
});

/** Resolves when the server has said a text so many times. */
async function hasSaid(running: RunningServer, text: string, times = 1): Promise<void> {
  while (running.stderr().split(text).length - 1 < times)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

test("C-82 a file of tokens is read again when it changes, also behind a link; one that cannot be used changes nothing", async () => {
  const [first, second, link] = ["first", "second", "link"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(first, "ingest old\nquery asks\n");
  writeFileSync(second, "all new\n");
  symlinkSync(first, link);
  const running = await startServer(["--auth-tokens-file", link, "--tls-reload-interval", "50ms"]);
  onTestFinished(async () => {
    await running.stop("SIGKILL");
  });
  expect([await opens(running, "old"), await opens(running, "new")]).toEqual([ingestOnly, stranger]);
  symlinkSync(second, `${link}.next`);
  renameSync(`${link}.next`, link);
  await hasSaid(running, "tokens in auth_tokens_file were read anew");
  expect([await opens(running, "old"), await opens(running, "new")]).toEqual([stranger, both]);
  // An empty file must not open the server to everybody, and a broken line must not be told.
  writeFileSync(second, "# all gone\n");
  await hasSaid(running, "holds no token");
  writeFileSync(second, "all new\ningest s3cret word\n");
  await hasSaid(running, "line 2 of auth_tokens_file");
  unlinkSync(second);
  await hasSaid(running, "Cannot read auth_tokens_file");
  expect([await opens(running, "s3cret"), await opens(running, "new")]).toEqual([stranger, both]);
  writeFileSync(second, "all newest\n");
  await hasSaid(running, "tokens in auth_tokens_file were read anew", 2);
  expect([await opens(running, "new"), await opens(running, "newest")]).toEqual([stranger, both]);
  expect(running.stderr()).not.toMatch(/s3cret|newest/);
});

test.each([
  ["holds no token", "# nobody\n"],
  ["no ROLE TOKEN in line 1", "ingest\n"],
  ["no ROLE TOKEN in line 2", "all s3cret\nwriter s3cret\n"],
  ["no ROLE TOKEN in line 1", "ingest s3cret more\n"],
  ["line 1 of auth_tokens_file .* cannot be sent in a header", "all s3crét\n"],
  ["more than 1000 tokens", "all s3cret\n".repeat(1001)],
])("C-82 a file of tokens that cannot be used ends the start: %s", async (message, text) => {
  const file = join(folder, "bad");
  writeFileSync(file, text);
  const checked = await runInProcess(["config", "--check", "--auth-tokens-file", file]);
  expect([checked.exitCode, checked.stderr]).toEqual([2, expect.stringMatching(message)]);
  expect(checked.stderr).not.toMatch(/s3cr/);
});

test("C-82 a file that is not there ends the start; tokens of no role for something are warned about", async () => {
  const missing = await runInProcess(["config", "--check", "--auth-tokens-file", join(folder, "none")]);
  expect([missing.exitCode, missing.stderr]).toEqual([
    2,
    expect.stringContaining("Cannot read auth_tokens_file"),
  ]);
  const checked = async (flag: string) => (await runInProcess(["config", "--check", flag, "t0ken"])).stderr;
  expect(await checked("--auth-ingest-tokens")).toContain("No token may ask questions");
  expect(await checked("--auth-query-tokens")).toContain("No token may send telemetry");
  expect(await checked("--auth-tokens")).toBe("");
  const shown = await runInProcess([
    "config",
    "--auth-ingest-tokens",
    "t0ken",
    "--auth-query-tokens",
    "t0ken",
  ]);
  expect(shown.stdout).not.toContain("t0ken");
});
