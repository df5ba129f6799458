import { expect, test } from "vitest";
import { debugLine, parseTopology } from "../../src/wire/topology.ts";

const services = '"services":{"db":{"metrics":{"error_rate":0.2,"shards":[3]}}}';

function checkRejected(text: string, message: string): void {
  expect(() => parseTopology(text, { failedService: "a" })).toThrow(message);
}

test("a topology is answered with one compact line; order and unknown metrics are kept", () => {
  const line = `{"failed_service":"10","dependencies":{"10":["9","db"],"9":["db"]},${services}}`;
  expect(debugLine(line, { language: "en" })).toBe(
    '{"trace_id":"","failed_service":"10","dependency_chain":["10","9","db"],"service_states":{' +
      '"10":{"healthy":true,"issues":[],"metrics":{}},"9":{"healthy":true,"issues":[],"metrics":{}},' +
      '"db":{"healthy":false,"issues":["High error rate: 20.00%"],"metrics":{"error_rate":0.2,"shards":[3]}}},' +
      '"root_cause_candidates":[{"service":"db","issues":["High error rate: 20.00%"],"impact_score":0.7}],' +
      '"cascade_analysis":{"failure_propagation":[{"failed_service":"db","affected_services":["10","9"],' +
      '"failure_reasons":["High error rate: 20.00%"]}],"blast_radius":1,"critical_path":["db"]},' +
      '"recommendations":["db: review recent changes and strengthen exception handling to bring the error rate down"]}',
  );
});

test("all three kinds of health are read, and a metric that is null was not measured", () => {
  const { health } = parseTopology(
    `{"trace_id":"t","failed_service":"a","dependencies":{},"services":{
      "a":{"health_check_error":"500"},"b":{"unreachable":"refused"},"c":{"metrics":{"error_rate":null,"cpu_usage":1}}}}`,
  );
  expect([...health]).toEqual([
    ["a", { kind: "check_failed", message: "500" }],
    ["b", { kind: "unreachable", message: "refused" }],
    ["c", { kind: "metrics", metrics: { cpu_usage: 1 } }],
  ]);
});

test("the service that the user names wins over the file's", () => {
  const text = '{"failed_service":"a","dependencies":{},"services":{}}';
  expect(parseTopology(text, { failedService: "b" }).failedService).toBe("b");
});

test("a bad topology is rejected with the place", () => {
  checkRejected("{", "Not a JSON text: line 1, column 2");
  checkRejected("[]", "the topology: expected an object, found an array.");
  checkRejected("{}", "dependencies: expected an object, found nothing.");
  checkRejected(
    '{"dependencies":{"a b":{"x":1}}}',
    'dependencies["a b"]: expected an array of service names, found an object with x.',
  );
  checkRejected('{"dependencies":{"a":["b",7]}}', "dependencies.a[1]: expected a service name, found 7.");
  checkRejected(
    '{"dependencies":{},"services":{"a":{}}}',
    "services.a: expected exactly one of metrics, health_check_error, unreachable, found an empty object.",
  );
  checkRejected(
    '{"dependencies":{},"services":{"a":{"metric":{}}}}',
    "services.a.metric: expected one of metrics",
  );
  checkRejected(
    '{"dependencies":{},"services":{"a":{"metrics":{"cpu_usage":"90%"}}}}',
    'services.a.metrics.cpu_usage: expected a number, found "90%".',
  );
  checkRejected(
    '{"dependencies":{},"services":{"a":{"unreachable":true}}}',
    "services.a.unreachable: expected a message, found true.",
  );
  checkRejected('{"dependencies":{},"services":{},"trace_id":7}', "trace_id: expected a string, found 7.");
});

test("a bad line is answered with an error on one line", () => {
  expect(JSON.parse(debugLine("nonsense", { language: "en" }))).toMatchObject({
    error: { code: "input_unreadable", message: "Not a JSON text: line 1, column 1: expected a value." },
  });
  expect(JSON.parse(debugLine('{"dependencies":{},"services":{}}', { language: "en" }))).toMatchObject({
    error: { code: "usage" },
  });
});
