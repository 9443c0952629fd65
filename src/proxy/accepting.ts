/** A worker's listening: on descriptors that it is given, or on a port of its own; in plain or in TLS. */
import { MeshError } from "../base/errors.ts";
import { BunTransport } from "../net/bun-streams.ts";
import type { Handshakes } from "../net/handshakes.ts";
import type { Transport } from "../net/stream.ts";
import { adoptTls, type TlsIdentities, type TlsListener } from "../net/tls-streams.ts";
import type { clientHandlers } from "./client.ts";
import type { WorkerStart } from "./protocol.ts";

/** What a client in TLS may choose of. */
const ALPN = ["h2", "http/1.1"];

export class Accepting {
  readonly #options: Pick<WorkerStart, "fds" | "host" | "port" | "tls">;
  readonly #transport: Transport;
  readonly #handlers: ReturnType<typeof clientHandlers>;
  readonly #handshakes: Handshakes;
  #stops: (() => void)[] = [];
  #listeners: TlsListener[] = [];

  constructor(
    options: Pick<WorkerStart, "fds" | "host" | "port" | "tls">,
    transport: Transport,
    handlers: ReturnType<typeof clientHandlers>,
    handshakes: Handshakes,
  ) {
    this.#options = options;
    this.#transport = transport;
    this.#handlers = handlers;
    this.#handshakes = handshakes;
  }

  begin(): void {
    const { fds, host, port, tls } = this.#options;
    if (tls !== null) {
      if (fds === null)
        throw new MeshError("config_invalid", "TLS needs listening descriptors, which this platform lacks");
      this.#beginTls(fds, tls);
      return;
    }
    this.#stops =
      fds === null
        ? [new BunTransport().listen({ host, port }, this.#handlers)]
        : fds.map((fd) => this.#transport.adopt(fd, this.#handlers));
  }

  #beginTls(fds: readonly number[], identities: TlsIdentities): void {
    const how = { ...identities, alpn: ALPN };
    const breathe = (): void => this.#transport.breathe();
    this.#listeners = fds.map((fd) => adoptTls(fd, how, this.#handshakes, this.#handlers, breathe));
    this.#stops = this.#listeners.map((listener) => () => listener.stop());
  }

  /** Certificates to show from now on. */
  show(identities: TlsIdentities): void {
    for (const listener of this.#listeners) listener.show(identities);
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}
