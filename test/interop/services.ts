import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const sources = fileURLToPath(new URL("services", import.meta.url));
const cache = join(tmpdir(), "hypocenter-interop-services");
const sdkVersions = { python: "1.45.2", javaAgent: "2.33.1" };

/** How one OTLP exporter is told to send. */
export type Protocol = "grpc" | "http/protobuf";

/** A small HTTP service in another language; `services/` has their sources. */
export interface Language {
  readonly name: string;
  /** Fetches and builds what it needs, once; answers why that is not possible, or null. */
  prepare(): Promise<string | null>;
  readonly command: readonly string[];
}

export const python: Language = {
  name: "Python",
  async prepare() {
    const missing = await missingTool("python3", ["--version"], "Python");
    if (missing !== null || existsSync(join(cache, "python", "ready"))) return missing;
    const packages = ["sdk", "exporter-otlp-proto-grpc", "exporter-otlp-proto-http"];
    await run("python3", ["-m", "venv", join(cache, "python")]);
    await run(join(cache, "python", "bin", "pip"), [
      "install",
      "--quiet",
      ...packages.map((name) => `opentelemetry-${name}==${sdkVersions.python}`),
    ]);
    mkdirSync(join(cache, "python", "ready"));
    return null;
  },
  command: [join(cache, "python", "bin", "python"), join(sources, "python", "service.py")],
};

const agent = join(cache, "java", `opentelemetry-javaagent-${sdkVersions.javaAgent}.jar`);

export const java: Language = {
  name: "Java",
  async prepare() {
    const missing =
      (await missingTool("javac", ["-version"], "Java's development kit")) ??
      (await missingTool("mvn", ["--version"], "Maven, which fetches the agent,"));
    if (missing !== null || existsSync(agent)) return missing;
    await run("javac", ["-d", join(cache, "java"), join(sources, "java", "Service.java")]);
    await run("mvn", [
      "--batch-mode",
      "--quiet",
      "dependency:copy",
      `-Dartifact=io.opentelemetry.javaagent:opentelemetry-javaagent:${sdkVersions.javaAgent}`,
      `-DoutputDirectory=${join(cache, "java")}`,
    ]);
    return null;
  },
  command: ["java", `-javaagent:${agent}`, "-cp", join(cache, "java"), "Service"],
};

export const go: Language = {
  name: "Go",
  async prepare() {
    const missing = await missingTool("go", ["version"], "Go");
    if (missing !== null) return missing;
    const folder = join(cache, "go");
    cpSync(join(sources, "go"), folder, { recursive: true });
    await run("go", ["build", "-o", "service", "."], { cwd: folder, maxBuffer: 64 << 20 });
    return null;
  },
  command: [join(cache, "go", "service")],
};

async function missingTool(tool: string, args: readonly string[], name: string): Promise<string | null> {
  try {
    await run(tool, args);
    return null;
  } catch {
    return `${name} is not installed`;
  }
}

export interface RunningService {
  readonly url: string;
  /** Lets it send what it has not sent yet, and ends it. */
  stop(): Promise<void>;
}

/** Starts a service that sends its spans to hypocenter and calls `next`, if there is one, for each request. */
export async function startService(
  { command: [program = "", ...args] }: Language,
  hypocenter: { readonly grpc: string; readonly http: string },
  options: { readonly service: string; readonly protocol: Protocol; readonly next?: string },
): Promise<RunningService> {
  const { service, protocol, next } = options;
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      OTEL_SERVICE_NAME: service,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://${protocol === "grpc" ? hypocenter.grpc : hypocenter.http}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      ...(next === undefined ? {} : { NEXT: next }),
    },
  });
  const port = await firstLine(child);
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function firstLine(child: ChildProcess): Promise<number> {
  let output = "";
  let log = "";
  return new Promise((resolve, reject) => {
    child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const port = /^(\d+)$/m.exec(output)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    child.once("exit", () => reject(new Error(`the service ended:\n${log}`)));
  });
}
