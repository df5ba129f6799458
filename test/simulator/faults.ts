import type { FaultKind } from "./fault-context.ts";
import { dependencyFaults } from "./faults-of-dependencies.ts";
import { serviceFaults } from "./faults-of-services.ts";

/** Every fault that can be simulated, by its name in `fault_type`. */
export const faultKinds: Readonly<Record<string, FaultKind>> = { ...serviceFaults, ...dependencyFaults };

/** Windows without a fault, by their name in `fault_type`. */
export const healthyKinds: Readonly<Record<string, Omit<FaultKind, "wanted">>> = {
  healthy_plain: {
    mechanism: "The same traffic as before.",
    build: () => ({ causes: [], harmless: [] }),
  },
  healthy_mix: {
    mechanism:
      "Users do other things than before: each entry gets between a third and three times its traffic.",
    build: ({ topology, random }) => ({
      causes: [],
      harmless: [],
      entryFactors: topology.entries.map(() => Math.exp(random.between(-1.1, 1.1))),
    }),
  },
  healthy_load: {
    mechanism: "Half as much traffic again at every entry.",
    build: ({ topology }) => ({ causes: [], harmless: [], entryFactors: topology.entries.map(() => 1.5) }),
  },
  healthy_deploy: {
    mechanism: "A service gets a new version that does what the old one did.",
    build: (context) => {
      const { instances } = context.service();
      return { causes: [], harmless: [{ kind: "deploy", ...context.during, instances }] };
    },
  },
};
