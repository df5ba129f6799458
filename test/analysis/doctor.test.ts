import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findingIds, findingText } from "../../src/advice/doctor-texts.ts";
import { type DoctorReport, DoctorRollup, type FindingJson } from "../../src/analysis/doctor.ts";
import type { SpanTable } from "../../src/model/span-table.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { directoryOf, tableOf } from "../notation.ts";
import { telemetry } from "../pipeline/telemetry-generator.ts";
import { runs } from "../runs.ts";

function reportOf(tables: readonly SpanTable[], order?: (count: number) => readonly number[]): DoctorReport {
  const directory = directoryOf(tables);
  const rollup = new DoctorRollup();
  const groups = groupByTrace(tables);
  for (const i of order?.(groups.count) ?? Array.from({ length: groups.count }, (_, at) => at)) {
    const rows = groups.rowsOf(i);
    rollup.add(assembleTrace(rows, directory), rows);
  }
  return rollup.report("en");
}

function findingsIn(text: string): readonly string[] {
  return reportOf([tableOf(text)]).findings.map(pictureOf);
}

/** `cart: unfinished_span 1 of 2 (details)` */
function pictureOf({ service, id, count, of, details }: FindingJson): string {
  const more = details.length > 0 ? ` (${details.join("; ")})` : "";
  return `${service ?? "all"}: ${id} ${count} of ${of}${more}`;
}

/** A service that says everything of itself. */
const place = "host=n1 instance=i1 version=1";
const otherPlace = "host=n2 instance=i2 version=1";

const wellDone = `
  web      GET /cart    0..90ms  server ${place} http.request.method=GET http.route=/cart/{id}
    web    GET          5..85ms  client server.address=cart http.request.method=GET http.response.status_code=200
      cart GET /items  10..80ms  server ${otherPlace} http.request.method=GET
        cart SELECT    20..70ms  client db.system.name=postgresql db.namespace=items`;

