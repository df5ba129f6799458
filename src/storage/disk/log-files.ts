import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** A file of the log: written at its end, read anywhere. */
export interface LogFile {
  /** All parts, one behind the other, from `at` on; after a failure some of them may be there. */
  write(parts: readonly Uint8Array[], at: number): Promise<void>;
  /** Resolves when the disk has all that was written. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  /** Less than `length` bytes where the file ends. */
  read(at: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** What the log needs of a file system; errors are Node's, with their `code`. */
export interface LogFiles {
  /** An empty file that is still there after a power failure. */
  create(path: string): Promise<LogFile>;
  open(path: string): Promise<LogFile>;
  /** Gives a file the name of another one, which goes; so it is after a power failure too. */
  replace(from: string, to: string): Promise<void>;
}

export const nodeFiles: LogFiles = {
  create: async (path) => {
    const file = new NodeFile(await open(path, "wx+"));
    await syncFolder(dirname(path)).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    return file;
  },
  open: async (path) => new NodeFile(await open(path, "r")),
  replace: async (from, to) => {
    await rename(from, to);
    await syncFolder(dirname(to));
  },
};

const trustedBytes = 1024 * 1024;

class NodeFile implements LogFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(parts: readonly Uint8Array[], at: number): Promise<void> {
    let { bytesWritten } = await this.#handle.writev(parts, at);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (bytesWritten === length) return;
    // A disk that runs full takes a part first, and tells why with the next.
    const all = Buffer.concat(parts);
    while (bytesWritten < length)
      bytesWritten += (await this.#handle.write(all, bytesWritten, length - bytesWritten, at + bytesWritten))
        .bytesWritten;
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes);
  }

  async read(at: number, length: number): Promise<Buffer> {
    // Who asks for so much may have been told a length by a damaged file.
    const { size } = length > trustedBytes ? await this.#handle.stat() : { size: at + length };
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - at)));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, at + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** So that the name of a new file is on the disk too; Windows does that by itself, and opens no folders. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
