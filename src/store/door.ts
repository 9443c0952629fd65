/**
 * Where other nodes of the control plane come in: a listening socket, and a link for each connection.
 * Limits: `LINKS_MAX` connections. One more takes the place of the oldest that has not introduced itself yet, so that
 * strangers keep nobody out; where there is none it is cut at once.
 */
import { MeshError } from "../base/errors.ts";
import type { Address } from "../base/units.ts";
import { orCrash } from "../net/crash.ts";
import { type CallHandlers, Calls } from "./calls.ts";
import { Link, type LinkIdentity } from "./link.ts";

const LINKS_MAX = 4096;

interface Guest {
  link: Link | null;
  calls: Calls | null;
}

export interface DoorOptions {
  readonly address: Address;
  readonly identity: LinkIdentity;
  readonly handlers: CallHandlers;
  readonly onRefused: (why: string, from: string) => void;
  readonly linksMax?: number;
}

export class Door {
  readonly port: number;
  readonly #listener: Bun.TCPSocketListener<Guest>;
  readonly #links = new Set<Link>();

  /** Throws a MeshError when the address can't be had. */
  constructor({ address, identity, handlers, onRefused, linksMax = LINKS_MAX }: DoorOptions) {
    const socket: Bun.SocketHandler<Guest> = {
      open: (accepted) =>
        orCrash(() => {
          if (this.#links.size >= linksMax) this.#oldestStranger()?.close("others wait for its place");
          if (this.#links.size >= linksMax) return accepted.terminate();
          accepted.setNoDelay(true);
          const guest: Guest = { link: null, calls: null };
          accepted.data = guest;
          guest.link = new Link(accepted, "acceptor", identity, {
            open: (link) => (guest.calls = new Calls(link, handlers)),
            frame: (_link, frame) => guest.calls?.frame(frame),
            closed: (link, why) => {
              this.#links.delete(link);
              guest.calls?.closed(why);
              if (guest.calls === null) onRefused(why, accepted.remoteAddress);
            },
          });
          this.#links.add(guest.link);
        }),
      data: ({ data }, bytes) => orCrash(() => data.link?.data(bytes)),
      drain: ({ data }) => orCrash(() => data.link?.drain()),
      end: ({ data }) => orCrash(() => data.link?.close("it closed the connection")),
      close: ({ data }) => orCrash(() => data.link?.close("the connection was cut")),
      error: ({ data }, error) => orCrash(() => data.link?.close(error.message)),
    };
    try {
      this.#listener = Bun.listen<Guest>({
        hostname: address.host || "::",
        port: address.port,
        socket,
        data: { link: null, calls: null },
      });
    } catch (error) {
      throw new MeshError(
        "config_invalid",
        `can't listen on ${address.host || "*"}:${address.port} for control nodes: ${(error as Error).message}; choose another port by --control-listen (0 takes any free one)`,
      );
    }
    this.port = this.#listener.port;
  }

  #oldestStranger(): Link | undefined {
    for (const link of this.#links) if (!link.isOpen) return link;
    return undefined;
  }

  /** Closes all links: whoever comes back hears which store this node has now. */
  renew(why: string): void {
    for (const link of this.#links) link.close(why);
  }

  stop(): void {
    this.#listener.stop();
    this.renew("this node is stopping");
  }
}
