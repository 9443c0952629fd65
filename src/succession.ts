/**
 * A router's place in a line of processes: what it takes over from the one before it, and how it hands over to the one
 * after it. Its sockets are handed on; its targets and who it is in the mesh are told; counts begin anew.
 *
 * While it hands over, for some ten milliseconds, no process is the node: what is sent to it waits in the sockets.
 */
import { isRecord } from "./base/field.ts";
import { MeshError } from "./base/errors.ts";
import { formatAddress } from "./base/units.ts";
import type { Front } from "./admin/front.ts";
import type { RouterConfig } from "./config.ts";
import type { SocketDescriptors } from "./mesh/sockets.ts";
import { type HandedSockets, Predecessor } from "./net/handover.ts";
import type { Log } from "./obs/log.ts";
import type { Crew } from "./proxy/crew.ts";
import type { Standing } from "./standing.ts";
import type { Targets } from "./targets.ts";
import { type Upgraded, upgrade } from "./upgrade.ts";

/** What a router leaves to its successor beside its sockets; each part is its own room's to read. */
export interface Estate {
  readonly node: unknown;
  readonly registrations: unknown;
  readonly discovered: unknown;
}

/** What came from the process before; empty for a start like any other. */
export class Inheritance {
  readonly listen: readonly number[] | undefined;
  readonly api: number | undefined;
  readonly metrics: number | undefined;
  readonly gossip: SocketDescriptors | undefined;
  readonly #predecessor: Predecessor | null;

  /** Throws a MeshError for a predecessor that is not understood. */
  constructor(config: RouterConfig, env: Record<string, string | undefined>) {
    this.#predecessor = Predecessor.find(env);
    const take = (use: Use): readonly number[] => this.#predecessor?.take(use, formatAddress(config[use])) ?? [];
    const listen = take("listen");
    this.listen = listen.length > 0 ? listen : undefined;
    [this.api] = take("api");
    [this.metrics] = take("metrics");
    const [udp, tcp] = take("gossip");
    this.gossip = udp === undefined || tcp === undefined ? undefined : { udp, tcp };
  }

  /** Says that this process has started as far as it can, and waits for the rest; null where nobody hands over. */
  async estate(): Promise<Estate | null> {
    if (this.#predecessor === null) return null;
    const told = await this.#predecessor.prepared();
    if (!isRecord(told)) throw new MeshError("internal", "the predecessor's estate is not understood");
    return { node: told["node"], registrations: told["registrations"], discovered: told["discovered"] };
  }

  /** Says that this process serves. */
  served(): void {
    this.#predecessor?.ready();
  }
}

type Use = "listen" | "api" | "metrics" | "gossip";

export interface HandoverOptions {
  readonly config: RouterConfig;
  /** What this process was started by. */
  readonly command: readonly string[];
  readonly timeoutMs: () => number;
  /** Why this process can't have a successor, whatever its state; "" when it can. */
  readonly obstacle: () => string;
  /** Resolves when the router is to end, by which an attempt ends too. */
  readonly stopped: Promise<string>;
  readonly log: Log;
  readonly crew: Crew;
  readonly api: Front;
  readonly metrics: Front;
  readonly standing: Standing;
  readonly targets: Targets;
}

/** The way to the process after this one. */
export class Handover {
  readonly #options: HandoverOptions;
  #isUnderWay = false;
  #isDone = false;

  constructor(options: HandoverOptions) {
    this.#options = options;
  }

  /** A successor serves. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Hands over to the executable, "" for the one that runs; rejects with a MeshError, and all is as it was. */
  async to(executable: string): Promise<Upgraded> {
    const { command, timeoutMs, log, stopped, crew, standing, targets } = this.#options;
    const obstacle = crew.sharesSockets
      ? this.#options.obstacle()
      : "its sockets can't be handed over on this platform";
    if (obstacle !== "") throw new MeshError("not_supported", `no upgrade is possible: ${obstacle}`);
    const estate = standing.estate();
    if (this.#isUnderWay || this.#isDone || estate === undefined) {
      throw new MeshError("conflict", "an upgrade is under way, or the router has not joined the mesh yet");
    }
    this.#isUnderWay = true;
    const returnBy = standing.descriptors();
    try {
      const upgraded = await upgrade(executable, {
        command,
        timeoutMs: timeoutMs(),
        log,
        stopped,
        sockets: () => this.#sockets(),
        surrender() {
          standing.fallSilent();
          const [registrations, discovered] = [targets.registrations(), targets.allDiscovered()];
          return { node: estate, registrations, discovered } satisfies Estate;
        },
        resume: async () => void (await standing.enter(estate, returnBy)),
      });
      this.#isDone = true;
      return upgraded;
    } finally {
      this.#isUnderWay = false;
    }
  }

  #sockets(): Readonly<Record<Use, HandedSockets>> {
    const { config, crew, api, metrics, standing } = this.#options;
    const { udp, tcp } = standing.descriptors();
    const handed = (use: Use, fds: readonly number[]): HandedSockets => ({ at: formatAddress(config[use]), fds });
    return {
      listen: handed("listen", crew.descriptors()),
      api: handed("api", [api.descriptor()]),
      metrics: handed("metrics", [metrics.descriptor()]),
      gossip: handed("gossip", [udp, tcp]),
    };
  }
}
