import { expect, test } from "vitest";
import { analyzeTrace } from "../../src/analysis/analyze-trace.ts";
import { analyzeWindow, WindowRollup, type WindowSums } from "../../src/analysis/analyze-window.ts";
import { schemas } from "../../src/http/api-schemas.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { runInProcess } from "../cli/in-process.ts";
import { tableOf, tracesOf } from "../notation.ts";
import { rawTracesOf, scopeOf } from "../scopes.ts";
import { tracesText } from "../visit-sums.ts";
import { schemaErrors } from "./json-schema.ts";

type Schema = Readonly<Record<string, unknown>>;

const root = { components: { schemas } };

/** `$.advice.traces`: the members that a schema declares, at any depth. */
function declaredMembers(schema: Schema, place = "$"): readonly string[] {
  const reference = schema["$ref"] as string | undefined;
  if (reference !== undefined)
    return declaredMembers(schemas[reference.split("/").at(-1) as keyof typeof schemas], place);
  const parts = [schema["items"], schema["additionalProperties"], ...((schema["anyOf"] ?? []) as Schema[])];
  return [
    ...parts.flatMap((part) => (part === undefined ? [] : declaredMembers(part as Schema, place))),
    ...Object.entries((schema["properties"] ?? {}) as Readonly<Record<string, Schema>>).flatMap(
      ([name, member]) => [`${place}.${name}`, ...declaredMembers(member, `${place}.${name}`)],
    ),
  ];
}

/** The same of a value; members of a map have its place. */
function members(value: unknown, declared: ReadonlySet<string>, place = "$"): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((each) => members(each, declared, place));
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, member]) => {
    const at = `${place}.${name}`;
    return declared.has(at) ? [at, ...members(member, declared, at)] : members(member, declared, place);
  });
}

/** Every report is as declared, and every declared member is in one of them, but for those that `absent` names. */
function checkReports(reports: readonly unknown[], schema: Schema, absent: RegExp): void {
  for (const report of reports) expect(schemaErrors(report, schema, root)).toEqual([]);
  const declared = new Set(declaredMembers(schema));
  const seen = new Set(members(reports, declared));
  expect([...declared].filter((member) => !seen.has(member) && !absent.test(member))).toEqual([]);
}

const asSent = (report: object): unknown => JSON.parse(writeJson(report)) as unknown;

function windowOf(text: string): WindowSums {
  const table = tableOf(text);
  const rollup = new WindowRollup();
  rollup.observe(table);
  for (const trace of rawTracesOf([table])) rollup.addTrace(trace);
  return rollup.window();
}

/** Requests of which some fail at one version of a service. */
function requests(count: number, isBad: (i: number) => boolean): string {
  return tracesText(
    count,
    (i) => `
web      GET /cart   0..${20 + (i % 7)}ms  server ${isBad(i) ? "error" : ""} TRACE
  web    GET         1..${19 + (i % 7)}ms  client ${isBad(i) ? "error" : ""}
    cart GET /items  5..${15 + (i % 7)}ms  server version=${i % 3} instance=cart-${i % 3} ${isBad(i) ? "error" : ""}`,
  );
}

const call = `
  web   GET /items  5..10ms  client
    cart GET /items 6..9ms   server`;

/** Requests of which some leave out a call and take longer for it. */
function steps(count: number, isWhole: (i: number) => boolean): string {
  return tracesText(
    count,
    (i) => `
web     GET /cart   0..${isWhole(i) ? 20 : 90}ms  server TRACE${isWhole(i) ? call : ""}`,
  );
}

/** Requests that all fail at a database. */
const databaseDown = tracesText(
  30,
  () => `
web       GET /cart     0..90ms  server error TRACE
  web     GET           5..85ms  client error
    cart  GET /items   10..80ms  server error
      cart parse       11..12ms  internal
      cart parse       13..14ms  internal
      cart SELECT      20..70ms  client error db.system.name=postgresql db.namespace=items`,
);

test("reports of windows have the members that are declared, and no others", async () => {
  const [healthy, failing] = [requests(240, () => false), requests(240, (i) => i % 3 === 1)].map(windowOf);
  const { stdout } = await runInProcess("analyze samples/slow-rates --format json");
  checkReports(
    [
      asSent(
        analyzeWindow(failing!, healthy!, {
          language: "en",
          chosenBaseline: { bounds: { from: null, to: null }, choice: { kind: "before_window" } },
        }),
      ),
      asSent(analyzeWindow(windowOf(databaseDown), null, { language: "ko" })),
      asSent(
        analyzeWindow(windowOf(steps(200, (i) => i % 9 === 0)), windowOf(steps(200, () => true)), {
          language: "en",
        }),
      ),
      JSON.parse(stdout),
    ],
    schemas.WindowReport,
    // what few services send, and what only a server adds
    /\.metrics\.|\.problems\.source$/,
  );
});

test("reports of traces have the members that are declared, and no others", () => {
  const reports = [databaseDown, requests(30, (i) => i === 0)].map((text) => {
    const scope = scopeOf(text);
    const [trace] = tracesOf(text, scope.directory);
    const report = asSent(analyzeTrace(trace!, scope, { language: "en" })) as object;
    return { version: 1, complete: true, ...report };
  });
  checkReports(
    reports,
    schemas.TraceReport,
    // of windows alone, of traces with flaws, or against a baseline
    /\.(?:metrics|contrast|problems|episode)\b|\.onset$|\.advice\.traces$|\.evidence\.(?:baseline|chance|z|g|leaf_share|slower|compared)$/,
  );
});
