import type { Cause } from "./ranking.ts";

// The only place that knows the names of the fields of `truth.json`.

/** The instants between which traces of one side start, both included; nanoseconds since 1970. */
export interface TimeRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** All that an analysis may know of `truth.json`. null = the whole file. */
export interface CaseWindows {
  readonly incident: TimeRange | null;
  readonly baseline: readonly TimeRange[] | null;
}

export interface CallEdge {
  readonly caller: string;
  readonly callee: string;
}

/** What is known to be right about one window or trace; for scoring alone. */
export interface Label {
  readonly dataset: string | null;
  readonly caseId: string | null;
  /** "" = not told */
  readonly faultType: string;
  /** nothing is wrong: the right answer names nobody */
  readonly isHealthy: boolean;
  readonly causes: readonly Cause[];
  /** cases that are not independent of each other (one generated system) share it */
  readonly cluster: string | null;
  /** the levels below the service, where known */
  readonly instance: string | null;
  readonly operation: string | null;
  readonly edge: CallEdge | null;
  /** from the one that failed to the one that it made fail; null = not told */
  readonly propagation: readonly { readonly from: string; readonly to: string }[] | null;
  readonly affectedServices: readonly string[] | null;
  /** who is loud: I = the culprit alone, II = nobody, III = someone else more */
  readonly impactType: "I" | "II" | "III" | null;
  /** whether users could notice: seen at an entry, hidden from it, or without any effect */
  readonly visibility: "visible" | "masked" | "silent" | null;
}

/** A whole `truth.json`: of one window, or of many single traces. */
export type Truth =
  | { readonly kind: "window"; readonly label: Label; readonly windows: CaseWindows }
  | { readonly kind: "traces"; readonly labels: ReadonlyMap<string, Label> }
  | { readonly kind: "unusable"; readonly complaint: string };

/** Reads the text of a `truth.json`; fields that are not known are ignored, one of a wrong shape makes it unusable. */
export function parseTruth(text: string): Truth {
  try {
    const truth = membersOf(JSON.parse(text) as unknown, "truth.json");
    const traces = truth["traces"];
    if (typeof traces === "object" && traces !== null) return tracesOf(truth, membersOf(traces, "traces"));
    return { kind: "window", label: labelOf(truth), windows: windowsOf(truth["windows"]) };
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof ShapeError)) throw error;
    return { kind: "unusable", complaint: error.message };
  }
}

class ShapeError extends Error {
  override readonly name = "ShapeError";
}

type Members = Readonly<Record<string, unknown>>;

function tracesOf(truth: Members, traces: Members): Truth {
  const { traces: _, ...shared } = truth;
  const labels = new Map<string, Label>();
  for (const [traceId, own] of Object.entries(traces))
    labels.set(traceId.toLowerCase(), {
      ...labelOf({ ...shared, ...membersOf(own, `traces.${traceId}`) }),
      caseId: traceId.toLowerCase(),
    });
  return { kind: "traces", labels };
}

/**
 * What a simulator knows of each cause stands in `causes`, what its fault did in `impact`, under names of their own; flat
 * fields of the same meaning win.
 */
function labelOf(truth: Members): Label {
  const faultType = textOf(truth, "fault_type") ?? "";
  const cause = onlyCauseOf(truth);
  const impact = isAbsent(truth["impact"]) ? {} : membersOf(truth["impact"], "impact");
  const edge = truth["root_cause_edge"] ?? cause["edge"] ?? null;
  return {
    dataset: textOf(truth, "dataset"),
    caseId: textOf(truth, "case_id"),
    faultType,
    isHealthy: faultType.startsWith("healthy"),
    causes: causesOf(truth),
    cluster: clusterOf(truth),
    instance:
      textOf(truth, "root_cause_instance") ?? textOf(truth, "root_cause_pod") ?? textOf(cause, "instance"),
    operation: textOf(truth, "root_cause_operation") ?? textOf(cause, "operation"),
    edge: edge === null ? null : edgeOf(edge),
    propagation: propagationOf(truth["propagation"] ?? impact["propagation"]),
    affectedServices: affectedOf(truth, impact),
    impactType:
      choiceOf(truth, "impact_type", ["I", "II", "III"]) ?? choiceOf(truth, "loudness", ["I", "II", "III"]),
    visibility: choiceOf(truth, "visibility", ["visible", "masked", "silent"]),
  };
}

/** The details of the cause; of several causes nobody can say which one the first candidate should match. */
function onlyCauseOf(truth: Members): Members {
  if (isAbsent(truth["causes"])) return {};
  const [first, ...more] = itemsOf(truth["causes"], "causes");
  return first === undefined || more.length > 0 ? {} : membersOf(first, "causes[0]");
}

