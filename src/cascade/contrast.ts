import { chanceOfG, type Share, signedG } from "../base/count-test.ts";
import { mapEntry } from "../base/map-entry.ts";
import {
  almostAlways,
  backgroundTestMin,
  chanceOf,
  concentrationMin,
  concentrationWeight,
  driftFactor,
  labelCountsMin,
  labelWeight,
  newErrorMargin,
  pieceRule,
  strengthMax,
  symptomChanceMax,
} from "../model/scoring.ts";
import { pieceOf, shareChangeAmong } from "./piece-changes.ts";
import type { SortedUnits, UnitLabel, UnitPair } from "./units.ts";

/** One thing that some units show more or less often than before. */
export interface Symptom {
  /** places in `UnitPair.keys` and `.labels` */
  readonly key: number;
  readonly label: number;
  readonly before: Share;
  readonly after: Share;
  /** above 0 = more often; visits of one trace are not counted as independent */
  readonly g: number;
  /** `|g|` by how much such a change says */
  readonly strength: number;
  /** see `SignalResult.margins` */
  readonly margin: number;
}

/** An operation whose units show troubles more often that are usual in the system as a whole. */
export interface Concentration {
  readonly key: number;
  readonly before: Share;
  readonly after: Share;
  readonly strength: number;
  /** see `SignalResult.margins` */
  readonly margin: number;
}

export interface Contrast {
  /** in the order of keys, then labels */
  readonly symptoms: readonly Symptom[];
  readonly concentrations: readonly Concentration[];
  /** whether a unit of the window was set aside, so that it stands for no symptom */
  readonly isSetAside: (row: number) => boolean;
}

/**
 * What units of two windows show differently, operation by operation, so that another mix of requests changes nothing.
 * Errors that are new, and what nearly all units showed and some now lack, count in full; what only some showed depends on
 * their input and counts a quarter. Troubles that were there before and did not become more frequent in the system as a
 * whole are set aside with the units that show them. `hasDrift` = the time before may be cut in halves, to see what changes anyway.
 */
export function contrast(pair: UnitPair, { hasDrift }: { readonly hasDrift: boolean }): Contrast {
  const groups = errorGroupsOf(pair);
  const setAside = setAsideOf(pair, groups);
  const before = countUnits(pair.before, setAside.before);
  const after = countUnits(pair.after, setAside.after);
  const looked: Symptom[] = [];
  for (const key of pair.keys.keys()) {
    const sides = { before: before[key] ?? noCounts, after: after[key] ?? noCounts };
    if (sides.before.units < labelCountsMin.before || sides.after.units < labelCountsMin.after) continue;
    const labels = new Set([...sides.before.labels.keys(), ...sides.after.labels.keys()]);
    for (const label of [...labels].sort((a, b) => a - b)) {
      if (pair.labels[label]?.isHearsay === true) continue;
      const groupG = groups.get(pair.labels[label]?.group ?? "")?.g;
      looked.push(
        symptomOf({ key, label, is: pair.labels[label] as UnitLabel }, sides, { hasDrift, groupG }),
      );
    }
  }
  const chance = chanceOf(looked.filter((each) => couldTell(each, pair)).length);
  const unusual = looked.filter(({ strength }) => isUnusual(strength));
  const isHabit = hasDrift && unusual.length > 0 ? habits(pair.before, setAside.before, before) : () => false;
  const symptoms = unusual
    .filter((symptom) => !isHabit(symptom))
    .map((symptom) => ({
      ...symptom,
      margin: symptom.strength - chance + (isNewError(symptom, pair) ? newErrorMargin : 0),
    }));
  return {
    symptoms,
    concentrations: concentrationsOf(before, after),
    isSetAside: (row) => setAside.after[pair.after.sort[row] as number] === 1,
  };
}

/** Whether units show an error that none showed before. */
function isNewError({ label, before, after }: Symptom, { labels }: UnitPair): boolean {
  return labels[label]?.isError === true && before.count === 0 && after.count > 0;
}

interface ErrorGroup {
  /** traces that show it */
  readonly before: Share;
  readonly after: Share;
  /** how it changed in the system as a whole */
  readonly g: number;
}

/** The troubles of both windows, by the group of their labels. */
function errorGroupsOf({ labels, before, after }: UnitPair): ReadonlyMap<string, ErrorGroup> {
  const [was, is] = [tracesWithGroups(before), tracesWithGroups(after)];
  const groups = new Map<string, ErrorGroup>();
  for (const { isError, group } of labels) {
    if (!isError || groups.has(group)) continue;
    const shares = {
      before: { count: was.byGroup.get(group) ?? 0, of: was.traces },
      after: { count: is.byGroup.get(group) ?? 0, of: is.traces },
    };
    groups.set(group, { ...shares, g: signedG(shares.before, shares.after) });
  }
  return groups;
}

