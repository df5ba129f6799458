import { rankerNames } from "../evaluation/ranker-names.ts";
import type { ValueByKind, ValueType } from "./value-types.ts";

export const commandNames = [
  "serve",
  "analyze",
  "graph",
  "services",
  "doctor",
  "query",
  "replay",
  "selfcheck",
  "convert",
  "evaluate",
  "debug",
  "config",
] as const;
export type CommandName = (typeof commandNames)[number];

const outputFormats = ["human", "json", "markdown", "mermaid", "dot", "html"] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** One thing a user can set. The table key is the key in the configuration file; flag and environment name follow from it. */
export interface Setting {
  readonly type: ValueType;
  /** as a user would write it; null = not set */
  readonly default: string | null;
  readonly sentence: string;
  readonly commands: readonly CommandName[];
  /** where the flag is not the key with dashes */
  readonly flag?: string;
  /** what stands for the value in usage lines, where the type's own word says too little */
  readonly placeholder?: string;
  /** means nothing in a configuration file */
  readonly notInFile?: true;
  /** may hold a password or token: `config` does not print it */
  readonly isSecret?: true;
}

const files: readonly CommandName[] = ["analyze", "graph", "services", "doctor"];
const reports: readonly CommandName[] = [...files, "query", "evaluate", "debug"];
const everywhere = commandNames;
const port: ValueType = { kind: "integer", min: 0, max: 65_535 };
const time: ValueType = { kind: "time" };
const file: ValueType = { kind: "text", placeholder: "FILE" };
/** the commands that talk to a server */
const clients: readonly CommandName[] = ["query", "replay", "selfcheck"];

