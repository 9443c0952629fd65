/**
 * What the transport tells its operator: each thing once in a while, however often it happens.
 *
 * A clock that differs by more than the replay window looks like a member that is not there, so it is warned of. Only
 * packets that are authentic apart from their time are: their tag is looked at, but only while a warning is due, so that
 * a flood of recordings costs one look a minute. What is forged costs a look each, as it would with a right time. A
 * stranger can make us say no more than what some member's clock once was, by a recording.
 */
import { type MeshError, toMeshError } from "../base/errors.ts";
import { parseAddress } from "../base/units.ts";
import { type Envelope, type Kind, PACKET_VERSION } from "./envelope.ts";
import { orCrash } from "../net/crash.ts";

const FAULT_EVERY_MS = 10_000;
const CLOCK_EVERY_MS = 60_000;
const HOST_EVERY_MS = 600_000;
/** In that time, so that senders of made-up addresses fill no log. */
const HOSTS_MAX = 32;

export interface NoticesOptions {
  readonly envelope: Envelope;
  readonly windowSeconds: number;
  readonly onError: (error: MeshError) => void;
  readonly onWarning: (message: string) => void;
}

export class Notices {
  readonly #options: NoticesOptions;
  readonly #toldAtMs = new Map<string, number>();
  /** By host. */
  readonly #hostToldAtMs = new Map<string, number>();
  #stopped = false;

  constructor(options: NoticesOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Something is wrong here. Kinds are error codes of the system, of which there are few. */
  fault(kind: string, error: unknown): void {
    if (!this.#isDue(kind, FAULT_EVERY_MS)) return;
    this.#toldAtMs.set(kind, performance.now());
    orCrash(() => this.#options.onError(toMeshError(error)));
  }

  /** Whether a packet that is dropped for its time is worth reading to its end. */
  get wantsClocks(): boolean {
    return this.#isDue("clock", CLOCK_EVERY_MS);
  }

  /** A packet was dropped for its time. */
  clock(kind: Kind, from: string, packet: Uint8Array): void {
    if (!this.wantsClocks) return;
    const ahead = this.#options.envelope.secondsAhead(kind, packet);
    if (ahead === undefined) return;
    this.#toldAtMs.set("clock", performance.now());
    orCrash(() => this.#options.onWarning(clockWarning(from, ahead, this.#options.windowSeconds)));
  }

  /**
   * A packet was dropped for its key: nobody else would tell, since who has an old one hears only silence. Told once for
   * each host, so that a stranger does not silence the warning of a member. `from` is an address, or a host.
   */
  strangeKey(from: string, packet: Uint8Array): void {
    this.#warnOfHost(from, () => keyWarning(from, packet[3]!.toString(16).padStart(2, "0")));
  }

  /** A packet was dropped for its version: a member of another one hears silence, too. */
  strangeVersion(from: string, packet: Uint8Array): void {
    this.#warnOfHost(from, () => versionWarning(from, packet[1]!));
  }

  #warnOfHost(from: string, warning: () => string): void {
    const host = parseAddress(from)?.host ?? from;
    const told = this.#hostToldAtMs;
    const nowMs = performance.now();
    if (this.#stopped || nowMs - (told.get(host) ?? -Infinity) < HOST_EVERY_MS) return;
    for (const [other, atMs] of told) if (nowMs - atMs >= HOST_EVERY_MS) told.delete(other);
    if (told.size >= HOSTS_MAX) return;
    told.set(host, nowMs);
    orCrash(() => this.#options.onWarning(warning()));
  }

  #isDue(kind: string, everyMs: number): boolean {
    const toldAtMs = this.#toldAtMs.get(kind);
    return !this.#stopped && (toldAtMs === undefined || performance.now() - toldAtMs >= everyMs);
  }
}

function clockWarning(from: string, ahead: number, windowSeconds: number): string {
  const [differs, unless] =
    ahead > 0
      ? [`${ahead} s ahead of this machine's`, ""]
      : [`${-ahead} s behind this machine's`, " (unless somebody sends old recordings)"];
  return (
    `the clock of the member at ${from} is ${differs}${unless}: its packets are dropped, since clocks may differ by ` +
    `${windowSeconds} s; set both by NTP, or raise --mesh-limits-replay-window at every member`
  );
}

function versionWarning(from: string, version: number): string {
  const [older, newer] = version < PACKET_VERSION ? ["there", "here"] : ["here", "there"];
  return (
    `a packet from ${from} is of version ${version} of the mesh's packets, and this node speaks version ${PACKET_VERSION}: what runs ` +
    `${older} is too old for what runs ${newer}; upgrade it (docs/upgrading.md)`
  );
}

function keyWarning(from: string, beginning: string): string {
  return (
    `a packet from ${from} is sealed with a key that this node does not have (its fingerprint begins with ${beginning}): here or ` +
    "there the key is an old one; compare `infermesh ctl keyring list` of both, then `keyring add` and `keyring use` the " +
    "present one where it is missing"
  );
}
