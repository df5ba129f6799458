// One service of the small system that slow-rates.ts starts: a plain HTTP server, instrumented by the OpenTelemetry SDK.
// Arguments: name, port of the OTLP endpoint, port of the service that it calls (0 = none), timeout of that call in ms.

import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

const [name = "", otlpPort = "", calleePort = "", timeoutMs = ""] = process.argv.slice(2);
const routes: Readonly<Record<string, string>> = {
  gateway: "/checkout",
  orders: "/orders",
  pricing: "/prices",
  rates: "/rates",
};
const next: Readonly<Record<string, string>> = { gateway: "orders", orders: "pricing", pricing: "rates" };

const exporter = new OTLPTraceExporter({ url: `http://127.0.0.1:${otlpPort}/v1/traces` });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({
    "service.name": name,
    "service.instance.id": `${name}-1`,
    "service.version": "1.0.0",
  }),
  spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 300 })],
});
provider.register();
const instrumentation = new HttpInstrumentation({
  ignoreOutgoingRequestHook: (request) => String(request.port) === otlpPort,
  ignoreIncomingRequestHook: (request) => request.url?.startsWith("/admin") ?? false,
  requestHook: (span, request) => {
    // the names that a service mesh or client library would set
    if ("getHeader" in request && next[name] !== undefined)
      span.setAttribute("service.peer.name", next[name]);
  },
});
instrumentation.setTracerProvider(provider);
// the instrumentation hooks into require
const http = createRequire(import.meta.url)("node:http") as typeof import("node:http");

let workMs = 4;

const server = http.createServer((request, response) => {
  if (request.url?.startsWith("/admin/work-ms/")) {
    workMs = Number(request.url.slice("/admin/work-ms/".length));
    response.end();
    return;
  }
  if (request.url?.startsWith("/admin/stop")) {
    void provider.shutdown().then(() => response.end(() => process.exit(0)));
    return;
  }
  setTimeout(() => {
    if (calleePort === "0") {
      response.end("{}");
      return;
    }
    const call = http.get(
      { host: "127.0.0.1", port: calleePort, path: routes[next[name] ?? ""], timeout: Number(timeoutMs) },
      (answer) => {
        answer.resume();
        answer.on("end", () => response.writeHead(answer.statusCode === 200 ? 200 : 502).end("{}"));
      },
    );
    call.on("timeout", () => call.destroy(new Error(`timeout: no answer within ${timeoutMs} ms`)));
    call.on("error", () => {
      if (!response.headersSent) response.writeHead(504).end("{}");
    });
  }, workMs);
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
