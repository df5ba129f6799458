import type { SnapshotReader, SnapshotWriter } from "../base/snapshot.ts";
import {
  operationsPerMinuteMax,
  operationsPerServiceMax,
  overflowName,
  unreachableMessagesMax,
} from "../model/limits.ts";
import { Minutes, overflowMinute } from "../model/minutes.ts";
import { exactWeight, RedCell } from "../model/red.ts";
import type { ServiceDirectory } from "../model/service-directory.ts";
import { isEarlier, type MinuteTime, type UnixNanos, unixNanosOf } from "../model/time.ts";
import type { Entry, NodeKind, TraceCalls } from "../trace/calls.ts";

/**
 * Rate, errors and durations of every service and operation, minute by minute, from the requests that traces show. Keys
 * are as `rawNaming` makes them; a window turns them into names. Adding and taking back traces gives the same sums in any
 * order. Services and operations beyond the limits fall into `overflowName`.
 */
export class RedRollup {
  readonly #servicesMax: number;
  readonly #minutes = new Minutes(
    (): Services => ({ own: new Map(), inferred: new Map(), operationCount: 0 }),
  );

  /** `servicesMax` = services that a minute, and a window, tell apart */
  constructor(servicesMax: number) {
    this.#servicesMax = servicesMax;
  }

  add(calls: TraceCalls): void {
    for (const entry of calls.entries) {
      const services = this.#minutes.cellFor(entry.startTime.minute);
      if (services !== undefined) serviceToAdd(services, entry, this.#servicesMax).add(entry);
    }
  }

  /** Takes back what `add` added for the same calls: backwards, for what was added last is found first. */
  remove(calls: TraceCalls): void {
    for (const entry of calls.entries.toReversed()) {
      const services = this.#minutes.find(entry.startTime.minute);
      if (services !== undefined) knownService(sideOf(services, entry), entry)?.remove(entry);
    }
  }

  dropBefore(minute: number): void {
    this.#minutes.dropBefore(minute);
  }

  save(out: SnapshotWriter): void {
    this.#minutes.save(out, ({ own, inferred, operationCount }) => {
      out.number(operationCount);
      for (const services of [own, inferred])
        out.map(services, (name, service) => {
          out.text(name);
          service.save(out);
        });
    });
  }

  load(from: SnapshotReader): void {
    this.#minutes.load(from, (minute) => {
      minute.operationCount = from.number();
      for (const services of [minute.own, minute.inferred])
        from.map(services, () => {
          const [name, service] = [from.text(), new ServiceMinute(minute, services === minute.inferred)];
          service.load(from);
          return [name, service];
        });
    });
  }

  /** Makes the minutes before one take as little room as 1 % of error in latencies allows; answers what all take, roughly. */
  compact(oldBefore: number): number {
    return this.#minutes.compact(oldBefore, ({ own, inferred }, isOld) => {
      let bytes = 0;
      for (const services of [own, inferred])
        for (const service of services.values()) bytes += service.compact(isOld);
      return bytes;
    });
  }

  /** The sums of the minutes from `from` to `to`, both included; null = no end on that side. */
  window(from: number | null, to: number | null, directory: ServiceDirectory): RedWindow {
    const parts = new Map<string, ServicePart[]>();
    const names = new Map<string, string>();
    for (const [minute, { own, inferred }] of this.#minutes.within(from, to))
      for (const side of [own, inferred])
        for (const [key, sums] of side) {
          if (sums.isEmpty) continue;
          let name = names.get(key);
          if (name === undefined) {
            name = directory.nameOfKey(key);
            names.set(key, name);
          }
          const known = parts.get(name);
          if (known === undefined) parts.set(name, [{ minute, sums }]);
          else known.push({ minute, sums });
        }
    return new RedWindow(withinLimit(parts, this.#servicesMax));
  }
}

/** The services with the most requests, the others put together as `overflowName`: each minute may have had its own. */
function withinLimit(
  parts: ReadonlyMap<string, readonly ServicePart[]>,
  servicesMax: number,
): ReadonlyMap<string, readonly ServicePart[]> {
  const named = [...parts].filter(([name]) => name !== overflowName);
  if (named.length <= servicesMax) return parts;
  const ranked = named.map(([name, sums]) => ({ name, sums, requests: requestsOf(sums) }));
  ranked.sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1));
  const kept = new Map(ranked.slice(0, servicesMax).map(({ name, sums }) => [name, sums]));
  const others = ranked.slice(servicesMax).flatMap(({ sums }) => sums);
  return kept.set(overflowName, [...(parts.get(overflowName) ?? []), ...others]);
}

