import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { renderDot } from "../../src/cli/render/dot.ts";
import { renderHtml } from "../../src/cli/render/html.ts";
import { renderMarkdown } from "../../src/cli/render/markdown.ts";
import { renderMermaid } from "../../src/cli/render/mermaid.ts";
import { documentOf, type Printable, pictureOf } from "../../src/cli/render/printable.ts";
import { writeJson } from "../../src/wire/write-json.ts";
import { failedTrace, incident, shopGraph, shopServices, slowTrace, structural } from "./reports.ts";

const trace: Printable = { kind: "trace", report: failedTrace };
const all: readonly Printable[] = [
  trace,
  { kind: "trace", report: slowTrace },
  { kind: "window", report: incident },
  { kind: "structural", report: structural },
  { kind: "graph", graph: shopGraph },
  { kind: "services", services: shopServices },
];

test("a Mermaid graph says in words where the failure went", () => {
  expect(renderMermaid(pictureOf(trace, "en")!)).toMatchInlineSnapshot(`
    "flowchart LR
      n0["web<br/>failing<br/>2.1 % errors, p99 1.3 s"]:::failing
      n1["order-service<br/>failing<br/>2.1 % errors, p99 1.2 s"]:::failing
      n2["inventory<br/>0 % errors, p99 50 ms"]
      n3["payment<br/>failing<br/>15 % errors, p99 900 ms"]:::failing
      n4[("orders-db<br/>root cause, database<br/>15 % errors, p99 870 ms")]:::cause
      n5[["kafka:orders<br/>messaging<br/>0 % errors"]]:::inferred
      n0 ==>|"failing call, 1200×, 2.1 % errors, p99 1.2 s"| n1
      n1 -->|"1190×, p99 50 ms"| n2
      n1 ==>|"failing call, 1180×, 15 % errors, p99 900 ms"| n3
      n3 ==>|"failing call, 3540×, 15 % errors, p99 870 ms"| n4
      n1 -.->|"1180×"| n5
      classDef cause stroke:#d55e00,stroke-width:4px
      classDef failing stroke:#d55e00,stroke-width:2px
      classDef inferred stroke-dasharray:5 4
    "
  `);
});

test("a DOT graph says in words where the failure went", () => {
  expect(renderDot(pictureOf(trace, "ko")!)).toMatchInlineSnapshot(`
    "digraph hypocenter {
      rankdir=LR
      node [shape=box, style=rounded, fontname="sans-serif"]
      edge [fontname="sans-serif", fontsize=10]
      n0 [label="web\\n비정상\\n2.1 % 오류율, P99 1.3 s", color="#d55e00", penwidth=2]
      n1 [label="order-service\\n비정상\\n2.1 % 오류율, P99 1.2 s", color="#d55e00", penwidth=2]
      n2 [label="inventory\\n0 % 오류율, P99 50 ms"]
      n3 [label="payment\\n비정상\\n15 % 오류율, P99 900 ms", color="#d55e00", penwidth=2]
      n4 [label="orders-db\\n근본 원인, 데이터베이스\\n15 % 오류율, P99 870 ms", shape=cylinder, color="#d55e00", penwidth=4, style="dashed"]
      n5 [label="kafka:orders\\n메시징\\n0 % 오류율", shape=cds, style="dashed"]
      n0 -> n1 [label="실패한 호출, 1200×, 2.1 % 오류율, P99 1.2 s", color="#d55e00", penwidth=3]
      n1 -> n2 [label="1190×, P99 50 ms"]
      n1 -> n3 [label="실패한 호출, 1180×, 15 % 오류율, P99 900 ms", color="#d55e00", penwidth=3]
      n3 -> n4 [label="실패한 호출, 3540×, 15 % 오류율, P99 870 ms", color="#d55e00", penwidth=3, style=dashed]
      n1 -> n5 [label="1180×", style=dashed]
    }
    "
  `);
});

