import { describe, expect, test } from "vitest";
import { LogTemplates, logClass, logTemplate } from "../../src/cascade/log-template.ts";
import type { AnyValue } from "../../src/model/attributes.ts";
import { logBodyLengthMax, logTemplatesMax, overflowName } from "../../src/model/limits.ts";
import type { LogRecord } from "../../src/model/telemetry.ts";
import type { UnixNanos } from "../../src/model/time.ts";

const esc = "\u001b";

function record(body: AnyValue, known: Partial<LogRecord> = {}): LogRecord {
  return {
    resource: new Map(),
    scopeName: "",
    time: 0n as UnixNanos,
    observedTime: 0n as UnixNanos,
    severityNumber: 9,
    severityText: "",
    body,
    attributes: new Map(),
    traceId: "",
    spanId: "",
    eventName: "",
    ...known,
  };
}

const attributes = (words: Readonly<Record<string, string>>): LogRecord["attributes"] =>
  new Map(Object.entries(words));

function checkText(body: AnyValue, text: string, known: Partial<LogRecord> = {}): void {
  expect(new LogTemplates().read(record(body, known)).text).toBe(text);
}

describe("the template of a line", () => {
  test.each([
    [
      `2023-01-29 08:48:01.123 ${esc}[32mINFO${esc}[0m o.x.Service [order id=4711] saved 3 rows TraceID: abcd SpanID: ef01 in 12ms`,
      "INFO o.x.Service [order id=*] saved # rows in #ms",
    ],
    ["ERROR handler failed: user 12 not found", "ERROR handler failed: * # not found"],
    ["[2026-05-01T10:00:00Z] ready", "ready"],
    ["10:00:00,123 ready", "ready"],
    ["at 10:00 ready", "at #:* ready"],
    ["cart 3f2b8c1a-0d4e-4b7a-9c57-2f1e0a9b8c7d is empty", "cart # is empty"],
    ["trace 0af7651916cd43dd8448eb211c80319c ends", "trace # ends"],
    ["queue=orders, lag=12 (host: db-1)", "queue=*, lag=* (host: *)"],
    ["a b c d e f g h i j k l m n o p", "a b c d e f g h i j k l m n"],
    ["", ""],
    ["   \n\t ", ""],
  ])("%s", (body, template) => {
    expect(logTemplate(body)).toBe(template);
  });

  test("lines that differ in ids, times and numbers alone are of one kind", () => {
    const line = (i: number): string => `10:00:0${i}.000 INFO order id=${i * 7919} took ${i} ms`;
    expect(new Set(Array.from({ length: 9 }, (_, i) => logTemplate(line(i)))).size).toBe(1);
  });

  test("the cause that is nested in a failure tells failures of one handler apart, wherever it stands", () => {
    const of = (cause: string): string => `handler failed ${"x ".repeat(400)}; nested exception is ${cause}`;
    expect(logTemplate(of("java.io.IOException: port 8080"))).toMatch(
      /^handler failed x x .* <- java.io.IOException: port #$/,
    );
    expect(logTemplate(of("A"))).not.toBe(logTemplate(of("B")));
    expect(logTemplate("stopped\nCaused by: java.lang.Error: 7")).toBe(
      "stopped Caused by: * # <- java.lang.Error: #",
    );
  });

  test("a body of megabytes is read by its beginning", () => {
    const body = `INFO ${"y".repeat(8_000_000)} Caused by: z`;
    expect(logTemplate(body)).toBe(`INFO ${"y".repeat(595)}`);
    expect(logTemplate(`${"y ".repeat(logBodyLengthMax)} Caused by: z`)).not.toContain("<-");
  });
});

describe("what records say", () => {
  test("structured bodies by their message, whether they come as a map or as JSON text", () => {
    checkText(
      new Map<string, AnyValue>([
        ["msg", "order 12 saved"],
        ["level", "info"],
      ]),
      "order # saved",
    );
    checkText('{"level":"info","message":"order 12 saved"}', "order # saved");
    checkText('{"msg": "a', '{"msg": *');
    checkText("{}", "{}");
  });

  test("structured bodies without a message by all that they hold, in whatever order", () => {
    const body = (entries: readonly (readonly [string, AnyValue])[]): AnyValue => new Map(entries);
    checkText(
      body([
        ["user", "ann"],
        ["n", [1n, null, new Map([["a", true]])]],
      ]),
      '{"n":[#,null,{"a":*],"user":*',
    );
    const one = new LogTemplates().read(
      record(
        body([
          ["a", "x"],
          ["b", "y"],
        ]),
      ),
    );
    expect(
      new LogTemplates().read(
        record(
          body([
            ["b", "y"],
            ["a", "x"],
          ]),
        ),
      ),
    ).toEqual(one);
  });

  test("the exception of a record is its cause; a record without a body is its event", () => {
    const exception = attributes({ "exception.type": "TimeoutError", "exception.message": "after 30 s" });
    checkText("cannot pay", "cannot pay <- TimeoutError: after # s", { attributes: exception });
    checkText(null, " <- TimeoutError: after # s", { attributes: exception });
    checkText(null, "session.start", { eventName: "session.start" });
    checkText(null, "");
    checkText(new Uint8Array([255, 1]), "ff#");
  });

  test.each([
    [{ severityNumber: 17 }, true],
    [{ severityNumber: 24 }, true],
    [{ severityNumber: 16, severityText: "ERROR" }, false],
    [{ severityNumber: 0, severityText: "ERROR" }, true],
    [{ severityNumber: 0, severityText: "Critical" }, true],
    [{ severityNumber: 0, severityText: "warn" }, false],
    [{ severityNumber: 0 }, false],
    [{ severityNumber: 0, attributes: attributes({ "exception.type": "E" }) }, true],
    [{ severityNumber: 9, attributes: attributes({ "exception.type": "E" }) }, false],
    [{ severityNumber: 0, body: '{"level":"error","msg":"x"}' }, true],
  ] as const)("an error: %o is %s", (known, isError) => {
    expect(new LogTemplates().read(record("x", known)).isError).toBe(isError);
  });

  test("more kinds than are told apart are one kind", () => {
    const templates = new LogTemplates();
    const word = (i: number): string =>
      i.toString(36).replace(/\d/g, (digit) => "qrstuvwxyz"[Number(digit)] as string);
    const texts = new Set<string>();
    for (let i = 0; i < logTemplatesMax * 3; i += 1) texts.add(templates.read(record(`line${word(i)}`)).text);
    expect(texts.size).toBe(logTemplatesMax + 1);
    expect(texts.has(overflowName)).toBe(true);
  });
});

test("names of services are masked, long ones before those that they contain, and as templates write their digits", () => {
  const names = ["cart", "cart-api", "travel2", ""];
  expect(logClass("no instance of cart-api", names)).toBe("no instance of <svc>");
  expect(logClass("no instance of cart", names)).toBe("no instance of <svc>");
  expect(logClass("travel# called cart and cart-api", names)).toBe("<svc> called <svc> and <svc>");
  expect(logClass("null pointer", new Set(names))).toBe("null pointer");
});