function requestsOf(parts: readonly ServicePart[]): number {
  return shownOf(parts).reduce((sum, { sums }) => sum + sums.cell.requests, 0);
}

/** Requests of one service in a window. */
export interface ServiceRed {
  readonly service: string;
  readonly kind: NodeKind;
  /** no span of its own was seen: the figures are those of its callers */
  readonly isInferred: boolean;
  readonly cell: RedCell;
  readonly operations: OperationSums;
  /** as its callers saw them */
  readonly timeouts: number;
  readonly rateLimitHits: number;
  /** why no call reached it, the most frequent message; null where at least one did */
  readonly unreachable: string | null;
  readonly firstStart: UnixNanos;
  /** only minutes that had requests, oldest first */
  readonly minutes: readonly { readonly minute: number; readonly cell: RedCell }[];
}

/** Requests by operation. A service may have thousands and a report shows a few: each is added up when it is asked for. */
class OperationSums {
  readonly #parts: ReadonlyMap<string, readonly RedCell[]>;
  readonly #sums = new Map<string, RedCell>();

  constructor(parts: ReadonlyMap<string, readonly RedCell[]>) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#parts.size;
  }

  get(operation: string): RedCell | undefined {
    const known = this.#sums.get(operation);
    if (known !== undefined) return known;
    const parts = this.#parts.get(operation);
    if (parts === undefined) return undefined;
    const sum = RedCell.sum(parts);
    this.#sums.set(operation, sum);
    return sum;
  }

  *[Symbol.iterator](): Iterator<readonly [operation: string, cell: RedCell]> {
    for (const operation of this.#parts.keys()) yield [operation, this.get(operation) as RedCell];
  }
}

interface ServicePart {
  readonly minute: number;
  readonly sums: ServiceMinute;
}

/** The services of a window; the figures of a service are added up when they are asked for. */
export class RedWindow {
  readonly #parts: ReadonlyMap<string, readonly ServicePart[]>;
  readonly #services = new Map<string, ServiceRed>();

  constructor(parts: ReadonlyMap<string, readonly ServicePart[]>) {
    this.#parts = parts;
  }

  /** Names of all services and peers, sorted. */
  get services(): readonly string[] {
    return [...this.#parts.keys()].sort();
  }

  /** Names by the first start of their requests, then by name. */
  get servicesByStart(): readonly string[] {
    const starts = [...this.#parts].map(([name, parts]) => ({ name, start: firstStartOf(parts) }));
    starts.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.name < b.name ? -1 : 1));
    return starts.map(({ name }) => name);
  }

  has(name: string): boolean {
    return this.#parts.has(name);
  }

