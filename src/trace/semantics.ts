import { grow } from "../base/grow.ts";
import { type Attributes, textOf } from "../model/attributes.ts";
import { sampleWeightMax } from "../model/limits.ts";
import {
  exceptionEvent,
  exceptionKeys,
  messageNumberKeys,
  openTracingErrorEvents,
} from "../model/semconv.ts";
import type { NodeNaming } from "../model/service-directory.ts";
import { identityOf, type ServiceIdentity } from "../model/service-identity.ts";
import { SpanKind, type SpanTable, StatusCode, spanKindByWord } from "../model/span-table.ts";
import type { NodeKind } from "./calls.ts";
import { EqualResources } from "./equal-resources.ts";
import { operationOfName } from "./operation-name.ts";
import { addressOfAttributes, hasHostByName, type Peer, peerOfAttributes } from "./peer-identity.ts";
import { RowAttributes, role, ValueTree } from "./row-attributes.ts";
import {
  describeError,
  GrpcCode,
  grpcCodeOf,
  grpcServerFailures,
  isErrorFlag,
  type SpanError,
} from "./span-error.ts";

export type { Peer } from "./peer-identity.ts";
export type { SpanError } from "./span-error.ts";

const known = new WeakMap<SpanTable, TableSemantics>();
/** What was asked for last: questions come many at a time about one table. */
let lastTable: SpanTable | null = null;
let lastSemantics: TableSemantics | null = null;

/** What the rows of a table mean by OpenTelemetry's conventions. Ask only about rows whose decoding is done. */
export function semanticsOf(table: SpanTable): TableSemantics {
  if (table === lastTable && lastSemantics !== null) return lastSemantics;
  let semantics = known.get(table);
  if (semantics === undefined) {
    semantics = new TableSemantics(table);
    known.set(table, semantics);
  }
  lastTable = table;
  lastSemantics = semantics;
  return semantics;
}

/** The far side of a call by the name that it has in a trace. */
export interface NamedPeer {
  readonly name: string;
  readonly kind: NodeKind;
}

/** Bits of what is known of a row. */
const Fact = {
  Known: 1,
  Failed: 2,
  RateLimited: 4,
  Stream: 8,
  Summary: 16,
  TurnedAway: 32,
  Repeats: 64,
  Receives: 128,
  SendsNothing: 256,
} as const;
/** In place of a peer's number. */
const PeerNumber = { Unknown: 0, None: 1, First: 2 } as const;

/** What was made of resources lately, by `RowAttributes.resourceKey`: it depends on nothing else. */
const identityByKey = new Map<string, ServiceIdentity>();
const identitiesMax = 10_000;

/** Answers are cached by row, resource, peer and string: what is asked of every row costs one scan of its attributes. */
export class TableSemantics {
  readonly #table: SpanTable;
  readonly #row: RowAttributes;
  readonly #equalResources: EqualResources;
  readonly #identities: (ServiceIdentity | undefined)[] = [undefined];
  /** by row: bits of `Fact` */
  #facts = new Uint16Array(0);
  /** by row: a `PeerNumber` */
  #peerOfRow = new Int32Array(0);
  readonly #peers: Peer[] = [];
  /** numbers of peers by all that they are */
  readonly #peerNumbers = new Map<string, number>();
  /** and by what rows say of them */
  readonly #peerTree = new ValueTree<number>();
  readonly #weights = new Map<number, number>();
  /** by string id of a span's name */
  readonly #operations: (string | undefined)[] = [undefined];
  /** the row that `errorOf` was asked about last, and its answer */
  #errorRow = -1;
  #error: SpanError | null = null;
  /** names as `#naming` gave them at `#namingVersion` */
  #naming: NodeNaming | null = null;
  #namingVersion = 0;
  readonly #serviceNames: (string | undefined)[] = [undefined];
  readonly #nameByIdentity = new Map<ServiceIdentity, string>();
  /** by a peer's place in `#peers` */
  readonly #namedPeers: (NamedPeer | undefined)[] = [undefined];

