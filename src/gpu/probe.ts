/**
 * The probe: a process of its own that opens a backend, reads the GPUs group by group, and writes what it read to
 * standard output (probe-wire.ts). All that may hang or crash in a driver does so here, and the agent lives on.
 *
 * It ends when its standard input does (the agent is gone), on SIGTERM, and when nobody reads what it writes; where the
 * kernel allows, it is killed with its parent even out of a hung call. It opens its backend anew after pauses when that
 * fails. It ends by itself with EXIT_FRESH when only a new process can go on: the driver is another one than its library
 * was opened for, or opening anew failed again and again.
 */
import { type BackendTrouble, BackendError, type GpuBackend } from "./backend.ts";
import { GPU_GROUPS, type GpuFault, type GpuGroup, type GpuUpdate } from "../health/reading.ts";
import { takeUpdate } from "../health/shape.ts";
import { EXIT_FRESH } from "./probe-life.ts";
import type { ProbeOutput } from "./probe-output.ts";
import type { BackendName, ProbeSpec } from "./probe-spec.ts";
import { encodeProbeMessage, LINE_BYTES_MAX, type ProbeMessage } from "./probe-wire.ts";

/** How each backend is opened: it throws a BackendError where it can't be. */
export type Openers = Readonly<Partial<Record<BackendName, Open>>>;
export type Open = (spec: ProbeSpec) => GpuBackend | Promise<GpuBackend>;

export interface ProbeWorld {
  readonly output: ProbeOutput;
  readonly openers: Openers;
  /** What tells the loaded driver from another. */
  readonly driverMark: () => string;
  /** A monotonic clock. */
  readonly nowMs: () => number;
  /** Waits; at an end that was asked for, no longer. */
  readonly sleep: (ms: number) => Promise<void>;
  /** An end was asked for. */
  readonly isEnding: () => boolean;
}

const OPEN_PAUSE_MS_MIN = 1000;
const OPEN_PAUSE_MS_MAX = 30_000;
/** Failures in a row after which a new process is tried. */
const FRESH_AFTER = 5;
/** Between two tries to write what the agent does not read. */
const FULL_PAUSE_MS = 20;
const FAULTS_PER_MESSAGE = 256;
/** Of one look for them: a storm tells no more than its beginning. */
const FAULTS_MAX = 1024;
const JSON_SPARE_BYTES = 64;

/** Reads until it is to end; answers the exit code. */
export async function runProbe(spec: ProbeSpec, world: ProbeWorld): Promise<number> {
  const probe = new Probe(spec, world);
  try {
    while (!world.isEnding() && !world.output.isOver) {
      const pauseMs = await probe.step();
      if (probe.wantsFresh) return EXIT_FRESH;
      await world.sleep(pauseMs);
    }
    return 0;
  } finally {
    probe.close();
  }
}

class Probe {
  readonly #spec: ProbeSpec;
  readonly #world: ProbeWorld;
  #backend: GpuBackend | null = null;
  #mark = "";
  #openAtMs = -Infinity;
  #failures = 0;
  readonly #dueAtMs: Record<GpuGroup, number> = { identity: 0, load: 0, traffic: 0, wear: 0 };
  #faultsAtMs = 0;
  #saidAtMs = -Infinity;
  wantsFresh = false;

  constructor(spec: ProbeSpec, world: ProbeWorld) {
    this.#spec = spec;
    this.#world = world;
  }

