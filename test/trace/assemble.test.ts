import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceDirectory } from "../../src/model/service-directory.ts";
import { Span } from "../../src/model/span.ts";
import { SpanTable } from "../../src/model/span-table.ts";
import { assembleTrace } from "../../src/trace/assemble.ts";
import { callsOf } from "../../src/trace/extract-calls.ts";
import { groupByTrace } from "../../src/trace/group-rows.ts";
import { spanIdOf, type Trace, type TraceSpan } from "../../src/trace/trace.ts";
import { notationStart, rowsOf, spanNamed, tableOf, traceOf } from "../notation.ts";
import { runs } from "../runs.ts";

/** The tree as indented lines `service operation start..end` in ms. */
function treeOf(trace: Trace): string {
  const lines: string[] = [];
  const show = (index: number, depth: number): void => {
    const { service, operation, start, end, children } = trace.spans[index]!;
    lines.push(`${"  ".repeat(depth)}${service} ${operation} ${start / 1e6}..${end / 1e6}`);
    for (const child of children) show(child, depth + 1);
  };
  for (const root of trace.roots) show(root, 0);
  return lines.join("\n");
}

function problemsOf(trace: Trace): readonly string[] {
  return trace.problems.map(({ kind, count }) => `${kind} ${count}`);
}

/** What a span says, its attributes by name. */
function everythingOf({ table, row, service, start, end, failed, parent }: TraceSpan): object {
  const { name, kind, statusCode, statusMessage, attributes, events, links } = new Span(table, row);
  const byName = Object.fromEntries(attributes);
  const said = { name, kind, statusCode, statusMessage, events, links, attributes: byName };
  return { ...said, service, start, end, failed, parent };
}

function checkTree(text: string, tree: string, problems: readonly string[] = []): void {
  const trace = traceOf(text);
  const lines = tree.split("\n").filter((line) => line.trim() !== "");
  const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  expect(treeOf(trace)).toBe(lines.map((line) => line.slice(indent)).join("\n"));
  expect(problemsOf(trace)).toEqual(problems);
}

