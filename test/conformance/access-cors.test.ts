import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { ask, sendSpan } from "./ask.ts";

let server: RunningServer;
let closed: RunningServer;
beforeAll(async () => {
  const origins = [
    "https://*.example.com",
    "http://localhost:3000",
    "capacitor://*",
    "https://eu-*.shop.*.test",
  ];
  const settings = ["--auth-tokens", "s3cret", "--auth-header", "x-api-key"];
  for (const origin of origins) settings.push("--cors-allowed-origins", origin);
  settings.push("--cors-allowed-headers", "X-Tenant", "--cors-max-age", "10m");
  [server, closed] = await Promise.all([startServer(settings), startServer()]);
});
afterAll(async () => {
  await Promise.all([server.stop("SIGKILL"), closed.stop("SIGKILL")]);
});

function preflight(
  origin: string,
  { http }: RunningServer = server,
  more: Readonly<Record<string, string>> = {},
) {
  const headers = {
    origin,
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type",
    ...more,
  };
  return ask(`http://${http}/v1/traces`, { method: "OPTIONS", headers });
}

test("C-80 a page of an allowed origin is told what it may send, and for how long; no credentials are asked for that", async () => {
  const { status, headers, body } = await preflight("http://localhost:3000");
  expect([status, body.length]).toEqual([204, 0]);
  expect(headers).toMatchObject({
    "access-control-allow-origin": "http://localhost:3000",
    "access-control-allow-methods": "POST",
    "access-control-allow-credentials": "true",
    "access-control-max-age": "600",
    vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
  });
  const allowed = headers["access-control-allow-headers"]!.split(", ");
  expect(allowed).toEqual(
    expect.arrayContaining(["content-type", "content-encoding", "authorization", "x-tenant", "x-api-key"]),
  );
  expect(allowed).not.toContain("x-other");
});

test.each([
  ["https://app.example.com", true],
  ["HTTPS://App.Example.COM", true],
  ["https://a.b.example.com", true],
  ["https://example.com", false],
  ["https://app.example.com.evil.test", false],
  ["http://app.example.com", false],
  ["https://evilexample.com", false],
  ["http://localhost:3000", true],
  ["http://localhost:30000", false],
  ["capacitor://localhost", true],
  ["https://eu-west.shop.de.test", true],
  ["https://eu-.shop..test", true],
  ["https://eu-shop.test", false],
  ["https://eu-a.shop.test", false],
  ["null", false],
])("C-80 whether a page of %s may send: %s", async (origin, may) => {
  const { status, headers, body } = await preflight(origin);
  expect(headers["access-control-allow-origin"]).toBe(may ? origin : undefined);
  expect(status).toBe(may ? 204 : 403);
  if (!may)
    expect(JSON.parse(body.toString())).toMatchObject({
      code: 7,
      message: expect.stringContaining("cors_allowed_origins"),
    });
});

test("C-80 the page can read the answers, refusals included, and when to come back", async () => {
  const origin = "https://app.example.com";
  const taken = await sendSpan(`http://${server.http}`, { headers: { origin, "x-api-key": "s3cret" } });
  const refused = await sendSpan(`http://${server.http}`, { headers: { origin } });
  expect([taken.status, refused.status]).toEqual([200, 401]);
  for (const { headers } of [taken, refused])
    expect(headers).toMatchObject({
      "access-control-allow-origin": origin,
      "access-control-expose-headers": "Retry-After",
      vary: "Origin",
    });
});

test("C-80 what comes from elsewhere, or from no page, is served as ever, and says that answers differ by origin", async () => {
  for (const origin of [{}, { origin: "https://elsewhere.test" }]) {
    const headers = { ...origin, "x-api-key": "s3cret" };
    const answer = await sendSpan(`http://${server.http}`, { headers });
    expect(answer.status).toBe(200);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    expect(answer.headers["vary"]).toBe("Origin");
  }
});

test("C-80 a public page may reach a server in a private network, where the browser asks for that", async () => {
  const asked = { "access-control-request-private-network": "true" };
  const { headers } = await preflight("http://localhost:3000", server, asked);
  expect(headers["access-control-allow-private-network"]).toBe("true");
});

test("C-80 without the setting no page may send: preflights are refused like any other method", async () => {
  const { status, headers } = await preflight("http://localhost:3000", closed);
  expect([status, headers["allow"]]).toEqual([405, "POST"]);
  const answer = await sendSpan(`http://${closed.http}`, { headers: { origin: "http://localhost:3000" } });
  for (const given of [headers, answer.headers])
    expect(Object.keys(given).filter((name) => name.startsWith("access-control"))).toEqual([]);
});

test("C-80 the API with the traces in it is no business of other pages", async () => {
  const headers = { origin: "http://localhost:3000", authorization: "Bearer s3cret" };
  const answer = await ask(`http://${server.api}/api/v1/traces`, { headers });
  expect(answer.status).toBe(200);
  expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
});

test("C-80 with * any header may come along", async () => {
  const words = ["--cors-allowed-origins", "*", "--cors-allowed-headers", "*"];
  const open = await startServer(words);
  const { headers } = await preflight("https://any.test", open, {
    "access-control-request-headers": "x-a, x-b",
  });
  expect(headers).toMatchObject({
    "access-control-allow-origin": "https://any.test",
    "access-control-allow-headers": "x-a, x-b",
  });
  await open.stop("SIGKILL");
});
