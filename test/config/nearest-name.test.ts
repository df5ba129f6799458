import { expect, test } from "vitest";
import { nearestName } from "../../src/config/nearest-name.ts";

const known = ["--format", "--from", "--fail-on", "--failed-service"];

test("a slip of the finger finds its name", () => {
  expect(nearestName("--fromat", known)).toBe("--format");
  expect(nearestName("--failed-servce", known)).toBe("--failed-service");
});

test("what is like nothing finds nothing", () => {
  expect(nearestName("--zzzzzzzzzzzz", known)).toBeNull();
});
