import type { Attributes } from "../../src/model/attributes.ts";
import type { UnixNanos } from "../../src/model/time.ts";
import { podName } from "./names.ts";
import { mix, Purpose } from "./random.ts";
import type { SimRequest, SimSpan } from "./recording.ts";
import type { Instance } from "./topology.ts";

/** From simulated time to what clocks say. */
export class Clock {
  /** the start of the window */
  readonly start: UnixNanos;

  constructor(start: bigint) {
    this.start = start as UnixNanos;
  }

  /** By the clock of the instance's host, in whole microseconds. */
  at({ host }: Instance, ms: number): UnixNanos {
    return this.exact(ms + host.skewMs);
  }

  /** By a clock that is right. */
  exact(ms: number): UnixNanos {
    return (this.start + BigInt(Math.round(ms * 1000)) * 1000n) as UnixNanos;
  }
}

/** The resources of instances: one object for each instance and version, so that writers can group by it. */
export class Resources {
  readonly #known = new Map<string, Attributes>();

  of(instance: Instance, version: string): Attributes {
    const key = `${instance.index}/${version}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { service, host, ordinal } = instance;
    const pod = podName(service.name, version, ordinal);
    const attributes: Attributes = new Map([
      ["service.name", service.name],
      ["service.version", version],
      ["service.instance.id", pod],
      ["k8s.pod.name", pod],
      ["k8s.node.name", host.name],
      ["host.name", host.name],
      ["cloud.availability_zone", host.zone],
      ["telemetry.sdk.language", service.language],
    ]);
    this.#known.set(key, attributes);
    return attributes;
  }
}

/** 32 hex digits. Keys are hashes, so the label takes part: two requests must not share a trace. */
export function traceIdOf({ key, label }: SimRequest): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < label.length; i += 1) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
  const salt = mix(hash, Purpose.TraceId);
  return hex(mix(key, Purpose.TraceId)) + hex(mix(key, salt)) + hex(mix(salt, key)) + hex(salt);
}

/** 16 hex digits. */
export function spanIdOf({ key, request }: SimSpan): string {
  return hex(mix(key, Purpose.SpanId)) + hex(mix(mix(request.key, key), Purpose.SpanId));
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
