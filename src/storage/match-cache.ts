import type { AttributeFilter } from "../engine/ports.ts";
import type { TraceId } from "../model/ids.ts";

/** Searches of which is known what was read for them, and what may be held for each: blocks, and traces in them. */
const searchesMax = 8;
const entriesMax = 100_000;

interface Known {
  readonly blocks: Map<string, readonly TraceId[]>;
  entries: number;
}

/** What blocks of spans held, for those who ask for the next page or ask again: so a search that ran out of time gets on. */
export class MatchCache {
  readonly #searches = new Map<string, Known>();

  /** `read` unless it is known what it gave; `block` = a name that stands for the same spans for ever. */
  async matches(
    sought: readonly AttributeFilter[],
    block: string,
    read: () => Promise<readonly TraceId[]>,
  ): Promise<readonly TraceId[]> {
    const known = this.#of(sought);
    const before = known.blocks.get(block);
    if (before !== undefined) return before;
    const found = await read();
    if (known.entries > entriesMax) {
      known.blocks.clear();
      known.entries = 0;
    }
    known.blocks.set(block, found);
    known.entries += 1 + found.length;
    return found;
  }

  #of(sought: readonly AttributeFilter[]): Known {
    const name = JSON.stringify(sought.map(({ key, text }) => [key, text]));
    const known = this.#searches.get(name) ?? { blocks: new Map<string, readonly TraceId[]>(), entries: 0 };
    this.#searches.delete(name);
    this.#searches.set(name, known);
    for (const oldest of this.#searches.keys()) {
      if (this.#searches.size <= searchesMax) break;
      this.#searches.delete(oldest);
    }
    return known;
  }
}
