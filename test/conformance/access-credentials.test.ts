import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readStatus } from "../../src/formats/otlp-target.ts";
import { runInProcess } from "../cli/in-process.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { checkOf } from "../credentials.ts";
import { type Answered, ask, callGrpc, grpcClient, sendSpan } from "./ask.ts";

const good = { authorization: "Bearer t0ken-one" };
const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const unauthenticated = 16;
const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });

let server: RunningServer;
beforeAll(async () => {
  const secrets = ["--auth-tokens", "t0ken-one", "--auth-tokens", "t0ken-two"];
  server = await startServer([...secrets, "--auth-basic", "ann:pass:wörd", "--auth-header", "X-Api-Key"]);
});
afterAll(async () => {
  await server.stop("SIGKILL");
});

const admitted: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "a bearer token": good,
  "another of the tokens": { authorization: "Bearer t0ken-two" },
  "a scheme in other letters": { authorization: "bEARER   t0ken-one" },
  "a user name and password": basic("ann:pass:wörd"),
  "a token in the header of choice": { "x-api-key": "t0ken-two" },
};
const turnedAway: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  nothing: {},
  "a token that nobody knows": { authorization: "Bearer t0ken-three" },
  "the beginning of a token": { authorization: "Bearer t0ken-on" },
  "a token and more": { authorization: "Bearer t0ken-one2" },
  "no token at all": { authorization: "Bearer " },
  "a token without its scheme": { authorization: "t0ken-one" },
  "a wrong password": basic("ann:password"),
  "a user name alone": basic("ann"),
  "a token as a password": basic("t0ken-one"),
  "a password in the header for tokens": { "x-api-key": "ann" },
  "no base64": { authorization: "Basic %%%" },
};

describe.each(Object.entries(admitted))("C-82 %s", (_, headers) => {
  test("C-82 opens all three ports", async () => {
    expect((await sendSpan(`http://${server.http}`, { headers })).status).toBe(200);
    expect(await callGrpc(server.grpc, { headers })).toMatchObject({ code: 0 });
    expect((await ask(`http://${server.api}/api/v1/services`, { headers })).status).toBe(200);
  });
});

test.each(Object.entries(turnedAway))("C-46 C-82 %s opens none of them", async (_, headers) => {
  expect((await sendSpan(`http://${server.http}`, { headers })).status).toBe(401);
  const call = await callGrpc(server.grpc, { headers });
  expect(call.code).toBe(unauthenticated);
  for (const path of ["/api/v1/services", "/metrics", "/openapi.json", "/"])
    expect((await ask(`http://${server.api}${path}`, { headers })).status, path).toBe(401);
});

test("C-82 the refusal is a Status in the encoding of the request, and says what is missing, never what was sent", async () => {
  const headers = { authorization: "Bearer wrong-secret" };
  const json = await sendSpan(`http://${server.http}`, { headers });
  expect(JSON.parse(json.body.toString())).toMatchObject({
    code: unauthenticated,
    message: expect.stringContaining("Authorization: Bearer TOKEN"),
  });
  const asProtobuf = { ...headers, "content-type": "application/x-protobuf" };
  const protobuf = await sendSpan(`http://${server.http}`, { headers: asProtobuf, body: "" });
  expect(protobuf.headers["content-type"]).toBe("application/x-protobuf");
  expect([protobuf.body[0], protobuf.body[1]]).toEqual([0x08, unauthenticated]);
  expect(readStatus(protobuf.body).message).toContain("x-api-key: TOKEN");
  const call = await callGrpc(server.grpc, { headers });
  expect(call.details).toContain("Authorization: Bearer TOKEN");
  const api = await ask(`http://${server.api}/api/v1/services`, { headers });
  expect(JSON.parse(api.body.toString())).toMatchObject({
    error: { code: "unauthenticated", hint: expect.stringContaining("Authorization: Bearer TOKEN") },
  });
  const said = [json.body, protobuf.body, call.details, api.body].join();
  expect(said).not.toMatch(/wrong-secret|t0ken|pass:/);
  for (const { headers: answered } of [json, protobuf, api] satisfies Answered[])
    expect(answered["www-authenticate"]).toBe(
      'Bearer realm="hypocenter", Basic realm="hypocenter", charset="UTF-8"',
    );
});

test("C-82 health checks need no credentials", async () => {
  for (const path of ["/livez", "/readyz", "/healthz", "/ready", "/health"])
    expect((await ask(`http://${server.api}${path}`)).status, path).toBe(200);
  expect((await callGrpc(server.grpc, { method: "/grpc.health.v1.Health/Check" })).code).toBe(0);
});

