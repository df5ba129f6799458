import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import type { Listener } from "../engine/listener.ts";

/** The listener of this process that an address leads to; null = none, also where nobody knows the name. */
export async function ownListenerAt(address: URL, listeners: readonly Listener[]): Promise<Listener | null> {
  const usualPort = address.protocol === "https:" ? 443 : 80;
  const port = address.port === "" ? usualPort : Number(address.port);
  const candidates = listeners.filter((listener) => listener.port === port);
  if (candidates.length === 0) return null;
  const targets = await addressesOf(address.hostname.replace(/^\[|\]$/g, ""));
  return candidates.find((listener) => targets.some((target) => reaches(target, listener))) ?? null;
}

async function addressesOf(host: string): Promise<readonly string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => plain(address));
  } catch {
    // a name that leads nowhere does not lead to us; sending says so
    return [];
  }
}

function reaches(target: string, { address }: Listener): boolean {
  const bound = plain(new URL(`http://${address}`).hostname.replace(/^\[|\]$/g, ""));
  // to connect to "any address" is to connect to this machine
  const isLoopback = target.startsWith("127.") || target === "::1" || isAny(target);
  if (isAny(bound)) return isLoopback || ofThisMachine().has(target);
  return target === bound || (isAny(target) && (bound.startsWith("127.") || bound === "::1"));
}

function isAny(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

function ofThisMachine(): ReadonlySet<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((of) => (of ?? []).map(({ address }) => plain(address))),
  );
}

/** An IPv4 address is itself, also where it is written as one of IPv6; zones are of no interest. */
function plain(address: string): string {
  const text = address.replace(/%.*$/, "").toLowerCase();
  const words = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(text)?.slice(1);
  if (words === undefined) return text.replace(/^::ffff:(?=\d+\.)/, "");
  return words.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]).join(".");
}
