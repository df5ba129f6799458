export interface WatchedFiles<Read> {
  /** what the files held when `watchFiles` was called */
  readonly first: Read;
  readonly read: () => Promise<Read>;
  readonly isEqual: (a: Read, b: Read) => boolean;
  /** takes what is new; may throw, and is called again then when it has changed once more */
  readonly use: (read: Read) => void;
  readonly everyMs: number;
  readonly report: (message: string) => void;
  /** sentences for `report`: after a change, and what is appended to why new files are not usable */
  readonly saysNew: string;
  readonly saysKept: string;
}

/**
 * Looks at files again and again until the answer is called. New ones that are not usable are reported once, and what was
 * read before stays. Compared by content, because times of files and events of folders miss what happens behind links (as
 * Kubernetes and certbot replace them).
 */
export function watchFiles<Read>(files: WatchedFiles<Read>): () => void {
  let known = files.first;
  let isLooking = false;
  let lastComplaint = "";
  const look = async (): Promise<void> => {
    try {
      const now = await files.read();
      if (!files.isEqual(now, known)) {
        files.use(now);
        known = now;
        files.report(files.saysNew);
      }
      lastComplaint = "";
    } catch (error) {
      const complaint = error instanceof Error ? error.message : String(error);
      if (complaint !== lastComplaint) files.report(`${complaint}; ${files.saysKept}`);
      lastComplaint = complaint;
    }
    isLooking = false;
  };
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    void look();
  }, files.everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
