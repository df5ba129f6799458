import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "../free-port.ts";

const run = promisify(execFile);
const cache = join(tmpdir(), "hypocenter-interop-viewers");
const versions = { zipkin: "3.4.4", jaeger: "v1.76.0" };
const zipkinJar = join(cache, `zipkin-server-${versions.zipkin}-exec.jar`);
const jaegerBinary = join(cache, `jaeger-${versions.jaeger}`);

/** Fetches Zipkin's server from Maven Central, once; answers why that is not possible, or null. */
export async function prepareZipkin(): Promise<string | null> {
  if (!(await works("java", "-version"))) return "Java is not installed";
  if (existsSync(zipkinJar)) return null;
  if (!(await works("mvn", "--version"))) return "Maven, which fetches Zipkin, is not installed";
  const artifact = `io.zipkin:zipkin-server:${versions.zipkin}:jar:exec`;
  await run("mvn", [
    "--batch-mode",
    "--quiet",
    "dependency:copy",
    `-Dartifact=${artifact}`,
    `-DoutputDirectory=${cache}`,
  ]);
  return null;
}

/** Builds Jaeger (its second generation) from its Go module, once; answers why that is not possible, or null. */
export async function prepareJaeger(): Promise<string | null> {
  if (existsSync(jaegerBinary)) return null;
  if (!(await works("go", "version"))) return "Go is not installed, so no Jaeger can be built";
  const command = "github.com/jaegertracing/jaeger/cmd/jaeger";
  const cwd = join(cache, "jaeger");
  mkdirSync(cwd, { recursive: true });
  writeFileSync(join(cwd, "go.mod"), "module viewers\n\ngo 1.25\n");
  // Its module replaces another, which `go install` refuses; as a dependency of a module of ours it can be built.
  writeFileSync(join(cwd, "tools.go"), `//go:build tools\n\npackage tools\n\nimport _ "${command}"\n`);
  const options = { cwd, maxBuffer: 64 << 20 };
  await run("go", ["get", `${command}@${versions.jaeger}`], options);
  await run("go", ["build", "-o", jaegerBinary, command], options);
  return null;
}

async function works(tool: string, argument: string): Promise<boolean> {
  try {
    await run(tool, [argument]);
    return true;
  } catch {
    return false;
  }
}

export interface RunningViewer {
  readonly pid: number;
  /** of its HTTP API */
  readonly url: string;
  stop(): Promise<void>;
}

export async function startZipkin(): Promise<RunningViewer> {
  const port = await freePort();
  const env = { QUERY_PORT: String(port), STORAGE_TYPE: "mem", JAVA_TOOL_OPTIONS: "-Xmx512m" };
  return start("java", ["-jar", zipkinJar], { env, url: `http://127.0.0.1:${port}`, probe: "/health" });
}

/** How Jaeger may keep traces. */
const jaegerStorages = {
  memory: () => "memory: { max_traces: 100000 }",
  badger: (folder: string) =>
    `badger: { ephemeral: false, directories: { keys: "${join(folder, "keys")}", values: "${join(folder, "values")}" } }`,
};

/** Besides its API it takes OTLP over HTTP at `otlp`. */
export async function startJaeger(
  folder: string,
  storage: keyof typeof jaegerStorages,
): Promise<RunningViewer & { readonly otlp: string }> {
  const [port, grpcPort, otlpPort] = [await freePort(), await freePort(), await freePort()];
  const configFile = join(folder, "jaeger.yaml");
  writeFileSync(
    configFile,
    `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: { traces: { receivers: [otlp], exporters: [jaeger_storage_exporter] } }
  telemetry: { metrics: { level: none } }
extensions:
  jaeger_query:
    storage: { traces: kept }
    http: { endpoint: "127.0.0.1:${port}" }
    grpc: { endpoint: "127.0.0.1:${grpcPort}" }
  jaeger_storage: { backends: { kept: { ${jaegerStorages[storage](folder)} } } }
receivers:
  otlp: { protocols: { http: { endpoint: "127.0.0.1:${otlpPort}" } } }
exporters:
  jaeger_storage_exporter: { trace_storage: kept }
`,
  );
  const url = `http://127.0.0.1:${port}`;
  const viewer = await start(jaegerBinary, ["--config", configFile], {
    env: {},
    url,
    probe: "/api/services",
  });
  return { ...viewer, otlp: `http://127.0.0.1:${otlpPort}/v1/traces` };
}

/** Starts a program and waits until `probe` under its URL answers. */
async function start(
  program: string,
  args: readonly string[],
  how: { readonly env: Readonly<Record<string, string>>; readonly url: string; readonly probe: string },
): Promise<RunningViewer> {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...how.env },
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
  };
  for (let tries = 0; tries < 300; tries += 1) {
    if (child.exitCode !== null) throw new Error(`${program} ended:\n${log}`);
    const isReady = await fetch(how.url + how.probe).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return { pid: child.pid as number, url: how.url, stop };
    await sleep(200);
  }
  await stop();
  throw new Error(`${program} does not answer:\n${log}`);
}
