/**
 * One crowd: so many members of one kind in the network namespace that this process was started in (by crowd.ts), with
 * its own loopback, whose counters are therefore the crowd's traffic and nobody else's. Prints what was measured as one
 * line of JSON. It is the first process of a PID namespace as well: whatever ends it ends the crowd.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { memory } from "../../tests/process/proc.ts";
import { type ReadLine, readOurs, readSerf, View } from "./crowd-view.ts";

export interface Order {
  readonly kind: "infermesh" | "serf";
  readonly executable: string;
  /** For logs. */
  readonly folder: string;
  readonly members: number;
  /** All are started within this time. */
  readonly startMs: number;
  /** From the last start, all must see all within this. */
  readonly limitMs: number;
  /** Then nothing is measured for this long, */
  readonly settleMs: number;
  /** and everything for this long. */
  readonly measureMs: number;
}

export interface Measured {
  /** From the last start until every member held all for present, suspected or not; null: never within the limit. */
  readonly convergedMs: number | null;
  /** And until nobody suspected anybody any more; null for Serf, whose log does not tell the end of suspicions. */
  readonly settledMs: number | null;
  /** The fewest present that a member saw at the end of the limit or of the measurement. */
  readonly presentMin: number;
  /** Deaths of living members, as declared by or told to any member: how many, and of how many members. */
  readonly falseDeaths: number;
  readonly falselyDead: number;
  readonly suspicions: number;
  /** CPU seconds of all members until they had settled (Serf: converged), or the limit was over. */
  readonly startCpuSeconds: number;
  readonly startBytes: number;
  /** A node and second, while measured. */
  readonly bytes: number;
  readonly packets: number;
  readonly cores: number;
  /** Proportional share and own pages of a member at the end, medians in MB. */
  readonly pssMb: number;
  readonly rssMb: number;
}

const POLL_MS = 200;
const SEED_MS = 10_000;
const FIRST_PORT = 10_000;
const MB = 1e6;

interface Kind {
  readonly ready: RegExp;
  readonly read: ReadLine;
  readonly tellsRefutations: boolean;
  command(executable: string, id: string, index: number): string[];
}

const at = (index: number): string => `127.0.0.1:${FIRST_PORT + index}`;

/** Both with their LAN defaults and at the level of their log that is their default. */
const KINDS: Readonly<Record<Order["kind"], Kind>> = {
  infermesh: {
    ready: /"msg":"ready"/,
    read: readOurs,
    tellsRefutations: true,
    command: (executable, id, index) => {
      const seed = index === 0 ? [] : ["--join", at(0)];
      return [executable, "member", "--id", id, "--gossip", at(index), ...seed, "--log-format", "json"];
    },
  },
  serf: {
    ready: /serf: EventMemberJoin/,
    read: readSerf,
    tellsRefutations: false,
    command: (executable, id, index) => {
      const rpc = `-rpc-addr=127.0.0.1:${FIRST_PORT * 2 + index}`;
      // A join that fails would end the process; so it tries again, as ours does.
      const seed = index === 0 ? [] : [`-retry-join=${at(0)}`, "-retry-interval=1s"];
      return [executable, "agent", `-node=${id}`, `-bind=${at(index)}`, rpc, ...seed, "-profile=lan"];
    },
  },
};

interface Counters {
  readonly atMs: number;
  readonly bytes: number;
  readonly packets: number;
  readonly cpuSeconds: number;
}

class Crowd {
  readonly #order: Order;
  readonly #kind: Kind;
  readonly #members: { readonly process: Subprocess; readonly view: View }[] = [];

  constructor(order: Order) {
    this.#order = order;
    this.#kind = KINDS[order.kind];
    mkdirSync(order.folder, { recursive: true });
  }

  /** Starts them evenly over the time given, the first one alone. */
  async start(): Promise<void> {
    const { members, startMs } = this.#order;
    this.#add(0);
    await this.#seedReady();
    const startedAtMs = performance.now();
    for (let index = 1; index < members; index++) {
      const waitMs = startedAtMs + (startMs * index) / members - performance.now();
      if (waitMs > 0) await Bun.sleep(waitMs);
      this.#add(index);
    }
  }

