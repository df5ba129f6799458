import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../free-port.ts";

const run = promisify(execFile);
const version = "v0.158.0";
const folder = join(tmpdir(), `hypocenter-interop-collector-zipkin-${version}`);
const binary = join(folder, "build", "otelcol");

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
`;

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

export interface RunningCollector {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly zipkinPort: number;
  readonly jsonFile: string;
  readonly protoFile: string;
  readonly zstdFile: string;
  stop(): Promise<void>;
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
  const configFile = join(outputFolder, "collector.yaml");
  writeFileSync(
    configFile,
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
  );
  const collector = spawn(binary, ["--config", configFile], { stdio: ["ignore", "ignore", "pipe"] });
  await ready(collector);
  return {
    grpcPort,
    httpPort,
    zipkinPort,
    jsonFile,
    protoFile,
    zstdFile,
    stop: async () => {
      if (collector.exitCode !== null) return;
      const ended = new Promise((resolve) => collector.once("exit", resolve));
      collector.kill("SIGTERM");
      await ended;
    },
  };
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
