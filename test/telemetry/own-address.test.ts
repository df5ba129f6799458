import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { ownListenerAt } from "../../src/telemetry/own-address.ts";

/** Whether a URL leads to a listener that is bound to `address`. */
async function leadsTo(url: string, address: string): Promise<boolean> {
  const port = Number(address.slice(address.lastIndexOf(":") + 1));
  const listener = { address, port, close: () => Promise.resolve() };
  return (await ownListenerAt(new URL(url), [listener])) === listener;
}

const outside = Object.values(networkInterfaces())
  .flatMap((of) => of ?? [])
  .find(({ internal, family }) => !internal && family === "IPv4")?.address;

test.each([
  ["http://127.0.0.1:4318", "127.0.0.1:4318", true],
  ["http://localhost:4318/v1/traces", "127.0.0.1:4318", true],
  ["http://0.0.0.0:4318", "127.0.0.1:4318", true],
  ["http://[::ffff:127.0.0.1]:4318", "127.0.0.1:4318", true],
  ["http://127.0.0.1:4318", "0.0.0.0:4318", true],
  ["http://127.0.0.1:4318", "[::]:4318", true],
  ["http://[::1]:4318", "[::]:4318", true],
  ["http://127.0.0.1", "127.0.0.1:80", true],
  ["https://127.0.0.1", "127.0.0.1:443", true],
  ["http://127.0.0.1:4319", "127.0.0.1:4318", false],
  ["http://127.0.0.2:4318", "127.0.0.1:4318", false],
  ["http://198.51.100.7:4318", "0.0.0.0:4318", false],
  ["http://198.51.100.7:4318", "198.51.100.7:4318", true],
  ["http://no-such-host.invalid:4318", "0.0.0.0:4318", false],
  ...(outside === undefined
    ? []
    : ([
        [`http://${outside}:4318`, "0.0.0.0:4318", true],
        [`http://${outside}:4318`, "127.0.0.1:4318", false],
      ] as const)),
] as const)("whether %s leads to a listener at %s: %s", async (url, address, expected) => {
  expect(await leadsTo(url, address)).toBe(expected);
});
