/** A unix datagram socket as a supervisor has one, which Bun has no call for. */
import { dlopen } from "bun:ffi";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 2 | 0x800;
const LENGTH_MAX = 1000;

const libc = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
}).symbols;

export class NotifySocket {
  readonly #fd = libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0);

  /** At a path, or under an abstract name that begins with NUL. */
  constructor(name: string) {
    const bytes = new TextEncoder().encode(name);
    const address = new Uint8Array(new ArrayBuffer(2 + bytes.length));
    new DataView(address.buffer).setUint16(0, AF_UNIX, true);
    address.set(bytes, 2);
    if (libc.bind(this.#fd, address, address.length) !== 0) throw new Error(`can't bind ${JSON.stringify(name)}`);
  }

  /** The next datagram that came; "" if none did. */
  heard(): string {
    const bytes = new Uint8Array(new ArrayBuffer(LENGTH_MAX));
    const length = Number(libc.recv(this.#fd, bytes, LENGTH_MAX, 0));
    return length < 0 ? "" : new TextDecoder().decode(bytes.subarray(0, length));
  }

  close(): void {
    libc.close(this.#fd);
  }
}
