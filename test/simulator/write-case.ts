import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { SimulatedCase } from "./case.ts";
import type { Effect } from "./effects.ts";
import { Clock, Resources } from "./emit-identity.ts";
import { logLines, metricLines } from "./emit-signals.ts";
import { spanLines } from "./emit-spans.ts";
import type { Cause } from "./fault-context.ts";
import { podName } from "./names.ts";
import { hasEnded, type Recording } from "./recording.ts";
import type { Impact } from "./truth.ts";

/** The first window of the first seed; every seed has a day hour of its own. */
const firstStart = 1_750_000_000_000_000_000n;
const nanosPerSeed = 3_600_000_000_000n;
/** between the end of the baseline and the start of the incident */
const gapMs = 300_000;

/** How a case is written. */
export interface CaseOutput {
  readonly dataset: string;
  /** the share of spans that never arrive */
  readonly lostShare: number;
}

/** What stands in the files of a case, by file name; telemetry is not yet packed. */
interface CaseFiles {
  readonly baseline: readonly string[];
  readonly incident: readonly string[];
  readonly metrics: readonly string[];
  readonly logs: readonly string[];
  readonly truth: Readonly<Record<string, unknown>>;
}

/** A case as files of telemetry and truth. */
export function filesOf(simulated: SimulatedCase, output: CaseOutput): CaseFiles {
  const { options, baseline, incident } = simulated;
  const { lostShare } = output;
  const start = firstStart + BigInt(options.seed) * nanosPerSeed;
  const before = new Clock(start);
  const during = new Clock(start + BigInt(Math.round((options.windowMs + gapMs) * 1e6)));
  const resources = new Resources();
  return {
    baseline: spanLines(baseline, { clock: before, resources, lostShare }),
    incident: spanLines(incident, { clock: during, resources, lostShare }),
    metrics: [...metricLines(baseline, before, resources), ...metricLines(incident, during, resources)],
    logs: [...logLines(baseline, before, resources), ...logLines(incident, during, resources)],
    truth: truthOf(simulated, output, { before, during }),
  };
}

/** Writes a case into a folder of its own; answers its name. */
export function writeCase(folder: string, simulated: SimulatedCase, output: CaseOutput): string {
  const files = filesOf(simulated, output);
  const caseId = caseIdOf(simulated, output.dataset);
  const path = join(folder, caseId);
  mkdirSync(path, { recursive: true });
  for (const name of ["baseline", "incident", "metrics", "logs"] as const)
    writeFileSync(join(path, `${name}.jsonl.gz`), gzipSync(`${files[name].join("\n")}\n`, { level: 5 }));
  writeFileSync(join(path, "truth.json"), `${JSON.stringify(files.truth, null, 1)}\n`);
  return caseId;
}

function caseIdOf({ options: { seed, faultType } }: SimulatedCase, dataset: string): string {
  return `${dataset}-${String(seed).padStart(4, "0")}-${faultType}`;
}

interface Clocks {
  readonly before: Clock;
  readonly during: Clock;
}