  /** Whether no span of a service was seen; it is not added up for it. */
  isInferred(name: string): boolean {
    return (this.#parts.get(name) ?? []).every(({ sums }) => sums.isInferred);
  }

  service(name: string): ServiceRed | undefined {
    const known = this.#services.get(name);
    if (known !== undefined) return known;
    const parts = this.#parts.get(name);
    if (parts === undefined) return undefined;
    const service = sumOf(name, parts);
    this.#services.set(name, service);
    return service;
  }
}

/** Where a service has spans of its own these are its requests, else what its callers report. */
function shownOf(parts: readonly ServicePart[]): readonly ServicePart[] {
  const own = parts.filter(({ sums }) => !sums.isInferred);
  return own.length > 0 ? own : parts;
}

function firstStartOf(parts: readonly ServicePart[]): UnixNanos {
  let first: MinuteTime | null = null;
  for (const { sums } of shownOf(parts)) {
    const start = sums.cell.firstStart;
    if (start !== null && (first === null || isEarlier(start, first))) first = start;
  }
  return first === null ? (0n as UnixNanos) : unixNanosOf(first);
}

function sumOf(service: string, parts: readonly ServicePart[]): ServiceRed {
  const shown = shownOf(parts);
  const isInferred = shown.every(({ sums }) => sums.isInferred);
  const operations = new Map<string, RedCell[]>();
  const minutes = new Map<number, RedCell[]>();
  for (const { minute, sums } of shown) {
    push(minutes, minute, sums.cell);
    for (const [operation, cell] of sums.operations) if (cell.requests > 0) push(operations, operation, cell);
  }
  return {
    service,
    kind: nodeKinds.find((_, kind) => shown.some(({ sums }) => (sums.kinds[kind] ?? 0) > 0)) ?? "unknown",
    isInferred,
    cell: RedCell.sum(shown.map(({ sums }) => sums.cell)),
    operations: new OperationSums(operations),
    timeouts: parts.reduce((sum, { sums }) => sum + sums.timeouts, 0),
    rateLimitHits: parts.reduce((sum, { sums }) => sum + sums.rateLimitHits, 0),
    unreachable: isInferred ? unreachableMessage(parts) : null,
    firstStart: firstStartOf(parts),
    minutes: [...minutes]
      .filter(([minute]) => minute !== overflowMinute)
      .map(([minute, cells]) => ({ minute, cell: RedCell.sum(cells) })),
  };
}

function push<Key>(cells: Map<Key, RedCell[]>, key: Key, cell: RedCell): void {
  const known = cells.get(key);
  if (known === undefined) cells.set(key, [cell]);
  else known.push(cell);
}

function unreachableMessage(parts: readonly ServicePart[]): string | null {
  const counts = new Map<string, number>();
  let unreached = 0;
  let requests = 0;
  for (const { sums } of parts) {
    requests += sums.cell.requests;
    for (const [message, weight] of sums.unreachable) {
      unreached += weight;
      counts.set(message, (counts.get(message) ?? 0) + weight);
    }
  }
  if (unreached === 0 || unreached < requests) return null;
  const [most] = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return most?.[0] ?? null;
}

/** A node is what most certainly stands at that end: the first of these that was seen. */
const nodeKinds: readonly NodeKind[] = ["service", "database", "messaging", "external", "unknown"];

/** A service with its maps and counts, and what an operation takes in a map with its name. */
const serviceBytes = 600;
const operationBytes = 100;

/** One service in one minute, with spans of its own or as its callers saw it. */
class ServiceMinute {
  readonly isInferred: boolean;
  readonly operations = new Map<string, RedCell>();
  readonly kinds = nodeKinds.map(() => 0);
  timeouts = 0;
  rateLimitHits = 0;
  /** message -> weight of the calls that did not reach it */
  readonly unreachable = new Map<string, number>();
  readonly #minute: Services;
  /** null = not added up since something changed */
  #cell: RedCell | null = null;

  constructor(minute: Services, isInferred: boolean) {
    this.#minute = minute;
    this.isInferred = isInferred;
  }

  /** Whether all that was added was taken back. */
  get isEmpty(): boolean {
    for (const { requests } of this.operations.values()) if (requests > 0) return false;
    return true;
  }

  /** All operations together: added up once somebody asks, for minutes are added to much more often than read. */
  get cell(): RedCell {
    this.#cell ??= RedCell.sum([...this.operations.values()]);
    return this.#cell;
  }

