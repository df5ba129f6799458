import { type Caller, makeCall } from "./client.ts";
import { failures } from "./failures.ts";
import { mix, Purpose, uniform } from "./random.ts";
import type { Failure, SimSpan } from "./recording.ts";
import type { Call } from "./topology.ts";
import type { Execution, World } from "./world.ts";

/** The share of a request's own work that uses the CPU. */
const cpuShare = 0.6;

/** A request arrives at an instance: it waits for a worker and is worked on, or is turned away where too many wait. */
export function serve(world: World, execution: Execution): void {
  const { instance } = execution;
  const { workers } = world.stateOf(instance);
  if (workers.waiting >= instance.service.queueMax) {
    execution.onDone(failures.overloaded(instance.service.name));
    return;
  }
  const arrived = world.now;
  workers.enter(() => {
    const start = instance.service.spanStart === "arrival" ? arrived : world.now;
    runOperation(world, execution, start, () => workers.leave());
  });
}

/** The work itself: own work and stages of calls in turn. `release` is called when the worker is free again. */
export function runOperation(world: World, execution: Execution, start: number, release: () => void): void {
  const { request, key, parent, link, role, instance, operation, attempt } = execution;
  const topic = role === "consumer" ? (parent ?? link)?.topic : null;
  const span = world.openSpan({
    request,
    key,
    parent,
    link,
    role,
    instance,
    operation,
    attempt,
    start,
    topic: topic ?? null,
  });
  if (parent === null) request.root ??= span;
  const total = world.usualWorkMs(execution);
  const answersEarly = uniform(key, Purpose.ClientError) < operation.clientErrorRatio;
  const slices = operation.stages.length + 1;
  const startVerdict = verdictAtStart(world, execution);

  const finish = (failure: Failure | null): void => {
    span.end = world.now;
    span.failure = failure;
    release();
    execution.onDone(failure);
  };
  const step = (stage: number): void => {
    const share = slices === 1 ? 1 : stage === 0 ? 0.4 : 0.6 / (slices - 1);
    const ms = total * share;
    world.stateOf(instance).cpuMs += ms * cpuShare;
    world.queue.after(world.effects.workMs(instance, operation, world.now, ms), () => {
      if (world.effects.down(instance, world.now) !== null) {
        // the process is gone and its span with it
        release();
        execution.onDone(failures.reset(instance.service.name));
        return;
      }
      if (stage === 0 && startVerdict !== null) {
        startVerdict(span);
        finish(span.failure);
      } else if (stage === 0 && answersEarly) {
        span.isClientError = true;
        finish(null);
      } else if (stage === operation.stages.length) {
        if (uniform(key, Purpose.Log) < 0.1) world.log(span, "INFO", `${operation.name} done`);
        finish(null);
      } else {
        const caller = { world, request, span, instance, key };
        runStage(caller, operation.stages[stage] as Call[], (failure) => {
          if (failure === null) step(stage + 1);
          else finish(passedOn(caller, failure));
        });
      }
    });
  };
  step(0);
}

/** What goes wrong in the operation itself, to be told on its span; null = nothing. */
function verdictAtStart(world: World, execution: Execution): ((span: SimSpan) => void) | null {
  const { key, instance, operation, isPoison, request } = execution;
  const fail = (failure: Failure) => (span: SimSpan) => {
    span.failure = failure;
    span.exceptionAt = world.now;
    world.log(span, "ERROR", `${operation.name} failed: ${failure.message}`, failure.exception);
  };
  if (isPoison)
    return fail(failures.own("DeserializationException", "cannot read message: unexpected field type"));
  const fault = world.effects.ownError(instance, operation, world.now);
  if (fault !== null && uniform(key, Purpose.FaultError) < fault.probability)
    return fail(failures.own(fault.exception, fault.message));
  const bodyError = world.effects.bodyError(instance, operation, world.now);
  if (bodyError !== null && uniform(key, Purpose.BodyError) < bodyError.probability)
    return (span) => {
      request.isWrong = true;
      world.log(span, "ERROR", `${operation.name}: ${bodyError.message}`);
    };
  if (uniform(key, Purpose.OwnError) < operation.errorRatio)
    return fail(failures.own("IllegalStateException", "unexpected state of entity"));
  return null;
}

/** All calls of a stage at once; the first failure in their order, when all are done. */
function runStage(caller: Caller, calls: readonly Call[], done: (failure: Failure | null) => void): void {
  const { world, key, request } = caller;
  const made = calls.filter((call) => {
    if (uniform(mix(key, call.index), Purpose.Happens) >= call.probability) return false;
    const isSkipped = world.effects.skips(call, world.now);
    if (isSkipped) request.isWrong = true;
    return !isSkipped;
  });
  if (made.length === 0) {
    done(null);
    return;
  }
  const results: (Failure | null)[] = made.map(() => null);
  let open = made.length;
  made.forEach((call, place) => {
    makeCall(caller, call, (failure) => {
      results[place] = failure;
      open -= 1;
      if (open === 0) done(results.find((result) => result !== null) ?? null);
    });
  });
}

/** The failure of a call that the caller cannot do without becomes its own. */
function passedOn({ world, span, instance }: Caller, failure: Failure): Failure {
  const isNew = failure.type === "pool" || failure.type === "breaker";
  if (instance.service.recordsExceptions || isNew) span.exceptionAt = world.now;
  if (isNew) world.log(span, "ERROR", failure.message, failure.exception);
  return { ...failure, type: isNew ? failure.type : "downstream" };
}