function affectedOf(truth: Members, { affected }: Members): readonly string[] | null {
  if (!isAbsent(truth["affected_services"])) return namesOf(truth, "affected_services");
  if (isAbsent(affected)) return null;
  return itemsOf(affected, "impact.affected").map((each, i) =>
    requiredText(each, "service", `impact.affected[${i}]`),
  );
}

/** `root_cause_services`, or `root_causes` of a trace, else the one `root_cause_service`; `accept` speaks of that one, or the first. */
function causesOf(truth: Members): readonly Cause[] {
  const one = textOf(truth, "root_cause_service");
  const several = [...namesOf(truth, "root_cause_services"), ...namesOf(truth, "root_causes")];
  const services = several.length > 0 ? [...new Set(several)] : one === null ? [] : [one];
  const accept = namesOf(truth, "accept");
  const byRoot = isAbsent(truth["accept_by_root"])
    ? {}
    : membersOf(truth["accept_by_root"], "accept_by_root");
  return services.map((service, index) => ({
    service,
    accept: [
      ...(one === service || (index === 0 && (one === null || !services.includes(one))) ? accept : []),
      ...namesOf(byRoot, service),
    ],
  }));
}

function windowsOf(value: unknown): CaseWindows {
  if (isAbsent(value)) return { incident: null, baseline: null };
  const windows = membersOf(value, "windows");
  const { incident, baseline } = windows;
  return {
    incident: isAbsent(incident) ? null : rangeOf(incident, "windows.incident"),
    baseline: isAbsent(baseline)
      ? null
      : itemsOf(baseline, "windows.baseline").map((each, i) => rangeOf(each, `windows.baseline[${i}]`)),
  };
}

function rangeOf(value: unknown, place: string): TimeRange {
  const [from, to, ...more] = itemsOf(value, place);
  const isTime = (each: unknown): each is string => typeof each === "string" && /^\d{1,19}$/.test(each);
  if (!isTime(from) || !isTime(to) || more.length > 0)
    throw new ShapeError(`${place} is not [from, to] in nanoseconds, written as strings`);
  if (BigInt(from) > BigInt(to)) throw new ShapeError(`${place} ends before it starts`);
  return { from: BigInt(from), to: BigInt(to) };
}

function edgeOf(value: unknown): CallEdge {
  return {
    caller: requiredText(value, "caller", "root_cause_edge"),
    callee: requiredText(value, "callee", "root_cause_edge"),
  };
}

/** As steps of the failure, or as the calls that it came back over. */
function propagationOf(value: unknown): Label["propagation"] {
  if (isAbsent(value)) return null;
  return itemsOf(value, "propagation").map((each, i) => {
    const place = `propagation[${i}]`;
    const isCall = Object.hasOwn(membersOf(each, place), "callee");
    return {
      from: requiredText(each, isCall ? "callee" : "from", place),
      to: requiredText(each, isCall ? "caller" : "to", place),
    };
  });
}

function requiredText(value: unknown, key: string, place: string): string {
  const text = textOf(membersOf(value, place), key);
  if (text === null) throw new ShapeError(`${place} lacks ${key}`);
  return text;
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function membersOf(value: unknown, place: string): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ShapeError(`${place} is not a JSON object`);
  return value as Members;
}

function itemsOf(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new ShapeError(`${place} is not an array`);
  return value;
}

/** Only what the text itself holds: names of services are keys too, and may be called `constructor`. */
function ownMember(members: Members, key: string): unknown {
  return Object.hasOwn(members, key) ? members[key] : undefined;
}

function textOf(members: Members, key: string): string | null {
  const value = ownMember(members, key);
  if (isAbsent(value)) return null;
  if (typeof value !== "string") throw new ShapeError(`${key} is not a string`);
  return value;
}

function namesOf(members: Members, key: string): readonly string[] {
  const value = ownMember(members, key);
  if (isAbsent(value)) return [];
  return itemsOf(value, key).map((each, i) => {
    if (typeof each !== "string") throw new ShapeError(`${key}[${i}] is not a string`);
    return each;
  });
}

function choiceOf<Word extends string>(members: Members, key: string, words: readonly Word[]): Word | null {
  const value = textOf(members, key);
  if (value === null) return null;
  const found = words.find((word) => word === value);
  if (found === undefined) throw new ShapeError(`${key} is none of ${words.join(", ")}`);
  return found;
}

/** One seed makes one system. */
function clusterOf(truth: Members): string | null {
  const simulator = isAbsent(truth["simulator"]) ? {} : membersOf(truth["simulator"], "simulator");
  const seed = truth["topology_seed"] ?? simulator["seed"];
  return typeof seed === "string" || typeof seed === "number" ? String(seed) : null;
}
