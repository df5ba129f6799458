import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../free-port.ts";

const run = promisify(execFile);
const version = "v0.158.0";

const manifest = `
dist:
  name: otelcol
  output_path: ./build
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver ${version}
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/receiver/zipkinreceiver ${version}
processors:
  - gomod: go.opentelemetry.io/collector/processor/batchprocessor ${version}
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter ${version}
  - gomod: go.opentelemetry.io/collector/exporter/otlphttpexporter ${version}
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter ${version}
connectors:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector ${version}
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/connector/servicegraphconnector ${version}
`;
const parts = createHash("sha256").update(manifest).digest("hex").slice(0, 12);
const folder = join(tmpdir(), `hypocenter-collector-${version}-${parts}`);
const binary = join(folder, "build", "otelcol");

/** Builds an OpenTelemetry Collector from its Go modules once; returns why that is not possible, or null. */
export async function prepareCollector(): Promise<string | null> {
  if (existsSync(binary)) return null;
  try {
    await run("go", ["version"]);
  } catch {
    return "Go is not installed, so no OpenTelemetry Collector can be built";
  }
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "manifest.yaml"), manifest);
  await run(
    "go",
    ["run", `go.opentelemetry.io/collector/cmd/builder@${version}`, "--config", "manifest.yaml"],
    {
      cwd: folder,
      maxBuffer: 64 << 20,
    },
  );
  return null;
}

/** A collector with a configuration of its own, ready to receive. */
export async function runCollector(config: string, outputFolder: string): Promise<RunningProgram> {
  const configFile = join(outputFolder, "collector.yaml");
  writeFileSync(configFile, config);
  const collector = spawn(binary, ["--config", configFile], { stdio: ["ignore", "ignore", "pipe"] });
  await ready(collector);
  return {
    pid: collector.pid as number,
    stop: async () => {
      if (collector.exitCode !== null) return;
      const ended = once(collector, "exit");
      collector.kill("SIGTERM");
      await ended;
    },
  };
}

interface RunningProgram {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface RunningCollector extends RunningProgram {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly zipkinPort: number;
  readonly jsonFile: string;
  readonly protoFile: string;
  readonly zstdFile: string;
}

/** A collector that hands everything on: by gRPC and by HTTP to hypocenter, and into files as JSON, protobuf and zstd. */
export async function startCollector(
  hypocenter: { readonly grpc: string; readonly http: string },
  outputFolder: string,
): Promise<RunningCollector> {
  const [grpcPort, httpPort, zipkinPort] = [await freePort(), await freePort(), await freePort()];
  const [jsonFile, protoFile, zstdFile] = ["traces.jsonl", "traces.binpb", "traces.zst"].map((name) =>
    join(outputFolder, name),
  ) as [string, string, string];
  const program = await runCollector(
    `
receivers:
  otlp:
    protocols:
      grpc: { endpoint: "127.0.0.1:${grpcPort}" }
      http: { endpoint: "127.0.0.1:${httpPort}" }
  zipkin: { endpoint: "127.0.0.1:${zipkinPort}" }
processors:
  batch: { timeout: 200ms }
exporters:
  otlp: { endpoint: "${hypocenter.grpc}", tls: { insecure: true } }
  otlphttp: { endpoint: "http://${hypocenter.http}" }
  file/json: { path: "${jsonFile}" }
  file/proto: { path: "${protoFile}", format: proto }
  file/zstd: { path: "${zstdFile}", compression: zstd }
service:
  telemetry: { metrics: { level: none } }
  pipelines:
    traces:
      receivers: [otlp, zipkin]
      processors: [batch]
      exporters: [otlp, otlphttp, file/json, file/proto, file/zstd]
    metrics: { receivers: [otlp], processors: [batch], exporters: [otlphttp] }
`,
    outputFolder,
  );
  return { ...program, grpcPort, httpPort, zipkinPort, jsonFile, protoFile, zstdFile };
}

async function ready(collector: ChildProcess): Promise<void> {
  let log = "";
  await new Promise<void>((resolve, reject) => {
    collector.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes("Everything is ready")) resolve();
    });
    collector.once("exit", () => reject(new Error(`the collector ended:\n${log}`)));
  });
}
