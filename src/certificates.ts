/**
 * The certificates of the router's listening port: read at its start, and again whenever the configuration is loaded
 * anew, since a certificate is renewed under the name of the old one. Files that can't be used then are named in the log,
 * and the old ones are shown on.
 */
import { serverIdentities } from "./net/tls-settings.ts";
import type { TlsConfig } from "./net/tls-settings.ts";
import type { TlsIdentities } from "./net/tls-streams.ts";
import type { Log } from "./obs/log.ts";

export class Certificates {
  readonly #config: TlsConfig;
  readonly #log: Log;
  #current: TlsIdentities | null;

  /** Throws a MeshError that names the file at fault. */
  constructor(config: TlsConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#current = serverIdentities(config);
  }

  /** What is to be shown; null: the port speaks plain HTTP. */
  get current(): TlsIdentities | null {
    return this.#current;
  }

  /** Reads the files again; answers what is to be shown from now on, or null when nothing has changed. */
  renew(): TlsIdentities | null {
    try {
      const next = serverIdentities(this.#config);
      if (JSON.stringify(next) === JSON.stringify(this.#current)) return null;
      this.#current = next;
      this.#log.info("new certificates are shown from now on");
      return next;
    } catch (error) {
      this.#log.error("the certificates were not renewed, and the old ones are shown on", {
        error: error instanceof Error ? error.message : String(error),
      });
      return null;
    }
  }
}