describe("assembly", () => {
  test("children hang below their parents by start, whatever order they came in", () => {
    checkTree(
      `
      db    query  50..60 id=3 parent=2
      db    query  20..30 id=4 parent=2
      cart  GET    10..80 id=2 parent=1
      web   GET     0..90 id=1`,
      `
      web GET 0..90
        cart GET 10..80
          db query 20..30
          db query 50..60`,
    );
  });

  test("an exact repeat is dropped without a word: senders that got no answer send again", () => {
    checkTree(
      `
      web  GET  0..90 id=1 a=b
      web  GET  0..90 id=1 a=b`,
      "web GET 0..90",
    );
  });

  test("of several versions the ended one with most attributes stays", () => {
    checkTree(
      `
      web  GET  0..   id=1 a=b c=d
      web  GET  0..90 id=1 a=b
      web  GET  0..80 id=1`,
      "web GET 0..90",
      ["conflicting_duplicate 1"],
    );
  });

  test("a record without times is part of a complete one of its service", () => {
    checkTree(
      `
      web   GET  0..90   client id=1
      cart  GET  10..80  server id=1
      cart  GET  ..      server id=1
      cart  GET  ..      id=1`,
      `
      web GET 0..90
        cart GET 10..80`,
    );
  });

  test("partial reports of a span are one span, which says what all of them say", () => {
    const reports = [
      "web GET 3..   server id=1 a=1",
      "web x ..90 server id=1 b=2 error",
      "web y .. id=1 c=3",
    ];
    const [span, ...others] = traceOf(reports.join("\n")).spans;
    expect(others).toEqual([]);
    expect(span).toMatchObject({ start: 0, end: 87_000_000, operation: "GET", failed: true });
    const { attributes } = new Span(span!.table, span!.row);
    expect(Object.fromEntries(attributes)).toEqual({ a: 1n, b: 2n, c: 3n });
  });

  test("whatever reports of one id there are, their order and repeats change nothing", () => {
    const report = fc
      .record({
        service: fc.constantFrom("web", "cart"),
        name: fc.constantFrom("", "GET"),
        start: fc.constantFrom("", "0", "3"),
        end: fc.constantFrom("", "50", "90"),
        kind: fc.constantFrom("", "server", "client"),
        status: fc.constantFrom("", "error", "ok"),
        attributes: fc.constantFrom(
          "",
          "a=1",
          "a=2 b=3",
          "http.response.status_code=503",
          "server.address=db",
        ),
        parent: fc.constantFrom("", "parent=7"),
        exception: fc.constantFrom("", 'exception="Oops: no"'),
        link: fc.constantFrom("", "link=2/9"),
      })
      .map(({ service, name, start, end, ...words }) =>
        [service, name, `${start}..${end}`, "id=1", ...Object.values(words)].join(" "),
      );
    const reports = fc.array(report, { minLength: 1, maxLength: 5 });
    const again = reports.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 })),
    );
    const pictureOf = (lines: readonly string[]) => {
      const trace = traceOf(lines.join("\n"));
      return [problemsOf(trace), trace.spans.map(everythingOf)];
    };
    fc.assert(
      fc.property(again, ([all, shuffled]) => {
        expect(pictureOf(shuffled)).toEqual(pictureOf(all));
      }),
      { numRuns: 100 },
    );
  });

  test("reports that begin at different times contradict each other", () => {
    checkTree(
      `
      web GET 0..90 client id=1
      web GET 5..   client id=1`,
      "web GET 0..90",
      ["conflicting_duplicate 1"],
    );
  });

  test("which of two requests a report without a start is of cannot be told", () => {
    checkTree(
      `
      web GET  0..10 server id=1
      web GET 20..30 server id=1
      web GET ..     id=1`,
      `
      web GET 0..10
      web GET 20..30`,
      ["conflicting_duplicate 1", "several_roots 2", "shared_span_id 1"],
    );
  });

  test("D5: halves that share an id; children go to the half of their own service, else to the server's", () => {
    checkTree(
      `
      web   GET    0..90   client id=1
      cart  GET   10..80   server id=1
      web   log   12..14   id=2 parent=1
      cart  sql   20..70   id=3 parent=1
      mesh  hop   30..40   id=4 parent=1`,
      `
      web GET 0..90
        cart GET 10..80
          cart sql 20..70
          mesh hop 30..40
        web log 12..14`,
    );
  });

  test("a shared server half without its client half uses its parent id", () => {
    checkTree(
      `
      web   GET   0..90  server id=1
      cart  GET  10..80  server id=2 parent=1`,
      `
      web GET 0..90
        cart GET 10..80`,
    );
  });

  test("several requests on one id are kept: other starts, other hosts", () => {
    checkTree(
      `
      shop  send   0..5   producer id=1
      mail  get   10..20  consumer id=1 host=a
      mail  get   10..20  consumer id=1 host=b
      mail  get   11..20  consumer id=1 host=b`,
      `
      shop send 0..5
        mail get 10..20
        mail get 10..20
        mail get 11..20`,
      ["shared_span_id 3"],
    );
  });

  test("one id in two services: both stay", () => {
    checkTree(
      `
      a  x  0..90  id=1
      b  y  5..80  id=1`,
      `
      a x 0..90
      b y 5..80`,
      ["several_roots 2", "shared_span_id 1"],
    );
  });

  test("T15: orphans are roots, and flags tell where their parent was", () => {
    checkTree(
      `
      web   GET   0..90  id=1
      cart  sql  10..80  id=2 parent=99
      pay   GET  20..70  id=3 parent=98 flags=256
      mail  GET  30..60  id=4 parent=97 flags=768`,
      `
      web GET 0..90
      cart sql 10..80
      pay GET 20..70
      mail GET 30..60`,
      ["missing_parent 1", "missing_parent 1", "missing_parent 1"],
    );
    expect(spanNamed(traceOf("web GET 0..9 parent=7"), "GET").isOrphan).toBe(true);
  });

  test("a span that is its own parent is a root", () => {
    checkTree("web GET 0..90 id=1 parent=1", "web GET 0..90", ["self_parent 1"]);
  });

  test("a cycle is opened at its earliest span", () => {
    checkTree(
      `
      c  z  20..70  id=3 parent=2
      b  y  10..80  id=2 parent=1
      a  x   0..90  id=1 parent=3
      d  w  30..40  id=4 parent=3`,
      `
      a x 0..90
        b y 10..80
          c z 20..70
            d w 30..40`,
      ["parent_cycle 1"],
    );
  });

  test("ends before starts, no ends, no times", () => {
    checkTree(
      `
      web     GET    0..90  id=1
        web   neg   10..5
        web   open  20..
        web   none  ..
          web late  ..40`,
      `
      web GET 0..90
        web none 0..0
          web late 40..40
        web neg 10..10
        web open 20..20`,
      ["missing_time 2", "negative_duration 1", "unfinished_span 1"],
    );
  });

  test("times are exact to the nanosecond and count from the earliest start", () => {
    const trace = traceOf("web GET 1000000007..1000000011ns");
    expect(trace.startTime).toBe(notationStart + 1_000_000_007n);
    expect(trace.spans[0]!.end).toBe(4);
  });

  test("dropped data, bad UTF-8 and a missing service name are told", () => {
    const trace = traceOf("- GET 0..9 dropped=2");
    expect(problemsOf(trace)).toEqual(["dropped_data 1", "missing_service_name 1"]);
    expect(trace.spans[0]!.service).toBe("unknown_service");
  });
});