test("the graph of a structural report shows who calls what is unhealthy", () => {
  expect(renderMermaid(pictureOf({ kind: "structural", report: structural }, "en")!)).toMatchInlineSnapshot(`
    "flowchart LR
      n0["web<br/>Slow responses: p99 1.30s"]
      n1["order-service"]
      n2["inventory"]
      n3["payment<br/>High error rate: 15.00%"]:::failing
      n4["orders-db<br/>High error rate: 15.00%"]:::failing
      n5["report-batch"]
      n6["invoice-service"]
      n1 ==>|"failing call"| n3
      n3 ==>|"failing call"| n4
      n5 ==>|"failing call"| n4
      n6 ==>|"failing call"| n4
      classDef cause stroke:#d55e00,stroke-width:4px
      classDef failing stroke:#d55e00,stroke-width:2px
      classDef inferred stroke-dasharray:5 4
    "
  `);
});

test("a list of services has no graph", () => {
  expect(pictureOf({ kind: "services", services: shopServices }, "en")).toBeNull();
});

test("a report in Markdown", () => {
  expect(renderMarkdown(documentOf({ kind: "window", report: incident }, "en"))).toMatchInlineSnapshot(`
    "# ✗ Window 2026-03-01T12:00:00Z … 2026-03-01T12:10:00Z: 2 services fail since 12:00:03.

    **Probable cause: orders-db (saturation) - its connections are used up.**

    confidence medium (85 %) · window 2026-03-01T12:00:00Z … 2026-03-01T12:10:00Z · baseline 2026-03-01T11:00:00Z … 2026-03-01T12:00:00Z · 9,324 traces · 120,400 spans · 6 services

    ## Why we think so

    1. **orders-db** (errors, INSERT orders, call payment → orders-db): 86 %
       - orders-db answered payment's call INSERT orders with an error (40P01: deadlock detected) \`c053e19590c29ae0\`
       - the same call was tried 3 times and failed each time \`b7ad6b7169203331\` \`5fb397be34d26b51\` \`c053e19590c29ae0\`
       - _against it:_ the trace is incomplete: 1 parent span is missing \`d5a0a32718ee5101\`
       - High error rate: 15.00%
    2. **inventory** (slow work, GET /stock): 14 %

    ## Who is hit

    |  | service | operation | requests | failed | above usual | slower by | of all requests |
    | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
    | ✗ failing | web | GET /checkout | 1,204 | 181 | 177 | 640 ms | 15 % |
    | ▲ notice | web | GET /orders/\\{id\\} | 8,120 | 24 | 0 | 95 ms | 2 % |

    - **requests hit**: 15 % (failed or took longer because of the cause)
    - **affected**: payment, order-service, web
    - **at risk**: returns
    - **blast radius**: 4 unhealthy by their own figures

    ## What to do

    1. orders-db: find out why it answers payment's INSERT orders with errors \`c053e19590c29ae0\`
    2. payment: its 3 attempts to call orders-db all failed; limit retries with back-off and a circuit breaker \`b7ad6b7169203331\` \`5fb397be34d26b51\` \`c053e19590c29ae0\`

    ## How it spread

    |  | way | how | requests | of those hit |
    | --- | --- | --- | ---: | ---: |
    |  | orders-db → payment | error | 531 | 100 % |
    |  | payment → web | retries exhausted | 177 | 33 % |

    ## If the cause were as usual

    - **web GET /checkout**: errors 15 % → 0.3 %, mean 760 ms → 120 ms

    ## What began when

    - **orders-db**: 2026-03-01T12:00:03Z
    - **payment**: 2026-03-01T12:00:04.200Z (+1.2 s)
    - **web**: 2026-03-01T12:00:31Z (+28 s)

    ## Services

    |  | service | errors | p99 | CPU | memory |  |
    | --- | --- | ---: | ---: | ---: | ---: | --- |
    | ▲ notice | web | 2.1 % | 1.3 s | 40 % | 50 % | Slow responses: p99 1.30s |
    | ✓ ok | order-service | 0.4 % | 210 ms | 40 % | 50 % |  |
    | ✓ ok | inventory | 0.4 % | 210 ms | 40 % | 50 % |  |
    | ✗ failing | payment | 15 % | 210 ms | 40 % | 50 % | High error rate: 15.00%; queue 156 |
    | ✗ failing | orders-db | 15 % | 870 ms | - | - | High error rate: 15.00%; connections 98/100, deadlocks 12, slow queries 8 |

    ## Service graph

    \`\`\`mermaid
    flowchart LR
      n0["web<br/>failing<br/>2.1 % errors, p99 1.3 s"]:::failing
      n1["order-service<br/>failing<br/>2.1 % errors, p99 1.2 s"]:::failing
      n2["inventory<br/>0 % errors, p99 50 ms"]
      n3["payment<br/>failing<br/>15 % errors, p99 900 ms"]:::failing
      n4[("orders-db<br/>root cause, database<br/>15 % errors, p99 870 ms")]:::cause
      n5[["kafka:orders<br/>messaging<br/>0 % errors"]]:::inferred
      n0 -->|"1200×, 2.1 % errors, p99 1.2 s"| n1
      n1 -->|"1190×, p99 50 ms"| n2
      n1 -->|"1180×, 15 % errors, p99 900 ms"| n3
      n3 ==>|"failing call, 3540×, 15 % errors, p99 870 ms"| n4
      n1 -.->|"1180×"| n5
      classDef cause stroke:#d55e00,stroke-width:4px
      classDef failing stroke:#d55e00,stroke-width:2px
      classDef inferred stroke-dasharray:5 4
    \`\`\`

    ## Traces to look at

    - 5b8efff798038103d269b633813fc60c
    - 6c8efff798038103d269b633813fc60c
    "
  `);
});