  constructor(table: SpanTable) {
    this.#table = table;
    this.#row = new RowAttributes(table);
    this.#equalResources = new EqualResources(table);
  }

  identityOf(row: number): ServiceIdentity {
    return this.identityOfResource(this.#table.resource[row] as number);
  }

  identityOfResource(resource: number): ServiceIdentity {
    const cached = this.#identities[resource];
    if (cached !== undefined) return cached;
    const first = this.#equalResources.firstOf(resource);
    const identity = this.#identities[first] ?? this.#identityOfFirst(first);
    while (this.#identities.length < resource) this.#identities.push(undefined);
    this.#identities[resource] = identity;
    return identity;
  }

  /** The first resource, of those that were asked about, that says the same: what is made of a resource may be made once for all of them. */
  firstEqualResource(resource: number): number {
    return this.#equalResources.firstOf(resource);
  }

  /** The name of the row's service; the same string object for the same service while names do not change. */
  serviceOf(row: number, naming: NodeNaming): string {
    this.#useNaming(naming);
    const resource = this.#table.resource[row] as number;
    const cached = this.#serviceNames[resource];
    if (cached !== undefined) return cached;
    const identity = this.identityOfResource(resource);
    let name = this.#nameByIdentity.get(identity);
    if (name === undefined) {
      name = naming.nameOf(identity);
      this.#nameByIdentity.set(identity, name);
    }
    while (this.#serviceNames.length < resource) this.#serviceNames.push(undefined);
    this.#serviceNames[resource] = name;
    return name;
  }

  /** What the row's work is called, without what changes from request to request. */
  operationOf(row: number): string {
    const name = this.#table.name[row] as number;
    const cached = this.#operations[name];
    if (cached !== undefined) return cached;
    const operation = operationOfName(this.#table.strings.get(name));
    while (this.#operations.length < name) this.#operations.push(undefined);
    this.#operations[name] = operation;
    return operation;
  }

  /**
   * A `SpanKind`, never Unspecified: without a kind, a span is what its `span.kind` says; one that names a peer or a database
   * calls it, others work locally.
   */
  kindOf(row: number): number {
    const kind = this.#table.kind[row] as number;
    if (kind > SpanKind.Unspecified && kind <= SpanKind.Consumer) return kind;
    if (kind > SpanKind.Consumer) return SpanKind.Internal;
    this.#row.scan(row);
    const told = spanKindByWord.get(this.#row.text(role.kindWord).toLowerCase());
    if (told !== undefined) return told;
    const isCall = this.#row.hasPeer && (this.#row.has(role.peerName) || this.#row.has(role.dbSystem));
    return isCall ? SpanKind.Client : SpanKind.Internal;
  }

  /**
   * Whether the work failed: by its status, where that is set; else by the HTTP or gRPC code (4xx and most gRPC codes are
   * failures for the caller only), `error.type` or an error flag. A recorded exception alone is none.
   */
  failed(row: number): boolean {
    return (this.#factsOf(row) & Fact.Failed) !== 0;
  }

  /** What a failed row says of its failure, as sent (reports show `shownErrorOf`); null where it says nothing or did not fail. */
  errorOf(row: number): SpanError | null {
    if (row !== this.#errorRow) {
      this.#errorRow = row;
      this.#error = this.failed(row) ? this.#describe(row) : null;
    }
    return this.#error;
  }

  /** Whether the answer was that there were too many requests. */
  rateLimited(row: number): boolean {
    return (this.#factsOf(row) & Fact.RateLimited) !== 0;
  }

  /** Whether the answer was that the work is not done here: refused, moved, not modified, or failed. */
  isTurnedAway(row: number): boolean {
    return (this.#factsOf(row) & Fact.TurnedAway) !== 0;
  }

  /**
   * Whether the request became a connection that stays open (a WebSocket, server-sent events, a gRPC or LLM stream): how long
   * it lasts says nothing of how fast it was.
   */
  isStream(row: number): boolean {
    return (this.#factsOf(row) & Fact.Stream) !== 0;
  }

  /** Whether an attribute that means something to the analysis was sent twice: the last value counts. */
  repeatsAttribute(row: number): boolean {
    return (this.#factsOf(row) & Fact.Repeats) !== 0;
  }

  /** The far side of a call as the row describes it; the same object for the same peer. */
  peerOf(row: number): Peer | null {
    const number = this.#peerNumberOf(row);
    return number === PeerNumber.None ? null : (this.#peers[number - PeerNumber.First] as Peer);
  }

  /** The same as it is called in a trace. */
  namedPeerOf(row: number, naming: NodeNaming): NamedPeer | null {
    const number = this.#peerNumberOf(row);
    if (number === PeerNumber.None) return null;
    this.#useNaming(naming);
    const place = number - PeerNumber.First;
    const cached = this.#namedPeers[place];
    if (cached !== undefined) return cached;
    const peer = this.#peers[place] as Peer;
    const named = { name: naming.nameOfPeer(peer), kind: peer.kind };
    while (this.#namedPeers.length < place) this.#namedPeers.push(undefined);
    this.#namedPeers[place] = named;
    return named;
  }

  /** Where a call went, as `host:port` or `host`; "" where the row does not say it. */
  addressOf(row: number): string {
    this.#row.scan(row);
    return this.#row.hasPeer ? addressOfAttributes(this.#row) : "";
  }

  /** Whether the row fetched a message. */
  receives(row: number): boolean {
    return (this.#factsOf(row) & Fact.Receives) !== 0;
  }

  /** Whether the row only made or acknowledged a message. */
  sendsNothing(row: number): boolean {
    return (this.#factsOf(row) & Fact.SendsNothing) !== 0;
  }

  /** How many spans this one stands for, by the sampling threshold in its trace state; 1 = not sampled. */
  weightOf(row: number): number {
    const state = this.#table.traceState[row] as number;
    if (state === 0) return 1;
    let weight = this.#weights.get(state);
    if (weight === undefined) {
      weight = weightOfTraceState(this.#table.strings.get(state));
      this.#weights.set(state, weight);
    }
    return weight;
  }

  /** Whether span pruning merged several spans into the row. */
  isSummary(row: number): boolean {
    return (this.#factsOf(row) & Fact.Summary) !== 0;
  }

  /** How many spans a summary stands for. */
  summaryCountOf(row: number): number {
    this.#row.scan(row);
    const count = Math.floor(this.#row.number(role.summaryCount));
    return count >= 1 ? Math.min(sampleWeightMax, count) : 1;
  }

  /** How long they took in the mean; null where a summary does not say it. Its own time is from the first start to the last end. */
  summaryMeanNanosOf(row: number): number | null {
    this.#row.scan(row);
    const nanos = this.#row.number(role.summaryMeanNanos);
    return nanos >= 0 && Number.isFinite(nanos) ? nanos : null;
  }

  /** Resources that differ in what says nothing of identity share one too, and so do those of other tables: senders repeat them. */
  #identityOfFirst(resource: number): ServiceIdentity {
    const key = this.#row.resourceKey(resource);
    let identity = identityByKey.get(key);
    if (identity === undefined) {
      const { attributes, resources } = this.#table;
      const [start, end] = [resources.attributeStart[resource] ?? 0, resources.attributeEnd[resource] ?? 0];
      identity = identityOf(attributes.read(start, end));
      if (identityByKey.size >= identitiesMax) identityByKey.clear();
      identityByKey.set(key, identity);
    }
    return identity;
  }

  #factsOf(row: number): number {
    this.#makeRoom(row);
    let facts = this.#facts[row] as number;
    if (facts !== 0) return facts;
    facts = Fact.Known;
    const status = this.#table.statusCode[row] as number;
    if (this.#table.attributeStart[row] !== this.#table.attributeEnd[row]) {
      this.#row.scan(row);
      if (this.#row.hasRepeats) facts |= Fact.Repeats;
      if (this.#row.has(role.messagingOperation)) facts |= this.#messagingFacts();
      if (this.#row.hasStatus) {
        const http = this.#row.number(role.httpStatus);
        const grpc = this.#grpcStatus();
        if (http === 101 || this.#saysStream()) facts |= Fact.Stream;
        if (this.#row.has(role.summaryCount) && this.#row.isTrue(role.isSummary)) facts |= Fact.Summary;
        if (http >= 300 || grpc > 0) facts |= Fact.TurnedAway;
        if (http === 429 || grpc === GrpcCode.ResourceExhausted) facts |= Fact.RateLimited;
        if (status !== StatusCode.Ok && this.#failedByCodes(row, http, grpc)) facts |= Fact.Failed;
      }
    }
    if (status === StatusCode.Error) facts |= Fact.Failed;
    if (this.#table.eventStart[row] !== this.#table.eventEnd[row] && this.#hasSecondMessage(row))
      facts |= Fact.Stream;
    this.#facts[row] = facts;
    return facts;
  }

  #messagingFacts(): number {
    const operation = this.#row.text(role.messagingOperation);
    if (operation === "receive") return Fact.Receives;
    return operation === "create" || operation === "settle" ? Fact.SendsNothing : 0;
  }

  /** Rows may still be added to a table. */
  #makeRoom(row: number): void {
    if (row < this.#facts.length) return;
    const capacity = Math.max(row + 1, this.#table.rowCount);
    this.#facts = grow(this.#facts, capacity);
    this.#peerOfRow = grow(this.#peerOfRow, capacity);
  }

  #peerNumberOf(row: number): number {
    this.#makeRoom(row);
    const numbered = this.#peerOfRow[row] as number;
    if (numbered !== PeerNumber.Unknown) return numbered;
    const number = this.#findPeer(row);
    this.#peerOfRow[row] = number;
    // while its attributes are at hand
    this.#factsOf(row);
    return number;
  }

  #findPeer(row: number): number {
    this.#row.scan(row);
    if (!this.#row.hasPeer) return PeerNumber.None;
    const isNamed = hasHostByName(this.#row);
    // URLs differ from call to call, so a peer that only a URL names is found by what is made of it
    if (!isNamed && this.#row.has(role.url)) return this.#numberOf(peerOfAttributes(this.#row));
    const place = this.#row.peerPlace(this.#peerTree, isNamed);
    place.thing ??= this.#numberOf(peerOfAttributes(this.#row));
    return place.thing;
  }

  #numberOf(peer: Peer | null): number {
    if (peer === null) return PeerNumber.None;
    const { name, namespace, host, port, form, kind } = peer;
    const key = [name, namespace, host, port, form, kind].join("\u0000");
    let number = this.#peerNumbers.get(key);
    if (number !== undefined) return number;
    number = PeerNumber.First + this.#peers.length;
    this.#peers.push(peer);
    this.#peerNumbers.set(key, number);
    return number;
  }

  #describe(row: number): SpanError | null {
    this.#row.scan(row);
    const httpStatus = this.#row.number(role.httpStatus);
    const grpcStatus = this.#grpcStatus();
    const errorType = this.#row.text(role.errorType) || this.#row.text(role.rpcError);
    const dbStatus = this.#row.text(role.dbStatus);
    const { strings, statusMessage } = this.#table;
    return describeError({
      httpStatus,
      grpcStatus,
      errorType,
      ...this.#exceptionOf(row),
      statusMessage: strings.get(statusMessage[row] as number),
      errorMessage: this.#row.text(role.errorMessage),
      errorFlag: this.#row.text(role.errorFlag),
      dbStatus,
      proxyFlags: this.#row.text(role.proxyFlags),
      isCaller: this.#isCaller(row),
    });
  }

  #useNaming(naming: NodeNaming): void {
    if (naming === this.#naming && naming.version === this.#namingVersion) return;
    this.#naming = naming;
    this.#namingVersion = naming.version;
    this.#serviceNames.length = 0;
    this.#nameByIdentity.clear();
    this.#namedPeers.length = 0;
  }

  #isCaller(row: number): boolean {
    const kind = this.kindOf(row);
    return kind === SpanKind.Client || kind === SpanKind.Producer;
  }

  #failedByCodes(row: number, http: number, grpc: number): boolean {
    const attributes = this.#row;
    const isCaller = this.#isCaller(row);
    if (http !== -1) {
      if (isCaller ? !(http >= 100 && http < 400) : Number.isNaN(http) || http >= 500) return true;
      // some servers set their 4xx answers as error type; they are no failures of theirs
      if (attributes.text(role.errorType) === String(http)) return false;
    }
    if (grpc !== -1 && (isCaller ? grpc !== GrpcCode.Ok : grpcServerFailures.has(grpc))) return true;
    return (
      attributes.has(role.errorType) ||
      attributes.has(role.rpcError) ||
      isErrorFlag(attributes.text(role.errorFlag))
    );
  }

  /** By the attributes of the row that was scanned last. */
  #saysStream(): boolean {
    const attributes = this.#row;
    if (attributes.has(role.contentType) && attributes.text(role.contentType).includes("text/event-stream"))
      return true;
    if (streamProtocols.has(attributes.text(role.protocol).toLowerCase())) return true;
    return attributes.isTrue(role.asksForStream);
  }

  /** Whether a gRPC call sent or received more than one message. */
  #hasSecondMessage(row: number): boolean {
    const { events, attributes, eventStart, eventEnd, strings } = this.#table;
    for (let i = eventStart[row] as number; i < (eventEnd[row] as number); i += 1) {
      const name = strings.get(events.name[i] as number);
      if (name !== "rpc.message" && name !== "message") continue;
      const said = attributes.read(events.attributeStart[i] as number, events.attributeEnd[i] as number);
      for (const key of messageNumberKeys) if (Number(textOf(said.get(key))) > 1) return true;
    }
    return false;
  }

  #grpcStatus(): number {
    const code = this.#row.number(role.grpcStatus);
    return Number.isNaN(code) ? grpcCodeOf(this.#row.text(role.grpcStatus)) : code;
  }

  /** The last exception of the row's events; by OpenTracing's names only if there is none by OpenTelemetry's. */
  #exceptionOf(row: number): { readonly exceptionType: string; readonly exceptionMessage: string } {
    const { events, strings, attributes, eventStart, eventEnd } = this.#table;
    let found = noException;
    for (let i = (eventEnd[row] as number) - 1; i >= (eventStart[row] as number); i -= 1) {
      const name = strings.get(events.name[i] as number);
      const isException = name === exceptionEvent;
      if (!isException && (found !== noException || !openTracingErrorEvents.includes(name))) continue;
      const said = attributes.read(events.attributeStart[i] as number, events.attributeEnd[i] as number);
      const exceptionType = firstText(said, exceptionKeys.type);
      // a log without a name is one of an error only if it says so
      if (name === "" && exceptionType === "" && !said.has("error.object") && !said.has("error")) continue;
      found = { exceptionType, exceptionMessage: firstText(said, exceptionKeys.message) };
      if (isException) return found;
    }
    return found;
  }
}

const streamProtocols: ReadonlySet<string> = new Set(["websocket", "ws", "wss"]);

const noException = { exceptionType: "", exceptionMessage: "" };

function firstText(said: Attributes, keys: readonly string[]): string {
  for (const key of keys) {
    const text = textOf(said.get(key)).trim();
    if (text !== "") return text;
  }
  return "";
}

/** 2^56 / (2^56 - threshold) for `ot=th:<threshold>` (hex, zeros at its right end left out) up to a cap; 1 where there is none. */
function weightOfTraceState(traceState: string): number {
  const vendor = /(?:^|,)\s*ot=([^,]*)/.exec(traceState)?.[1] ?? "";
  const digits = /(?:^|;)th:([0-9a-fA-F]{1,14})(?:;|$)/.exec(vendor.trim())?.[1];
  if (digits === undefined) return 1;
  const threshold = Number.parseInt(digits.padEnd(14, "0"), 16);
  return Math.min(sampleWeightMax, 2 ** 56 / (2 ** 56 - threshold));
}