  /** Looks at all logs until there is nothing more to wait for, or the limit is over. */
  async converged(limitMs: number): Promise<Pick<Measured, "convergedMs" | "settledMs">> {
    const fromMs = performance.now();
    let convergedMs: number | null = null;
    for (;;) {
      this.look();
      const nowMs = performance.now() - fromMs;
      const views = this.#members.map(({ view }) => view);
      // One that is lost again takes the convergence back.
      if (!views.every(({ present }) => present === this.#order.members)) convergedMs = null;
      else convergedMs ??= nowMs;
      const isSettled = convergedMs !== null && views.every(({ suspects }) => suspects === 0);
      if (this.#kind.tellsRefutations ? isSettled : convergedMs !== null) {
        return { convergedMs, settledMs: isSettled && this.#kind.tellsRefutations ? nowMs : null };
      }
      if (nowMs > limitMs) return { convergedMs, settledMs: null };
      const ended = this.#members.filter(({ process }) => process.exitCode !== null).length;
      if (ended > 0) throw new Error(`${ended} members of the crowd ended by themselves: see ${this.#order.folder}`);
      await Bun.sleep(POLL_MS);
    }
  }

  look(): void {
    for (const { view } of this.#members) view.update();
  }

  counters(): Counters {
    const [, rest = ""] = /^\s*lo:(.*)$/m.exec(readFileSync("/proc/net/dev", "utf8")) ?? [];
    const [bytes, packets] = rest.trim().split(/\s+/).map(Number);
    const cpuSeconds = this.#members.reduce((sum, { process }) => sum + cpuSecondsOf(process.pid), 0);
    return { atMs: performance.now(), bytes: bytes ?? 0, packets: packets ?? 0, cpuSeconds };
  }

  /** So that what is read of it holds still: a busy crowd writes its logs, and maps memory, faster than we read. */
  freeze(): void {
    for (const { process } of this.#members) process.kill("SIGSTOP");
  }

  memory(): { pssMb: number; rssMb: number } {
    const all = this.#members.map(({ process }) => memory(process.pid));
    const middle = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
    const pssMb = middle(all.map(({ proportional }) => proportional ?? 0)) / MB;
    return { pssMb, rssMb: middle(all.map(({ resident }) => resident)) / MB };
  }

  seen(): Pick<Measured, "presentMin" | "falseDeaths" | "falselyDead" | "suspicions"> {
    const views = this.#members.map(({ view }) => view);
    return {
      presentMin: Math.min(...views.map(({ present }) => present)),
      falseDeaths: views.reduce((sum, { failures }) => sum + failures, 0),
      falselyDead: new Set(views.flatMap(({ failed }) => [...failed])).size,
      suspicions: views.reduce((sum, { suspicions }) => sum + suspicions, 0),
    };
  }

  async end(): Promise<void> {
    for (const { process } of this.#members) process.kill("SIGKILL");
    await Promise.all(this.#members.map(({ process }) => process.exited));
    for (const { view } of this.#members) view.close();
  }

  #add(index: number): void {
    const { executable, folder } = this.#order;
    const id = `n${index}`;
    const log = join(folder, `${id}.log`);
    const out = Bun.file(log);
    const command = this.#kind.command(executable, id, index);
    const process = Bun.spawn(command, { stdin: "ignore", stdout: out, stderr: out, cwd: folder });
    this.#members.push({ process, view: new View(id, log, this.#kind.read) });
  }

  async #seedReady(): Promise<void> {
    const log = join(this.#order.folder, "n0.log");
    const untilMs = performance.now() + SEED_MS;
    while (!this.#kind.ready.test(readFileSync(log, "latin1"))) {
      if (performance.now() > untilMs) throw new Error(`the first member is not ready: ${readFileSync(log, "latin1")}`);
      await Bun.sleep(20);
    }
  }
}

function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function measure(order: Order): Promise<Measured> {
  const up = Bun.spawnSync(["ip", "link", "set", "lo", "up"], { stderr: "inherit" });
  if (up.exitCode !== 0) throw new Error("can't bring up the loopback of the namespace");
  const crowd = new Crowd(order);
  try {
    await crowd.start();
    const converged = await crowd.converged(order.limitMs);
    const started = crowd.counters();
    await Bun.sleep(order.settleMs);
    const from = crowd.counters();
    await Bun.sleep(order.measureMs);
    const to = crowd.counters();
    crowd.freeze();
    crowd.look();
    const nodeSeconds = (order.members * Math.max(1, to.atMs - from.atMs)) / 1000;
    return {
      ...converged,
      ...crowd.seen(),
      startCpuSeconds: started.cpuSeconds,
      startBytes: started.bytes,
      bytes: (to.bytes - from.bytes) / nodeSeconds,
      packets: (to.packets - from.packets) / nodeSeconds,
      cores: (to.cpuSeconds - from.cpuSeconds) / nodeSeconds,
      ...crowd.memory(),
    };
  } finally {
    await crowd.end();
  }
}

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? "{}") as Order)));
