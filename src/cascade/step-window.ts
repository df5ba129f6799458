import { mapEntry } from "../base/map-entry.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import type { CountedStep, OperationSteps, PlainVisits } from "./plain-visits.ts";
import { stepText } from "./visits.ts";

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

  /** What healthy visits of an operation do, in the order of the texts of steps; null where there were none. */
  of(service: string, operation: string): OperationSteps | null {
    return mapEntry(this.#sums, `${service}\u0000${operation}`, () => {
      this.#byService ??= this.#named();
      const parts: OperationSteps[] = [];
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

function sumOf(parts: readonly OperationSteps[], directory: ServiceDirectory): OperationSteps {
  const visits = parts.reduce((sum, part) => sum + part.visits, 0);
  const steps = new Map<string, CountedStep>();
  for (const part of parts)
    for (const { step, visits: shown } of part.steps) {
      const named = step.callee === "" ? step : { ...step, callee: directory.nameOfKey(step.callee) };
      const text = stepText(named);
      const known = steps.get(text)?.visits ?? 0;
      // keys that turned out to name the same service may have been in one visit
      steps.set(text, { step: named, visits: Math.min(visits, known + shown) });
    }
  const inOrder = [...steps].sort(([a], [b]) => (a < b ? -1 : 1));
  return { visits, steps: inOrder.map(([, counted]) => counted) };
}