describe("clock skew", () => {
  const skewed = `
    web     GET     0..100  client host=a
      cart  GET    60..140  server host=b
        db  query  70..130  server host=b
        mq  work   90..95   consumer host=c`;

  test("T18: a callee that lies outside its caller is moved into it with all that its clock timed", () => {
    const trace = traceOf(skewed);
    expect(treeOf(trace)).toBe(
      ["web GET 0..100", "  cart GET 10..90", "    db query 20..80", "    mq work 90..95"].join("\n"),
    );
    expect(trace.clockOffsets).toEqual([
      { clock: "b", service: "cart", shiftNanos: -50e6 },
      { clock: "b", service: "db", shiftNanos: -50e6 },
    ]);
    expect(problemsOf(trace)).toEqual(["clock_skew 1", "clock_skew 1"]);
    const { start, clockShift } = spanNamed(trace, "cart GET");
    expect(start - clockShift).toBe(60e6);
  });

  test("within one host nothing moves, and neither does a child that fits", () => {
    checkTree(
      `
      web    GET    0..100  client host=a
        cart GET   60..140  server host=a
      web    GET    0..100  client host=a parent=none
        cart GET    0..99   server host=b`,
      `
      web GET 0..100
        cart GET 60..140
      web GET 0..100
        cart GET 0..99`,
      ["several_roots 2"],
    );
  });

  test("a callee longer than its caller only may not begin before it", () => {
    checkTree(
      `
      web    GET   10..60  client host=a
        cart GET    0..90  server host=b`,
      `
      web GET 10..60
        cart GET 10..100`,
      ["clock_skew 1"],
    );
  });

  test("a caller that gave up says nothing about the callee's end", () => {
    checkTree(
      `
      web    GET    0..50  client host=a error error.type=timeout
        cart GET   10..55  server host=b`,
      `
      web GET 0..50
        cart GET 10..55`,
    );
  });

  test("a callee that fits lies within its caller, or ends a little behind it, whatever its clock showed", () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.nat(5000), (a, b, serverStart) => {
        const [clientTime, serverTime] = a > b ? [a, b] : [b, a];
        const trace = traceOf(`
          web    GET  2000..${2000 + clientTime}  client host=a
            cart GET  ${serverStart}..${serverStart + serverTime}  server host=b`);
        const [client, server] = [spanNamed(trace, "web GET"), spanNamed(trace, "cart GET")];
        expect(server.start).toBeGreaterThanOrEqual(client.start);
        // as late as a server may end behind its caller without being told of another clock
        expect(server.end).toBeLessThanOrEqual(client.end + (server.end - server.start) / 10);
        expect((server.end - server.start) / 1e6).toBe(serverTime);
      }),
      { numRuns: 1000 },
    );
  });

  test("a server that ends its span a little behind its caller shows no skew", () => {
    const late = (end: number): Trace =>
      traceOf(`
      web    GET   0..100   client host=a
        cart GET  50..${end}  server host=b`);
    expect(late(105).clockOffsets).toEqual([]);
    expect(problemsOf(late(105))).toEqual([]);
    expect(late(130).clockOffsets).not.toEqual([]);
  });

  test("what a server calls without a client span may go on after its answer: no skew", () => {
    expect(
      traceOf(`
      web    GET    0..100  server host=a
        cart GET  160..240  server host=b`).clockOffsets,
    ).toEqual([]);
  });

  test("one offset for all calls between two clocks: the median", () => {
    const trace = traceOf(`
      web     GET     0..900  server host=a
        cart  one   110..190  server host=b
        cart  two   310..390  server host=b
        cart  x     850..905  server host=b`);
    expect(trace.clockOffsets).toEqual([]);
  });
});

