import { textOf } from "../model/attributes.ts";
import { exceptionKeys } from "../model/semconv.ts";
import type { NodeNaming } from "../model/service-directory.ts";
import { identityOf, type ServiceIdentity } from "../model/service-identity.ts";
import { SpanKind, type SpanTable, StatusCode } from "../model/span-table.ts";
import { type Peer, peerOfAttributes } from "./peer-identity.ts";
import { RowAttributes, role } from "./row-attributes.ts";
import { describeError, GrpcCode, grpcCodeOf, grpcServerFailures, type SpanError } from "./span-error.ts";

export type { Peer } from "./peer-identity.ts";
export type { SpanError } from "./span-error.ts";

const known = new WeakMap<SpanTable, TableSemantics>();

/** What the rows of a table mean by OpenTelemetry's conventions. Ask only about rows whose decoding is done. */
export function semanticsOf(table: SpanTable): TableSemantics {
  let semantics = known.get(table);
  if (semantics === undefined) {
    semantics = new TableSemantics(table);
    known.set(table, semantics);
  }
  return semantics;
}

/** Answers are cached by resource, peer and string, so that a question costs one scan of the row's attributes at most. */
export class TableSemantics {
  readonly #table: SpanTable;
  readonly #row: RowAttributes;
  readonly #identities: (ServiceIdentity | undefined)[] = [];
  readonly #identityByKey = new Map<string, ServiceIdentity>();
  readonly #peers = new Map<string, Peer | null>();
  readonly #weights = new Map<number, number>();
  /** the row that `errorOf` was asked about last, and its answer */
  #errorRow = -1;
  #error: SpanError | null = null;
  /** names as `#naming` gave them at `#namingVersion` */
  #naming: NodeNaming | null = null;
  #namingVersion = 0;
  readonly #serviceNames: (string | undefined)[] = [];
  readonly #nameByIdentity = new Map<ServiceIdentity, string>();
  readonly #peerNames = new Map<Peer, string>();

  constructor(table: SpanTable) {
    this.#table = table;
    this.#row = new RowAttributes(table);
  }