function truthOf(
  simulated: SimulatedCase,
  { dataset, lostShare }: CaseOutput,
  { before, during }: Clocks,
): Record<string, unknown> {
  const { options, scenario, onsetMs, impact, impactOfCause, draws, baseline, incident } = simulated;
  const { windowMs } = options;
  const causes = orderedCauses(scenario.causes, impactOfCause);
  const windowOf = (clock: Clock): readonly [string, string] => [
    String(clock.exact(0)),
    String(clock.exact(windowMs)),
  ];
  const names = causes.map(({ name }) => name);
  return {
    dataset,
    case_id: caseIdOf(simulated, dataset),
    fault_type: options.faultType,
    ...(names[0] !== undefined && { root_cause_service: names[0] }),
    ...(names.length > 1 && { root_cause_services: names }),
    ...(names.length === 1 && { accept: causes[0]?.accept }),
    ...(names.length > 1 && {
      accept_by_root: Object.fromEntries(causes.map(({ name, accept }) => [name, accept])),
    }),
    ...(onsetMs !== null && {
      inject_time_unix_s: Number(during.exact(onsetMs) / 1_000_000n) / 1000,
      fault_duration_s: Math.round(windowMs - onsetMs) / 1000,
    }),
    signals: ["traces", "metrics", "logs"],
    windows: { baseline: [windowOf(before)], incident: windowOf(during) },
    baseline: countsOf(baseline),
    incident: countsOf(incident),
    simulator: {
      seed: options.seed,
      services: options.services,
      requests: options.requests,
      window_s: windowMs / 1000,
      draws,
      lost_spans_share: lostShare,
    },
    harmless: scenario.harmless.map(harmlessJson),
    ...(impact !== null && {
      visibility: impact.visibility,
      loudness: impact.loudness,
      loudest: impact.loudest,
      causes: causes.map((cause) =>
        causeJson(cause, simulated, impactOfCause[scenario.causes.indexOf(cause)]),
      ),
      impact: impactJson(impact, during),
    }),
  };
}

/** In the order of failed requests, then of added time, of each cause alone. */
function orderedCauses(causes: readonly Cause[], impacts: readonly Impact[]): readonly Cause[] {
  const harm = (cause: Cause): Impact | undefined => impacts[causes.indexOf(cause)];
  return [...causes].sort((a, b) => {
    const [one, other] = [harm(a), harm(b)];
    if (one === undefined || other === undefined) return 0;
    return other.failedRequests - one.failedRequests || other.addedMsMean - one.addedMsMean;
  });
}

function causeJson(
  cause: Cause,
  { topology }: SimulatedCase,
  alone: Impact | undefined,
): Record<string, unknown> {
  const { name, accept, kind, operation, instance, version, edge, entry } = cause;
  const service = topology.services.find((candidate) => candidate.name === name);
  return {
    name,
    accept,
    kind,
    operation,
    version,
    edge,
    ...(entry !== undefined && { entry: { service: entry.service.name, operation: entry.name } }),
    ...(instance !== undefined &&
      service !== undefined && { instance: podName(service.name, service.version, instance) }),
    ...(alone !== undefined && {
      alone: {
        failed_requests: alone.failedRequests,
        added_ms_mean: rounded(alone.addedMsMean),
        traffic_share: rounded(alone.trafficShare),
      },
    }),
  };
}

function harmlessJson(effect: Effect): Record<string, unknown> {
  return {
    kind: effect.kind,
    ...(effect.kind === "deploy" && {
      service: effect.instances[0]?.service.name,
      version: effect.instances[0]?.service.nextVersion,
    }),
  };
}

function impactJson(impact: Impact, clock: Clock): Record<string, unknown> {
  const time = (ms: number): string => String(clock.exact(ms));
  return {
    requests: impact.requests,
    failed_requests: impact.failedRequests,
    wrong_requests: impact.wrongRequests,
    touched_requests: impact.touchedRequests,
    traffic_share: rounded(impact.trafficShare),
    added_ms_mean: rounded(impact.addedMsMean),
    entries: impact.entries.map(({ service, operation, requests, failed, addedMsMean }) => ({
      service,
      operation,
      requests,
      failed,
      added_ms_mean: rounded(addedMsMean),
    })),
    affected: impact.affected.map(({ firstMs, ...rest }) => ({ ...rest, first_time_unix_ns: time(firstMs) })),
    propagation: impact.edges.map(({ firstMs, ...rest }) => ({ ...rest, first_time_unix_ns: time(firstMs) })),
  };
}

function countsOf({ spans, requests }: Recording): Record<string, number> {
  const ended = spans.filter(hasEnded);
  return {
    spans: ended.length,
    traces: requests.filter(({ root }) => root !== null).length,
    user_requests: requests.filter(({ kind }) => kind === "user").length,
    services: new Set(ended.map(({ instance }) => instance.service)).size,
    error_spans: ended.filter(({ failure }) => failure !== null).length,
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
