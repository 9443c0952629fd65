/**
 * Handing a process over to a successor, which may be another version of the executable: listening sockets and the
 * gossip's are inherited, so that no connection is refused and no datagram lost while nobody or both of them read.
 *
 * The old process starts the new one with a descriptor for each socket, and a variable that says which is which and the
 * address that each was opened for: an address that is configured otherwise now is opened anew. Then three messages, as
 * JSON over a channel of Bun's:
 *
 *     new: prepared     it has started as far as it can without being the node
 *     old: estate       what else the new one must know; from here on the old one is silent
 *     new: ready        it serves: the old one drains and ends
 *
 * Up to "ready" the old one can take everything back: it holds descriptors of its own, and ends the new process. A new
 * one whose predecessor ends before its estate came can't go on, and ends too. `FORMAT` is told with the sockets: a
 * process that does not know it refuses to start.
 *
 * Limits: Linux. Both run under one user, in one process group; the new one outlives the old one, and the supervisor must
 * follow the change of the process's id.
 */
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import { closeDescriptor, duplicate } from "./descriptor.ts";

export const HANDOVER_VARIABLE = "INFERMESH_HANDOVER";

const FORMAT = 1;
/** The first descriptor after standard input, output and error. */
const FIRST_FD = 3;
/** What Bun tells a process of the channel to its parent by. */
const CHANNEL_VARIABLES = ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"];

/** Sockets of one address, by what they are for. */
export interface HandedSockets {
  /** The address as it was configured. */
  readonly at: string;
  readonly fds: readonly number[];
}

export interface SuccessorOptions {
  /** The executable and its arguments. */
  readonly command: readonly string[];
  /** Their descriptors are closed here once the process has its own. */
  readonly sockets: Readonly<Record<string, HandedSockets>>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The new process, as the old one sees it. */
export class Successor {
  readonly pid: number;
  readonly #child: Bun.Subprocess;
  readonly #prepared = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();

  /** Starts it; throws a MeshError when it can't be started. */
  constructor({ command, sockets, env }: SuccessorOptions) {
    const fds = Object.values(sockets).flatMap((handed) => handed.fds);
    try {
      this.#child = Bun.spawn([...command], {
        // Descriptors from the fourth on are in no types of Bun's.
        stdio: ["inherit", "inherit", "inherit", ...fds] as unknown as ["inherit", "inherit", "inherit"],
        serialization: "json",
        env: { ...env, [HANDOVER_VARIABLE]: describe(sockets) },
        ipc: (message: unknown) => this.#received(message),
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MeshError("internal", `can't start ${command[0]}: ${why}`, { cause });
    } finally {
      for (const fd of fds) closeDescriptor(fd);
    }
    this.pid = this.#child.pid;
    const ended = (code: number): void => {
      const how = this.#child.signalCode ?? `exit code ${code}`;
      const error = new MeshError("internal", `the new process ended (${how}) before it was ready; see what it says`);
      this.#prepared.reject(error);
      this.#ready.reject(error);
    };
    void this.#child.exited.then(ended);
    // Whoever awaits them later still gets it.
    this.#prepared.promise.catch(() => {});
    this.#ready.promise.catch(() => {});
  }

  /** Resolves when it is prepared; rejects when it ends before that. */
  get prepared(): Promise<void> {
    return this.#prepared.promise;
  }

  /** Resolves when it serves; rejects when it ends before that. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** From here on it is the node. */
  give(estate: object): void {
    this.#child.send({ kind: "estate", estate });
  }

  /** Ends it at once; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  #received(message: unknown): void {
    const kind = isRecord(message) ? message["kind"] : undefined;
    if (kind === "prepared") this.#prepared.resolve();
    else if (kind === "ready") this.#ready.resolve();
  }
}

/** The old process, as the new one sees it. */
export class Predecessor {
  readonly #sockets: Map<string, HandedSockets>;
  readonly #estate = Promise.withResolvers<unknown>();

  private constructor(sockets: Map<string, HandedSockets>) {
    this.#sockets = sockets;
    this.#estate.promise.catch(() => {});
    process.on("message", (message: unknown) => {
      if (isRecord(message) && message["kind"] === "estate") this.#estate.resolve(message["estate"]);
    });
    process.on("disconnect", () => this.#estate.reject(orphaned()));
  }

  /** Who handed over to this process; null for a start like any other. Throws a MeshError for what is not understood. */
  static find(env: Record<string, string | undefined>): Predecessor | null {
    const told = env[HANDOVER_VARIABLE];
    // What this process starts in its turn is not its predecessor's heir.
    delete env[HANDOVER_VARIABLE];
    for (const name of CHANNEL_VARIABLES) delete env[name];
    if (told === undefined || told === "") return null;
    const sockets = parseHandover(told);
    if (sockets === undefined || process.send === undefined) {
      throw new MeshError("config_invalid", `${HANDOVER_VARIABLE} is for an upgrade, by a process of a like version`);
    }
    const owned = [...sockets].map(([name, { at, fds }]) => [name, { at, fds: fds.map(keptHere) }] as const);
    return new Predecessor(new Map(owned));
  }

  /** The sockets for that use, if they were opened for the same address; they are the caller's from then on. */
  take(name: string, at: string): readonly number[] | undefined {
    const handed = this.#sockets.get(name);
    if (handed === undefined || handed.at !== at || handed.fds.length === 0) return undefined;
    this.#sockets.delete(name);
    return handed.fds;
  }

  /** Says that this process can go no further without its estate, and waits for that. */
  async prepared(): Promise<unknown> {
    for (const { fds } of this.#sockets.values()) for (const fd of fds) closeDescriptor(fd);
    this.#sockets.clear();
    process.send?.({ kind: "prepared" });
    return this.#estate.promise;
  }

  /** Says that this process serves: the other one drains and ends. */
  ready(): void {
    process.send?.({ kind: "ready" });
  }
}

/** A descriptor that is not passed on: an inherited one would be. */
function keptHere(fd: number): number {
  const own = duplicate(fd);
  closeDescriptor(fd);
  return own;
}

function describe(sockets: Readonly<Record<string, HandedSockets>>): string {
  let next = FIRST_FD;
  const numbered = Object.entries(sockets).map(([name, { at, fds }]) => [name, { at, fds: fds.map(() => next++) }]);
  return JSON.stringify({ format: FORMAT, sockets: Object.fromEntries(numbered) });
}

/** undefined for what no process of this format wrote. */
export function parseHandover(text: string): Map<string, HandedSockets> | undefined {
  let told: unknown;
  try {
    told = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(told) || told["format"] !== FORMAT || !isRecord(told["sockets"])) return undefined;
  const sockets = new Map<string, HandedSockets>();
  for (const [name, handed] of Object.entries(told["sockets"])) {
    if (!isRecord(handed)) return undefined;
    const { at, fds } = handed;
    if (typeof at !== "string" || !Array.isArray(fds)) return undefined;
    if (!fds.every((fd: unknown) => Number.isInteger(fd) && (fd as number) >= FIRST_FD)) return undefined;
    sockets.set(name, { at, fds: fds as number[] });
  }
  return sockets;
}

function orphaned(): MeshError {
  return new MeshError("internal", "the process that was to hand over ended before it did");
}
