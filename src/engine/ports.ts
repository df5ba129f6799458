import type { DoctorReport } from "../analysis/doctor.ts";
import type {
  GraphJson,
  Language,
  ServiceJson,
  StructuralReport,
  TraceReport,
  WindowReport,
} from "../analysis/report.ts";
import type { TraceId } from "../model/ids.ts";
import type { SpanTable } from "../model/span-table.ts";
import type { LogRecord, MetricPoint } from "../model/telemetry.ts";
import type { UnixNanos } from "../model/time.ts";
import type { RowRef } from "../trace/trace.ts";

export const signals = ["traces", "metrics", "logs"] as const;
export type Signal = (typeof signals)[number];
export type Encoding = "protobuf" | "json";

/** An OTLP request body as it was received. */
export interface ReceivedBody {
  readonly signal: Signal;
  readonly encoding: Encoding;
  /** decompressed */
  readonly body: Uint8Array;
  /** the body as it came, if that was gzip */
  readonly gzip?: Uint8Array;
}

/** What a body was decoded to. */
export type Decoded =
  | { readonly signal: "traces"; readonly table: SpanTable }
  | { readonly signal: "metrics"; readonly points: readonly MetricPoint[] }
  | { readonly signal: "logs"; readonly records: readonly LogRecord[] };

/** What search shows of a trace without reading its spans. */
export interface TraceSummary {
  readonly traceId: TraceId;
  readonly rootService: string;
  readonly rootOperation: string;
  readonly startTime: UnixNanos;
  /** when search finds it: its start, or when it arrived, where its own clock cannot be right */
  readonly indexTime: UnixNanos;
  readonly durationNanos: number;
  readonly spanCount: number;
  readonly errorCount: number;
  readonly services: readonly string[];
}

export interface TraceQuery {
  readonly service?: string;
  readonly operation?: string;
  readonly status?: "error" | "ok";
  readonly minDurationNanos?: number;
  /** all of them on one span or its resource, the values as text */
  readonly attributes?: readonly AttributeFilter[];
  readonly from?: UnixNanos;
  readonly to?: UnixNanos;
  readonly limit: number;
  /** as an earlier page gave it */
  readonly cursor?: string;
}

export interface AttributeFilter {
  readonly key: string;
  readonly text: string;
}

export interface TracePage {
  readonly summaries: readonly TraceSummary[];
  /** how many match in all of what was searched */
  readonly total: number;
  /** only what is found at this time or later was searched; null = everything. Then the cursor goes on with what is older. */
  readonly searchedFrom: UnixNanos | null;
  /** null on the last page */
  readonly cursor: string | null;
}

/** What a search found, and how many traces have arrived that it could not look at yet. */
export interface TraceSearch extends TracePage {
  readonly pending: number;
}

/**
 * Keeps telemetry. Bodies are kept as received, so nothing is lost or reshaped; a trace is read by decoding the few bodies
 * that hold it. A store is handed the bodies of all signals and keeps those that it can be asked for. Every method may
 * take time.
 */
export interface TelemetryStore {
  /** Resolves when the body is as safe as this store makes it: only then may a sender be told "accepted". */
  append(received: ReceivedBody, decoded: Decoded): Promise<void>;
  /** All rows of a trace, in order of arrival, with everything that was sent; empty for an unknown one. */
  readTrace(traceId: TraceId): Promise<readonly RowRef[]>;
  /** The same, where only attributes with a meaning for the analysis have to be there: from memory, if that holds them. */
  readForAnalysis(traceId: TraceId): Promise<readonly RowRef[]>;
  /** Keeps what there is of some traces, so that they can be read when all else of their time is gone; bounded, see `StoreStats`. */
  keepTraces(traceIds: readonly TraceId[]): Promise<void>;
  /** Incidents that an earlier process has left, in the order in which they were detected. */
  keptIncidents(): readonly KeptIncident[];
  /** Keeps an incident beyond the end of the process, in place of what was kept of it. Where that fails it is tried again, and said. */
  keepIncident(kept: KeptIncident): Promise<void>;
  forgetIncident(id: string): Promise<void>;
  /** Makes a trace findable, or replaces what was known of it. */
  putSummary(summary: TraceSummary): Promise<void>;
  search(query: TraceQuery): Promise<TracePage>;
  /**
   * The newest of what an earlier process has left, by signal in order of arrival: graph and metrics of it are to be made again. To
   * be read once, after the start, while new things arrive; what the bodies hold can be read by trace from the beginning.
   */
  restore(): AsyncIterable<RestoredBody>;
  /** Gives memory back: what can be made again, and with `all` also a part of what cannot, the oldest first. */
  giveBack(all: boolean): void;
  /** What is held and what had to go, for metrics. */
  stats(): StoreStats;
  close(): Promise<void>;
}