function numbered(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

test("good instrumentation has no finding and scores 100", () => {
  const report = reportOf([tableOf(wellDone)]);
  expect(report.findings).toEqual([]);
  expect(report.score).toBe(100);
  expect(report.services.map(({ service, score }) => [service, score])).toEqual([
    ["cart", 100],
    ["web", 100],
  ]);
});

test("nothing read is no score", () => {
  expect(reportOf([])).toMatchObject({ score: null, services: [], findings: [] });
});

/** Each finding: what shows it, and the same telemetry put right, which shows it no more. */
const pairs: readonly (readonly [finding: string, bad: string, good: string])[] = [
  [
    "unknown_service: missing_service_name 1 of 1",
    "- GET 0..9ms server host=n1 instance=i1 version=1",
    `web GET 0..9ms server ${place}`,
  ],
  [
    "web: missing_version 1 of 1",
    "web GET 0..9ms server host=n1 instance=i1",
    `web GET 0..9ms server ${place}`,
  ],
  [
    "web: missing_instance 1 of 1",
    "web GET 0..9ms server resource.host.ip=10.0.0.1",
    `web GET 0..9ms server ${place}`,
  ],
  [
    "web: missing_host 1 of 1",
    "web GET 0..9ms server instance=i1 version=1",
    `web GET 0..9ms server ${place}`,
  ],
  [
    "web: lost_local_parent 1 of 1",
    `web work 0..9ms internal parent=77 flags=256 ${place}`,
    `web work 0..9ms internal parent=none flags=256 ${place}`,
  ],
  [
    "web: lost_remote_parent 1 of 1",
    `web GET 0..9ms server parent=77 flags=768 ${place}`,
    `web GET 0..9ms server parent=none ${place}`,
  ],
  [
    "web: lost_parent 1 of 1",
    `web GET 0..9ms server parent=77 ${place}`,
    `web GET 0..9ms server parent=none ${place}`,
  ],
  [
    "web: parent_loop 1 of 1",
    `web work 0..9ms internal id=7 parent=7 ${place}`,
    `web work 0..9ms internal id=7 ${place}`,
  ],
  [
    "web: several_roots 1 of 1",
    `web GET 0..9ms server ${place}\nweb GET 20..29ms server ${place}`,
    `web GET 0..9ms server ${place}\nweb GET 20..29ms server trace=2 ${place}`,
  ],
  [
    "cart: broken_context 2 of 2 (web)",
    numbered(
      2,
      (i) => `
      web   GET /cart  0..90ms server trace=${i + 1} ${place}
        web GET        5..85ms client server.address=cart
      cart  GET /items 9..80ms server trace=${i + 11} ${otherPlace}`,
    ),
    wellDone,
  ],
  [
    "cart: missing_server_span 1 of 2 (web)",
    `${wellDone}
      web   GET /cart  0..90ms server trace=2 ${place}
        web GET        5..85ms client server.address=cart`,
    `${wellDone}
      web   GET /cart  0..90ms server trace=2 ${place}
        web GET        5..85ms client error server.address=cart`,
  ],
  [
    "web: missing_client_span 1 of 1 (cart)",
    `web GET 0..90ms server ${place}\n  cart GET 9..80ms server ${otherPlace}`,
    wellDone,
  ],
  [
    "cart: wrong_entry_kind 1 of 1",
    `web GET 0..90ms client ${place}\n  cart GET 9..80ms client ${otherPlace}`,
    wellDone,
  ],
  [
    "cart: only_internal 1 of 1",
    `web GET 0..90ms client ${place}\n  cart GET 9..80ms internal ${otherPlace}`,
    `cart cleanup 9..80ms internal ${otherPlace}`,
  ],
  [
    "web: unspecified_kind 1 of 1",
    `web GET 0..9ms db.system.name=redis ${place}`,
    `web GET 0..9ms ${place}\n  web SELECT 1..8ms client db.system.name=redis`,
  ],
  [
    "cart: clock_skew 1 of 1 (n2: +1 s)",
    `web GET 0..90ms client ${place}\n  cart GET 1010..1080ms server ${otherPlace}`,
    `web GET 0..90ms client ${place}\n  cart GET 12..82ms server ${otherPlace}`,
  ],
  [
    "web: implausible_time 1 of 1",
    `web GET -900000000..-899999999s server ${place}`,
    `web GET -100000000..-99999999s server ${place}`,
  ],
  ["web: missing_start 1 of 1", `web GET .. server ${place}`, `web GET 0..0ms server ${place}`],
  ["web: unfinished_span 1 of 1", `web GET 5.. server ${place}`, `web GET 5..5ms server ${place}`],
  ["web: negative_duration 1 of 1", `web GET 5..4ms server ${place}`, `web GET 4..5ms server ${place}`],
  [
    "web: missing_status 1 of 1",
    `web GET 0..9ms server http.response.status_code=500 ${place}`,
    `web GET 0..9ms server http.response.status_code=500 error ${place}`,
  ],
  [
    "web: old_names 1 of 1 (http.method -> http.request.method; http.url -> url.full)",
    `web GET 0..9ms client http.method=GET http.url=http://a/ ${place}`,
    `web GET 0..9ms client http.request.method=GET url.full=http://a/ ${place}`,
  ],
  [
    "web: missing_status 2 of 2",
    `web GET 0..9ms internal error.type=IOError ${place}\n  web GET 1..2ms client rpc.status_code=UNAVAILABLE`,
    `web GET 0..9ms internal error.type=IOError error ${place}\n  web GET 1..2ms client rpc.status_code=OK`,
  ],
  [
    "web: old_names 2 of 2 (deployment.environment -> deployment.environment.name; db.user)",
    `web GET 0..9ms client db.user=u resource.deployment.environment=prod ${place}
       web GET 1..2ms internal`,
    `web GET 0..9ms client resource.deployment.environment=prod resource.deployment.environment.name=prod ${place}`,
  ],
  [
    "web: old_names 1 of 1 (rpc.grpc.status_code -> rpc.status_code; rpc.system -> rpc.system.name)",
    `web GET 0..9ms client rpc.system=grpc rpc.service=Cart rpc.method=Get rpc.grpc.status_code=0 ${place}`,
    `web GET 0..9ms client rpc.system.name=grpc rpc.method=Cart/Get rpc.status_code=OK ${place}`,
  ],
  [
    "web: opentracing_names 1 of 1 (peer.hostname -> server.address; peer.port -> server.port; sampling.priority)",
    `web GET 0..9ms client peer.hostname=cart peer.port=80 sampling.priority=1 ${place}`,
    `web GET 0..9ms client server.address=cart server.port=80 ${place}`,
  ],
  [
    "web: both_generations 1 of 1",
    `web GET 0..9ms client http.method=GET http.request.method=GET ${place}`,
    `web GET 0..9ms client http.request.method=GET ${place}`,
  ],
  [
    "web: unbounded_names 5 of 5 (GET /users/{number} (5))",
    numbered(5, (i) => `web GET /users/${i} 0..9ms server trace=${i + 1} ${place}`),
    numbered(5, (i) => `web GET /users/${i % 4} 0..9ms server trace=${i + 1} ${place}`),
  ],
  [
    "web: unbounded_names 1 of 1 (load {uuid} (1))",
    `web load 0b9e8f9c-6d5e-4a62-8d2e-2b9a4b9f3c11 0..9ms internal ${place}`,
    `web load v2 0..9ms internal ${place}`,
  ],
  [
    "web: unbounded_names 1 of 1 (SELECT * FROM users WHERE id = {value} (1))",
    `web SELECT * FROM users WHERE id = 17 0..9ms client ${place}`,
    `web SELECT users 0..9ms client ${place}`,
  ],
  [
    "web: many_names 300 of 300 (300)",
    numbered(300, (i) => `web work${"x".repeat(i)} 0..9ms internal trace=${i + 1} ${place}`),
    numbered(300, (i) => `web work${"x".repeat(i % 99)} 0..9ms internal trace=${i + 1} ${place}`),
  ],
  [
    "web: unbounded_attributes 1 of 1 (http.route=/users/{email} (1))",
    `web GET 0..9ms server http.route=/users/ann@example.com ${place}`,
    `web GET 0..9ms server http.route=/users/{user} ${place}`,
  ],
  [
    "web: unbounded_attributes 20 of 20 (user.{number}.name (20))",
    numbered(20, (i) => `web GET 0..9ms server user.${i}.name=a trace=${i + 1} ${place}`),
    numbered(20, (i) => `web GET 0..9ms server db.query.parameter.${i}=a trace=${i + 1} ${place}`),
  ],
  [
    "web: dropped_data 1 of 1 (3 attributes)",
    `web GET 0..9ms server dropped=3 ${place}`,
    `web GET 0..9ms server dropped=0 ${place}`,
  ],
  [
    "web: repeated_span 1 of 1",
    `web GET 0..9ms server id=7 ${place}\nweb GET 0..9ms server id=7 ${place}`,
    `web GET 0..9ms server id=7 ${place}`,
  ],
  [
    "web: conflicting_span 1 of 1",
    `web GET 0..9ms client id=7 ${place}\nweb GET 0..8ms client id=7 ${place}`,
    `web GET 0..9ms client id=7 ${place}`,
  ],
  [
    "cart: shared_span_id 1 of 1",
    `web GET 0..9ms internal id=7 ${place}\ncart GET 0..8ms internal id=7 ${otherPlace}`,
    `web GET 0..9ms internal id=7 ${place}\ncart GET 0..8ms internal id=8 ${otherPlace}`,
  ],
  [
    "web: huge_trace 1 of 1",
    `web job 0..9ms internal ${place}\n${numbered(10_000, () => `  web step 1..2ms internal`)}`,
    `web job 0..9ms internal ${place}\n${numbered(9_999, () => `  web step 1..2ms internal`)}`,
  ],
  [
    "web: exception_events 1 of 1",
    `web GET 0..9ms server error exception="TypeError: no" ${place}`,
    `web GET 0..9ms server error error.type=TypeError ${place}`,
  ],
  [
    "all: sampled 1 of 1 (4)",
    `web GET 0..9ms server tracestate=ot=th:c ${place}`,
    `web GET 0..9ms server tracestate=ot=rv:c ${place}`,
  ],
  [
    "all: mixed_sampling 1 of 1",
    `web GET 0..9ms server tracestate=ot=th:c ${place}\n  web work 1..2ms internal tracestate=ot=th:8`,
    `web GET 0..9ms server tracestate=ot=th:c ${place}\n  web work 1..2ms internal tracestate=ot=th:c`,
  ],
  [
    "all: tail_sampled 1 of 1 (errors)",
    `web GET 0..9ms server sampling.policy=errors ${place}`,
    `web GET 0..9ms server sampling.rule=errors ${place}`,
  ],
  [
    "all: only_failed_traces 20 of 20",
    numbered(20, (i) => `web GET 0..9ms server error trace=${i + 1} ${place}`),
    numbered(20, (i) => `web GET 0..9ms server ${i < 18 ? "error" : ""} trace=${i + 1} ${place}`),
  ],
  [
    "all: only_slow_traces 30 of 30 (100 ms)",
    numbered(
      30,
      (i) => `web op${"abc"[i % 3]} 0..${100 + Math.floor(i / 3) * 37}ms server trace=${i + 1} ${place}`,
    ),
    numbered(
      30,
      (i) =>
        `web op${"abc"[i % 3]} 0..${50 * (i % 3) + Math.floor(i / 3) * 37}ms server trace=${i + 1} ${place}`,
    ),
  ],
];

describe.each(pairs)("%s", (finding, bad, good) => {
  const [name = ""] = finding.split(/ \d/);
  test("is found", () => expect(findingsIn(bad)).toContain(finding));
  test("is gone when mended", () =>
    expect(findingsIn(good).filter((each) => each.startsWith(`${name} `))).toEqual([]));
});

test("names that are no UTF-8 are found", () => {
  const table = tableOf(`web GET 0..9ms server ${place}`);
  expect(reportOf([table]).findings).toEqual([]);
  table.name[0] = table.strings.internBytes(Uint8Array.of(0x61, 0xff), 0, 2);
  expect(reportOf([table]).findings.map(pictureOf)).toEqual(["web: ill_formed_text 1 of 1"]);
});

test("every finding has a test that shows it", () => {
  const shown = new Set([...pairs.map(([finding]) => finding.split(" ")[1]), "ill_formed_text"]);
  expect(findingIds.filter((id) => !shown.has(id))).toEqual([]);
});

test("a service behind a public address that also begins traces is not told that it breaks context", () => {
  const text = `${wellDone}
    cart GET /items 0..9ms server trace=2 parent=none ${otherPlace}
    web  GET /cart  0..90ms server trace=3 parent=none ${place}
      web GET       5..85ms client server.address=cart`;
  expect(findingsIn(text)).toEqual(["cart: missing_server_span 1 of 2 (web)"]);
});

test("an answer beside the call that asked for it is none that is missing", () => {
  const text = `
    web    resolve  0..90ms  client ${place}
      web  Resolve  5..85ms  client server.address=cart
      cart Resolve 10..80ms  server ${otherPlace}`;
  expect(findingsIn(text)).toEqual([]);
});

test("parts of a span, as Zipkin's clients report them, are no other versions of it", () => {
  const text = `web GET 0..9ms server id=7 ${place}\nweb GET .. id=7 ${place}`;
  expect(findingsIn(text)).toEqual([]);
});

test("names of files that end in a hash of their content are no ids, one of each", () => {
  const hash = "0f3c5d7e9a1b2c4d6e8f";
  expect(findingsIn(`web GET /app.${hash}.js 0..9ms server ${place}`)).toEqual([]);
  expect(findingsIn(`web GET /users/${hash} 0..9ms server ${place}`)).toEqual([
    "web: unbounded_names 1 of 1 (GET /users/{hex} (1))",
  ]);
});

test("a clock is not blamed for one odd call among many", () => {
  const calls = numbered(
    10,
    (i) => `
    web GET 0..90ms client trace=${i + 1} ${place}
      cart GET ${i === 0 ? "1010..1080" : "12..82"}ms server ${otherPlace}`,
  );
  expect(findingsIn(calls)).toEqual([]);
});

test("a call to somebody who sends no spans is nobody's fault", () => {
  expect(findingsIn(`web GET 0..9ms client server.address=api.example.com ${place}`)).toEqual([]);
});

test("the score of a service is 100 x the product of (1 - penalty x share)", () => {
  // half of the spans without an end (0.2), a quarter with dropped attributes (0.2), all without version (0.03)
  const report = reportOf([
    tableOf(`
      web GET 0..  server host=n1 instance=i1 trace=1
      web GET 0..  server host=n1 instance=i1 trace=2
      web GET 0..9 server host=n1 instance=i1 trace=3 dropped=1
      web GET 0..9 server host=n1 instance=i1 trace=4`),
  ]);
  const expected = Math.round(100 * (1 - 0.2 * 0.5) * (1 - 0.2 * 0.25) * (1 - 0.03));
  expect(report.services).toEqual([
    { service: "web", score: expected, spans: 4, critical: 0, warnings: 2, infos: 1 },
  ]);
  expect(report.score).toBe(expected);
});

test("the score of all counts every service the same, however many spans it sends", () => {
  const bad = `bad GET 0..9ms server parent=77 flags=256 ${place}`;
  const good = numbered(50, (i) => `good GET 0..9ms server trace=${i + 2} ${otherPlace}`);
  expect(reportOf([tableOf(`${bad}\n${good}`)]).score).toBe(75);
});

test("evidence is bounded, and the places with the smallest ids", () => {
  const text = numbered(40, (i) => `web GET 0.. server trace=${40 - i} id=${i + 1} ${place}`);
  const [finding] = reportOf([tableOf(text)]).findings;
  expect(finding?.evidence.map((each) => [Number(each.trace_id), Number.parseInt(each.span_id, 16)])).toEqual(
    [
      [1, 40],
      [2, 39],
      [3, 38],
      [4, 37],
      [5, 36],
    ],
  );
});

test("the order of traces and the tables that hold them do not show", () => {
  fc.assert(
    fc.property(telemetry(), fc.infiniteStream(fc.nat()), ({ text }, numbers) => {
      const shuffled = (count: number): readonly number[] => {
        const keys = Array.from({ length: count }, () => numbers.next().value as number);
        return keys.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]! || b - a);
      };
      expect(reportOf([tableOf(text)], shuffled)).toEqual(reportOf([tableOf(text)]));
    }),
    { numRuns: runs(15) },
  );
});

