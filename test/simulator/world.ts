import { Breaker } from "./breaker.ts";
import { type Effect, Effects } from "./effects.ts";
import { EventQueue } from "./event-queue.ts";
import { Gate } from "./gate.ts";
import { exponential, logNormal, mix, Purpose, uniform } from "./random.ts";
import type {
  Failure,
  InstanceSample,
  Recording,
  SimLog,
  SimRequest,
  SimSpan,
  TopicSample,
} from "./recording.ts";
import type { Instance, Operation, Peer, Service, Topology } from "./topology.ts";

/** One execution of an operation, asked for by a call, a message, a timer or a user. */
export interface Execution {
  readonly request: SimRequest;
  readonly key: number;
  readonly parent: SimSpan | null;
  readonly link: SimSpan | null;
  readonly role: "server" | "consumer" | "internal";
  readonly instance: Instance;
  readonly operation: Operation;
  readonly attempt: number;
  /** a message that this consumer cannot read */
  readonly isPoison: boolean;
  readonly onDone: (failure: Failure | null) => void;
}

/** What one instance holds at a moment. */
export class InstanceState {
  readonly workers: Gate;
  readonly breakers = new Map<Service, Breaker>();
  readonly pools = new Map<Peer, Gate>();
  /** CPU time used since the last sample */
  cpuMs = 0;

  constructor({ service }: Instance) {
    this.workers = new Gate(() => service.workers);
  }

  breakerOf(service: Service): Breaker {
    const breaker = this.breakers.get(service) ?? new Breaker();
    this.breakers.set(service, breaker);
    return breaker;
  }
}

/** One execution in a hundred hits something slow: a cold cache, a lock, a collection of garbage. */
const tailShare = 0.01;
const tailFactor = 4;
/** of the logarithm of an operation's speed, from window to window */
const driftSigma = 0.03;

/** The state of one run, and what is recorded of it. */
export class World {
  readonly queue = new EventQueue();
  readonly topology: Topology;
  readonly seed: number;
  readonly effects: Effects;
  readonly instances: readonly InstanceState[];
  readonly peers: readonly Gate[];
  readonly requests: SimRequest[] = [];
  readonly spans: SimSpan[] = [];
  readonly logs: SimLog[] = [];
  readonly samples: InstanceSample[] = [];
  readonly topicSamples: TopicSample[] = [];
  /** the far ends of calls, put in by whoever builds the run: calls and executions need each other */
  serve: (execution: Execution) => void = () => {
    throw new Error("nobody serves");
  };
  publish: (producer: SimSpan, key: number) => void = () => {
    throw new Error("no broker");
  };

  constructor(topology: Topology, seed: number, effects: readonly Effect[]) {
    this.topology = topology;
    this.seed = seed;
    this.effects = new Effects(effects);
    this.instances = topology.services.flatMap(({ instances }) => instances).map((i) => new InstanceState(i));
    this.peers = topology.peers.map((peer) => new Gate(() => peer.workers));
  }

  get now(): number {
    return this.queue.now;
  }

  stateOf(instance: Instance): InstanceState {
    return this.instances[instance.index] as InstanceState;
  }

  /**
   * Own work of one execution without any fault: mostly around its median, now and then many times of it, and a little
   * different in each window, as real services are.
   */
  usualWorkMs({ key, operation: { index, workMs, workSigma } }: Execution): number {
    const drift = logNormal(mix(this.seed, index), Purpose.Drift, 1, driftSigma);
    const isSlow = uniform(key, Purpose.Tail) < tailShare;
    const tail = isSlow ? 3 + exponential(mix(key, 1), Purpose.Tail, tailFactor) : 1;
    return logNormal(key, Purpose.Work, workMs, workSigma) * drift * tail;
  }

  openSpan(
    fields: Pick<SimSpan, "request" | "key" | "parent" | "role" | "instance" | "attempt"> &
      Partial<Pick<SimSpan, "link" | "operation" | "call" | "topic" | "start">>,
  ): SimSpan {
    const span: SimSpan = {
      link: null,
      operation: null,
      call: null,
      topic: null,
      start: this.now,
      version: this.effects.versionOf(fields.instance, this.now),
      end: Number.NaN,
      failure: null,
      isClientError: false,
      exceptionAt: Number.NaN,
      withheld: null,
      ...fields,
    };
    this.spans.push(span);
    return span;
  }

  log(span: SimSpan, severity: SimLog["severity"], text: string, exception = ""): void {
    this.logs.push({ time: this.now, span, severity, text, exception });
  }

  /** An instance by the key of who asks, among those that balancers believe to be alive; null = none. */
  balance(service: Service, key: number): Instance | null {
    const { instances } = service;
    const first = Math.floor(uniform(key, Purpose.Balance) * instances.length);
    for (let i = 0; i < instances.length; i += 1) {
      const instance = instances[(first + i) % instances.length] as Instance;
      if (!this.effects.isAvoided(instance, this.now)) return instance;
    }
    return null;
  }

  /** One way over the network, ms; null = lost for good. */
  linkMs(caller: Instance, callee: Instance | Peer, key: number, way: "out" | "back"): number | null {
    const isFar = !("service" in callee) && callee.kind === "external";
    const isNear = "service" in callee && callee.host.zone === caller.host.zone;
    const usual = isFar ? 8 : isNear ? 0.3 : 0.7;
    const { delayMs, loss } = this.effects.link(caller, callee, this.now);
    const [linkPurpose, lossPurpose] =
      way === "out" ? [Purpose.LinkOut, Purpose.LossOut] : [Purpose.LinkBack, Purpose.LossBack];
    let ms = logNormal(key, linkPurpose, usual, 0.3);
    if (delayMs > 0) ms += logNormal(mix(key, 7), linkPurpose, delayMs, 0.15);
    // TCP sends again after 200 ms, 400 ms, …
    for (let tries = 0; uniform(mix(key, tries), lossPurpose) < loss; tries += 1) {
      if (tries === 6) return null;
      ms += 200 * 2 ** tries;
    }
    return ms;
  }

  recording(): Recording {
    const { requests, spans, logs, samples, topicSamples } = this;
    return { requests, spans, logs, samples, topicSamples };
  }
}