  add(entry: Entry): void {
    const weight = exactWeight(entry.weight);
    this.#operationToAdd(entry.operation).add(entry.startTime, entry, weight);
    this.#count(entry, weight);
  }

  remove(entry: Entry): void {
    const weight = exactWeight(entry.weight);
    const cell = this.operations.get(entry.operation) ?? this.operations.get(overflowName);
    cell?.remove(entry.startTime, entry, weight);
    this.#count(entry, -weight);
  }

  /** The bytes that it takes, roughly. */
  compact(isOld: boolean): number {
    let bytes = serviceBytes;
    for (const cell of this.operations.values()) {
      if (isOld) cell.seal();
      bytes += operationBytes + cell.byteLength;
    }
    // what was added up stays right, and is let go for its room
    if (isOld) this.#cell = null;
    return bytes + (this.#cell?.byteLength ?? 0);
  }

  save(out: SnapshotWriter): void {
    out.map(this.operations, (operation, cell) => {
      out.text(operation);
      cell.save(out);
    });
    for (const weight of this.kinds) out.number(weight);
    out.number(this.timeouts);
    out.number(this.rateLimitHits);
    out.counts(this.unreachable);
  }

  load(from: SnapshotReader): void {
    from.map(this.operations, () => {
      const [operation, cell] = [from.text(), new RedCell()];
      cell.load(from);
      return [operation, cell];
    });
    for (const kind of this.kinds.keys()) this.kinds[kind] = from.number();
    this.timeouts = from.number();
    this.rateLimitHits = from.number();
    from.counts(this.unreachable);
  }

  /** Emptied operations stay, so that what was counted elsewhere for lack of room is found there again. */
  #operationToAdd(operation: string): RedCell {
    const own = this.operations.get(operation);
    if (own !== undefined) return own;
    const hasRoom =
      this.operations.size < operationsPerServiceMax && this.#minute.operationCount < operationsPerMinuteMax;
    const name = hasRoom ? operation : overflowName;
    const known = this.operations.get(name);
    if (known !== undefined) return known;
    const cell = new RedCell();
    this.operations.set(name, cell);
    this.#minute.operationCount += 1;
    return cell;
  }

  #count(entry: Entry, weight: number): void {
    this.#cell = null;
    const kind = nodeKinds.indexOf(entry.nodeKind);
    this.kinds[kind] = (this.kinds[kind] ?? 0) + weight;
    if (entry.timedOut) this.timeouts += weight;
    if (entry.rateLimited) this.rateLimitHits += weight;
    if (entry.unreachable === null) return;
    const hasRoom = this.unreachable.has(entry.unreachable) || this.unreachable.size < unreachableMessagesMax;
    const message = hasRoom ? entry.unreachable : overflowMessage;
    this.unreachable.set(message, (this.unreachable.get(message) ?? 0) + weight);
  }
}

const overflowMessage = "connection failed";

/** A service with spans of its own and the peer that its callers name apart, until a window brings them together. */
interface Services {
  readonly own: Map<string, ServiceMinute>;
  readonly inferred: Map<string, ServiceMinute>;
  operationCount: number;
}

function sideOf({ own, inferred }: Services, entry: Entry): Map<string, ServiceMinute> {
  return entry.isInferred ? inferred : own;
}

function serviceToAdd(minute: Services, entry: Entry, servicesMax: number): ServiceMinute {
  const services = sideOf(minute, entry);
  let service = knownService(services, entry);
  if (service === undefined) {
    service = new ServiceMinute(minute, entry.isInferred);
    services.set(services.size < servicesMax ? entry.service : overflowName, service);
  }
  return service;
}

/** Emptied services stay too; once there is an overflow there is no room, so nothing is looked for in the wrong place. */
function knownService(services: Map<string, ServiceMinute>, entry: Entry): ServiceMinute | undefined {
  return services.get(entry.service) ?? services.get(overflowName);
}
