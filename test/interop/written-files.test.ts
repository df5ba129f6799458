import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../cli/run-hypocenter.ts";
import {
  prepareJaeger,
  prepareZipkin,
  type RunningViewer,
  startJaeger,
  startZipkin,
} from "./trace-viewers.ts";

const missing = { zipkin: await prepareZipkin(), jaeger: await prepareJaeger() };
const sample = "samples/slow-rates/traces.jsonl.gz";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hypocenter-interop-"));
  writeFileSync(join(folder, "all-fields.json"), JSON.stringify(allFields()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(missing.zipkin !== null)(
  `a real Zipkin${missing.zipkin === null ? "" : ` (skipped: ${missing.zipkin})`}`,
  () => {
    let zipkin: RunningViewer;
    beforeAll(async () => {
      zipkin = await startZipkin();
    });
    afterAll(() => zipkin?.stop());

    test.each(["sample", "all fields"])(
      "takes a written file (%s) and gives the same spans back",
      async (which) => {
        const spans = JSON.parse(await converted(which, "zipkin")) as ZipkinSpan[];
        for (let at = 0; at < spans.length; at += 500)
          expect(await post(`${zipkin.url}/api/v2/spans`, JSON.stringify(spans.slice(at, at + 500)))).toBe(
            202,
          );
        const traceIds = new Set(spans.map(({ traceId }) => traceId));
        for (const traceId of [...traceIds].slice(0, 100)) {
          const sent = spans.filter((span) => span.traceId === traceId);
          const stored = (await getJson(`${zipkin.url}/api/v2/trace/${traceId}`)) as ZipkinSpan[];
          expect(byId(stored)).toEqual(byId(sent.map(asZipkinKeeps)));
        }
      },
    );
  },
);

describe.skipIf(missing.jaeger !== null)(
  `a real Jaeger${missing.jaeger === null ? "" : ` (skipped: ${missing.jaeger})`}`,
  () => {
    let jaeger: RunningViewer & { readonly otlp: string };
    beforeAll(async () => {
      jaeger = await startJaeger(folder, "memory");
    });
    afterAll(() => jaeger?.stop());

    test.each(["sample", "all fields"])("writes the same JSON of the same spans (%s)", async (which) => {
      for (const line of (await converted(which, "otlp-jsonl")).trim().split("\n"))
        expect(await post(jaeger.otlp, line)).toBe(200);
      const { data } = JSON.parse(await converted(which, "jaeger")) as { data: JaegerTrace[] };
      for (const ours of data.slice(0, 100)) {
        const theirs = (await getJson(`${jaeger.url}/api/traces/${ours.traceID}`)) as { data: JaegerTrace[] };
        expect(saidBy(ours)).toEqual(saidBy(theirs.data[0]!));
      }
    });
  },
);

async function converted(which: string, to: string): Promise<string> {
  const input = which === "sample" ? sample : join(folder, "all-fields.json");
  const output = join(folder, `${which}.${to}`);
  const { exitCode, stderr } = await runCommand(["convert", input, output, "--to", to]);
  expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
  return readFileSync(output, "utf8");
}

async function post(url: string, body: string): Promise<number> {
  const headers = { "content-type": "application/json" };
  return (await fetch(url, { method: "POST", headers, body })).status;
}

/** What a server tells; it may need a moment for what it has just taken. */
async function getJson(url: string): Promise<unknown> {
  for (let tries = 0; ; tries += 1) {
    const response = await fetch(url);
    if (response.status === 200 || tries === 50) return response.json();
    await sleep(100);
  }
}

interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly name?: string;
  readonly localEndpoint?: { readonly serviceName?: string };
  readonly remoteEndpoint?: { readonly serviceName?: string };
  readonly annotations?: readonly object[];
}

/** Zipkin writes names in lower case, and leaves empty lists and objects out. */
function asZipkinKeeps(span: ZipkinSpan): object {
  const { annotations = [], localEndpoint, remoteEndpoint, name, ...rest } = span;
  return {
    ...rest,
    ...(name === undefined ? {} : { name: name.toLowerCase() }),
    ...(localEndpoint === undefined ? {} : { localEndpoint: inLowerCase(localEndpoint) }),
    ...(remoteEndpoint === undefined ? {} : { remoteEndpoint: inLowerCase(remoteEndpoint) }),
    ...(annotations.length === 0 ? {} : { annotations }),
  };
}

function inLowerCase(endpoint: { readonly serviceName?: string }): object {
  const { serviceName } = endpoint;
  return serviceName === undefined ? endpoint : { ...endpoint, serviceName: serviceName.toLowerCase() };
}

function byId(spans: readonly object[]): readonly object[] {
  const idOf = (span: object) => (span as ZipkinSpan).id;
  return spans.toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

interface Tag {
  readonly key: string;
}

interface JaegerTrace {
  readonly traceID: string;
  readonly spans: readonly {
    readonly spanID: string;
    readonly processID: string;
    readonly flags?: number;
    readonly warnings: readonly string[] | null;
    readonly tags: readonly Tag[];
    readonly logs: readonly { readonly timestamp: number; readonly fields: readonly Tag[] }[];
  }[];
  readonly processes: Readonly<
    Record<string, { readonly serviceName: string; readonly tags?: readonly Tag[] }>
  >;
}

/**
 * All that a trace says, whatever the order of its spans and tags and the names of its processes. Jaeger forgets the flags of
 * OTLP's spans and how much of them was dropped, and warns of clocks while it reads.
 */
function saidBy({ traceID, spans, processes }: JaegerTrace): object {
  const said = spans.map(({ processID, tags, logs, ...rest }) => {
    const process = processes[processID]!;
    return {
      ...rest,
      flags: null,
      warnings: null,
      process: { ...process, tags: byKey(process.tags ?? []) },
      tags: byKey(tags.filter(({ key }) => !key.startsWith("otel.dropped_"))),
      logs: logs.map((log) => ({ ...log, fields: byKey(log.fields) })),
    };
  });
  return { traceID, spans: said.sort((a, b) => (a.spanID < b.spanID ? -1 : 1)) };
}

function byKey(tags: readonly Tag[]): readonly Tag[] {
  return tags.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

/** A trace of two spans with everything that OTLP can say and both formats can hold. */
function allFields(): object {
  const traceId = "5af7183fb1d4cf5f4f4f4f4f4f4f4f4f";
  const other = "6af7183fb1d4cf5f4f4f4f4f4f4f4f4f";
  const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
  const at = (micros: number) => `17955372600${String(micros).padStart(5, "0")}000`;
  const call = {
    traceId,
    spanId: "000000000000000b",
    parentSpanId: "000000000000000a",
    name: "POST /Pay",
    kind: 3,
    startTimeUnixNano: at(1_001),
    endTimeUnixNano: at(9_009),
    traceState: "vendor=1",
    attributes: [
      text("peer.service", "Bank"),
      text("network.peer.address", "10.1.2.3"),
      { key: "network.peer.port", value: { intValue: "8443" } },
      { key: "attempt", value: { intValue: "9007199254740991" } },
      { key: "ratio", value: { doubleValue: 0.25 } },
      { key: "is.first", value: { boolValue: false } },
      text("text", 'quotes " and \u00e9 and \ud83d\ude00'),
    ],
    droppedAttributesCount: 2,
    events: [
      {
        timeUnixNano: at(4_004),
        name: "exception",
        attributes: [text("exception.type", "NoMoney"), text("exception.message", "none left")],
      },
      { timeUnixNano: at(5_005), name: "retry" },
    ],
    links: [{ traceId: other, spanId: "000000000000000c" }],
    status: { code: 2, message: "no money" },
    flags: 1,
  };
  const entry = {
    traceId,
    spanId: "000000000000000a",
    name: "GET /Shop",
    kind: 2,
    startTimeUnixNano: at(0),
    endTimeUnixNano: at(10_010),
    status: { code: 1 },
    flags: 1,
  };
  const inner = { ...entry, spanId: "000000000000000d", parentSpanId: entry.spanId, kind: 1, status: {} };
  const message = { ...inner, spanId: "000000000000000e", kind: 4 };
  const attributes = [text("service.name", "Shop"), text("service.version", "1.2"), text("host.name", "n1")];
  const scopeSpans = [{ scope: { name: "lib", version: "3" }, spans: [entry, call, inner, message] }];
  return { resourceSpans: [{ resource: { attributes }, scopeSpans }] };
}