export interface RestoredBody {
  readonly decoded: Decoded;
  readonly arrivalTime: UnixNanos;
}

export interface StoreStats {
  readonly bodies: number;
  readonly bytes: number;
  readonly traces: number;
  readonly evictedBodies: number;
  readonly evictedTraces: number;
  /** traces that were asked to be kept, their bytes, and how many of them had to go or were too large */
  readonly keptTraces: number;
  readonly keptBytes: number;
  readonly evictedKeptTraces: number;
  /** incidents that had to go from the disk, for there were too many bytes of them */
  readonly evictedIncidents: number;
  /** incidents and kept traces that disks have damaged */
  readonly lostFiles: number;
  /** what disks have damaged: bodies and the spans, points or log records in them, bytes, and bytes of those at the ends of files */
  readonly lostBodies: number;
  readonly lostItems: number;
  readonly lostBytes: number;
  readonly tornBytes: number;
  /** waits for the disk, and how long they took in all */
  readonly syncs: number;
  readonly syncMs: number;
  /** free on the disk at the last look, for us; null where nothing is kept on one */
  readonly freeBytes: number | null;
}

/** How far behind what has arrived the analysis is. */
export interface AnalysisLag {
  /** how much later than planned (its idle time after its last span) the trace is folded that is next; 0 = in time */
  readonly seconds: number;
  /** spans that have arrived and are not folded yet, those that only wait for their trace to fall silent included */
  readonly spans: number;
  /** since somebody last looked whether something has gone wrong; null = nobody did */
  readonly lookSeconds: number | null;
}

/** Where receivers hand over what they decoded. */
export interface IngestPort {
  /**
   * Resolves when the body may be acknowledged. Rejects with the `OperationError` codes `overloaded` or `shutting_down`
   * when the sender should try again; anything else it rejects with is a bug, answered as retryable too.
   */
  ingest(received: ReceivedBody, decoded: Decoded): Promise<void>;
}

/** A span of time, both ends included. */
export interface TimeWindow {
  readonly from: UnixNanos;
  readonly to: UnixNanos;
}

export interface TraceReportOptions {
  /** the service to start at; default: where the failure shows */
  readonly failedService?: string;
  /** from 1, by time, where the trace id was used again; default: the latest that failed, else the latest */
  readonly episode?: number;
  readonly language: Language;
  readonly scoring: "evidence" | "structural";
  /** a healthy time to compare with; default: what went on around the trace */
  readonly baseline?: TimeWindow;
}

export interface WindowReportOptions {
  readonly window: TimeWindow;
  /** a healthy time; default: the hour before the window, or a calm part of the window itself where nothing was before */
  readonly baseline?: TimeWindow;
  readonly language: Language;
  /** the service where the structural engine starts; default: that of the entry that suffers most */
  readonly failedService?: string;
}

/** Open = it goes on; merged = it turned out to be part of another. */
type IncidentStatus = "open" | "closed" | "merged";

/** Something that went wrong, noticed by the server itself. */
export interface Incident {
  readonly id: string;
  readonly status: IncidentStatus;
  /** the first minute of which its report shows that something was worse */
  readonly start: UnixNanos;
  /** null while it goes on */
  readonly end: UnixNanos | null;
  readonly detected: UnixNanos;
  /** from its start, which is known to the minute, until it was opened */
  readonly delayMs: number;
  readonly updated: UnixNanos;
  /** grows with every report */
  readonly version: number;
  readonly mergedInto: string | null;
  /** services of which operations fared worse, sorted */
  readonly services: readonly string[];
  /** what has happened to it, of each kind the last */
  readonly told: readonly ToldChange[];
  /** the last one of each language */
  readonly reports: ReadonlyMap<Language, WindowReport>;
}

