import type { Scope } from "./effects.ts";
import { type Cause, type FaultContext, type FaultKind, inService, one, setPolicy } from "./fault-context.ts";
import { overloadByTraffic } from "./fault-overload.ts";
import { nameOfTarget, type Service } from "./topology.ts";

/** Faults in what a service does itself. */
export const serviceFaults: Readonly<Record<string, FaultKind>> = {
  error: {
    mechanism: "Requests to a service throw.",
    wanted: "visible",
    build: (context) => one(failing(context, { service: context.service() })),
  },
  error_masked: {
    mechanism: "A service throws, and all its callers have a fallback.",
    wanted: "masked",
    build: (context) => {
      const service = context.service();
      setPolicy(context.callsTo(service), { hasFallback: true });
      return one(failing(context, { service }));
    },
  },
  latency: {
    mechanism: "A service's own work takes longer.",
    wanted: "visible",
    build: (context) => one(slow(context, { service: context.service() })),
  },
  latency_operation: {
    mechanism: "One operation's own work takes longer.",
    wanted: "visible",
    build: (context) => {
      const service = context.service(({ operations }) => operations.length > 1);
      return one(slow(context, { service, operation: context.busiest(service) }));
    },
  },
  latency_instance: {
    mechanism: "One instance's own work takes longer.",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      return one(slow(context, { service, instance: context.random.pick(service.instances) }, 250, 900));
    },
  },
  latency_version: {
    mechanism: "Some instances get a new version that is slow.",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      const cause = slow(context, { service, version: service.nextVersion }, 250, 900);
      return one({ ...cause, effects: [...cause.effects, canary(context, service)] });
    },
  },
  client_timeout: {
    mechanism: "A service's operation gets slower than its callers wait; its own spans are fine.",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      callOnce(context, service, context.random.between(300, 500));
      return one(slow(context, { service, operation: context.busiest(service) }, 700, 1100));
    },
  },
  crash: {
    mechanism: "All instances of a service are gone; connections are refused, or packets vanish.",
    wanted: "visible",
    build: (context) => {
      const scope = { service: context.service() };
      const isSilent = context.random.chance(0.4);
      return one(
        inService(scope, "unreachable", [
          { kind: "down", ...context.during, scope, isSilent, noticedMs: Number.POSITIVE_INFINITY },
        ]),
      );
    },
  },
  crash_instance: {
    mechanism: "One instance is gone, and balancers notice it late or never.",
    wanted: "visible",
    build: (context) => {
      const service = context.service(undefined, 120);
      const scope = { service, instance: context.random.pick(service.instances) };
      const noticedMs = context.random.chance(0.5) ? 90_000 : Number.POSITIVE_INFINITY;
      const isSilent = context.random.chance(0.3);
      return one(
        inService(scope, "unreachable", [{ kind: "down", ...context.during, scope, isSilent, noticedMs }]),
      );
    },
  },
  retry_storm: {
    mechanism:
      "A service is slow and fails now and then; impatient callers try again at once, so that it gets many times its traffic.",
    wanted: "visible",
    build: (context) => {
      const service = context.service(undefined, 120);
      setPolicy(context.callsTo(service), {
        timeoutMs: 250,
        attempts: 5,
        backoffMs: 5,
        hasFallback: false,
        hasBreaker: false,
      });
      const scope = { service };
      const cause = failing(context, scope, 0.3, 0.5);
      const work = { factor: 2, addMs: context.random.between(150, 250), ramp: false };
      return one({
        ...cause,
        effects: [...cause.effects, { kind: "work", ...context.during, scope, ...work }],
      });
    },
  },
  leak: {
    mechanism: "A service gets slower and slower while its memory fills up.",
    wanted: "visible",
    build: (context) => {
      const scope = { service: context.service() };
      const during = { from: context.onset, to: context.durationMs };
      const work = {
        factor: context.random.between(4, 10),
        addMs: context.random.between(200, 600),
        ramp: true,
      };
      return one(
        inService(scope, "saturation", [
          { kind: "work", ...during, scope, ...work },
          { kind: "memory", ...during, scope },
        ]),
      );
    },
  },
  gc_pauses: {
    mechanism: "The processes of a service stand still every few seconds.",
    wanted: "visible",
    build: (context) => {
      const scope = { service: context.service(undefined, 120) };
      const [everyMs, pauseMs] = [context.random.between(2000, 4000), context.random.between(500, 1000)];
      return one(
        inService(scope, "saturation", [{ kind: "pauses", ...context.during, scope, everyMs, pauseMs }]),
      );
    },
  },
  cpu_contention: {
    mechanism: "Another process takes the CPU of a service's instances.",
    wanted: "visible",
    build: (context) => {
      const scope = { service: context.service() };
      const [slowdown, load] = [context.random.between(6, 20), context.random.between(0.6, 0.8)];
      return one(inService(scope, "saturation", [{ kind: "cpu", ...context.during, scope, slowdown, load }]));
    },
  },
  breaker_open: {
    mechanism:
      "A service fails so often that the breakers of its callers open: most calls are no longer made.",
    wanted: "visible",
    build: (context) => {
      const service = context.service(undefined, 120);
      setPolicy(context.callsTo(service), { hasBreaker: true, attempts: 1, hasFallback: false });
      return one(failing(context, { service }, 0.9, 1));
    },
  },
  traffic_surge: {
    mechanism: "One entry gets many times its traffic, and one service behind it lacks the capacity.",
    wanted: "visible",
    build: (context) => one(overloadByTraffic(context)),
  },
  bad_release: {
    mechanism: "Some instances get a new version that throws.",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      const cause = failing(context, { service, version: service.nextVersion });
      return one({ ...cause, effects: [...cause.effects, canary(context, service)] });
    },
  },
  missing_step: {
    mechanism: "A service no longer makes one of its calls, and answers as if it had.",
    wanted: "noticed",
    build: (context) => {
      const call = context.call(
        ({ from, to, probability }) =>
          from.service.layer > 0 && to.kind !== "database" && to.kind !== "cache" && probability > 0.9,
      );
      const cause = inService({ service: call.from.service, operation: call.from }, "missing_call", [
        { kind: "skip", ...context.during, call },
      ]);
      return one({ ...cause, edge: { caller: call.from.service.name, callee: nameOfTarget(call.to) } });
    },
  },
  error_in_body: {
    mechanism:
      "A service answers 200 with an error in the body, leaves the rest of its work out, and says so in its log only.",
    wanted: "noticed",
    build: (context) => {
      const scope = { service: context.service() };
      const probability = context.random.between(0.5, 1);
      const message = "returning an error payload: lookup failed";
      return one(
        inService(scope, "error", [{ kind: "body_error", ...context.during, scope, probability, message }]),
      );
    },
  },
  low_traffic: {
    mechanism: "A service that gets few calls fails on all of them.",
    wanted: "noticed",
    build: (context) => {
      const service = context.service(undefined, 8, 30);
      setPolicy(context.callsTo(service), { hasFallback: false });
      return one(failing(context, { service }, 0.95, 1));
    },
  },
  two_faults: {
    mechanism: "One service throws while another one is slow.",
    wanted: "visible",
    build: (context) => {
      const first = context.service();
      const second = context.service((service) => service !== first);
      return {
        causes: [failing(context, { service: first }), slow(context, { service: second })],
        harmless: [],
      };
    },
  },
  innocent_deploy: {
    mechanism: "A service throws, or is slow, while another one gets a harmless new version.",
    wanted: "visible",
    build: (context) => {
      const service = context.service();
      const innocent = context.service((other) => other !== service);
      const cause = context.random.chance(0.5) ? failing(context, { service }) : slow(context, { service });
      return {
        causes: [cause],
        harmless: [{ kind: "deploy", ...context.during, instances: innocent.instances }],
      };
    },
  },
};

