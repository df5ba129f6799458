import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { FailingPathJson, TraceReport } from "../../src/analysis/report.ts";
import { renderDot } from "../../src/cli/render/dot.ts";
import { renderHtml } from "../../src/cli/render/html.ts";
import { renderHuman } from "../../src/cli/render/human.ts";
import { renderMarkdown } from "../../src/cli/render/markdown.ts";
import { renderMermaid } from "../../src/cli/render/mermaid.ts";
import { documentOf, type Printable, pictureOf } from "../../src/cli/render/printable.ts";
import { widthOf } from "../../src/cli/render/text-width.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { anyText } from "../any-text.ts";
import { runs } from "../runs.ts";
import { failedTrace, incident } from "./reports.ts";

// Names, operations and messages come from whoever sends spans. None of them may drive a terminal, a browser or a drawing.

/** The report with other text in every place that telemetry fills. */
function withText(report: TraceReport, change: (text: string) => string): TraceReport {
  const deep = (value: unknown): unknown => {
    if (typeof value === "string") return change(value);
    if (Array.isArray(value)) return value.map(deep);
    if (value instanceof Map) return new Map([...value].map(([key, each]) => [change(key), deep(each)]));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, fixedKeys.has(key) ? each : deep(each)]),
    );
  };
  return deep(report) as TraceReport;
}

/** Values from a fixed set of our own. */
const fixedKeys = new Set(["kind", "mechanism", "direction", "role"]);

const hostileText = fc.oneof(
  anyText(),
  fc.string({ unit: "grapheme" }),
  fc.constantFrom(
    "\u001b[2J\u001b]0;owned\u0007",
    "\u202egnp.exe",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "결제-서비스-".repeat(30),
    "a".repeat(5000),
    "x\u0301".repeat(200),
    "👩‍👩‍👧‍👦 family",
    "line\nbreak\r\ttab",
    "```\n# heading",
    "| cell | <b>",
    "%%{init: {}}%%",
    '"]; click n0 "javascript:alert(1)"',
  ),
);

const ourCodes = ["0", "1", "2", "38;5;33", "1;38;5;33", "1;38;5;208"].map((code) => `\u001b[${code}m`);

const style = fc.record({
  width: fc.integer({ min: 60, max: 160 }),
  color: fc.boolean(),
  unicode: fc.boolean(),
});
const languages = fc.constantFrom("en" as const, "ko" as const);

test("no line is wider than the terminal, and nothing but line feeds and our own colours controls it", () => {
  fc.assert(
    fc.property(hostileText, fc.boolean(), style, languages, (hostile, whole, look, language) => {
      const report = withText(failedTrace, (text) => (whole ? hostile : `${text} ${hostile}`));
      const window = {
        ...incident,
        ...report,
        failure_propagation: [],
        propagation: report.propagation.map((step) => ({ ...step, requests: 1, share: 1, in_order: null })),
      };
      const printables: readonly Printable[] = [
        { kind: "trace", report },
        { kind: "window", report: window },
      ];
      const text = printables.map((each) => renderHuman(documentOf(each, language), look)).join("");
      const plain = ourCodes.reduce((rest, code) => rest.replaceAll(code, ""), text);
      if (!look.color) expect(plain).toBe(text);
      expect(plain).not.toMatch(/[^\n\P{C}]|[\u2028\u2029]/u);
      for (const line of plain.split("\n")) expect(widthOf(line)).toBeLessThanOrEqual(look.width);
    }),
  );
});

test("a path of 5,000 spans is shown by its two ends", () => {
  const row = failedTrace.failing_path[1] as FailingPathJson;
  const path = Array.from({ length: 5000 }, (_, depth) => ({ ...row, depth, hidden_siblings: 0 }));
  const printable = { kind: "trace", report: { ...failedTrace, failing_path: path } } as const;
  const text = renderHuman(documentOf(printable, "en"), { width: 80, color: false, unicode: true });
  expect(text).toContain("(4964 spans between)");
  expect(text.split("\n").length).toBeLessThan(120);
});

test("the page has no script, handler, address or element that a name brought in", () => {
  fc.assert(
    fc.property(hostileText, (hostile) => {
      const report = withText(failedTrace, (text) => text + hostile);
      const html = renderHtml(documentOf({ kind: "trace", report }, "en"), writeJson(report));
      const tags = [...html.matchAll(/<(?!!doctype)\/?([a-z0-9]+)/g)].map(([, tag]) => tag);
      const usual = renderHtml(documentOf({ kind: "trace", report: failedTrace }, "en"), "{}");
      const known = new Set([...usual.matchAll(/<\/?([a-z0-9]+)/g)].map(([, tag]) => tag));
      expect(tags.filter((tag) => !known.has(tag))).toEqual([]);
      expect(tags.filter((tag) => tag === "script")).toHaveLength(2);
      const [, json = ""] = /<script type="application\/json" id="report">(.*)<\/script>/s.exec(html) ?? [];
      expect(json).not.toContain("<");
      expect(JSON.parse(json)).toEqual(JSON.parse(writeJson(report)));
    }),
    { numRuns: runs(13) },
  );
});

test("in Markdown, Mermaid and DOT a name stays a name", () => {
  const report = withText(failedTrace, (text) => `${text}|<b>"]\`\`\`\\N\n# x`);
  const printable = { kind: "trace", report } as const;
  const markdown = renderMarkdown(documentOf(printable, "en"));
  const prose = markdown.replaceAll(/^(`{3,})\w+\n.*?^\1$/gms, "").replaceAll(/(?<!\\)`[^`\n]*`/g, "");
  expect(prose).not.toMatch(/<b>|^# x/m);
  for (const line of markdown.split("\n").filter((each) => each.startsWith("|")))
    expect(line.match(/(?<!\\)\|/g)?.length).toBe(8);
  const picture = pictureOf(printable, "en");
  if (picture === null) throw new Error("the report has a graph");
  for (const line of renderMermaid(picture).split("\n")) expect(line).not.toMatch(/<b>|`|\\|"\](?!\]?:::|$)/);
  expect(renderDot(picture)).toContain('label="web|<b>\\"]```\\\\N\\\\n# x');
});