type IncidentChange = "opened" | "updated" | "merged" | "closed";

/** The last time that something of a kind happened to an incident. */
interface ToldChange {
  readonly kind: IncidentChange;
  /** grows with everything that happens to any incident, also over restarts */
  readonly number: number;
}

export interface IncidentEvent extends ToldChange {
  readonly incident: Incident;
}

/** An incident as it outlives the process, with what is needed to go on with it. */
export interface KeptIncident {
  readonly incident: Incident;
  /** the first minute that was worse by itself */
  readonly firstWorse: number;
  /** when anything was seen to be worse for the last time, to a minute or so */
  readonly lastSeen: UnixNanos;
}

export interface TraceAnalysis {
  /** grows by one whenever spans that arrived since changed the trace */
  readonly version: number;
  /** nothing has arrived for it for the idle time */
  readonly complete: boolean;
  readonly report: TraceReport | StructuralReport;
}

export interface ServicesOptions {
  /** of the sentences; default "en" */
  readonly language?: Language;
  /** default: all */
  readonly limit?: number;
}

export interface ServicesPage {
  /** the first ones by name */
  readonly services: readonly ServiceJson[];
  /** how many there are in all */
  readonly total: number;
}

export interface DoctorOptions {
  readonly language: Language;
  /** traces to look at, the newest first; reading also ends after `doctorSpansMax` spans */
  readonly tracesMax: number;
}

/** What the doctor found in the newest traces. */
export interface DoctorAnswer extends DoctorReport {
  /** traces that were looked at, and how many there are in the window */
  readonly sample: { readonly traces: number; readonly of: number };
}

/** What the HTTP API asks the engine. A null answer = unknown. A window of null = everything that is kept. */
export interface QueryPort {
  /** The rows of a trace as they were received. */
  readTrace(traceId: TraceId): Promise<readonly RowRef[] | null>;
  /** Analysed at once with what has arrived until now. Rejects with `service_not_found` for an unknown failed service. */
  analyzeTrace(traceId: TraceId, options: TraceReportOptions): Promise<TraceAnalysis | null>;
  searchTraces(query: TraceQuery): Promise<TraceSearch>;
  services(window: TimeWindow | null, options?: ServicesOptions): Promise<ServicesPage>;
  service(name: string, window: TimeWindow | null, language?: Language): Promise<ServiceJson | null>;
  graph(window: TimeWindow | null): Promise<GraphJson>;
  /** From sums by the minute: the first and last minute of both times count whole, and the report says which they are. */
  analyzeWindow(options: WindowReportOptions): Promise<WindowReport>;
  /** What the server noticed by itself, the newest first. */
  incidents(): readonly Incident[];
  incident(id: string): Incident | null;
  lag(): AnalysisLag;
  /** Calls back with what happens to incidents from now on; the answer ends that. */
  onIncident(listener: (event: IncidentEvent) => void): () => void;
  /**
   * What has happened to incidents that are kept since the event of that number, with each as it is now; of several of one kind to
   * one incident only the last.
   */
  incidentEventsAfter(number: number): readonly IncidentEvent[];
  /** Reads a bounded number of traces for this answer: what is wrong with the instrumentation costs nothing until asked. */
  doctor(window: TimeWindow | null, options: DoctorOptions): Promise<DoctorAnswer>;
  stats(): EngineStats;
}

/** Counters since the start and gauges of now, for /metrics. Keys are metric names without prefix, values plain numbers. */
export type EngineStats = Readonly<Record<string, number>>;

/** The only source of time in the engine: wall clock for window defaults, monotonic milliseconds for waiting. */
export interface Clock {
  unixNanos(): UnixNanos;
  monotonicMs(): number;
}
