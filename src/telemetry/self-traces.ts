import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
} from "@opentelemetry/sdk-trace-base";
import { OperationError } from "../engine/errors/operation-error.ts";
import type { Listener } from "../engine/listener.ts";
import type { AnswerWork, ExportWork, FoldWork, WorkObserver } from "../engine/own-work.ts";
import type { Decoded, EngineStats } from "../engine/ports.ts";
import { resourceKeys } from "../model/semconv.ts";
import { grpcServices } from "../otlp/grpc-services.ts";
import { ownListenerAt } from "./own-address.ts";

/** What our own spans call us; requests that carry telemetry of this service make no spans, or they would make more of them. */
const ownService = "hypocenter";

/** Spans of each kind in a second: enough to see what is slow, nothing beside the work itself. What is left out is counted. */
const spansPerSecondMax = 3;
/** Spans that wait to be sent; more are dropped. */
const queueMax = 256;
const exportMsMax = 5_000;
/** How often it is said that spans cannot be sent. */
const failureNoteMs = 60_000;
/** How long a stop waits for the last ones. */
const flushMsMax = 500;

export interface SelfTracesOptions {
  /** an OTLP/HTTP receiver, with or without `/v1/traces` */
  readonly url: string;
  readonly version: string;
  /** tells different servers apart */
  readonly instance: string;
  /** called with what has to be said, for the log */
  readonly onProblem: (message: string) => void;
}

export interface SelfTraces {
  readonly observer: WorkObserver;
  stats(): EngineStats;
  /** Rejects with `bad_configuration` where spans would be sent to one of our own listeners. */
  refuseLoop(listeners: readonly Listener[]): Promise<void>;
  /** Sends what waits, as far as that takes no time. */
  stop(): Promise<void>;
}

/** Spans of what this server does, sent to another receiver of traces by OpenTelemetry's SDK. */
export function startSelfTraces(options: SelfTracesOptions): SelfTraces {
  return new OwnSpans(options);
}

