import { failures } from "./failures.ts";
import { Gate } from "./gate.ts";
import { logNormal, mix, Purpose, uniform } from "./random.ts";
import type { Failure, SimRequest, SimSpan } from "./recording.ts";
import { type Call, type Instance, nameOfTarget, type Operation, type Peer } from "./topology.ts";
import type { World } from "./world.ts";

/** Who makes a call. */
export interface Caller {
  readonly world: World;
  readonly request: SimRequest;
  readonly span: SimSpan;
  readonly instance: Instance;
  readonly key: number;
}

type Done = (failure: Failure | null) => void;

/** What a socket waits at most where the caller sets no timeout. */
const socketTimeoutMs = 30_000;
const poolTimeoutMs = 1500;

/** Makes a call with all that its policy says: breaker, pool, attempts, fallback, the database behind a cache. */
export function makeCall(caller: Caller, call: Call, done: Done): void {
  const { world, instance } = caller;
  const { to } = call;
  const key = mix(caller.key, call.index);
  if (to.kind === "topic") {
    send(caller, call, key, done);
    return;
  }
  if (
    to.kind === "operation" &&
    call.hasBreaker &&
    !world.stateOf(instance).breakerOf(to.service).allows(world.now)
  ) {
    caller.span.withheld = [...(caller.span.withheld ?? []), call];
    conclude(caller, call, key, failures.breaker(to.service.name), done);
    return;
  }
  tryCall(caller, call, key, 0, done);
}

function tryCall(caller: Caller, call: Call, key: number, attempt: number, done: Done): void {
  const { world, instance } = caller;
  withConnection(caller, call, (poolFailure, release) => {
    if (poolFailure !== null) {
      conclude(caller, call, key, poolFailure, done);
      return;
    }
    sendRequest(caller, call, mix(key, 0x100 + attempt), attempt, (failure) => {
      release();
      const { to } = call;
      if (to.kind === "operation" && call.hasBreaker)
        world
          .stateOf(instance)
          .breakerOf(to.service)
          .record(failure !== null, world.now);
      if (failure === null || attempt + 1 >= call.attempts) {
        conclude(caller, call, key, failure, done);
        return;
      }
      const pause = call.backoffMs * 2 ** attempt * (0.5 + uniform(mix(key, attempt), Purpose.Backoff));
      world.queue.after(pause, () => tryCall(caller, call, key, attempt + 1, done));
    });
  });
}

/** The end of all attempts: what the caller makes of it. */
function conclude(caller: Caller, call: Call, key: number, failure: Failure | null, done: Done): void {
  const { world, span } = caller;
  const name = nameOfTarget(call.to);
  if (call.onMiss !== null && (failure !== null || uniform(key, Purpose.CacheMiss) < call.missRatio)) {
    if (failure !== null)
      world.log(span, "WARN", `cache unavailable, asking the database: ${failure.message}`);
    makeCall(caller, call.onMiss, done);
  } else if (failure !== null && call.hasFallback) {
    world.log(span, "WARN", `${name} failed, using the fallback: ${failure.message}`, failure.exception);
    done(null);
  } else done(failure);
}

/** Waits for a connection where the call needs one of a pool; the wait is before the client span, as with database drivers. */
function withConnection(
  { world, instance }: Caller,
  call: Call,
  run: (failure: Failure | null, release: () => void) => void,
): void {
  const { to } = call;
  if (to.kind === "operation" || to.kind === "topic" || call.poolSize === Infinity) {
    run(null, () => {});
    return;
  }
  const { pools } = world.stateOf(instance);
  let pool = pools.get(to);
  if (pool === undefined) {
    const leaked = (): number => world.effects.leakedConnections(instance.service, to, world.now);
    pool = new Gate(() => Math.max(0, call.poolSize - leaked()));
    pools.set(to, pool);
  }
  const connections = pool;
  const giveUp = connections.enter(() => run(null, () => connections.leave()));
  if (giveUp === null) return;
  world.queue.after(poolTimeoutMs, () => {
    if (giveUp()) run(failures.pool(nameOfTarget(to), poolTimeoutMs), () => {});
  });
}

