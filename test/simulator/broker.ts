import { mix, Purpose, uniform } from "./random.ts";
import type { SimRequest, SimSpan } from "./recording.ts";
import { runOperation } from "./server.ts";
import type { Instance, Topic } from "./topology.ts";
import type { World } from "./world.ts";

interface Message {
  readonly producer: SimSpan;
  readonly key: number;
  readonly request: SimRequest;
  readonly isPoison: boolean;
}

/** A message that cannot be worked on is tried so often before it is put aside, with a pause before each try. */
const deliveriesMax = 6;
const redeliveryMs = 1000;
/** How soon is looked again where no consumer is alive. */
const absentMs = 1000;

/** The messages of all topics, from being sent to being worked on. */
export class Broker {
  readonly #world: World;
  readonly #waiting = new Map<Topic, Message[]>();
  readonly #busy = new Map<Topic, number>();

  constructor(world: World) {
    this.#world = world;
    for (const topic of world.topology.topics) this.#waiting.set(topic, []);
    for (const effect of world.effects.all)
      if (effect.kind === "stall" && Number.isFinite(effect.to))
        world.queue.at(effect.to, () => this.#dispatch(effect.topic));
  }

  lagOf(topic: Topic): number {
    return this.#waiting.get(topic)?.length ?? 0;
  }

  publish(producer: SimSpan, key: number): void {
    const { topic, request } = producer;
    if (topic === null) return;
    const poison = this.#world.effects.poison(topic, this.#world.now);
    const isPoison = poison !== null && uniform(key, Purpose.Poison) < poison.probability;
    const message = {
      producer,
      key,
      isPoison,
      request: topic.isLinked ? this.#requestOf(producer) : request,
    };
    this.#waiting.get(topic)?.push(message);
    const poll = topic.pollMs * uniform(key, Purpose.Poll);
    this.#world.queue.after(poll, () => this.#dispatch(topic));
  }

  #requestOf({ request, key, topic }: SimSpan): SimRequest {
    const own: SimRequest = {
      label: `${request.label}>${key}`,
      key: mix(request.key, key),
      kind: "message",
      isExtra: request.isExtra,
      operation: topic?.consumer ?? null,
      root: null,
      isWrong: false,
    };
    this.#world.requests.push(own);
    return own;
  }

  #dispatch(topic: Topic): void {
    const waiting = this.#waiting.get(topic) ?? [];
    const slots = topic.concurrency * topic.consumer.service.instances.length;
    while (waiting.length > 0 && (this.#busy.get(topic) ?? 0) < slots) {
      if (this.#world.effects.isStalled(topic, this.#world.now)) return;
      const next = waiting[0] as Message;
      const instance = this.#world.balance(topic.consumer.service, next.key);
      if (instance === null || this.#world.effects.down(instance, this.#world.now) !== null) {
        this.#world.queue.after(absentMs, () => this.#dispatch(topic));
        return;
      }
      waiting.shift();
      this.#busy.set(topic, (this.#busy.get(topic) ?? 0) + 1);
      this.#deliver(topic, next, instance, 0);
    }
  }

  /** The slot stays taken until the message is done with: later messages of its partition wait. */
  #deliver(topic: Topic, message: Message, instance: Instance, attempt: number): void {
    const world = this.#world;
    const { producer, key, request, isPoison } = message;
    const execution = {
      request,
      role: "consumer" as const,
      instance,
      operation: topic.consumer,
      attempt,
      isPoison,
      key: mix(key, 0x200 + attempt),
      parent: topic.isLinked ? null : producer,
      link: producer,
      onDone: () => {
        if (isPoison && attempt + 1 < deliveriesMax)
          world.queue.after(redeliveryMs, () => this.#deliver(topic, message, instance, attempt + 1));
        else {
          this.#busy.set(topic, (this.#busy.get(topic) ?? 0) - 1);
          this.#dispatch(topic);
        }
      },
    };
    runOperation(world, execution, world.now, () => {});
  }
}
