// Captures samples/slow-rates: `npm run sample:slow-rates`. Starts four instrumented Node services and a collector, sends
// requests, then makes the last service slow: nothing there fails, but the gateway's patience ends.
//
//   gateway --(300 ms)--> orders --(2 s)--> pricing --(2 s)--> rates     4 ms each; 800 ms in rates once the fault is on

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { captureOtlp } from "./otlp-capture.ts";

const folder = join(import.meta.dirname, "../../samples/slow-rates");
const healthyRequests = 120;
const slowRequests = 30;

const capture = await captureOtlp();
const otlpPort = new URL(capture.url).port;
const rates = await startService("rates", "0", "0");
const pricing = await startService("pricing", rates.port, "2000");
const orders = await startService("orders", pricing.port, "2000");
const gateway = await startService("gateway", orders.port, "300");

for (let i = 0; i < healthyRequests; i += 1) await request(gateway.port, "/checkout");
await request(rates.port, "/admin/work-ms/800");
for (let i = 0; i < slowRequests; i += 1) await request(gateway.port, "/checkout");
await sleep(1500);
for (const service of [gateway, orders, pricing, rates]) {
  await request(service.port, "/admin/stop");
  await new Promise((resolve) => service.process.once("exit", resolve));
}
await capture.close();
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "traces.jsonl.gz"), gzipSync(`${capture.traces.join("\n")}\n`, { level: 9 }));
process.stdout.write(`${folder}: ${capture.traces.length} export requests\n`);

interface Service {
  readonly port: string;
  readonly process: ChildProcess;
}

async function startService(name: string, calleePort: string, timeoutMs: string): Promise<Service> {
  const script = join(import.meta.dirname, "instrumented-service.ts");
  const child = spawn(process.execPath, ["--import", "tsx", script, name, otlpPort, calleePort, timeoutMs], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await new Promise<string>((resolve) =>
    child.stdout.once("data", (line: Buffer) => resolve(line.toString().trim())),
  );
  return { port, process: child };
}

async function request(port: string, path: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  await answer.arrayBuffer();
}