test("of a large graph a page draws what is wrong and what touches it", () => {
  const nodeOf = (service: string) => ({ ...shopGraph.nodes[0]!, service });
  const edgeOf = (caller: string, callee: string) => ({ ...shopGraph.edges[0]!, caller, callee });
  const far = Array.from({ length: 20 }, (_, i) => `far-${i}`);
  const page = renderHtml(
    documentOf(
      {
        kind: "window",
        report: {
          ...incident,
          affected_services: ["web"],
          dependency_graph: {
            nodes: ["web", "orders-db", "near", ...far].map(nodeOf),
            edges: [
              edgeOf("web", "orders-db"),
              edgeOf("near", "web"),
              ...far.map((name) => edgeOf("near", name)),
            ],
          },
        },
      },
      "en",
    ),
    "{}",
  );
  const boxes = [...page.matchAll(/<g class="box[^>]*><title>([\w-]+)/g)].map(([, name]) => name);
  expect(new Set(boxes)).toEqual(new Set(["near", "orders-db", "web"]));
  expect(page).toContain("(+20 more;");
});

test("a page loads nothing and allows its own style only", () => {
  for (const printable of all)
    for (const language of ["en", "ko"] as const) {
      const html = renderHtml(documentOf(printable, language), writeJson(printable));
      expect(html).not.toMatch(/\s(?:src|href|action|style|on\w+)=|https?:|@import|url\((?!#)/);
      const [, style = ""] = /<style>(.*)<\/style>/s.exec(html) ?? [];
      const hash = createHash("sha256").update(style).digest("base64");
      expect(html).toContain(`content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'`);
      expect(html).toContain(`<html lang="${language}">`);
    }
});

test("a page carries its report, to be read by programs", () => {
  const html = renderHtml(documentOf(trace, "en"), writeJson(failedTrace));
  const [, json = ""] = /<script type="application\/json" id="report">(.*)<\/script>/s.exec(html) ?? [];
  expect(JSON.parse(json)).toEqual(JSON.parse(writeJson(failedTrace)));
});