function tracesWithGroups({ labels, sorts, sort, trace }: SortedUnits): {
  readonly traces: number;
  readonly byGroup: ReadonlyMap<string, number>;
} {
  const groupsOfSort = sorts.map((each) => groupsAmong(labels, each.labels));
  const byGroup = new Map<string, number>();
  let traces = 0;
  let seen = new Set<string>();
  for (let row = 0; row < trace.length; row += 1) {
    if (row === 0 || trace[row] !== trace[row - 1]) {
      traces += 1;
      seen = new Set();
    }
    for (const group of groupsOfSort[sort[row] as number] ?? []) {
      if (seen.has(group)) continue;
      seen.add(group);
      byGroup.set(group, (byGroup.get(group) ?? 0) + 1);
    }
  }
  return { traces, byGroup };
}

function groupsAmong(labels: readonly UnitLabel[], shown: readonly number[]): readonly string[] {
  const groups = new Set<string>();
  for (const label of shown) {
    const { isError, group } = labels[label] as UnitLabel;
    if (isError) groups.add(group);
  }
  return [...groups];
}

/** By sort of unit, 1 = set aside: it shows a background trouble that is not usual for its operation. */
interface SetAside {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

function setAsideOf(pair: UnitPair, groups: ReadonlyMap<string, ErrorGroup>): SetAside {
  const background = new Set<string>();
  for (const [group, { before, g }] of groups)
    if (before.count > 0 && g < backgroundTestMin) background.add(group);
  const usual = background.size === 0 ? new Set<string>() : usualGroups(pair.before);
  const marks = ({ sorts, labels }: SortedUnits): Uint8Array =>
    Uint8Array.from(sorts, ({ key, labels: shown }) =>
      groupsAmong(labels, shown).some((group) => background.has(group) && !usual.has(`${key};${group}`))
        ? 1
        : 0,
    );
  return { before: marks(pair.before), after: marks(pair.after) };
}

/** `key;group` of the troubles that nearly all units of an operation show. */
function usualGroups({ sorts, sort, labels }: SortedUnits): ReadonlySet<string> {
  const ofSort = new Int32Array(sorts.length);
  for (const each of sort) ofSort[each] = (ofSort[each] as number) + 1;
  const units = new Map<number, number>();
  const shown = new Map<string, { readonly key: number; count: number }>();
  for (const [i, { key, labels: own }] of sorts.entries()) {
    const size = ofSort[i] as number;
    units.set(key, (units.get(key) ?? 0) + size);
    for (const group of groupsAmong(labels, own)) {
      const known = shown.get(`${key};${group}`);
      if (known === undefined) shown.set(`${key};${group}`, { key, count: size });
      else known.count += size;
    }
  }
  const usual = new Set<string>();
  for (const [text, { key, count }] of shown)
    if (count >= almostAlways * (units.get(key) ?? 0)) usual.add(text);
  return usual;
}

/** The units of one operation in one window. */
interface KeyCounts {
  /** that were not set aside, and in how many traces they are */
  units: number;
  traces: number;
  setAside: number;
  /** of the first half of the traces */
  unitsOfFirstHalf: number;
  readonly labels: Map<number, LabelCount>;
}

interface LabelCount {
  readonly units: number;
  readonly ofFirstHalf: number;
}

const noCounts: KeyCounts = { units: 0, traces: 0, setAside: 0, unitsOfFirstHalf: 0, labels: new Map() };

function countUnits(units: SortedUnits, setAside: Uint8Array): readonly (KeyCounts | undefined)[] {
  const { sort, sorts, trace } = units;
  const counts: (KeyCounts | undefined)[] = Array.from({ length: units.keys.length });
  const ofSort = { units: new Int32Array(sorts.length), firstHalf: new Int32Array(sorts.length) };
  const lastTrace = new Int32Array(units.keys.length).fill(-1);
  const middle = units.traces / 2;
  for (let row = 0; row < sort.length; row += 1) {
    const at = sort[row] as number;
    const key = units.key[row] as number;
    const cell = counts[key] ?? { ...noCounts, labels: new Map() };
    counts[key] = cell;
    if (setAside[at] === 1) {
      cell.setAside += 1;
      continue;
    }
    const ofFirstHalf = (trace[row] as number) < middle ? 1 : 0;
    cell.units += 1;
    cell.unitsOfFirstHalf += ofFirstHalf;
    if (lastTrace[key] !== trace[row]) cell.traces += 1;
    lastTrace[key] = trace[row] as number;
    ofSort.units[at] = (ofSort.units[at] as number) + 1;
    ofSort.firstHalf[at] = (ofSort.firstHalf[at] as number) + ofFirstHalf;
  }
  for (const [at, { key, labels }] of sorts.entries()) {
    const [all, ofFirstHalf] = [ofSort.units[at] as number, ofSort.firstHalf[at] as number];
    const cell = counts[key];
    if (cell === undefined || all === 0) continue;
    for (const label of labels) {
      const known = cell.labels.get(label) ?? { units: 0, ofFirstHalf: 0 };
      cell.labels.set(label, { units: known.units + all, ofFirstHalf: known.ofFirstHalf + ofFirstHalf });
    }
  }
  return counts;
}

/** The change of one label at one operation; its strength is 0 where it says nothing. */
function symptomOf(
  { key, label, is }: { readonly key: number; readonly label: number; readonly is: UnitLabel },
  sides: { readonly before: KeyCounts; readonly after: KeyCounts },
  { hasDrift, groupG }: { readonly hasDrift: boolean; readonly groupG: number | undefined },
): Symptom {
  const before = { count: sides.before.labels.get(label)?.units ?? 0, of: sides.before.units };
  const after = { count: sides.after.labels.get(label)?.units ?? 0, of: sides.after.units };
  const independent = (sides.before.traces + sides.after.traces) / (before.of + after.of);
  let g = signedG(before, after) * independent;
  const isRecovery = is.isError && g < 0;
  if (is.isError && before.count > 0 && groupG !== undefined) g = Math.min(g, Math.max(groupG, 0));
  const isDrift = hasDrift && driftFactor * driftOf(sides.before, label) >= Math.abs(g);
  const strength = isRecovery || isDrift ? 0 : weightOf(is, { g, before }) * Math.abs(g);
  return { key, label, before, after, g, strength, margin: 0 };
}

/** Whether a change of a count with this likelihood ratio is more than one expects of chance. */
export function isUnusual(g: number): boolean {
  return chanceOfG(g) <= symptomChanceMax;
}

/**
 * Whether a label could have become a symptom, as often as it was seen in both windows together. What could not, because it
 * is too rare or always there, is no comparison that may be right by chance (Tarone 1990).
 */
function couldTell({ label, before, after }: Symptom, { labels }: UnitPair): boolean {
  const is = labels[label] as UnitLabel;
  const seen = before.count + after.count;
  const reaches = (countBefore: number): boolean => {
    const was = { count: countBefore, of: before.of };
    const g = signedG(was, { count: seen - countBefore, of: after.of });
    return !(is.isError && g < 0) && isUnusual(weightOf(is, { g, before: was }) * Math.abs(g));
  };
  return reaches(Math.max(0, seen - after.of)) || reaches(Math.min(seen, before.of));
}

/** Whether a label changed no more than it did by itself among the pieces of the time before, of which `counts` are. */
function habits(
  { sort, sorts, trace, traces }: SortedUnits,
  setAside: Uint8Array,
  counts: readonly (KeyCounts | undefined)[],
): (symptom: Symptom) => boolean {
  const { count: pieces } = pieceRule;
  const ofSort = new Int32Array(sorts.length * pieces);
  for (let row = 0; row < sort.length; row += 1) {
    const at = sort[row] as number;
    if (setAside[at] === 1) continue;
    const cell = at * pieces + pieceOf(trace[row] as number, traces);
    ofSort[cell] = (ofSort[cell] as number) + 1;
  }
  const sortsOfKey = new Map<number, number[]>();
  for (const [at, { key }] of sorts.entries()) mapEntry(sortsOfKey, key, () => []).push(at);
  return ({ key, label, before, after }) => {
    // visits of one trace are not independent
    const { traces: independent, units } = counts[key] ?? noCounts;
    const shares = Array.from({ length: pieces }, (_, piece) => {
      const share = { count: 0, of: 0 };
      for (const at of sortsOfKey.get(key) ?? []) {
        const counted = ((ofSort[at * pieces + piece] as number) * independent) / units;
        share.of += counted;
        if (sorts[at]?.labels.includes(label) === true) share.count += counted;
      }
      return share;
    });
    const rise = after.count / after.of - before.count / before.of;
    return Math.abs(rise) <= driftFactor * shareChangeAmong(shares);
  };
}

function driftOf({ units, unitsOfFirstHalf, labels }: KeyCounts, label: number): number {
  const ofSecondHalf = units - unitsOfFirstHalf;
  if (Math.min(unitsOfFirstHalf, ofSecondHalf) < 2) return 0;
  const shown = labels.get(label) ?? { units: 0, ofFirstHalf: 0 };
  const first = { count: shown.ofFirstHalf, of: unitsOfFirstHalf };
  return Math.abs(signedG(first, { count: shown.units - shown.ofFirstHalf, of: ofSecondHalf }));
}

function weightOf(
  { isError }: UnitLabel,
  { g, before }: { readonly g: number; readonly before: Share },
): number {
  if (g > 0) return isError ? labelWeight.invariant : labelWeight.sometimes;
  return before.count >= almostAlways * before.of ? labelWeight.invariant : labelWeight.sometimes;
}

function concentrationsOf(
  before: readonly (KeyCounts | undefined)[],
  after: readonly (KeyCounts | undefined)[],
): readonly Concentration[] {
  const found: Concentration[] = [];
  for (const [key, cell] of before.entries()) {
    const [was, is] = [cell ?? noCounts, after[key] ?? noCounts];
    const shares = {
      before: { count: was.setAside, of: was.units + was.setAside },
      after: { count: is.setAside, of: is.units + is.setAside },
    };
    if (shares.before.of < labelCountsMin.before || was.setAside + is.setAside === 0) continue;
    const g = signedG(shares.before, shares.after);
    const strength = Math.min(concentrationWeight * g, strengthMax);
    found.push({ key, ...shares, strength, margin: g });
  }
  const chance = chanceOf(found.length);
  return found
    .filter(({ strength }) => strength > concentrationMin)
    .map((each) => ({ ...each, margin: each.margin - chance }));
}
