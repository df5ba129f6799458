import type { Live } from "./live.ts";

const minuteMs = 60_000;
const requestsPerMinute = 30;

/** One minute of traffic: web calls cart, which asks its database. */
export interface Traffic {
  readonly cartFails?: boolean;
  /** a few requests of the cart fail, more in every other minute, as they always did */
  readonly cartStumbles?: boolean;
  readonly dbMs?: number;
  /** nearly a quarter of the requests wait so much longer: too few for the medians to show it */
  readonly tailMs?: number;
  /** a system of its own beside it */
  readonly mailFails?: boolean;
}

/** How many traces each server was sent: what it finds must not depend on the tests before. */
const tracesSent = new WeakMap<Live, number>();

/** What one server is sent next goes on where another one ended. */
export function takeOver(before: Live, after: Live): void {
  tracesSent.set(after, tracesSent.get(before) ?? 0);
}

/** A number that no trace of this server has had. */
function nextNumber(live: Live): number {
  const number = (tracesSent.get(live) ?? 0) + 1;
  tracesSent.set(live, number);
  return number;
}

function minuteOf(
  live: Live,
  { cartFails = false, cartStumbles = false, dbMs = 10, tailMs = 0, mailFails = false }: Traffic,
): string {
  const lines: string[] = [];
  for (let i = 0; i < requestsPerMinute; i += 1) {
    const at = live.clock.nowMs + (i * minuteMs) / requestsPerMinute;
    const trace = nextNumber(live);
    const jitter = i % 4;
    const db = dbMs + jitter + (i % 13 < 3 ? tailMs : 0);
    const times = (start: number, length: number): string => `${at + start}..${at + start + length}ms`;
    const stumbles = cartStumbles && i % (Math.floor(at / minuteMs) % 2 === 0 ? 6 : 15) === 5;
    const failed = stumbles || (cartFails && i % 3 !== 0) ? "error" : "";
    lines.push(
      `web GET /cart ${times(0, db + 30)} server ${failed} trace=${trace}`,
      `  web GET ${times(5, db + 20)} client ${failed} trace=${trace}`,
      `    cart GET /items ${times(8, db + 12)} server ${failed} trace=${trace}`,
      `      cart SELECT ${times(10, db)} client db.system.name=postgresql db.namespace=items trace=${trace}`,
    );
    const other = nextNumber(live);
    lines.push(
      `mail POST /send ${times(0, 20 + jitter)} server ${mailFails && i % 2 === 0 ? "error" : ""} trace=${other}`,
    );
  }
  return lines.join("\n");
}

/** Minutes of traffic go by; the server looks six times a minute, as it does by itself. */
export async function goOn(live: Live, minutes: number, traffic: Traffic = {}): Promise<void> {
  for (let minute = 0; minute < minutes; minute += 1) {
    await live.send(minuteOf(live, traffic));
    for (let look = 0; look < 6; look += 1) {
      await live.wait(minuteMs / 6);
      await live.engine.lookForIncidents();
    }
  }
}
