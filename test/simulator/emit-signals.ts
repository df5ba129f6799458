import type { AnyValue, Attributes } from "../../src/model/attributes.ts";
import type { LogRecord, MetricPoint, MetricValue } from "../../src/model/telemetry.ts";
import { logsToJson } from "../../src/otlp/json-write-logs.ts";
import { metricsToJson } from "../../src/otlp/json-write-metrics.ts";
import { type Clock, type Resources, spanIdOf, traceIdOf } from "./emit-identity.ts";
import type { InstanceSample, Recording, TopicSample } from "./recording.ts";

const recordsPerLine = 500;
const severityNumbers = { INFO: 9, WARN: 13, ERROR: 17 } as const;

/** Export requests in OTLP JSON, one a line: log records in order of time. */
export function logLines({ logs }: Recording, clock: Clock, resources: Resources): string[] {
  const records = logs.map(({ time, span, severity, text, exception }): LogRecord => {
    const attributes = new Map<string, AnyValue>(exception === "" ? [] : [["exception.type", exception]]);
    const at = clock.at(span.instance, time);
    return {
      resource: resources.of(span.instance, span.version),
      scopeName: "app",
      time: at,
      observedTime: at,
      severityNumber: severityNumbers[severity],
      severityText: severity,
      body: text,
      attributes,
      traceId: traceIdOf(span.request),
      spanId: spanIdOf(span),
      eventName: "",
    };
  });
  const lines: string[] = [];
  for (let i = 0; i < records.length; i += recordsPerLine)
    lines.push(logsToJson(records.slice(i, i + recordsPerLine)));
  return lines;
}

/** Export requests in OTLP JSON: one line for each moment at which metrics were read. */
export function metricLines(recording: Recording, clock: Clock, resources: Resources): string[] {
  const { samples, topicSamples } = recording;
  const times = [...new Set(samples.map(({ time }) => time))];
  return times.map((time) => {
    const points = samples
      .filter((sample) => sample.time === time)
      .flatMap((sample) => pointsOf(sample, clock, resources));
    for (const waiting of topicSamples.filter((sample) => sample.time === time))
      points.push(pointOfTopic(waiting, clock, resources));
    return metricsToJson(points);
  });
}

/** What waits for a consumer, as the metrics of its broker tell it; told by the consumer's first instance. */
function pointOfTopic({ time, topic, lag }: TopicSample, clock: Clock, resources: Resources): MetricPoint {
  const { service } = topic.consumer;
  const [first] = service.instances;
  if (first === undefined) throw new Error("every service has an instance");
  const [name, unit, keys] =
    topic.system === "kafka"
      ? (["kafka.consumer_group.lag", "1", { group: service.name, topic: topic.name }] as const)
      : ([
          "rabbitmq.message.current",
          "{message}",
          { state: "ready", "rabbitmq.queue.name": topic.name },
        ] as const);
  const place = {
    resource: resources.of(first, service.version),
    attributes: new Map(Object.entries(keys)),
    time: clock.exact(time),
  };
  return gauge(name, unit, lag, place);
}

interface Place {
  readonly resource: Attributes;
  readonly attributes: Attributes;
  readonly time: MetricPoint["time"];
}

const none: Attributes = new Map();

function pointsOf(sample: InstanceSample, clock: Clock, resources: Resources): MetricPoint[] {
  const { instance, version, pools } = sample;
  const resource = resources.of(instance, version);
  const time = clock.exact(sample.time);
  const place = { resource, attributes: none, time };
  const points = [
    gauge("k8s.pod.cpu_limit_utilization", "1", rounded(sample.cpuRatio), place),
    gauge("k8s.pod.memory_limit_utilization", "1", rounded(sample.memoryRatio), place),
    gauge("http.server.active_requests", "{request}", sample.active, place),
    gauge("worker.queue.depth", "{request}", sample.queued, place),
  ];
  if (instance.service.language === "java")
    points.push({
      ...place,
      name: "jvm.gc.duration",
      unit: "s",
      startTime: clock.start,
      value: pauses(sample),
    });
  for (const { name, used, size, pending } of pools) {
    const pool = ["db.client.connection.pool.name", name] as const;
    const state = (value: string): Place => ({
      ...place,
      attributes: new Map([pool, ["db.client.connection.state", value]]),
    });
    points.push(
      gauge("db.client.connection.count", "{connection}", used, state("used")),
      gauge("db.client.connection.count", "{connection}", Math.max(0, size - used), state("idle")),
      gauge("db.client.connection.max", "{connection}", size, { ...place, attributes: new Map([pool]) }),
      gauge("db.client.connection.pending_requests", "{request}", pending, {
        ...place,
        attributes: new Map([pool]),
      }),
    );
  }
  return points;
}

function gauge(name: string, unit: string, value: number, place: Place): MetricPoint {
  return { ...place, name, unit, startTime: 0n as MetricPoint["startTime"], value: { kind: "gauge", value } };
}

/** Time that the garbage collector stopped the process since the last sample. */
function pauses({ gcSeconds }: InstanceSample): MetricValue {
  const count = gcSeconds > 0.1 ? Math.ceil(gcSeconds / 0.7) : 2;
  return {
    kind: "histogram",
    count,
    sum: rounded(gcSeconds),
    min: null,
    max: null,
    bounds: [0.1],
    bucketCounts: gcSeconds > 0.1 ? [0, count] : [count, 0],
    temporality: "delta",
  };
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
