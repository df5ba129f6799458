import { mapEntry } from "../base/map-entry.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import type { PlainVisits, StandInSteps } from "./plain-visits.ts";
import { type StepName, stepText } from "./visits.ts";

/** What healthy visits of one operation do. */
export interface OperationSteps {
  /** those that were looked at: where there is no room for all, some of each kind of request */
  readonly visits: number;
  /** in the order of their texts */
  readonly steps: readonly CountedStep[];
}

/** A step, and how many of the visits show it: as many as its share of all visits, those that were not looked at included. */
export interface CountedStep {
  readonly step: StepName;
  readonly visits: number;
}

/** Visits of one service in some of the sums. */
interface ServiceVisits {
  readonly visits: PlainVisits;
  /** its number there */
  readonly service: number;
}

/** What requests of a window do, added up for the operations that are asked about. */
export class StepWindow {
  readonly #directory: ServiceDirectory;
  readonly #read: () => readonly PlainVisits[];
  readonly #sums = new Map<string, OperationSteps | null>();
  /** by name; null = nobody has asked yet */
  #byService: ReadonlyMap<string, readonly ServiceVisits[]> | null = null;

  /** `read` is called when something is asked for the first time: most reports never do. */
  constructor(read: () => readonly PlainVisits[], directory: ServiceDirectory) {
    this.#read = read;
    this.#directory = directory;
  }

  /** What healthy visits of an operation do; null where there were none. */
  of(service: string, operation: string): OperationSteps | null {
    return mapEntry(this.#sums, `${service}\u0000${operation}`, () => {
      this.#byService ??= this.#named();
      const parts: StandInSteps[] = [];
      for (const { visits, service: number } of this.#byService.get(service) ?? []) {
        const part = visits.of(number, operation);
        if (part !== null) parts.push(part);
      }
      return parts.length === 0 ? null : sumOf(parts, this.#directory);
    });
  }

  #named(): ReadonlyMap<string, readonly ServiceVisits[]> {
    const named = new Map<string, ServiceVisits[]>();
    for (const visits of this.#read())
      for (const [service, key] of visits.services())
        mapEntry(named, this.#directory.nameOfKey(key), () => []).push({ visits, service });
    return named;
  }
}

function sumOf(parts: readonly StandInSteps[], directory: ServiceDirectory): OperationSteps {
  let [visits, weight] = [0, 0];
  const steps = new Map<string, { readonly step: StepName; weight: number }>();
  for (const part of parts) {
    visits += part.visits;
    weight += part.weight;
    for (const [step, own] of part.steps) {
      const named = step.callee === "" ? step : { ...step, callee: directory.nameOfKey(step.callee) };
      mapEntry(steps, stepText(named), () => ({ step: named, weight: 0 })).weight += own;
    }
  }
  const inOrder = [...steps].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    visits,
    steps: inOrder.map(([, { step, weight: own }]) => {
      // keys that turned out to name the same service may have been in one visit
      const share = Math.min(weight, own) / weight;
      return { step, visits: Math.max(1, Math.round(visits * share)) };
    }),
  };
}
