import { request } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import type { IncidentJson, IncidentReport } from "../../src/analysis/report.ts";
import { type RunningServer, runCommand, startServer } from "../cli/run-hypocenter.ts";
import { ask } from "../conformance/ask.ts";
import { temporaryFolder } from "../storage/disk/log-folder.ts";
import { sendTrouble } from "./trouble.ts";

async function serverOn(folder: string): Promise<RunningServer> {
  // The trouble lies in the minute that ends: while this test runs, it must not be over.
  const quiet = ["--incident-look", "1s", "--incident-quiet", "1h"];
  const server = await startServer(["--data", folder, ...quiet]);
  onTestFinished(() => void server.process.kill("SIGKILL"));
  return server;
}

/** What an event source that has seen an event hears. */
function listen({ api }: RunningServer, lastEventId?: string): { text: string } {
  const heard = { text: "" };
  const headers = lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId };
  const call = request(`http://${api}/api/v1/events`, { headers }, (response) => {
    response.setEncoding("utf8").on("data", (chunk: string) => (heard.text += chunk));
    response.on("error", () => {
      // the server is killed
    });
  });
  call.on("error", () => {
    // the same
  });
  call.end();
  onTestFinished(() => void call.destroy());
  return heard;
}

function eventsIn(text: string): readonly (readonly [kind: string, id: string, status: string])[] {
  return [...text.matchAll(/^event: (\w+)\nid: (\S+)\ndata: (.*)$/gm)].map(([, kind, id, data]) => [
    kind!,
    id!,
    (JSON.parse(data!) as IncidentJson).status,
  ]);
}

test("a server that is killed knows its incidents when it is back: list, report, traces, events", async () => {
  const folder = temporaryFolder();
  const first = await serverOn(folder);
  const heard = listen(first);
  await expect.poll(() => heard.text).toContain("events follow");
  await sendTrouble(first);
  await expect.poll(() => eventsIn(heard.text).length, { timeout: 20_000 }).toBe(1);
  const [[kind, opened, status]] = eventsIn(heard.text) as [readonly [string, string, string]];
  expect([kind, opened, status]).toEqual([
    "opened",
    expect.stringMatching(/^\d{8}T\d{4}-1\/1\/\d+$/),
    "open",
  ]);
  const report = async ({ api }: RunningServer) =>
    JSON.parse((await ask(`http://${api}/api/v1/incidents/latest`)).body.toString()) as IncidentReport;
  const before = await report(first);
  await first.stop("SIGKILL");

  const second = await serverOn(folder);
  const after = await report(second);
  // It may have been reported anew meanwhile, under the same id.
  expect({ ...after, version: 1, updated: "" }).toMatchObject({
    id: before.id,
    status: "open",
    start: before.start,
    root_cause_candidates: [{ service: "cart" }],
  });
  const at = ["--server", `http://${second.api}`];
  const list = await runCommand(["query", "incidents", ...at, "--format", "human"]);
  expect(list.stdout).toMatch(/incidents: 1, going on: 1/);
  for (const format of ["human", "markdown", "html"])
    expect((await runCommand(["query", before.id, ...at, "--format", format])).stdout).toContain(before.id);
  for (const id of before.exemplar_trace_ids)
    expect((await ask(`http://${second.api}/api/v1/traces/${id}`)).status).toBe(200);

  // One that saw the opening hears of later things only; one that saw nothing of it hears of it now.
  const [id, , number] = opened.split("/") as [string, string, string];
  const seenNothing = listen(second, `${id}/1/${Number(number) - 1}`);
  await expect
    .poll(() => eventsIn(seenNothing.text)[0])
    .toEqual(["opened", expect.stringContaining(number), "open"]);
  const seenAll = listen(second, opened);
  const fromNow = listen(second);
  const stranger = listen(second, "of-another-server/7");
  for (const each of [seenAll, fromNow, stranger])
    await expect.poll(() => each.text).toContain("events follow");
  for (const each of [seenAll, fromNow, stranger])
    expect(eventsIn(each.text).filter(([what]) => what === "opened")).toEqual([]);
}, 60_000);
