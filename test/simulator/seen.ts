import { type SimulatedCase, simulateCase } from "./case.ts";
import type { Cause } from "./fault-context.ts";
import { hasEnded, type Recording, type SimSpan } from "./recording.ts";
import { nameOfTarget } from "./topology.ts";

/** A case that is small enough to be simulated in a test; shorter windows have fewer requests, not denser ones. */
export function smallCase(faultType: string, seed = 1, windowMs = 120_000): SimulatedCase {
  return simulateCase({
    seed,
    faultType,
    services: 20,
    requests: windowMs / 500,
    windowMs,
    sampleEveryMs: 10_000,
  });
}

/** One run of a case, asked from the onset of the fault on. */
class Run {
  readonly recording: Recording;
  readonly spans: readonly SimSpan[];
  readonly #serverOf = new Map<SimSpan, SimSpan>();

  constructor(recording: Recording, onsetMs: number) {
    this.recording = recording;
    this.spans = recording.spans.filter((span) => hasEnded(span) && span.start >= onsetMs);
    for (const span of this.spans)
      if (span.role === "server" && span.parent !== null) this.#serverOf.set(span.parent, span);
  }

  /** Spans of a service's own work. */
  servedBy(service: string): SimSpan[] {
    return this.spans.filter(
      ({ role, instance }) => role !== "client" && role !== "producer" && instance.service.name === service,
    );
  }

  /** Client spans to a node, of one caller if given. */
  callsTo(node: string, caller?: string): SimSpan[] {
    return this.spans.filter(
      ({ call, instance }) =>
        call !== null &&
        nameOfTarget(call.to) === node &&
        (caller === undefined || instance.service.name === caller),
    );
  }

  /** How much longer client spans take than what they called, ms, where the far side has a span. */
  gaps(fits: (client: SimSpan, server: SimSpan) => boolean): number[] {
    return Array.from(this.#serverOf)
      .filter(([client, server]) => fits(client, server))
      .map(([client, server]) => lengthOf(client) - lengthOf(server));
  }

  errorLogsOf(service: string): number {
    return this.recording.logs.filter(
      ({ severity, span }) => severity === "ERROR" && span.instance.service.name === service,
    ).length;
  }
}

/** A case with and without its fault, for checks of what the fault does. */
export class Seen {
  readonly simulated: SimulatedCase;
  readonly cause: Cause;
  readonly on: Run;
  readonly off: Run;

  constructor(simulated: SimulatedCase) {
    const [cause] = simulated.scenario.causes;
    if (cause === undefined) throw new Error("the case has no fault");
    const onset = simulated.onsetMs ?? 0;
    this.simulated = simulated;
    this.cause = cause;
    this.on = new Run(simulated.incident, onset);
    this.off = new Run(simulated.faultFree, onset);
  }
}

export function lengthOf({ start, end }: SimSpan): number {
  return end - start;
}

export function failuresIn(spans: readonly SimSpan[], type?: string): number {
  return spans.filter(({ failure }) => failure !== null && (type === undefined || failure.type === type))
    .length;
}

/** NaN of nothing, so that every comparison with it fails. */
export function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
