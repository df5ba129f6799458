import { mapEntry } from "../base/map-entry.ts";
import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import { textHash } from "../base/text-hash.ts";
import { fairShare } from "../model/scoring.ts";
import { thinningLevelMax } from "../model/trace-choice.ts";
import type { Trace } from "../trace/trace.ts";

/** What decides whether a trace stays where traces are thinned. */
export interface ThinnedTrace {
  /** of requests, see `requestGroupOf` */
  readonly group: number;
  /** see `thinningLevelOf` */
  readonly level: number;
}

interface Group {
  level: number;
  /** the level from which on all that came is known */
  floor: number;
  /** of the traces that stay */
  kept: number;
  /** of them, by the level of the trace */
  readonly visits: Float64Array;
}

/** The group of a trace: by a hash of the operation at which the request came in. */
export function requestGroupOf({ spans, roots }: Pick<Trace, "spans" | "roots">): number {
  const root = spans[roots[0] ?? 0];
  return root === undefined ? 0 : textHash(`${root.service}\u0000${root.operation}`) % fairShare.groups;
}

/**
 * How far the traces of each group of requests are thinned so that the visits of all have room: groups that need less than a
 * fair share keep all, and the room of the others is the same for each. The levels depend on the set of traces alone, not on
 * their order: what a group asks for, at most its share, only grows with it, so that the share only falls.
 *
 *   asked   ########  ##########  ##  #
 *   share   ####      ####        ##  #      a group above its share is halved until it fits
 */
export class FairShares {
  readonly #capacity: number;
  readonly #shareMin: number;
  readonly #groups = new Map<number, Group>();
  /** visits that a group may have; whole numbers, so that sums are exact */
  #share: number;
  /** of all groups: where there are more groups than shares, all traces are thinned evenly */
  #common = 0;
  /** what all groups ask for, at most their share each */
  #asked = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#share = capacity;
    this.#shareMin = Math.ceil(capacity * fairShare.min);
  }

  /** By group. */
  levels(): Uint8Array {
    const levels = new Uint8Array(fairShare.groups).fill(this.#common);
    for (const [group, { level }] of this.#groups) levels[group] = level;
    return levels;
  }

  keeps({ group, level }: ThinnedTrace): boolean {
    return level >= (this.#groups.get(group)?.level ?? this.#common);
  }

  /** Traces have been thinned so far before, elsewhere. To be told before any are added. */
  startAbove(other: FairShares): void {
    const levels = other.levels();
    for (let group = 0; group < levels.length; group += 1) {
      const level = levels[group] as number;
      if (level === 0) continue;
      const own = this.#groupOf(group);
      own.level = Math.max(own.level, level);
      own.floor = own.level;
    }
  }

  /** The visits of a trace come, or go where it is taken back (below 0). Answers whether others have to go for them. */
  add(trace: ThinnedTrace, visits: number): boolean {
    if (!this.keeps(trace)) return false;
    const group = this.#groupOf(trace.group);
    this.#asked -= this.#askedBy(group);
    group.kept += visits;
    group.visits[trace.level] = (group.visits[trace.level] as number) + visits;
    this.#asked += this.#askedBy(group);
    let isThinned = this.#thin(group);
    while (this.#asked > this.#capacity && this.#common < thinningLevelMax)
      isThinned = this.#shareLess() || isThinned;
    return isThinned;
  }

  /** All visits come that another one keeps. */
  addAll(other: FairShares): void {
    for (const [group, { visits }] of other.#groups)
      for (let level = 0; level < visits.length; level += 1) {
        const count = visits[level] as number;
        if (count > 0) this.add({ group, level }, count);
      }
  }

  /** What it takes in memory, roughly. */
  get byteLength(): number {
    return this.#groups.size * groupBytes;
  }

  save(out: SnapshotWriter): void {
    for (const each of [this.#share, this.#common, this.#asked]) out.number(each);
    out.map(this.#groups, (group, { level, floor, kept, visits }) => {
      for (const each of [group, level, floor, kept]) out.number(each);
      out.numbers(visits);
    });
  }

  load(from: SnapshotReader): void {
    this.#share = from.number();
    this.#common = from.number();
    this.#asked = from.number();
    from.map(this.#groups, () => [
      from.number(),
      { level: from.number(), floor: from.number(), kept: from.number(), visits: from.numbers() },
    ]);
  }

  #groupOf(group: number): Group {
    return mapEntry(this.#groups, group, () => ({
      level: this.#common,
      floor: 0,
      kept: 0,
      visits: new Float64Array(thinningLevelMax + 1),
    }));
  }

  /** A group that was thinned for its share asks for all of it. */
  #askedBy({ level, floor, kept }: Group): number {
    return level > Math.max(floor, this.#common) ? this.#share : Math.min(kept, this.#share);
  }

  /** Halves a group until it fits; its last traces stay, however large. */
  #thin(group: Group, least = 0): boolean {
    const before = group.level;
    for (; group.level < thinningLevelMax; group.level += 1) {
      const above = group.kept - (group.visits[group.level] as number);
      if (group.level >= least && (group.kept <= this.#share || above === 0)) break;
      group.visits[group.level] = 0;
      group.kept = above;
    }
    return group.level > before;
  }

  #shareLess(): boolean {
    if (this.#share > this.#shareMin)
      this.#share = Math.max(this.#shareMin, Math.floor(this.#share * fairShare.step));
    else this.#common += 1;
    let isThinned = false;
    this.#asked = 0;
    for (const group of this.#groups.values()) {
      isThinned = this.#thin(group, this.#common) || isThinned;
      this.#asked += this.#askedBy(group);
    }
    return isThinned;
  }
}

/** Rough size of what is known of a group. */
const groupBytes = 400;