  /** Does what is due; answers how long nothing else will be. */
  async step(): Promise<number> {
    const { output } = this.#world;
    // What is not read is not written, and what can't be written is not looked at.
    output.flush();
    if (output.isFull) return FULL_PAUSE_MS;
    try {
      if (this.#backend === null) await this.#open();
      if (this.#backend !== null) this.#look(this.#backend);
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      this.#failed(error);
    }
    const nowMs = this.#world.nowMs();
    if (nowMs - this.#saidAtMs >= this.#spec.aliveIntervalMs) this.#say({ type: "alive" });
    // A timer takes whole milliseconds and drops the rest: it would wake up too early, and once more.
    return Math.max(0, Math.ceil(this.#nextAtMs() - nowMs));
  }

  close(): void {
    const backend = this.#backend;
    this.#backend = null;
    backend?.close();
  }

  async #open(): Promise<void> {
    const { nowMs, openers, driverMark } = this.#world;
    if (nowMs() < this.#openAtMs) return;
    this.#mark = driverMark();
    let refused: BackendError | undefined;
    for (const name of this.#spec.backends) {
      try {
        const open = openers[name];
        if (open === undefined) throw new BackendError("absent", `this version has no backend ${name}`);
        this.#backend = await open(this.#spec);
        break;
      } catch (error) {
        if (!(error instanceof BackendError)) throw error;
        // What is there and can't be used is told before what is not there.
        if (refused === undefined || (refused.trouble === "absent" && error.trouble !== "absent")) refused = error;
      }
    }
    if (this.#backend === null) throw refused ?? new BackendError("absent", "there is nothing to open");
    this.#say({ type: "open", stack: this.#backend.stack });
    for (const group of GPU_GROUPS) this.#dueAtMs[group] = -Infinity;
    this.#faultsAtMs = -Infinity;
  }

  #look(backend: GpuBackend): void {
    const startMs = this.#world.nowMs();
    if (startMs >= this.#faultsAtMs) {
      this.#faultsAtMs = following(this.#faultsAtMs, this.#spec.faultIntervalMs, startMs);
      this.#tellFaults(backend.faults());
    }
    const groups = new Set(GPU_GROUPS.filter((group) => startMs >= this.#dueAtMs[group]));
    if (groups.size === 0) return;
    if (backend.isRollDue === true) groups.add("identity");
    if (groups.has("identity") && this.#isOtherDriver()) return;
    const gpus = backend.read(groups, startMs);
    for (const group of groups) {
      this.#dueAtMs[group] = following(this.#dueAtMs[group], this.#spec.intervalsMs[group], startMs);
    }
    this.#failures = 0;
    const isRoll = groups.has("identity");
    const note = isRoll ? (backend.note ?? "") : "";
    const tookMs = this.#world.nowMs() - startMs;
    this.#tell({ type: "reading", isRoll, tookMs, gpus, ...(note === "" ? {} : { note }) });
  }

  #isOtherDriver(): boolean {
    const mark = this.#world.driverMark();
    this.wantsFresh = mark !== "" && this.#mark !== "" && mark !== this.#mark;
    return this.wantsFresh;
  }

  #failed(error: BackendError): void {
    this.close();
    const { trouble, message } = error;
    this.#say({ type: "trouble", trouble, message });
    this.#failures += 1;
    const pauseMs = pauseOf(trouble, this.#failures);
    this.#openAtMs = this.#world.nowMs() + pauseMs;
    // A library that was never opened is not stale.
    this.wantsFresh = error.isStale || (trouble !== "absent" && this.#failures >= FRESH_AFTER);
  }

  #tellFaults(faults: readonly GpuFault[]): void {
    for (let from = 0; from < Math.min(FAULTS_MAX, faults.length); from += FAULTS_PER_MESSAGE) {
      this.#say({ type: "faults", faults: faults.slice(from, from + FAULTS_PER_MESSAGE) });
    }
  }

  /** In one line; where that would be too long, the GPUs' identities in one, and what else is known of each in its own. */
  #tell(whole: Extract<ProbeMessage, { type: "reading" }>): void {
    const { gpus, isRoll, tookMs } = whole;
    const line = encodeProbeMessage(whole);
    if (line.length * 3 < LINE_BYTES_MAX || Buffer.byteLength(line) < LINE_BYTES_MAX - JSON_SPARE_BYTES) {
      this.#give(line);
      return;
    }
    const kept = gpus.flatMap((gpu) => takeUpdate(gpu) ?? []);
    if (isRoll) this.#say({ ...whole, gpus: kept.flatMap(named) });
    for (const gpu of kept) this.#say({ type: "reading", isRoll: false, tookMs, gpus: [gpu] });
  }

  #say(message: ProbeMessage): void {
    this.#give(encodeProbeMessage(message));
  }

  #give(line: string): void {
    this.#saidAtMs = this.#world.nowMs();
    this.#world.output.give(line);
  }

  #nextAtMs(): number {
    const alive = this.#saidAtMs + this.#spec.aliveIntervalMs;
    if (this.#backend === null) return Math.min(alive, this.#openAtMs);
    return Math.min(alive, this.#faultsAtMs, ...Object.values(this.#dueAtMs));
  }
}

/**
 * The next one of a row of moments that is yet to come. All rows begin with the first look and none slips, so that what
 * has a multiple of another's interval comes due with it: to wake up costs more than to look for faults.
 */
function following(dueAtMs: number, intervalMs: number, nowMs: number): number {
  if (dueAtMs === -Infinity) return nowMs + intervalMs;
  return dueAtMs + Math.max(1, Math.floor((nowMs - dueAtMs) / intervalMs) + 1) * intervalMs;
}

function named({ uuid, identity }: GpuUpdate): GpuUpdate[] {
  return identity === undefined ? [] : [{ uuid, identity }];
}

/** What is not there may come, but hardly soon. */
function pauseOf(trouble: BackendTrouble, failures: number): number {
  const doubled = OPEN_PAUSE_MS_MIN * 2 ** Math.min(10, failures - 1);
  return trouble === "absent" ? OPEN_PAUSE_MS_MAX : Math.min(OPEN_PAUSE_MS_MAX, doubled);
}
