import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Live, live } from "../../engine/live.ts";
import { rowsOf, tableOf } from "../../notation.ts";
import { runs } from "../../runs.ts";
import { eventually, temporaryFolder } from "./log-folder.ts";
import { openStore, smallSegments } from "./open-store.ts";

/** One span each, so that what makes a trace comes in several requests. */
const spansOf = (trace: number): readonly string[] => {
  const failed = trace % 5 === 0 ? " error" : "";
  const note = ` note=${randomBytes(8_000).toString("hex")}`;
  const lines = [
    `web GET /cart 0..${90 + trace}ms server id=1 trace=${trace}${failed}`,
    `cart GET /items 10..${80 + trace}ms server id=2 parent=1 trace=${trace}${failed}`,
    `stock GET /shelf 20..${60 + trace}ms server id=3 parent=2 trace=${trace}`,
  ];
  return lines.map((line) => line + note);
};

async function answersOf({ engine }: Live): Promise<unknown> {
  const { summaries, total } = await engine.searchTraces({ limit: 500 });
  return { graph: await engine.graph(null), services: await engine.services(null), summaries, total };
}

async function isRestored({ engine }: Live): Promise<void> {
  await expect.poll(() => engine.stats()["restoring"], eventually).toBe(0);
}

test(
  "however often a server ends while spans come, and while it reads again what it had, it answers as one that never ended",
  async () => {
    const traces = Array.from({ length: 25 }, (_, i) => i + 1);
    const bodies = traces.flatMap(spansOf);
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(bodies, { minLength: bodies.length }),
        fc.uniqueArray(fc.integer({ min: 1, max: bodies.length - 1 }), { minLength: 1, maxLength: 4 }),
        async (sent, ends) => {
          const folder = temporaryFolder();
          const undisturbed = live();
          let opened = await openStore(folder, { retention: smallSegments });
          let server = live({}, {}, opened.store);
          server.engine.start();
          for (const [i, text] of sent.entries()) {
            if (ends.includes(i)) {
              await server.engine.stop();
              await opened.close();
              opened = await openStore(folder, { retention: smallSegments });
              server = live({}, {}, opened.store);
              // What comes next comes while it reads.
              server.engine.start();
            }
            const rows = rowsOf(tableOf(text));
            await server.sendRows(rows);
            await undisturbed.sendRows(rows);
            if (i % 10 === 0) for (const each of [server, undisturbed]) await each.wait(10_000);
          }
          await isRestored(server);
          for (const each of [server, undisturbed]) await each.wait(60_000);
          expect(await answersOf(server)).toEqual(await answersOf(undisturbed));
          await server.engine.stop();
          expect([...opened.faults, ...server.faults, ...opened.notices]).toEqual([]);
        },
      ),
      { numRuns: runs(10) },
    );
  },
  30_000 + runs(10) * 2_000,
);