const errorTexts = [
  ["NullPointerException", "value of field is null"],
  ["IllegalArgumentException", "no such variant"],
  ["ArithmeticException", "division by zero"],
  ["ConfigurationException", "missing key in configuration"],
] as const;

function failing(context: FaultContext, scope: Scope, low = 0.2, high = 1): Cause {
  const [exception, message] = context.random.pick(errorTexts);
  const probability = context.random.between(low, high);
  return inService(scope, "error", [
    { kind: "error", ...context.during, scope, probability, exception, message },
  ]);
}

function slow(context: FaultContext, scope: Scope, lowMs = 60, highMs = 700): Cause {
  const addMs = context.random.between(lowMs, highMs);
  return inService(scope, "latency", [
    { kind: "work", ...context.during, scope, factor: context.random.between(1, 4), addMs, ramp: false },
  ]);
}

/** Some of the instances get the service's next version. */
function canary(context: FaultContext, service: Service) {
  const count = Math.max(1, Math.floor(service.instances.length / 2));
  const instances = context.random.shuffled(service.instances).slice(0, count);
  return { kind: "deploy" as const, ...context.during, instances };
}

/** Callers wait for whatever the answer is, once. */
function callOnce(context: FaultContext, service: Service, timeoutMs: number): void {
  setPolicy(context.callsTo(service), { timeoutMs, attempts: 1, hasFallback: false, hasBreaker: false });
}