const table = {
  host: {
    type: { kind: "text", placeholder: "HOST" },
    default: "127.0.0.1",
    sentence:
      "Address to listen on; 0.0.0.0 lets other machines in, and only auth_… settings or tls_client_ca_file ask who they are.",
    commands: ["serve"],
  },
  grpc_port: {
    type: port,
    default: "4317",
    sentence: "Port for OTLP over gRPC; 0 = any free one.",
    commands: ["serve"],
  },
  http_port: {
    type: port,
    default: "4318",
    sentence: "Port for OTLP over HTTP; 0 = any free one.",
    commands: ["serve"],
  },
  http_path_prefix: {
    type: { kind: "text", placeholder: "PATH" },
    default: null,
    sentence:
      "A path in front of /v1/traces and the like, such as /otlp, where a proxy forwards it; without it they are there too.",
    commands: ["serve"],
  },
  grpc_connection_age: {
    type: { kind: "duration", minMs: 100, maxMs: 30 * 86_400_000 },
    default: null,
    sentence:
      "Ask gRPC clients to connect anew after about this time, so that a load balancer spreads them again; without it, never.",
    commands: ["serve"],
  },
  grpc_connection_grace: {
    type: { kind: "duration", minMs: 0, maxMs: 3_600_000 },
    default: "30s",
    sentence: "How long calls under way may go on when their connection has reached that age.",
    commands: ["serve"],
  },
  port: {
    type: port,
    default: "4320",
    sentence: "Port for the HTTP API, health checks and Prometheus metrics; 0 = any free one.",
    commands: ["serve"],
  },
  allowed_hosts: {
    type: { kind: "list", placeholder: "NAME" },
    default: null,
    sentence:
      "Further names by which browsers may reach a server on a loopback address; other Host headers are refused there, so that no web page can read your traces.",
    commands: ["serve"],
  },
  tls_cert_file: {
    type: file,
    default: null,
    sentence:
      "Certificate of this server in PEM form, its own first, then those of the authorities; with it, all three ports speak TLS and nothing else.",
    commands: ["serve"],
  },
  tls_key_file: {
    type: file,
    default: null,
    sentence: "The private key of that certificate, in PEM form and without a passphrase.",
    commands: ["serve"],
  },
  tls_min_version: {
    type: { kind: "choice", values: ["1.2", "1.3"] },
    default: "1.2",
    sentence: "Lowest version of TLS that clients may use.",
    commands: ["serve"],
  },
  tls_client_ca_file: {
    type: file,
    default: null,
    sentence:
      "Authorities (PEM) of clients: whoever connects has to show a certificate of theirs. Health checks of the API need none.",
    commands: ["serve"],
  },
  tls_reload_interval: {
    type: { kind: "duration", minMs: 50, maxMs: 86_400_000 },
    default: "10s",
    sentence:
      "How often the TLS files and auth_tokens_file are looked at; new certificates serve the connections that come then, new tokens the next request.",
    commands: ["serve"],
  },
  auth_tokens: {
    type: { kind: "list", placeholder: "TOKEN" },
    default: null,
    sentence:
      "Secrets of which a request on any port has to show one, as Authorization: Bearer TOKEN (health checks need none). Several make it possible to replace one without a pause.",
    commands: ["serve"],
    isSecret: true,
  },
  auth_ingest_tokens: {
    type: { kind: "list", placeholder: "TOKEN" },
    default: null,
    sentence:
      "The same for those who only send telemetry: with one of these nothing can be asked. Where no other token is set, nobody can ask.",
    commands: ["serve"],
    isSecret: true,
  },
  auth_query_tokens: {
    type: { kind: "list", placeholder: "TOKEN" },
    default: null,
    sentence: "The same for those who only ask: with one of these no telemetry can be sent.",
    commands: ["serve"],
    isSecret: true,
  },
  auth_tokens_file: {
    type: file,
    default: null,
    sentence:
      "A file of further tokens, one a line, as ROLE TOKEN with ingest, query or all for ROLE, or the token alone for all; lines with a # in front are comments. It is read again when it changes (tls_reload_interval).",
    commands: ["serve"],
  },
  auth_basic: {
    type: { kind: "list", placeholder: "USER:PASSWORD" },
    default: null,
    sentence: "Like auth_tokens for clients that know user names and passwords only, such as browsers.",
    commands: ["serve"],
    isSecret: true,
  },
  auth_header: {
    type: { kind: "text", placeholder: "NAME" },
    default: null,
    sentence: "A further header in which a token may come as it is, such as x-api-key.",
    commands: ["serve"],
  },
  cors_allowed_origins: {
    type: { kind: "list", placeholder: "ORIGIN" },
    default: null,
    sentence:
      "Origins whose pages may send OTLP over HTTP, such as https://shop.example.com; * stands for any characters (https://*.example.com). Without it, none may.",
    commands: ["serve"],
  },
  cors_allowed_headers: {
    type: { kind: "list", placeholder: "NAME" },
    default: null,
    sentence:
      "Headers that such pages may send besides those that OTLP exporters use anyway; * = any. auth_header is among them.",
    commands: ["serve"],
  },
  cors_max_age: {
    type: { kind: "duration", minMs: 0, maxMs: 86_400_000 },
    default: "2h",
    sentence: "How long browsers may keep the answer to their question whether a page may send.",
    commands: ["serve"],
  },
  log_format: {
    type: { kind: "choice", values: ["human", "json"] },
    default: "human",
    sentence:
      "How what the server says on standard error is written: lines for people, or one JSON object a line with time, level, message and more.",
    commands: ["serve"],
  },
  self_traces: {
    type: { kind: "url" },
    default: null,
    sentence:
      "An OTLP/HTTP receiver, not this server, for spans of what the server itself does (requests received and answered, folding; a few a second at most); without it, there are none. OTEL_EXPORTER_OTLP_HEADERS may hold a token for it.",
    commands: ["serve"],
  },
  data_folder: {
    flag: "data",
    type: { kind: "text", placeholder: "DIR" },
    default: "./hypocenter-data",
    sentence: "Folder in which telemetry is kept; one server at a time writes to it.",
    commands: ["serve"],
  },
  memory: {
    type: { kind: "switch" },
    default: "false",
    sentence:
      "Keep telemetry in memory only: nothing is written to a disk, and all is gone when the server ends.",
    commands: ["serve"],
  },
  durability: {
    type: { kind: "choice", values: ["fsync", "os"] },
    default: "fsync",
    sentence:
      "When telemetry is acknowledged: once the disk has it, so that a power failure costs nothing; or (os) once the operating system has it, so that a crash of the server costs nothing.",
    commands: ["serve"],
  },
  trace_retention: {
    type: { kind: "duration", minMs: 60_000, maxMs: 3_650 * 86_400_000 },
    default: "7d",
    sentence: "How long spans are kept on disk; about a sixteenth of it at a time goes.",
    commands: ["serve"],
  },
  trace_disk: {
    type: { kind: "size", minBytes: 2 ** 22, maxBytes: 2 ** 50 },
    default: "10GiB",
    sentence: "Disk for spans; when it is full, the oldest go.",
    commands: ["serve"],
  },
  metric_retention: {
    type: { kind: "duration", minMs: 60_000, maxMs: 3_650 * 86_400_000 },
    default: "1d",
    sentence: "How long metrics are kept on disk; a start reads the newest again.",
    commands: ["serve"],
  },
  metric_disk: {
    type: { kind: "size", minBytes: 2 ** 22, maxBytes: 2 ** 50 },
    default: "1GiB",
    sentence: "Disk for metrics; when it is full, the oldest go.",
    commands: ["serve"],
  },
  log_retention: {
    type: { kind: "duration", minMs: 60_000, maxMs: 3_650 * 86_400_000 },
    default: "1d",
    sentence: "How long log records are kept on disk; a start reads the newest again.",
    commands: ["serve"],
  },
  log_disk: {
    type: { kind: "size", minBytes: 2 ** 22, maxBytes: 2 ** 50 },
    default: "2GiB",
    sentence: "Disk for log records; when it is full, the oldest go.",
    commands: ["serve"],
  },
  disk_reserve: {
    type: { kind: "size", minBytes: 0, maxBytes: 2 ** 50 },
    default: "256MiB",
    sentence:
      "Room that is left free on the disk: the oldest telemetry goes for it, and when all but the newest has gone, senders are asked to wait.",
    commands: ["serve"],
  },
  restart_read: {
    type: { kind: "size", minBytes: 0, maxBytes: 2 ** 50 },
    default: "64MiB",
    sentence:
      "How much of the newest spans a start reads again in the background, as they are on disk, to know graph, metrics and open traces; of metrics and of log records a quarter.",
    commands: ["serve"],
  },
  summary_delay: {
    type: { kind: "duration", minMs: 0, maxMs: 3_600_000 },
    default: "30s",
    sentence:
      "How long after its traces came to rest what search shows of a closed file of spans is written beside it; what joins later is written twice.",
    commands: ["serve"],
  },
  memory_limit: {
    type: { kind: "size", minBytes: 2 ** 25, maxBytes: 2 ** 40 },
    default: "512MiB",
    sentence:
      "Memory for all of the server, heap and buffers (the process takes some 100 MiB beside it). From four fifths of it on it gives back what it can: spans that were decoded for answers, then the oldest minutes and kept traces; above it senders are asked to wait. It bounds the settings of single parts: history_memory to a third, ingest_memory and store_memory to a quarter each, decoded_memory to three tenths, kept_memory to a sixteenth, known_traces to one for each KiB.",
    commands: ["serve"],
  },
  store_memory: {
    type: { kind: "size", minBytes: 2 ** 20, maxBytes: 2 ** 40 },
    default: "512MiB",
    sentence:
      "With --memory: memory for spans as received; when it is full, the oldest go. memory_limit bounds it.",
    commands: ["serve"],
  },
  store_traces: {
    type: { kind: "integer", min: 1, max: 100_000_000 },
    default: "1000000",
    sentence: "With --memory: traces kept; the oldest go first.",
    commands: ["serve"],
  },
  decoded_memory: {
    type: { kind: "size", minBytes: 2 ** 20, maxBytes: 2 ** 40 },
    default: "256MiB",
    sentence:
      "Memory for decoded spans kept at hand; what goes is decoded again when asked for. memory_limit bounds it.",
    commands: ["serve"],
  },
  kept_memory: {
    type: { kind: "size", minBytes: 2 ** 20, maxBytes: 2 ** 40 },
    default: "32MiB",
    sentence:
      "Room for traces that show what incidents are about, in memory with --memory, else on disk: they stay when all else of their time has gone. When it is full, the oldest go.",
    commands: ["serve"],
  },
  ingest_memory: {
    type: { kind: "size", minBytes: 2 ** 20, maxBytes: 2 ** 40 },
    default: "256MiB",
    sentence:
      "Memory for requests that are being received; above it senders are asked to wait. memory_limit bounds it, and it bounds request_size.",
    commands: ["serve"],
  },
  client_share: {
    type: { kind: "integer", min: 1, max: 100 },
    default: "50",
    sentence:
      "Percent of ingest_memory that one client (by its token or user, else by its address) may hold with several requests at once. Each has less while others send, so that there is always room for one more; 100 = no limit for one client.",
    commands: ["serve"],
  },
  request_size: {
    type: { kind: "size", minBytes: 1024, maxBytes: 2 ** 30 },
    default: "64MiB",
    sentence: "Largest OTLP request, after decompression; a larger one is refused.",
    commands: ["serve"],
  },
  connections: {
    type: { kind: "integer", min: 10, max: 1_000_000 },
    default: "10000",
    sentence: "Open connections of each port; more are turned away at once.",
    commands: ["serve"],
  },
  header_timeout: {
    type: { kind: "duration", minMs: 100, maxMs: 3_600_000 },
    default: "10s",
    sentence: "How long the head of an HTTP request may take to arrive.",
    commands: ["serve"],
  },
  request_timeout: {
    type: { kind: "duration", minMs: 100, maxMs: 3_600_000 },
    default: "60s",
    sentence: "How long an HTTP request or a gRPC message may take to arrive.",
    commands: ["serve"],
  },
  idle_timeout: {
    type: { kind: "duration", minMs: 100, maxMs: 86_400_000 },
    default: "2m",
    sentence: "How long an HTTP connection may wait for its next request.",
    commands: ["serve"],
  },
  clock_apart: {
    type: { kind: "duration", minMs: 1000, maxMs: 7 * 86_400_000 },
    default: "1h",
    sentence:
      "A trace that starts further ahead of its arrival than this (or before 2000) is found in searches at the time when it arrived.",
    commands: ["serve"],
  },
  trace_idle: {
    type: { kind: "duration", minMs: 100, maxMs: 3_600_000 },
    default: "2s",
    sentence:
      "A trace counts as complete when nothing has arrived for it for this long. Late spans are welcome.",
    commands: ["serve"],
  },
  trace_open: {
    type: { kind: "duration", minMs: 1000, maxMs: 86_400_000 },
    default: "30s",
    sentence: "A trace that never falls silent joins graph and metrics after this long.",
    commands: ["serve"],
  },
  open_traces: {
    type: { kind: "integer", min: 1000, max: 100_000_000 },
    default: "500000",
    sentence: "Traces that wait to fall silent; above it senders are asked to wait.",
    commands: ["serve"],
  },
  known_traces: {
    type: { kind: "integer", min: 1000, max: 100_000_000 },
    default: "1000000",
    sentence:
      "Traces whose share in graph and metrics can still be corrected when late spans arrive. memory_limit bounds it.",
    commands: ["serve"],
  },
  history: {
    type: { kind: "duration", minMs: 600_000, maxMs: 7 * 86_400_000 },
    default: "6h",
    sentence: "How far back graph, metrics and comparisons of windows go.",
    commands: ["serve"],
  },
  history_memory: {
    type: { kind: "size", minBytes: 2 ** 20, maxBytes: 2 ** 40 },
    default: "512MiB",
    sentence:
      "Memory for graph, metrics and what windows are compared by, roughly; when it is full, the oldest minutes go. memory_limit bounds it.",
    commands: ["serve"],
  },
  minute_visits: {
    type: { kind: "integer", min: 100, max: 10_000_000 },
    default: "5000",
    sentence:
      "Visits (a request at one service) of each minute that are kept to compare windows by, and to tell what requests do as a rule, about 200 bytes each; of more, traces of the busiest entry operations go first.",
    commands: ["serve"],
  },
  minute_log_lines: {
    type: { kind: "integer", min: 100, max: 10_000_000 },
    default: "5000",
    sentence: "Log lines of each minute that are kept for the same, of as even a choice of traces.",
    commands: ["serve"],
  },
  metric_points: {
    type: { kind: "integer", min: 1000, max: 100_000_000 },
    default: "1000000",
    sentence:
      "Points of metrics that are kept for the same, 32 bytes each; when there are more, the oldest quarter goes.",
    commands: ["serve"],
  },
  window_visits: {
    type: { kind: "integer", min: 1000, max: 10_000_000 },
    default: "10000",
    sentence:
      "Visits that the report of a window of time (POST /api/v1/analyze, incidents) compares; of more, traces of the busiest entry operations go first, and the report says so. What fails is always counted in full.",
    commands: ["serve"],
  },
  incident_look: {
    type: { kind: "duration", minMs: 1000, maxMs: 3_600_000 },
    default: "10s",
    sentence: "How often the server looks whether something has gone wrong.",
    commands: ["serve"],
  },
  incident_quiet: {
    type: { kind: "duration", minMs: 1000, maxMs: 86_400_000 },
    default: "3m",
    sentence: "An incident is over when nothing has been worse than usual for this long.",
    commands: ["serve"],
  },
  incidents: {
    type: { kind: "integer", min: 1, max: 10_000 },
    default: "200",
    sentence:
      "Incidents that are kept with their report, on disk for as long as trace_retention says; the oldest that is over goes first.",
    commands: ["serve"],
  },
  trace: {
    type: { kind: "trace_id" },
    default: null,
    sentence: "Report on this one trace instead of on everything read.",
    commands: ["analyze"],
  },
  trace_spans: {
    type: { kind: "integer", min: 1000, max: 100_000_000 },
    default: "1000000",
    sentence:
      "Spans of one trace that are analysed; of more, failed ones, calls and the longest are kept, and all are counted.",
    commands: ["serve", "analyze", "graph", "services", "evaluate"],
  },
  services: {
    type: { kind: "integer", min: 1, max: 1_000_000 },
    default: "10000",
    sentence:
      "Services (and databases, queues and external addresses) that are told apart; requests of those with the fewest are counted together under __other__, and the report says so.",
    commands: ["serve", "analyze", "graph", "services"],
  },
  redact: {
    type: { kind: "switch" },
    default: "true",
    sentence:
      "Leave passwords, tokens, e-mail addresses, card numbers and values in SQL out of what reports quote of failures; --redact=false shows it as sent. Names of operations and kinds of log lines are always without values; spans that are given back as such (GET traces/ID, convert, replay) are always as sent.",
    commands: ["serve", "analyze", "graph", "services"],
  },
  episode: {
    type: { kind: "integer", min: 1, max: 1_000_000_000 },
    default: null,
    sentence:
      "Where requests more than an hour apart share the trace id: which of them, counted from the first; without it, the latest that failed, else the latest.",
    commands: ["analyze", "query"],
  },
  failed_service: {
    type: { kind: "text", placeholder: "SERVICE" },
    default: null,
    sentence: "Service to start at; without it, the one where the failure shows.",
    commands: ["analyze", "query", "debug"],
  },
  scoring: {
    type: { kind: "choice", values: ["evidence", "structural"] },
    default: "evidence",
    sentence: "How root causes are ranked; structural prints the structural report alone.",
    commands: ["analyze", "query"],
  },
  baseline: {
    type: { kind: "list", placeholder: "FILE" },
    default: null,
    sentence:
      "Telemetry of a healthy time to compare with; may be given more than once. Of analyze without it, what starts before --from.",
    commands: ["analyze", "evaluate"],
  },
  ranker: {
    type: { kind: "choices", values: ["all", ...rankerNames] },
    default: null,
    placeholder: "NAME,…",
    sentence: `Simple rules to score in the same table: ${rankerNames.join(", ")}, or all.`,
    commands: ["evaluate"],
  },
  from: {
    type: time,
    default: null,
    sentence: "Only traces that start at or after this time; of query, with traces.",
    commands: [...files, "query"],
  },
  to: {
    type: time,
    default: null,
    sentence: "Only traces that start at or before this time; of query, with traces.",
    commands: [...files, "query"],
  },
  attribute: {
    type: { kind: "list", placeholder: "KEY=VALUE" },
    default: null,
    sentence:
      "With query traces: only those of which a span, or its resource, has an attribute of exactly this value; may be given more than once: then one span has all of them.",
    commands: ["query"],
  },
  service: {
    type: { kind: "text", placeholder: "SERVICE" },
    default: null,
    sentence: "With query traces: only those in which this service takes part.",
    commands: ["query"],
  },
  operation: {
    type: { kind: "text", placeholder: "NAME" },
    default: null,
    sentence: "With query traces: only those whose root span has this operation.",
    commands: ["query"],
  },
  status: {
    type: { kind: "choice", values: ["error", "ok"] },
    default: null,
    sentence: "With query traces: only those in which a span failed, or none did.",
    commands: ["query"],
  },
  min_duration: {
    type: { kind: "duration", minMs: 0, maxMs: 30 * 86_400_000 },
    default: null,
    sentence: "With query traces: only those that took at least this long.",
    commands: ["query"],
  },
  limit: {
    type: { kind: "integer", min: 1, max: 1_000 },
    default: "50",
    sentence: "With query traces: how many are listed, the newest first.",
    commands: ["query"],
  },
  replay_to: {
    type: { kind: "text", placeholder: "URL" },
    default: null,
    sentence:
      "The OTLP receiver to send to, such as http://127.0.0.1:4318 or grpc://127.0.0.1:4317; of selfcheck without it, port 4318 of the host that --server names.",
    commands: ["replay", "selfcheck"],
    flag: "to",
  },
  convert_to: {
    type: { kind: "choice", values: ["otlp-jsonl", "otlp-proto", "jaeger", "zipkin"] },
    default: null,
    sentence:
      "The format to write: OTLP JSON lines, OTLP protobuf (length-delimited), Jaeger or Zipkin JSON.",
    commands: ["convert"],
    flag: "to",
  },
  speed: {
    type: { kind: "speed", max: 1e6 },
    default: "max",
    sentence:
      "How many times as fast as it happened, all files together in order of time; max = file by file, as fast as the receiver takes it. A server notices an incident only after some healthy minutes, so leave a recording that many.",
    commands: ["replay"],
  },
  times: {
    type: { kind: "choice", values: ["original", "now"] },
    default: "original",
    sentence:
      "Send the times as recorded, or as if it happened now: at a --speed each item carries the time at which it is sent, and durations are divided by the speed too; at max all times are moved by one amount, the newest to now.",
    commands: ["replay"],
  },
  header: {
    type: { kind: "list", placeholder: "NAME=VALUE" },
    default: null,
    sentence:
      "A header to send along, such as an access token (authorization=Bearer TOKEN); may be given more than once.",
    commands: clients,
    isSecret: true,
  },
  ca_file: {
    type: file,
    default: null,
    sentence:
      "Authorities (PEM) to trust instead of the usual ones: for servers whose certificate is their own.",
    commands: clients,
  },
  client_cert_file: {
    type: file,
    default: null,
    sentence: "Certificate (PEM) to show to a server that asks for one.",
    commands: clients,
  },
  client_key_file: {
    type: file,
    default: null,
    sentence: "The private key of that certificate.",
    commands: clients,
  },
  signals: {
    type: { kind: "choices", values: ["traces", "metrics", "logs"] },
    default: "traces,metrics,logs",
    sentence: "Which kinds of telemetry to use of what the files hold; a server refuses the others.",
    commands: [...files, "evaluate", "convert", "serve"],
  },
  memory_budget: {
    type: { kind: "size", minBytes: 2 ** 24, maxBytes: 2 ** 40 },
    default: "320MiB",
    sentence: "Memory for spans read from files; what does not fit goes to temporary files by trace id.",
    commands: [...files, "evaluate", "convert"],
  },
  server: {
    type: { kind: "url" },
    default: "http://127.0.0.1:4320",
    sentence: "The running hypocenter to ask.",
    commands: ["query", "selfcheck"],
  },
  format: {
    type: { kind: "choice", values: outputFormats },
    default: null,
    sentence:
      "Form of the output; without it, what the ending of --output names (.html, .md, .json, .mmd, .dot, .txt), else human on a terminal and json elsewhere.",
    commands: [...reports, "serve", "config", "replay", "selfcheck", "convert"],
  },
  output: {
    type: { kind: "text", placeholder: "FILE" },
    default: null,
    sentence: "Write the result to this file instead of standard output.",
    commands: [...reports, "config"],
  },
  lang: {
    type: { kind: "choice", values: ["en", "ko"] },
    default: "en",
    sentence: "Language of the report.",
    commands: reports,
  },
  fail_on: {
    type: { kind: "choice", values: ["critical", "degraded", "none"] },
    default: "none",
    sentence:
      "Exit with 1 when a service is critical (errors, unreachable), or already when one is degraded (any issue); doctor: on a critical finding, or already on a warning.",
    commands: ["analyze", "query", "debug", "doctor"],
  },
  quiet: {
    type: { kind: "switch" },
    default: "false",
    sentence: "Print nothing on standard error but errors.",
    commands: everywhere,
  },
  no_color: {
    type: { kind: "switch" },
    default: "false",
    sentence: "No colours; the environment variable NO_COLOR, or TERM=dumb, does the same.",
    commands: everywhere,
  },
  config: {
    type: { kind: "text", placeholder: "FILE" },
    default: null,
    sentence: "Read settings from this YAML file. No file is read unless it is named.",
    commands: everywhere,
    notInFile: true,
  },
  check: {
    type: { kind: "switch" },
    default: "false",
    sentence: "Only say whether the configuration is valid.",
    commands: ["config"],
    notInFile: true,
  },
} as const satisfies Record<string, Setting>;

/** Every setting of hypocenter; flags, environment names, configuration keys, `--help` and documentation come from here. */
export const settings: Readonly<Record<SettingKey, Setting>> = table;

export type SettingKey = keyof typeof table;

/** The effective values, as their types read them; null = not set. */
export type SettingValues = {
  readonly [Key in SettingKey]:
    | ChoiceOr<(typeof table)[Key]["type"]>
    | ((typeof table)[Key]["default"] extends null ? null : never);
};

type ChoiceOr<Type extends ValueType> = Type extends { kind: "choice"; values: readonly (infer Name)[] }
  ? Name
  : ValueByKind[Type["kind"]];

export const settingKeys = Object.keys(table) as readonly SettingKey[];

/** Without the dashes in front. */
export function flagOf(key: SettingKey): string {
  return settings[key].flag ?? key.replaceAll("_", "-");
}

export function environmentNameOf(key: SettingKey): string {
  return `HYPOCENTER_${key.toUpperCase()}`;
}
