import type { EngineStats } from "../engine/ports.ts";
import { loopDelay } from "./loop-delay.ts";

/** Counters, gauges and the state of the process in Prometheus' text format. A name that ends in `_total` is a counter. */
export function metricsText(stats: EngineStats, version: string): string {
  const own = Object.entries(stats)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => [`hypocenter_${name}`, value] as const);
  const info = `# TYPE hypocenter_build_info gauge\nhypocenter_build_info{version="${version}",node="${process.version}"} 1\n`;
  return info + [...own, ...processMetrics()].map(([name, value]) => sample(name, value)).join("");
}

function sample(name: string, value: number): string {
  return `# TYPE ${name} ${name.endsWith("_total") ? "counter" : "gauge"}\n${name} ${value}\n`;
}

/** In the names that Prometheus client libraries share. */
function processMetrics(): readonly (readonly [string, number])[] {
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  return [
    ["process_cpu_seconds_total", (cpu.user + cpu.system) / 1e6],
    ["process_resident_memory_bytes", memory.rss],
    ["process_start_time_seconds", Math.round(Date.now() / 1000 - process.uptime())],
    ["nodejs_heap_size_used_bytes", memory.heapUsed],
    ["nodejs_heap_size_total_bytes", memory.heapTotal],
    ["nodejs_external_memory_bytes", memory.external],
    ["nodejs_array_buffers_bytes", memory.arrayBuffers],
    ...loopDelay(),
  ];
}
