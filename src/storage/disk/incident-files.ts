import type { Language, WindowReport } from "../../analysis/report.ts";
import type { Incident, KeptIncident } from "../../engine/ports.ts";
import type { UnixNanos } from "../../model/time.ts";
import { SmallFiles, type SmallFilesOptions } from "./small-files.ts";

/** Incidents, each in a file of its own; what a disk does not take at once is tried again. */
export class IncidentFiles {
  readonly #files: SmallFiles;
  readonly #unwritten = new Map<string, KeptIncident>();
  #left: readonly KeptIncident[] = [];

  private constructor(files: SmallFiles) {
    this.#files = files;
  }

  /** Reads what an earlier process has left. */
  static async open(options: Omit<SmallFilesOptions, "kind">): Promise<IncidentFiles> {
    const files = await SmallFiles.open({ ...options, kind: "incident" });
    const incidents = new IncidentFiles(files);
    const left: KeptIncident[] = [];
    for (const id of files.names()) {
      const content = await files.read(id);
      if (content !== null) left.push(incidentIn(content));
    }
    incidents.#left = left.sort((a, b) => (a.incident.detected < b.incident.detected ? -1 : 1));
    return incidents;
  }

  /** What an earlier process has left, in the order in which it was detected. */
  get left(): readonly KeptIncident[] {
    return this.#left;
  }
  /** Files that were damaged, and those that had to make room. */
  get lost(): number {
    return this.#files.lost;
  }
  get evicted(): number {
    return this.#files.evicted;
  }

  /** Rejects where the disk does not take it; `retry` does it then. */
  async keep(kept: KeptIncident): Promise<void> {
    this.#unwritten.set(kept.incident.id, kept);
    await this.#write(kept);
  }

  async forget(id: string): Promise<void> {
    this.#unwritten.delete(id);
    await this.#files.remove(id);
  }

  async retry(): Promise<void> {
    for (const kept of this.#unwritten.values()) await this.#write(kept);
  }

  async close(): Promise<void> {
    await this.#files.close();
  }

  async #write(kept: KeptIncident): Promise<void> {
    const { id } = kept.incident;
    await this.#files.write(id, contentOf(kept));
    if (this.#unwritten.get(id) === kept) this.#unwritten.delete(id);
  }
}

const timeNames = ["start", "end", "detected", "updated"] as const;

/** As JSON: times as decimal texts, and what is a map as a list of pairs, which keeps the order of all names. */
interface StoredIncident {
  readonly incident: Omit<Incident, (typeof timeNames)[number] | "reports">;
  readonly times: Readonly<Record<(typeof timeNames)[number], string | null>>;
  readonly reports: readonly (readonly [Language, StoredReport])[];
  readonly firstWorse: number;
  readonly lastSeen: string;
}

type StoredReport = Omit<WindowReport, "service_states"> & {
  readonly service_states: readonly (readonly [
    string,
    WindowReport["service_states"] extends ReadonlyMap<string, infer State> ? State : never,
  ])[];
};

function contentOf({ incident, firstWorse, lastSeen }: KeptIncident): Buffer {
  const { start, end, detected, updated, reports, ...plain } = incident;
  const stored: StoredIncident = {
    incident: plain,
    times: {
      start: String(start),
      end: end === null ? null : String(end),
      detected: String(detected),
      updated: String(updated),
    },
    reports: [...reports].map(([language, report]) => [
      language,
      { ...report, service_states: [...report.service_states] },
    ]),
    firstWorse,
    lastSeen: String(lastSeen),
  };
  return Buffer.from(JSON.stringify(stored));
}

function incidentIn(content: Buffer): KeptIncident {
  const { incident, times, reports, firstWorse, lastSeen } = JSON.parse(content.toString()) as StoredIncident;
  const timeOf = (text: string | null): UnixNanos => BigInt(text ?? 0) as UnixNanos;
  return {
    incident: {
      ...incident,
      start: timeOf(times.start),
      end: times.end === null ? null : timeOf(times.end),
      detected: timeOf(times.detected),
      updated: timeOf(times.updated),
      reports: new Map(
        reports.map(([language, report]) => [
          language,
          { ...report, service_states: new Map(report.service_states) },
        ]),
      ),
    },
    firstWorse,
    lastSeen: timeOf(lastSeen),
  };
}