test("more patterns than are kept are counted all the same, and give the same report in any order", () => {
  const text = numbered(
    1_500,
    (i) => `web job${(i * 7919) % 1500}?key=${i} 0..9ms internal trace=${i + 1} ${place}`,
  );
  const backwards = (count: number) => Array.from({ length: count }, (_, i) => count - 1 - i);
  const report = reportOf([tableOf(text)]);
  expect(report.findings).toMatchObject([{ id: "unbounded_names", count: 1_500, of: 1_500 }]);
  expect(reportOf([tableOf(text)], backwards)).toEqual(report);
});

test("scores stay within 0 and 100, and counts within what they are of", () => {
  fc.assert(
    fc.property(telemetry(), ({ text }) => {
      const { score, services, findings } = reportOf([tableOf(text)]);
      for (const value of [score ?? 0, ...services.map((each) => each.score)])
        expect(value >= 0 && value <= 100).toBe(true);
      for (const { share, count, of } of findings)
        expect(share === count / of && share > 0 && share <= 1).toBe(true);
    }),
    { numRuns: runs(15) },
  );
});

test("names of services keep their letters at the beginning of a sentence", () => {
  const finding = { id: "missing_server_span", count: 1, of: 2, details: ["web"] } as const;
  expect(findingText(finding, "ko").statement).toMatch(/^web/);
  expect(findingText(finding, "en").statement).toMatch(/^Successful calls from web/);
});

test.each(findingIds)("%s is told in both languages, in sentences that fit a terminal", (id) => {
  const finding = { id, count: 1, of: 2, details: ["a", "b"] };
  const [en, ko] = [findingText(finding, "en"), findingText(finding, "ko")];
  expect(`${en.statement} ${en.fix}`).toMatch(/^[ -~]+$/);
  for (const text of [ko.statement, ko.fix]) expect(text).toMatch(/[가-힣]/);
  for (const text of [en.statement, en.fix, ko.statement, ko.fix]) expect(text).not.toMatch(/[{}]/);
  // three lines of a terminal with 80 columns
  expect(en.fix.length).toBeLessThanOrEqual(210);
});