describe("laws", () => {
  const spanArb = fc.record({
    id: fc.integer({ min: 1, max: 12 }),
    parent: fc.integer({ min: 0, max: 13 }),
    service: fc.constantFrom("a", "b", "c"),
    host: fc.constantFrom("", "h1", "h2"),
    kind: fc.constantFrom("", "client", "server", "producer", "consumer"),
    start: fc.option(fc.integer({ min: 0, max: 90 })),
    length: fc.option(fc.integer({ min: -5, max: 60 })),
    word: fc.constantFrom("error", "x=1", "db.system=redis", "link=3"),
  });
  const traceArb = fc.array(spanArb, { minLength: 1, maxLength: 14 });

  function linesOf(spans: readonly (typeof spanArb extends fc.Arbitrary<infer T> ? T : never)[]): string[] {
    return spans.map(({ id, parent, service, host, kind, start, length, word }) => {
      const end = length === null ? "" : (start ?? 0) + length;
      const place = host === "" ? "" : `host=${host}`;
      return `${service} op ${start ?? ""}..${end} ${kind} ${word} ${place} id=${id} parent=${parent}`;
    });
  }

  /** All that a trace says, without where its rows lie. */
  function pictureOf(tables: readonly SpanTable[]): unknown {
    const groups = groupByTrace(tables);
    const trace = assembleTrace(groups.rowsOf(0), new ServiceDirectory());
    return {
      ...trace,
      naming: null,
      spans: trace.spans.map((span) => ({
        ...span,
        table: null,
        row: null,
        nextOfId: null,
        id: spanIdOf(span),
      })),
      calls: callsOf(trace),
    };
  }

  test("order, repeats and splitting over tables change nothing but the count of repeats", () => {
    fc.assert(
      fc.property(traceArb, fc.infiniteStream(fc.nat()), (spans, random) => {
        const lines = linesOf(spans);
        const next = (): number => random.next().value as number;
        const shuffled = [...lines].sort(() => (next() % 3) - 1);
        const cut = next() % (lines.length + 1);
        const parts = [shuffled.slice(0, cut), shuffled.slice(cut)].map((part) => tableOf(part.join("\n")));
        expect(pictureOf(parts.reverse())).toEqual(pictureOf([tableOf(lines.join("\n"))]));
      }),
      { numRuns: runs(25) },
    );
  });

  test("sent twice, the trace is the same but for its problems", () => {
    fc.assert(
      fc.property(traceArb, (spans) => {
        const table = tableOf(linesOf(spans).join("\n"));
        const again = tableOf(linesOf(spans).join("\n"));
        const once = pictureOf([table]) as Trace;
        const twice = pictureOf([again, table]) as Trace;
        expect({ ...twice, problems: null }).toEqual({ ...once, problems: null });
      }),
      { numRuns: runs(50) },
    );
  });

  test("every span is reached once from the roots", () => {
    fc.assert(
      fc.property(traceArb, (spans) => {
        const trace = traceOf(linesOf(spans).join("\n"));
        const open = [...trace.roots];
        const reached: number[] = [];
        for (let at = open.pop(); at !== undefined; at = open.pop()) {
          reached.push(at);
          open.push(...trace.spans[at]!.children);
        }
        expect(reached.sort((a, b) => a - b)).toEqual(trace.spans.map(({ index }) => index));
        for (const span of trace.spans) {
          expect(span.end).toBeGreaterThanOrEqual(span.start);
          for (const child of span.children) expect(trace.spans[child]!.parent).toBe(span.index);
        }
      }),
      { numRuns: runs(50) },
    );
  });
});

test("an empty trace has no spans", () => {
  expect(assembleTrace(rowsOf(new SpanTable()), new ServiceDirectory()).spans).toEqual([]);
});
