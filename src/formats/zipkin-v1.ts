import type { AnyValue } from "../model/attributes.ts";
import { SpanKind } from "../model/span-table.ts";
import type { StringDictionary } from "../model/string-dictionary.ts";
import type { ZipkinEndpoint } from "./zipkin-span.ts";

/** A span of Zipkin's first model: what it is stands in its annotations. Texts are ids of strings, times are microseconds. */
export interface V1Span {
  /** 0 = none */
  readonly timestamp: number;
  /** NaN = none */
  readonly duration: number;
  readonly annotations: readonly V1Annotation[];
  /** its binary annotations */
  readonly tags: readonly V1Tag[];
}

export interface V1Annotation {
  readonly timestamp: number;
  readonly text: number;
  readonly endpoint: ZipkinEndpoint | null;
}

export interface V1Tag {
  key: number;
  /** -1 = it is another value */
  text: number;
  value: AnyValue;
  endpoint: ZipkinEndpoint | null;
}

/** A span of the first model, or one of the two that it may be. */
export interface Half {
  readonly kind: number;
  timestamp: number;
  /** NaN = not ended */
  duration: number;
  /** where the end is all that is known, 0 = unknown */
  readonly end: number;
  readonly local: ZipkinEndpoint | null;
  readonly remote: ZipkinEndpoint | null;
  annotations: readonly V1Annotation[];
  tags: readonly V1Tag[];
}

/** The sides that a span may have, with the key of the far side's address. */
const sides = [
  { kind: SpanKind.Client, remote: "sa" },
  { kind: SpanKind.Server, remote: "ca" },
  { kind: SpanKind.Producer, remote: "ma" },
  { kind: SpanKind.Consumer, remote: "ma" },
] as const;

/** Which of them begins or ends with an annotation. What a consumer began on the wire ends when it has the message. */
const events: ReadonlyMap<string, { readonly side: number; readonly isEnd: boolean }> = new Map([
  ["cs", { side: 0, isEnd: false }],
  ["cr", { side: 0, isEnd: true }],
  ["sr", { side: 1, isEnd: false }],
  ["ss", { side: 1, isEnd: true }],
  ["ms", { side: 2, isEnd: false }],
  ["ws", { side: 2, isEnd: true }],
  ["wr", { side: 3, isEnd: false }],
  ["mr", { side: 3, isEnd: true }],
]);

type Addresses = Partial<Record<"sa" | "ca" | "ma", ZipkinEndpoint>>;

/**
 * A span of the first model as one of the second, or as the two halves that it holds. What it says of its own start and
 * duration is said by the side that made it: the caller, where there is one.
 */
export function halvesOf(span: V1Span, strings: StringDictionary): readonly Half[] {
  const annotations: V1Annotation[] = [];
  const starts: (V1Annotation | undefined)[] = [undefined, undefined, undefined, undefined];
  const ends: (V1Annotation | undefined)[] = [undefined, undefined, undefined, undefined];
  for (const annotation of span.annotations) {
    const event = events.get(strings.get(annotation.text));
    if (event === undefined) annotations.push(annotation);
    else if (event.isEnd) ends[event.side] ??= annotation;
    else starts[event.side] ??= annotation;
  }
  // A message that nobody saw on the wire begins where it ends.
  starts[3] ??= ends[3];
  const tags: V1Tag[] = [];
  const addresses: Addresses = {};
  let own = annotations.find(({ endpoint }) => endpoint !== null)?.endpoint ?? null;
  for (const tag of span.tags) {
    const key = strings.get(tag.key);
    const isAddress = key === "sa" || key === "ca" || key === "ma";
    if (isAddress && tag.endpoint !== null) addresses[key] = tag.endpoint;
    else {
      own ??= tag.endpoint;
      if (key !== "lc" || tag.text !== 0) tags.push(tag);
    }
  }
  const halves: Half[] = [];
  for (let i = 0; i < sides.length; i += 1) {
    if (starts[i] === undefined && ends[i] === undefined) continue;
    const { kind, remote } = sides[i] as (typeof sides)[number];
    halves.push(halfOf(kind, addresses[remote] ?? null, starts[i], ends[i]));
  }
  const first = halves[0] ?? localHalf(own, addresses);
  if (halves.length === 0) halves.push(first);
  const isWhole = halves.length === 1;
  for (const half of halves) {
    const isOfHalf = ({ endpoint }: V1Annotation | V1Tag) => ownerOf(halves, first, endpoint) === half;
    half.annotations = isWhole ? annotations : annotations.filter(isOfHalf);
    half.tags = isWhole ? tags : tags.filter(isOfHalf);
  }
  if (span.timestamp > 0) {
    first.timestamp = span.timestamp;
    if (!Number.isNaN(span.duration)) first.duration = span.duration;
  }
  return halves;
}

function halfOf(
  kind: number,
  remote: ZipkinEndpoint | null,
  start: V1Annotation | undefined,
  end: V1Annotation | undefined,
): Half {
  const timestamp = Math.max(0, start?.timestamp ?? 0);
  const isTimed = timestamp > 0 && end !== undefined && end !== start && end.timestamp > 0;
  const duration = isTimed ? end.timestamp - timestamp : Number.NaN;
  const local = start?.endpoint ?? end?.endpoint ?? null;
  const isEnd = timestamp === 0 && end !== undefined;
  return {
    kind,
    timestamp,
    duration,
    end: isEnd ? Math.max(0, end.timestamp) : 0,
    local,
    remote,
    annotations: [],
    tags: [],
  };
}

/** Work within one service; or a call of which no more is known than who its other side was. */
function localHalf(own: ZipkinEndpoint | null, { sa, ca, ma }: Addresses): Half {
  const kind = sa !== undefined ? SpanKind.Client : ca !== undefined ? SpanKind.Server : SpanKind.Unspecified;
  return {
    kind,
    timestamp: 0,
    duration: Number.NaN,
    end: 0,
    local: own ?? (sa === undefined ? null : (ca ?? null)),
    remote: sa ?? ca ?? ma ?? null,
    annotations: [],
    tags: [],
  };
}

/** Whose an annotation is: the half of its service, else the first. */
function ownerOf(halves: readonly Half[], first: Half, endpoint: ZipkinEndpoint | null): Half {
  if (endpoint === null) return first;
  return halves.find(({ local }) => local?.serviceName === endpoint.serviceName) ?? first;
}
