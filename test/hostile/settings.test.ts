import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runInProcess } from "../cli/in-process.ts";
import { type RunningServer, startServer } from "../cli/run-hypocenter.ts";
import { request, serviceName } from "./both-ways.ts";

// What of hostile inputs depends on settings, in the commands and the server as users start them.

const said = "login of ann.smith@example.com failed";
/** Two requests of web, one each of cart (which fails) and mail. */
const bodies = [
  request([{ traceId: "1".padStart(32, "0") }, { traceId: "2".padStart(32, "0") }]),
  request([{ traceId: "3".padStart(32, "0"), status: { code: 2, message: said } }], [serviceName("cart")]),
  request([{ traceId: "4".padStart(32, "0") }], [serviceName("mail")]),
].map((body) => JSON.stringify(body));
const failed = "3".padStart(32, "0");

let folder: string;
let file: string;
let server: RunningServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hypocenter-settings-"));
  file = join(folder, "spans.jsonl");
  writeFileSync(file, bodies.join("\n"));
  server = await startServer(["--services", "2", "--redact=false"]);
  const headers = { "content-type": "application/json" };
  for (const body of bodies)
    expect((await fetch(`http://${server.http}/v1/traces`, { method: "POST", headers, body })).status).toBe(
      200,
    );
});
afterAll(async () => {
  await server.stop("SIGKILL");
  rmSync(folder, { recursive: true });
});

async function answerOf(line: string): Promise<string> {
  const { exitCode, stdout } = await runInProcess(line);
  expect(exitCode).toBe(0);
  return stdout;
}

async function asked(path: string): Promise<string> {
  return (await fetch(`http://${server.api}/api/v1/${path}`)).text();
}

test("P26: --services says how many are told apart, for saved telemetry and for a server", async () => {
  const namesIn = (text: string): readonly string[] =>
    Array.from(text.matchAll(/"service": ?"([^"]*)"/g), ([, name = ""]) => name);
  expect(namesIn(await answerOf(`services ${file}`))).toEqual(["cart", "mail", "web"]);
  for (const command of ["services", "graph"])
    expect(namesIn(await answerOf(`${command} ${file} --services 2`))).toEqual(["__other__", "cart", "web"]);
  expect(await answerOf(`analyze ${file} --services 2`)).toContain("There are more than 2 services");
  await expect.poll(async () => namesIn(await asked("services"))).toEqual(["__other__", "cart", "web"]);
});

test("P29: --redact=false shows what was said as it was sent, for saved telemetry and for a server", async () => {
  expect(await answerOf(`analyze ${file} --trace ${failed}`)).toContain("login of {email} failed");
  expect(await answerOf(`analyze ${file} --redact=false --trace ${failed}`)).toContain(said);
  expect(await asked(`traces/${failed}/analysis`)).toContain(said);
  // spans that are given back are as sent in any case
  expect(await answerOf(`convert ${file} --to otlp-jsonl ${join(folder, "out.jsonl")}`)).not.toContain(
    "{email}",
  );
  expect(await answerOf(`analyze ${join(folder, "out.jsonl")} --redact=false --trace ${failed}`)).toContain(
    said,
  );
});
