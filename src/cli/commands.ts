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
      "Listens for OTLP over gRPC and HTTP and serves the API. Telemetry is kept in memory and is gone when",
      "the server ends. With --format json one line on standard output says when it is ready, and where.",
      "SIGTERM or SIGINT lets requests finish and ends within 5 seconds; a second one ends at once.",
    ],
    examples: [
      { line: "hypocenter serve", says: "everything on its usual port" },
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
      "Reads OTLP JSON (an object, an array or JSON lines) and OTLP protobuf, plain or gzip, recognised by",
      "content. FILE may be a folder, or - for standard input. Traces, metrics and logs may come together.",
    ],
    examples: [
      { line: "hypocenter analyze traces.jsonl", says: "the report of everything in the file" },
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
  query: {
    summary: "fetch the report of one trace from a running server",
    operands: "ID",
    operandsMin: 1,
    operandsMax: 1,
    formats: ["human", "json", "markdown", "mermaid", "dot", "html"],
    about: ["ID is a trace id of 16 or 32 hex digits, in any case."],
    examples: [
      { line: "hypocenter query 4bf92f3577b34da6a3ce929d0e0e4736", says: "from the server on this machine" },
      {
        line: "hypocenter query 4bf92f3577b34da6a3ce929d0e0e4736 --server http://tracing:4320 --format markdown",
        says: "from another one, to paste into an incident",
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