/** One attempt: from the start of the client span to its end, whatever the far end still does afterwards. */
function sendRequest(caller: Caller, call: Call, key: number, attempt: number, done: Done): void {
  const { world, request, instance } = caller;
  const to = call.to as Operation | Peer;
  const name = nameOfTarget(to);
  const span = world.openSpan({
    request,
    key: mix(key, 1),
    parent: caller.span,
    role: "client",
    instance,
    call,
    attempt,
  });
  let isOpen = true;
  const settle: Done = (failure) => {
    if (!isOpen) return;
    isOpen = false;
    span.end = world.now;
    span.failure = failure;
    if (failure !== null && failure.type !== "downstream") span.exceptionAt = world.now;
    if (world.effects.down(instance, world.now) !== null) span.end = Number.NaN;
    done(failure);
  };
  const patience = Math.min(call.timeoutMs, socketTimeoutMs);
  world.queue.after(patience, () => settle(failures.timeout(name, patience)));
  const dns = world.effects.dns(instance.service, world.now);
  if (dns !== null && uniform(key, Purpose.Dns) < dns.probability) {
    world.queue.after(logNormal(key, Purpose.Dns, 8, 0.4), () => settle(failures.dns(name)));
    return;
  }
  if (to.kind === "operation") sendToService({ caller, call, key, span, settle }, to);
  else sendToPeer({ caller, call, key, span, settle }, to);
}

interface Sent {
  readonly caller: Caller;
  readonly call: Call;
  readonly key: number;
  readonly span: SimSpan;
  readonly settle: Done;
}

function sendToService({ caller, key, span, settle }: Sent, operation: Operation): void {
  const { world, request, instance: from } = caller;
  const { service } = operation;
  const instance = world.balance(service, key);
  if (instance === null) {
    // the balancer itself answers that nobody is there
    world.queue.after(1, () => settle(failures.refused(service.name)));
    return;
  }
  const answer = (failure: Failure | null): void => {
    const back = world.linkMs(from, instance, key, "back");
    if (back !== null) world.queue.after(back, () => settle(failure));
  };
  const out = world.linkMs(from, instance, key, "out");
  if (out === null) return;
  world.queue.after(out, () => {
    const down = world.effects.down(instance, world.now);
    if (down !== null) {
      if (!down.isSilent) answer(failures.refused(service.name));
      return;
    }
    const arrivesWhole = (failure: Failure | null): Failure | null =>
      failure === null || failure.type === "overloaded" || failure.type === "reset"
        ? failure
        : failures.answered(service.name);
    world.serve({
      request,
      key: mix(key, 2),
      parent: span,
      link: null,
      role: "server",
      instance,
      operation,
      attempt: 0,
      isPoison: false,
      onDone: (failure) => answer(arrivesWhole(failure)),
    });
  });
}

function sendToPeer({ caller, call, key, settle }: Sent, peer: Peer): void {
  const { world, instance } = caller;
  const name = nameOfTarget(peer);
  const answer = (failure: Failure | null): void => {
    const back = world.linkMs(instance, peer, key, "back");
    if (back !== null) world.queue.after(back, () => settle(failure));
  };
  const out = world.linkMs(instance, peer, key, "out");
  if (out === null) return;
  world.queue.after(out, () => {
    const down = world.effects.peerDown(peer, world.now);
    if (down !== null) {
      if (!down.isSilent) answer(failures.refused(name));
      return;
    }
    const gate = world.peers[peer.index] as Gate;
    gate.enter(() => {
      const { factor, addMs } = world.effects.peerSlowdown(peer, call, world.now);
      const usual = logNormal(key, Purpose.PeerWork, peer.workMs, 0.5);
      world.queue.after(
        usual * factor + (addMs === 0 ? 0 : logNormal(mix(key, 3), Purpose.PeerWork, addMs, 0.4)),
        () => {
          gate.leave();
          const error = world.effects.peerError(peer, world.now);
          const hasFailed = error !== null && uniform(key, Purpose.PeerError) < error.probability;
          answer(hasFailed ? failures.query(name, error.message) : null);
        },
      );
    });
  });
}

/** Brokers take messages at once; whoever sends does not wait for whoever reads. */
function send({ world, request, span: parent, instance }: Caller, call: Call, key: number, done: Done): void {
  const topic = call.to.kind === "topic" ? call.to : null;
  const span = world.openSpan({
    request,
    key: mix(key, 1),
    parent,
    role: "producer",
    instance,
    call,
    topic,
    attempt: 0,
  });
  world.queue.after(logNormal(key, Purpose.PeerWork, 1.5, 0.4), () => {
    span.end = world.now;
    if (world.effects.down(instance, world.now) !== null) span.end = Number.NaN;
    world.publish(span, key);
    done(null);
  });
}
