import type { Effect } from "./effects.ts";
import { FaultContext, type FaultKind, NoTargetError, type Scenario } from "./fault-context.ts";
import { faultKinds, healthyKinds } from "./faults.ts";
import { makeTopology } from "./make-topology.ts";
import { mix, Sequence } from "./random.ts";
import type { Recording } from "./recording.ts";
import { simulate } from "./simulate.ts";
import type { Topology } from "./topology.ts";
import { type Impact, impactOf } from "./truth.ts";

export interface CaseOptions {
  /** decides everything: equal options give equal cases */
  readonly seed: number;
  /** a key of `faultKinds` or `healthyKinds` */
  readonly faultType: string;
  readonly services: number;
  /** requests of users in each window, about */
  readonly requests: number;
  readonly windowMs: number;
  readonly sampleEveryMs: number;
}

/** One incident with the traffic before it, and what its fault did. */
export interface SimulatedCase {
  readonly options: CaseOptions;
  readonly topology: Topology;
  readonly scenario: Scenario;
  /** when the fault begins, ms into the incident's window; null in healthy windows */
  readonly onsetMs: number | null;
  readonly baseline: Recording;
  readonly incident: Recording;
  /** the incident's window without the fault */
  readonly faultFree: Recording;
  /** null in healthy windows */
  readonly impact: Impact | null;
  /** of each cause alone, where there are several */
  readonly impactOfCause: readonly Impact[];
  /** how often a culprit was drawn until the fault showed as its kind should */
  readonly draws: number;
}

const drawsMax = 12;

/** Draws topology and culprit until the fault shows as its kind should, but not for ever: after that anything that shows at all is taken. */
export function simulateCase(options: CaseOptions): SimulatedCase {
  const healthy = healthyKinds[options.faultType];
  const fault = faultKinds[options.faultType];
  if (healthy !== undefined) return drawCase(options, healthy, 1);
  if (fault === undefined) throw new Error(`no fault is called "${options.faultType}"`);
  let best: SimulatedCase | null = null;
  let reason: NoTargetError | null = null;
  for (let draw = 1; draw <= drawsMax; draw += 1) {
    try {
      const drawn = drawCase(options, fault, draw);
      const shown = drawn.impact?.visibility;
      if (shown === fault.wanted || (fault.wanted === "noticed" && shown !== "silent")) return drawn;
      if (best === null || best.impact?.visibility === "silent") best = drawn;
    } catch (error) {
      if (!(error instanceof NoTargetError)) throw error;
      reason = error;
    }
  }
  if (best === null) throw reason ?? new Error("no draw was made");
  return best;
}

function drawCase(options: CaseOptions, kind: Pick<FaultKind, "build">, draw: number): SimulatedCase {
  const { seed, services, requests, windowMs, sampleEveryMs } = options;
  // another topology for each draw: the culprit may be what the first one does not have
  const drawSeed = draw === 1 ? seed : mix(seed, 0xd0000 + draw);
  const topology = makeTopology({ seed: drawSeed, services, requestRate: (requests * 1000) / windowMs });
  const context = new FaultContext(topology, new Sequence(drawSeed, 0xfa17), windowMs);
  const scenario = kind.build(context);
  const incidentSeed = mix(drawSeed, 2);
  const run = (runSeed: number, effects: readonly Effect[], entryFactors?: readonly number[]): Recording =>
    simulate({
      topology,
      seed: runSeed,
      durationMs: windowMs,
      sampleEveryMs,
      effects,
      ...(entryFactors !== undefined && { entryFactors }),
    });
  const { causes, harmless, entryFactors } = scenario;
  const incidentWith = (effects: readonly Effect[]): Recording => run(incidentSeed, effects, entryFactors);
  const baseline = run(mix(drawSeed, 1), []);
  const incident = incidentWith([...causes.flatMap(({ effects }) => effects), ...harmless]);
  const faultFree = causes.length === 0 ? incident : incidentWith(harmless);
  const names = causes.map(({ name }) => name);
  const impactOfCause =
    causes.length < 2
      ? []
      : causes.map(({ name, effects }) =>
          impactOf(faultFree, incidentWith([...effects, ...harmless]), [name]),
        );
  return {
    options,
    topology,
    scenario,
    baseline,
    incident,
    faultFree,
    impactOfCause,
    draws: draw,
    onsetMs: causes.length === 0 ? null : context.onset,
    impact: causes.length === 0 ? null : impactOf(faultFree, incident, names),
  };
}
