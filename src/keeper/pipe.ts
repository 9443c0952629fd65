/**
 * A pipe of the kernel's, for what a runtime writes. What Bun gives to a process as "pipe" is a socket, which can't be
 * opened by name: a script that writes to /dev/stderr fails. And both outputs go into one pipe, so that their order stays.
 */
import { closeSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { openLibc } from "../net/libc.ts";

const O_CLOEXEC = 0x80000;
const F_SETPIPE_SIZE = 1031;
/** A burst of this size is taken while the reader does something else. */
const PIPE_BYTES = 1024 * 1024;

export interface Pipe {
  readonly writeEnd: number;
  closeWriteEnd(): void;
  /** All that is written, until the last writer has closed it. */
  chunks(): ReadableStream<Uint8Array>;
}

export function openPipe(): Pipe {
  const libc = openLibc();
  if (libc === null) throw new MeshError("config_invalid", "--exec needs Linux: its pipes, sessions and /proc");
  const ends = new Int32Array(new ArrayBuffer(8));
  if (libc.pipe2(ends, O_CLOEXEC) !== 0)
    throw new MeshError("internal", "no pipe could be opened: too many files are open");
  const [readEnd = -1, writeEnd = -1] = ends;
  // Refused where the user has too many of that size already; the usual 64 KiB do as well.
  libc.fcntl(readEnd, F_SETPIPE_SIZE, PIPE_BYTES);
  return {
    writeEnd,
    closeWriteEnd: () => closeSync(writeEnd),
    chunks: () => Bun.file(readEnd).stream(),
  };
}
