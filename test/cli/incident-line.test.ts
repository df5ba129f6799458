import { expect, test } from "vitest";
import type { WindowReport } from "../../src/analysis/report.ts";
import { incidentLine } from "../../src/cli/incident-line.ts";
import type { Incident, IncidentEvent } from "../../src/engine/ports.ts";
import type { UnixNanos } from "../../src/model/time.ts";

const incident: Incident = {
  id: "17",
  status: "open",
  start: 0n as UnixNanos,
  end: null,
  detected: 0n as UnixNanos,
  delayMs: 0,
  updated: 0n as UnixNanos,
  version: 1,
  mergedInto: "4",
  services: ["cart"],
  told: [],
  reports: new Map([["ko", { verdict: "장바구니 실패." } as WindowReport]]),
};

test.each<readonly [IncidentEvent["kind"], string | null]>([
  ["opened", "incident 17: 장바구니 실패. http://127.0.0.1:4320/api/v1/incidents/17?format=html&lang=ko"],
  ["updated", null],
  ["merged", "incident 17 is part of incident 4"],
  ["closed", "incident 17 is over"],
])("what is said of an incident that is %s", (kind, line) => {
  expect(
    incidentLine({ kind, number: 1, incident }, { server: "http://127.0.0.1:4320", language: "ko" }),
  ).toBe(line);
});