  identityOf(row: number): ServiceIdentity {
    return this.identityOfResource(this.#table.resource[row] as number);
  }

  identityOfResource(resource: number): ServiceIdentity {
    const cached = this.#identities[resource];
    if (cached !== undefined) return cached;
    const key = this.#row.resourceKey(resource);
    let identity = this.#identityByKey.get(key);
    if (identity === undefined) {
      const { attributes, resources } = this.#table;
      const [start, end] = [resources.attributeStart[resource] ?? 0, resources.attributeEnd[resource] ?? 0];
      identity = identityOf(attributes.read(start, end));
      this.#identityByKey.set(key, identity);
    }
    while (this.#identities.length < resource) this.#identities.push(undefined);
    this.#identities[resource] = identity;
    return identity;
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

  peerName(peer: Peer, naming: NodeNaming): string {
    this.#useNaming(naming);
    let name = this.#peerNames.get(peer);
    if (name === undefined) {
      name = naming.nameOfPeer(peer);
      this.#peerNames.set(peer, name);
    }
    return name;
  }

  /** A `SpanKind`, never Unspecified: without a kind, a span that names a peer or a database calls it, others work locally. */
  kindOf(row: number): number {
    const kind = this.#table.kind[row] as number;
    if (kind > SpanKind.Unspecified && kind <= SpanKind.Consumer) return kind;
    if (kind > SpanKind.Consumer) return SpanKind.Internal;
    this.#row.scan(row);
    const isCall = this.#row.hasPeer && (this.#row.has(role.peerName) || this.#row.has(role.dbSystem));
    return isCall ? SpanKind.Client : SpanKind.Internal;
  }

  /**
   * Whether the work failed: by its status, where that is set; else by the HTTP or gRPC code (4xx and most gRPC codes are
   * failures for the caller only), `error.type` or an error flag. A recorded exception alone is none.
   */
  failed(row: number): boolean {
    const status = this.#table.statusCode[row] as number;
    if (status === StatusCode.Error) return true;
    if (status === StatusCode.Ok || this.#table.attributeStart[row] === this.#table.attributeEnd[row])
      return false;
    this.#row.scan(row);
    return this.#row.hasStatus && this.#failedByAttributes(row);
  }

  /** What a failed row says of its failure; null where it says nothing or did not fail. */
  errorOf(row: number): SpanError | null {
    if (row !== this.#errorRow) {
      this.#errorRow = row;
      this.#error = this.failed(row) ? this.#describe(row) : null;
    }
    return this.#error;
  }

  /** Whether the answer was that there were too many requests. */
  rateLimited(row: number): boolean {
    this.#row.scan(row);
    if (!this.#row.hasStatus) return false;
    return this.#row.number(role.httpStatus) === 429 || this.#grpcStatus() === GrpcCode.ResourceExhausted;
  }

  /** The far side of a call as the row describes it; the same object for the same peer. */
  peerOf(row: number): Peer | null {
    this.#row.scan(row);
    if (!this.#row.hasPeer) return null;
    const key = this.#row.peerKey();
    // URLs differ from call to call, so a peer that only a URL names is found by its host
    if (this.#row.has(role.url) && !this.#row.has(role.address)) return this.#peerOfUrl(key);
    let peer = this.#peers.get(key);
    if (peer === undefined) {
      peer = peerOfAttributes(this.#row);
      this.#peers.set(key, peer);
    }
    return peer;
  }

  /** What the row does with messages (`send`, `receive`, `process`, …), "" = nothing. */
  messagingOperationOf(row: number): string {
    this.#row.scan(row);
    return this.#row.hasPeer ? this.#row.text(role.messagingOperation) : "";
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
      dbStatus,
      isCaller: this.#isCaller(row),
    });
  }

  #useNaming(naming: NodeNaming): void {
    if (naming === this.#naming && naming.version === this.#namingVersion) return;
    this.#naming = naming;
    this.#namingVersion = naming.version;
    this.#serviceNames.length = 0;
    this.#nameByIdentity.clear();
    this.#peerNames.clear();
  }

  #isCaller(row: number): boolean {
    const kind = this.kindOf(row);
    return kind === SpanKind.Client || kind === SpanKind.Producer;
  }

  #failedByAttributes(row: number): boolean {
    const attributes = this.#row;
    const isCaller = this.#isCaller(row);
    const http = attributes.number(role.httpStatus);
    if (http !== -1) {
      if (isCaller ? !(http >= 100 && http < 400) : Number.isNaN(http) || http >= 500) return true;
      // some servers set their 4xx answers as error type; they are no failures of theirs
      if (attributes.text(role.errorType) === String(http)) return false;
    }
    const grpc = this.#grpcStatus();
    if (grpc !== -1 && (isCaller ? grpc !== GrpcCode.Ok : grpcServerFailures.has(grpc))) return true;
    return (
      attributes.has(role.errorType) || attributes.has(role.rpcError) || attributes.isTrue(role.errorFlag)
    );
  }

  #grpcStatus(): number {
    const code = this.#row.number(role.grpcStatus);
    return Number.isNaN(code) ? grpcCodeOf(this.#row.text(role.grpcStatus)) : code;
  }

  #peerOfUrl(key: string): Peer | null {
    const peer = peerOfAttributes(this.#row);
    if (peer === null) return null;
    const urlKey = `${key}${peer.host}:${peer.port}`;
    const cached = this.#peers.get(urlKey);
    if (cached !== undefined) return cached;
    this.#peers.set(urlKey, peer);
    return peer;
  }

  /** The last exception of the row's events. */
  #exceptionOf(row: number): { readonly exceptionType: string; readonly exceptionMessage: string } {
    const { events, strings, attributes, eventStart, eventEnd } = this.#table;
    for (let i = (eventEnd[row] as number) - 1; i >= (eventStart[row] as number); i -= 1) {
      if (strings.get(events.name[i] as number) !== exceptionKeys.event) continue;
      const said = attributes.read(events.attributeStart[i] as number, events.attributeEnd[i] as number);
      return {
        exceptionType: textOf(said.get(exceptionKeys.type)).trim(),
        exceptionMessage: textOf(said.get(exceptionKeys.message)).trim(),
      };
    }
    return { exceptionType: "", exceptionMessage: "" };
  }
}

/** 2^56 / (2^56 - threshold) for `ot=th:<threshold>` (hex, zeros at its right end left out); 1 where there is none. */
function weightOfTraceState(traceState: string): number {
  const vendor = /(?:^|,)\s*ot=([^,]*)/.exec(traceState)?.[1] ?? "";
  const digits = /(?:^|;)th:([0-9a-fA-F]{1,14})(?:;|$)/.exec(vendor.trim())?.[1];
  if (digits === undefined) return 1;
  const threshold = Number.parseInt(digits.padEnd(14, "0"), 16);
  return 2 ** 56 / (2 ** 56 - threshold);
}