test("C-82 large calls of strangers are refused unread and do not clog the connection for others", async () => {
  const client = grpcClient(server.grpc);
  const message = new Uint8Array(3 << 20);
  for (let i = 0; i < 8; i += 1)
    expect((await callGrpc(server.grpc, { client, message })).code).toBe(unauthenticated);
  const known = await callGrpc(server.grpc, { client, message, headers: good });
  expect(known).toMatchObject({ code: 3, details: expect.stringContaining("malformed") });
  client.close();
});

test("C-82 strangers are counted", async () => {
  const metrics = async (): Promise<readonly number[]> => {
    const { body } = await ask(`http://${server.api}/metrics`, { headers: good });
    return ["http", "grpc"].map((transport) =>
      Number(
        new RegExp(`otlp_${transport}_unauthenticated_requests_total (\\d+)`).exec(body.toString())?.[1],
      ),
    );
  };
  const [http, grpc] = await metrics();
  await sendSpan(`http://${server.http}`);
  await callGrpc(server.grpc);
  expect(await metrics()).toEqual([http! + 1, grpc! + 1]);
});

test("C-82 our own commands show a token with --header", async () => {
  const token = ["--header", "authorization=Bearer t0ken-two"];
  const ours = ["samples/missing-orders/traces.jsonl.gz", "--to"];
  for (const to of [`http://${server.http}`, `grpc://${server.grpc}`]) {
    const sent = await runInProcess(["replay", ...ours, to, ...token]);
    expect(sent).toMatchObject({ exitCode: 0 });
    const refused = await runInProcess(["replay", ...ours, to]);
    expect(refused.exitCode).toBe(5);
    expect(refused.stderr).toContain("Authorization: Bearer TOKEN");
  }
  await sendSpan(`http://${server.http}`, { headers: good });
  const at = [traceId, "--server", `http://${server.api}`];
  expect(await runInProcess(["query", ...at, ...token])).toMatchObject({ exitCode: 0 });
  const stranger = await runInProcess(["query", ...at]);
  expect(stranger.exitCode).toBe(2);
  expect(stranger.stderr).toContain('--header "authorization=Bearer TOKEN"');
  const basicHeader = `authorization=${basic("ann:pass:wörd").authorization}`;
  expect(await runInProcess(["query", ...at, "--header", basicHeader])).toMatchObject({ exitCode: 0 });
});

test("C-82 secrets are neither printed nor repeated", async () => {
  const secrets = ["--auth-tokens", "t0ken-one", "--auth-basic", "ann:pass", "--header", "x=t0ken-one"];
  const shown = await runInProcess(["config", ...secrets]);
  expect(shown.stdout + shown.stderr).not.toMatch(/t0ken|ann:pass/);
  expect(server.stderr()).not.toMatch(/t0ken|pass/);
});

test.each([
  ["--auth-tokens", "two words", /token in auth_tokens cannot be sent/],
  ["--auth-tokens", "töken", /token in auth_tokens cannot be sent/],
  ["--auth-basic", "nobody", /auth_basic is not USER:PASSWORD/],
  ["--auth-header", "x-api-key", /auth_header is set, but there are no tokens/],
  ["--auth-header", "x api", /"x api" is no name for a header/],
  ["--auth-header", "grpc-token", /"grpc-token" is no name/],
  ["--auth-header", "token-bin", /"token-bin" is no name/],
])(
  "C-82 credentials that no client could send are refused at the start: %s %s",
  async (flag, value, message) => {
    const { exitCode, stderr } = await runInProcess(["config", "--check", flag, value]);
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(message)]);
    if (flag !== "--auth-header") expect(stderr).not.toContain(value);
  },
);

test("C-82 a token is admitted exactly if it is one of the list, whatever it looks like", () => {
  const token = fc.string({
    minLength: 1,
    maxLength: 40,
    unit: fc.constantFrom("a", "b", "9", "-", ".", "~", "+", "/", "="),
  });
  fc.assert(
    fc.property(fc.array(token, { minLength: 1, maxLength: 5 }), token, fc.nat(4), (tokens, other, place) => {
      const check = checkOf({ tokens, header: "x-api-key" })!;
      for (const tried of [other, tokens[place % tokens.length]!]) {
        const isKnown = tokens.includes(tried);
        const caller = check.callerOf((name) => (name === "authorization" ? `Bearer ${tried}` : undefined));
        expect(caller !== null).toBe(isKnown);
        expect(check.callerOf((name) => (name === "x-api-key" ? tried : undefined))).toEqual(caller);
      }
    }),
  );
});
