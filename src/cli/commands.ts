import type { CommandName, OutputFormat } from "../config/settings.ts";
import type { RunCommand } from "./command.ts";

/** A command as `--help` shows it and as `main` starts it. */
export interface Command {
  readonly summary: string;
  /** what stands for the operands in the usage line; "" = none */
  readonly operands: string;
  readonly operandsMin: number;
  readonly operandsMax: number;
  readonly formats: readonly OutputFormat[];
  /** what the summary leaves open, lines of at most 100 characters */
  readonly about: readonly string[];
  readonly examples: readonly { readonly line: string; readonly says: string }[];
  /** loads the code of the command, and only that */
  readonly load: () => Promise<RunCommand>;
}

export const commands: Readonly<Record<CommandName, Command>> = {
  serve: {
    summary: "receive OpenTelemetry data and answer questions about it over HTTP",
    operands: "",
    operandsMin: 0,
    operandsMax: 0,
    formats: ["human", "json"],
    about: [
      "Listens for OTLP over gRPC and HTTP and serves the API. Telemetry is kept in ./hypocenter-data, or where",
      "--data says, or with --memory not at all. With --format json one line on standard output says when it is",
      "ready, and where.",
      "SIGTERM or SIGINT lets requests finish and ends within 5 seconds; a second one ends at once.",
    ],
    examples: [
      { line: "hypocenter serve", says: "everything on its usual port" },
      { line: "hypocenter serve --memory", says: "nothing is written to a disk" },
      { line: "hypocenter serve --grpc-port 0 --http-port 0 --port 0 --format json", says: "any free ports" },
    ],
    load: async () => (await import("./serve.ts")).serve,
  },
  analyze: {
    summary: "say what failed first in saved telemetry, why, and who is hit",
    operands: "FILE…",
    operandsMin: 1,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json", "markdown", "mermaid", "dot", "html"],
    about: [
      "Reads OTLP (JSON, protobuf) and traces saved from Jaeger, Zipkin and Tempo, plain, gzip or zstd, recognised by",
      "content. FILE may be a folder, or - for standard input. Traces, metrics and logs may come together.",
      "Compared with --baseline; without it, a window that --from begins is compared with all that is before it in the",
      "same files. Without either, it is looked for a calm part and one in which something is worse, and these are",
      "compared (not of standard input); else failing requests are told from others.",
    ],
    examples: [
      { line: "hypocenter analyze traces.jsonl", says: "the report of everything in the file" },
      {
        line: "hypocenter analyze hour.jsonl --from 2026-05-01T10:05:00Z --to 2026-05-01T10:10:00Z",
        says: "five minutes, compared with all before them",
      },
      {
        line: "hypocenter analyze traces.jsonl metrics.jsonl --trace 4bf92f3577b34da6a3ce929d0e0e4736",
        says: "the report of one trace",
      },
      {
        line: "hypocenter analyze now.jsonl.gz --baseline yesterday.jsonl.gz --format html --output report.html",
        says: "compared with a healthy time, as a page to share",
      },
      {
        line: "hypocenter analyze traces.jsonl --fail-on critical --quiet",
        says: "exit code 1 if a service is critical",
      },
    ],
    load: async () => (await import("./analyze.ts")).analyze,
  },
  graph: {
    summary: "print the service graph of saved telemetry",
    operands: "FILE…",
    operandsMin: 1,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json", "markdown", "mermaid", "dot"],
    about: ["An edge points from caller to callee. Reads the same files as analyze."],
    examples: [
      { line: "hypocenter graph traces.jsonl", says: "as text" },
      { line: "hypocenter graph traces.jsonl --format dot | dot -Tsvg > graph.svg", says: "as a picture" },
    ],
    load: async () => (await import("./graph.ts")).graph,
  },
  services: {
    summary: "print requests, errors and latencies of each service in saved telemetry",
    operands: "FILE…",
    operandsMin: 1,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json", "markdown"],
    about: ["Reads the same files as analyze."],
    examples: [
      { line: "hypocenter services traces.jsonl", says: "as a table" },
      { line: "hypocenter services traces/ --from now-1h", says: "of the last hour" },
    ],
    load: async () => (await import("./graph.ts")).services,
  },
  doctor: {
    summary: "say what is wrong with the instrumentation of services, and how to mend it",
    operands: "FILE…",
    operandsMin: 1,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json", "markdown", "html"],
    about: [
      "Reads the same files as analyze. Every finding has the spans that show it and the way to mend it;",
      "every service has a score from 0 to 100: 100 x the product of (1 - penalty x share) over its findings,",
      "where share is the part of its spans, calls or traces that are affected, and the penalty is 0.5 for",
      "critical findings (they tear traces apart), 0.2 for warnings and 0.03 for the rest. The score of all is",
      "the mean of the services. --fail-on critical asks for critical findings, degraded for warnings too.",
    ],
    examples: [
      { line: "hypocenter doctor traces.jsonl", says: "as text" },
      { line: "hypocenter doctor traces/ --format html --output doctor.html", says: "as a page to share" },
      {
        line: "hypocenter doctor traces/ --fail-on critical --quiet",
        says: "exit code 1 if spans are lost, context is broken or names are missing",
      },
    ],
    load: async () => (await import("./doctor.ts")).doctor,
  },
  query: {
    summary: "fetch the report of a trace or an incident from a running server, or search its traces",
    operands: "ID",
    operandsMin: 1,
    operandsMax: 1,
    formats: ["human", "json", "markdown", "mermaid", "dot", "html"],
    about: [
      "ID is a trace id of 16 or 32 hex digits, in any case; or an incident that the server noticed, as `query incidents`",
      "lists them (20260501T1205-1), or latest for the newest one; or traces, for a list of those that are searched for.",
    ],
    examples: [
      { line: "hypocenter query 4bf92f3577b34da6a3ce929d0e0e4736", says: "from the server on this machine" },
      {
        line: "hypocenter query 4bf92f3577b34da6a3ce929d0e0e4736 --server http://tracing:4320 --format markdown",
        says: "from another one, to paste into an incident",
      },
      {
        line: "hypocenter query traces --attribute user.id=4711 --status error --from now-1h",
        says: "traces in which a request of this user failed, the newest first",
      },
      { line: "hypocenter query incidents", says: "what the server noticed by itself, the newest first" },
      {
        line: "hypocenter query latest --format html --output incident.html",
        says: "the report of the newest incident, as a page to share",
      },
    ],
    load: async () => (await import("./query.ts")).query,
  },
  replay: {
    summary: "send saved telemetry to a running server or any other OTLP receiver",
    operands: "FILE…",
    operandsMin: 1,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json"],
    about: ["Reads the same files as analyze. Waits where the receiver is busy and says what it refused."],
    examples: [
      { line: "hypocenter replay traces.jsonl --to http://127.0.0.1:4318", says: "as fast as it goes" },
      {
        line: "hypocenter replay traces.jsonl --to grpc://127.0.0.1:4317 --speed 10 --times now",
        says: "as if it happened now, ten times as fast",
      },
    ],
    load: async () => (await import("./replay.ts")).replay,
  },
  selfcheck: {
    summary: "check a running server from end to end with traces of which all answers are known",
    operands: "[URL]",
    operandsMin: 0,
    operandsMax: 1,
    formats: ["human", "json"],
    about: [
      "URL is the address of the server's API, as --server is.",
      "Sends six traces over OTLP (HTTP, or gRPC with --to grpc://…) of services that exist only here and carry a new name",
      "each time (hypocenter-selfcheck-RUN-web), two of them with a known fault; reads each trace, the graph and",
      "the root causes from the API, and says line by line what is right and what differs, with the way out. The exit",
      "code is 1 if anything does, 5 if nobody is there. What was sent stays until the server lets go of it by age;",
      "all of it has the resource attribute hypocenter.selfcheck.",
    ],
    examples: [
      { line: "hypocenter selfcheck", says: "the server on this machine" },
      {
        line: "hypocenter selfcheck https://tracing:4320 --to grpcs://tracing:4317 --ca-file ca.pem",
        says: "another one, over gRPC and TLS",
      },
    ],
    load: async () => (await import("./selfcheck.ts")).selfcheck,
  },
  convert: {
    summary: "write saved telemetry in another format: OTLP, Jaeger or Zipkin",
    operands: "IN… --to FORMAT OUT",
    operandsMin: 2,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json"],
    about: [
      "Reads the same files as analyze and writes one, with memory for one piece at a time. OUT is compressed",
      "where its name ends in .gz; - is standard output. An input is never overwritten; if anything fails, no",
      "half file is left. Read again, OTLP gives the same graph and reports; jaeger and zipkin those of the traces,",
      "with times to the microsecond.",
      "",
      "otlp-jsonl and otlp-proto hold traces, metrics and logs. Spans are kept as they are; of metrics and logs",
      "descriptions, exemplars and the details of scopes are lost.",
      "",
      "jaeger and zipkin hold traces alone, in microseconds; metrics and logs are left out and counted. Lists in",
      "attributes become JSON text. Jaeger's links lose their attributes; Zipkin's attributes are all text, those",
      "of a resource stand among those of the span, and its shortest span takes a microsecond.",
    ],
    examples: [
      {
        line: "hypocenter convert traces.jsonl --to jaeger traces.json",
        says: "to look at it in Jaeger's UI",
      },
      {
        line: "hypocenter convert zipkin.json more/ --to otlp-proto traces.binpb.gz",
        says: "several inputs in any mix of formats, compressed",
      },
      {
        line: "hypocenter convert traces.binpb --to otlp-jsonl - | grep checkout",
        says: "as text, to search",
      },
    ],
    load: async () => (await import("./convert.ts")).convert,
  },
  evaluate: {
    summary: "say how often the cause is found in labelled cases",
    operands: "DIR…",
    operandsMin: 1,
    operandsMax: Number.POSITIVE_INFINITY,
    formats: ["human", "json", "markdown"],
    about: [
      "DIR is searched for cases, at any depth. A case is a folder with incident.jsonl.gz and, if there are any,",
      "baseline.jsonl.gz, metrics.jsonl.gz, logs.jsonl.gz (OTLP JSON lines) and truth.json; or one with traces.jsonl.gz",
      "and a truth.json that labels single traces. Of truth.json the analysis gets the windows alone; everything else,",
      "and the names of folders, is for the scoring. Names that are tied share the mean of their ranks. The exit code",
      "does not depend on the accuracy. docs/accuracy.md has the details.",
    ],
    examples: [
      {
        line: "hypocenter evaluate cases/",
        says: "how often the true cause comes first, among the first 3, 5",
      },
      { line: "hypocenter evaluate cases/ --ranker all", says: "compared with simple rules" },
      {
        line: "hypocenter evaluate cases/ --signals traces --format json --output traces-only.json",
        says: "without metrics and logs, every case with its rank",
      },
    ],
    load: async () => (await import("./evaluate.ts")).evaluate,
  },
  debug: {
    summary: "run the structural engine on a given topology",
    operands: "TOPOLOGY.json",
    operandsMin: 1,
    operandsMax: 1,
    formats: ["human", "json", "markdown", "mermaid", "dot", "html"],
    about: [
      "The topology names who calls whom and how healthy each service is. A file of JSON lines, or -, is",
      'answered with exactly one line of JSON for each line read, in order; a bad line with {"error":…}.',
    ],
    examples: [
      {
        line: "hypocenter debug topology.json --failed-service order-service",
        says: "the report of one topology",
      },
      { line: "hypocenter debug - --format json < topologies.jsonl", says: "one report a line" },
    ],
    load: async () => (await import("./debug.ts")).debug,
  },
  config: {
    summary: "print the effective configuration and where each value came from",
    operands: "",
    operandsMin: 0,
    operandsMax: 0,
    formats: ["human", "json"],
    about: [
      "Flags win over the environment, the environment over the file. Takes the flags of every command.",
    ],
    examples: [
      { line: "hypocenter config --config hypocenter.yaml", says: "what would be in effect" },
      { line: "hypocenter config --config hypocenter.yaml --check", says: "exit code 2 if it is not valid" },
    ],
    load: async () => (await import("./config-command.ts")).config,
  },
};