class OwnSpans implements SelfTraces {
  readonly #url: URL;
  readonly #onProblem: (message: string) => void;
  readonly #provider: BasicTracerProvider;
  readonly #tracer: Tracer;
  readonly #rates = { received: new Rate(), answered: new Rate(), folded: new Rate() };
  readonly #counts = {
    self_trace_spans_total: 0,
    self_trace_left_out_spans_total: 0,
    self_trace_export_failures_total: 0,
  };
  /** whether something has come since the last span of folding that was not our own telemetry */
  #hasForeign = false;
  #nextNoteMs = 0;

  constructor({ url, version, instance, onProblem }: SelfTracesOptions) {
    this.#url = tracesUrl(url);
    this.#onProblem = onProblem;
    const exporter = this.#watched(
      new OTLPTraceExporter({ url: this.#url.href, timeoutMillis: exportMsMax }),
    );
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({
        "service.name": ownService,
        "service.version": version,
        "service.instance.id": instance,
      }),
      // whatever the environment says: how many there are is decided here
      sampler: new AlwaysOnSampler(),
      spanProcessors: [
        new BatchSpanProcessor(exporter, {
          maxQueueSize: queueMax,
          maxExportBatchSize: queueMax / 4,
          scheduledDelayMillis: 1_000,
          exportTimeoutMillis: exportMsMax,
        }),
      ],
    });
    this.#tracer = this.#provider.getTracer(ownService, version);
  }

  readonly observer: WorkObserver = {
    received: (work) => this.#received(work),
    answered: (work) => this.#answered(work),
    folded: (work) => this.#folded(work),
  };

  stats(): EngineStats {
    return this.#counts;
  }

  async refuseLoop(listeners: readonly Listener[]): Promise<void> {
    const own = await ownListenerAt(this.#url, listeners);
    if (own === null) return;
    throw new OperationError(
      "bad_configuration",
      `self_traces names ${this.#url.href}, which is this server itself (${own.address})`,
      "Its spans about receiving spans would have no end: name another receiver of traces, or leave self_traces out.",
    );
  }

  async stop(): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    const isLate = new Promise<void>((resolve) => {
      late = setTimeout(resolve, flushMsMax);
    });
    const stopped = this.#provider.shutdown().catch((error: unknown) => this.#failed(error));
    await Promise.race([stopped, isLate]);
    clearTimeout(late);
  }

  #received(work: ExportWork): void {
    if (isOwn(work.decoded)) return;
    this.#hasForeign = true;
    const { transport, signal, encoding, outcome } = work;
    const method = `${grpcServices[signal]}/Export`;
    const isHttp = transport === "http";
    const attributes = {
      ...(isHttp
        ? { "http.request.method": "POST", "http.route": `/v1/${signal}` }
        : { "rpc.system.name": "grpc", "rpc.method": method }),
      "hypocenter.encoding": encoding,
      "hypocenter.body.bytes": work.bodyBytes,
      "hypocenter.accepted": work.accepted,
      "hypocenter.rejected": work.rejected,
      "hypocenter.outcome": outcome,
    };
    const name = isHttp ? `POST /v1/${signal}` : method;
    this.#write("received", work, { name, kind: SpanKind.SERVER, attributes, failed: outcome === "refused" });
  }

  #answered(work: AnswerWork): void {
    const { method, route, status } = work;
    const attributes = {
      "http.request.method": method,
      ...(route === null ? {} : { "http.route": route }),
      "http.response.status_code": status,
    };
    const name = route === null ? method : `${method} ${route}`;
    this.#write("answered", work, { name, kind: SpanKind.SERVER, attributes, failed: status >= 500 });
  }

  #folded(work: FoldWork): void {
    // if nothing but our own spans came back to us by some way, there is nothing to tell
    if (!this.#hasForeign) return;
    this.#hasForeign = false;
    const attributes = { "hypocenter.traces": work.traces };
    this.#write("folded", work, { name: "fold traces", kind: SpanKind.INTERNAL, attributes, failed: false });
  }

  #write(
    kind: keyof OwnSpans["observer"],
    { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
    span: {
      readonly name: string;
      readonly kind: SpanKind;
      readonly attributes: Attributes;
      readonly failed: boolean;
    },
  ): void {
    const leftOut = this.#rates[kind].take(endMs);
    if (leftOut === null) {
      this.#counts.self_trace_left_out_spans_total += 1;
      return;
    }
    this.#counts.self_trace_spans_total += 1;
    const epochMs = Date.now() - performance.now();
    const attributes =
      leftOut > 0 ? { ...span.attributes, "hypocenter.left_out_spans": leftOut } : span.attributes;
    const started = this.#tracer.startSpan(
      span.name,
      { kind: span.kind, attributes, startTime: epochMs + startMs, root: true },
      ROOT_CONTEXT,
    );
    if (span.failed) started.setStatus({ code: SpanStatusCode.ERROR });
    started.end(epochMs + endMs);
  }

  /** The exporter, which otherwise keeps its failures to itself. */
  #watched(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          if (result.error !== undefined) this.#failed(result.error);
          done(result);
        }),
      shutdown: () => exporter.shutdown(),
      forceFlush: async () => await exporter.forceFlush?.(),
    };
  }

  #failed(error: unknown): void {
    this.#counts.self_trace_export_failures_total += 1;
    const nowMs = performance.now();
    if (nowMs < this.#nextNoteMs) return;
    this.#nextNoteMs = nowMs + failureNoteMs;
    const reason = error instanceof Error ? error.message : String(error);
    this.#onProblem(`own spans cannot be sent to ${this.#url.href} (self_traces): ${reason}`);
  }
}

/** A few in a second, and how many had to be left out since the last one. */
class Rate {
  #left = spansPerSecondMax;
  #untilMs = 0;
  #leftOut = 0;

  /** How many were left out before this one; null = this one is, too. */
  take(nowMs: number): number | null {
    if (nowMs >= this.#untilMs) {
      this.#untilMs = nowMs + 1_000;
      this.#left = spansPerSecondMax;
    }
    if (this.#left === 0) {
      this.#leftOut += 1;
      return null;
    }
    this.#left -= 1;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }
}

function tracesUrl(url: string): URL {
  const address = new URL(url);
  if (!/\/v1\/traces\/?$/.test(address.pathname))
    address.pathname = `${address.pathname.replace(/\/+$/, "")}/v1/traces`;
  return address;
}

/** Whether a body carries telemetry of a hypocenter, ours or another that may send its spans here. */
function isOwn(decoded: Decoded | null): boolean {
  if (decoded === null) return false;
  const [key] = resourceKeys.name;
  if (decoded.signal === "metrics")
    return decoded.points.some(({ resource }) => resource.get(key) === ownService);
  if (decoded.signal === "logs")
    return decoded.records.some(({ resource }) => resource.get(key) === ownService);
  const { resources, attributes } = decoded.table;
  for (let resource = 0; resource < resources.length; resource += 1) {
    const end = resources.attributeEnd[resource] ?? 0;
    for (let at = resources.attributeStart[resource] ?? end; at < end; at += 1)
      if (attributes.keyAt(at) === key && attributes.valueAt(at) === ownService) return true;
  }
  return false;
}
