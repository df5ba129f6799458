import { setTimeout as sleep } from "node:timers/promises";
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";

/**
 * Sends one failing request through three real SDKs, and resolves with its trace id when the exporters are done:
 *
 *   web       GET /checkout          server error
 *     web     GET                    client error
 *       cart  GET /cart              server error   "out of stock"
 */
export async function sendFailingRequest(exporterOf: () => SpanExporter): Promise<string> {
  const providers = ["web", "cart"].map(
    (name) =>
      new NodeTracerProvider({
        resource: resourceFromAttributes({ "service.name": name, "service.instance.id": `${name}-1` }),
        spanProcessors: [new BatchSpanProcessor(exporterOf())],
      }),
  );
  const [web, cart] = providers.map((provider) => provider.getTracer("test"));
  const entry = web!.startSpan("GET /checkout", { kind: SpanKind.SERVER }, ROOT_CONTEXT);
  await sleep(3);
  const call = web!.startSpan("GET", { kind: SpanKind.CLIENT }, trace.setSpan(ROOT_CONTEXT, entry));
  await sleep(3);
  const work = cart!.startSpan("GET /cart", { kind: SpanKind.SERVER }, trace.setSpan(ROOT_CONTEXT, call));
  for (const span of [work, call, entry]) {
    await sleep(3);
    span.setStatus({ code: SpanStatusCode.ERROR, ...(span === work ? { message: "out of stock" } : {}) });
    span.end();
  }
  await Promise.all(providers.map((provider) => provider.shutdown()));
  return entry.spanContext().traceId;
}
