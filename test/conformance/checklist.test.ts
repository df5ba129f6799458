import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/** What a receiver of OTLP has to do. Each item has at least one test in this folder whose name begins with its id. */
const checklist = {
  "C-1": "compression: none, gzip, deflate, zstd, snappy, lz4; anything else is refused for good",
  "C-2": "gzip bodies of several members; aliases; lists of codings",
  "C-3": "limits before and after decompression, for one request and for all together",
  "C-4": "empty requests",
  "C-5": "full and partial success",
  "C-6": "short answers",
  "C-7": "unknown fields and enum values",
  "C-8": "indices into a string table",
  "C-9": "duplicate delivery",
  "C-10": "spans without usable ids",
  "C-11": "many requests at once",
  "C-12": "acknowledged only when safe, and in time",
  "C-20": "gRPC: services",
  "C-21": "gRPC: content types",
  "C-22": "gRPC: compression",
  "C-23": "gRPC: message size",
  "C-24": "gRPC: malformed messages",
  "C-25": "gRPC: faults of ours",
  "C-26": "gRPC: back-pressure with RetryInfo",
  "C-27": "gRPC: keepalive and connection age",
  "C-28": "gRPC: calls and bytes at once",
  "C-29": "gRPC: health service",
  "C-30": "gRPC: unknown methods",
  "C-40": "HTTP: paths",
  "C-41": "HTTP: content types and methods",
  "C-42": "HTTP: answers",
  "C-43": "HTTP: Status bodies",
  "C-44": "HTTP: what is to be sent again",
  "C-45": "HTTP: what is not",
  "C-46": "codes of gRPC and HTTP",
  "C-47": "HTTP: connections, chunks, Expect, slow clients",
  "C-48": "HTTP: compression of answers",
  "C-49": "one port for both",
  "C-50": "all signals, or a refusal in words",
  "C-60": "JSON: ids and bytes",
  "C-61": "JSON: keys",
  "C-62": "JSON: enums",
  "C-63": "JSON: 64-bit integers",
  "C-64": "JSON: numbers as strings",
  "C-65": "JSON: null and unknown keys",
  "C-66": "JSON: empty values",
  "C-67": "JSON: nesting",
  "C-68": "JSON: names of Object.prototype",
  "C-69": "JSON: byte order mark, surrogates, UTF-8",
  "C-70": "JSON: duplicate keys",
  "C-80": "CORS",
  "C-81": "TLS",
  "C-82": "credentials",
  "C-83": "the variables that users set",
  "C-84": "no loop of our own telemetry",
  "1.6": "what senders do when they are refused",
} as const;

const folder = "test/conformance";
const titles = readdirSync(folder)
  .filter((name) => name.endsWith(".test.ts") && name !== "checklist.test.ts")
  .flatMap((name) => titlesIn(readFileSync(join(folder, name), "utf8")));

/** Names of tests as they stand in the source: `test("…"` and the line behind the table of `test.each`. */
function titlesIn(source: string): string[] {
  const calls = /\btest(?:\.each(?:<[^>]*>)?\([^"`]*?)?\(\s*"([^"]+)"|\]\)\(\s*"([^"]+)"|\)\(\s*"([^"]+)"/g;
  return Array.from(source.matchAll(calls), ([, plain, table, other]) => plain ?? table ?? other ?? "");
}

/** The ids that a name begins with: `C-5 C-10 spans …` has two. */
function idsOf(title: string): string[] {
  const [ids = ""] = /^(?:(?:C-\d+|\d\.\d) )*/.exec(title) ?? [];
  return ids.split(" ").filter((id) => id !== "");
}

test("every item of the checklist has a test that bears its id", () => {
  const covered = new Set(titles.flatMap(idsOf));
  const missing = Object.entries(checklist).filter(([id]) => !covered.has(id));
  expect(missing).toEqual([]);
});

test("no test bears an id that is not in the checklist", () => {
  const unknown = titles.flatMap(idsOf).filter((id) => !(id in checklist));
  expect(unknown).toEqual([]);
});

test("names are seen in every way in which tests are written", () => {
  const source = `test("C-1 one", …); test.each([\n  ["a (b)"],\n])("C-2 C-3 two", …); test.each(list)(\n  "1.6 four",`;
  expect(titlesIn(source).flatMap(idsOf)).toEqual(["C-1", "C-2", "C-3", "1.6"]);
});
