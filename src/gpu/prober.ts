/**
 * GPUs that a probe process reads: it is started, heard, watched and ended here, as probe-life.ts decides. Nothing in
 * here waits for it, so whatever a driver does, the agent goes on.
 */
import type { GpuReading } from "../health/reading.ts";
import { GpuReadings } from "../health/readings.ts";
import type { SourceState } from "../health/source-state.ts";
import { type Child, type Spawn, spawnChild } from "./child.ts";
import { Lines } from "./lines.ts";
import { type LifeConfig, type LifeState, ProbeLife } from "./probe-life.ts";
import { decodeProbeMessage, LINE_BYTES_MAX } from "./probe-wire.ts";
import type { GpuListener, GpuSource, SourceFigures } from "./source.ts";

export interface ProberOptions {
  /** Starts the probe. */
  readonly command: readonly string[];
  /** What its environment has besides that of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly config: LifeConfig;
  /** Of what it reads, for its figures. */
  readonly name?: string;
  readonly spawn?: Spawn;
}

/** For an end in order, then for SIGKILL; a process that hangs in the kernel is left behind. */
const STOP_MS = 3000;
const SHOWN_CHARS = 60;

export class Prober implements GpuSource {
  readonly #command: readonly string[];
  readonly #env: Readonly<Record<string, string>> | undefined;
  readonly #spawn: Spawn;
  readonly #life: ProbeLife;
  readonly #readings = new GpuReadings();
  readonly #name: string;
  #starts = 0;
  #lookSeconds: number | undefined;
  #listener: GpuListener | undefined;
  #child: Child | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = Promise.withResolvers<void>();
  #told: LifeState | undefined;
  #state: SourceState;

  constructor({ command, env, config, spawn = spawnChild, name = "probe" }: ProberOptions) {
    this.#name = name;
    this.#command = command;
    this.#env = env;
    this.#spawn = spawn;
    this.#life = new ProbeLife(config);
    this.#state = { state: "starting", message: "", sinceMs: Date.now() };
    this.#life.start(performance.now());
    this.#step();
  }

  get state(): SourceState {
    return this.#state;
  }

  get readings(): readonly GpuReading[] {
    return this.#readings.all;
  }

  get figures(): SourceFigures {
    return { name: this.#name, restarts: Math.max(0, this.#starts - 1), lookSeconds: this.#lookSeconds };
  }

  /** Of the process that is there; undefined when none is. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  watch(listener: GpuListener): void {
    this.#listener = listener;
  }

  /** Ends the process; waits for a few seconds at most. */
  async stop(): Promise<void> {
    this.#listener = undefined;
    this.#life.stop(performance.now());
    this.#step();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, STOP_MS);
    await Promise.race([this.#stopped.promise, promise]);
    clearTimeout(timer);
    clearTimeout(this.#timer);
  }

  /** Lets what was decided happen. */
  #step(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const { actions, wakeAtMs } = this.#life.take();
      for (const action of actions) {
        if (action === "spawn") this.#start();
        else this.#child?.kill(action === "term" ? "SIGTERM" : "SIGKILL");
      }
      if (actions.length > 0) continue;
      if (wakeAtMs !== Infinity) this.#wakeAt(wakeAtMs);
      break;
    }
    if (this.#life.isOver) this.#stopped.resolve();
    if (this.#tell()) this.#listener?.changed();
  }

  #wakeAt(atMs: number): void {
    const wake = (): void => {
      this.#life.wake(performance.now());
      this.#step();
    };
    this.#timer = setTimeout(wake, Math.max(0, Math.ceil(atMs - performance.now())));
    this.#timer.unref();
  }

  #start(): void {
    try {
      const child = this.#spawn(this.#command, this.#env);
      this.#starts += 1;
      this.#child = child;
      this.#life.spawned(child.pid);
      void this.#follow(child);
    } catch (error) {
      this.#life.notSpawned((error as Error).message, performance.now());
    }
  }

  async #follow(child: Child): Promise<void> {
    const reading = this.#read(child).catch((error: unknown) => this.#babbled(child, String(error)));
    const exit = await child.exited;
    // What it said before its end counts. A pipe that something else holds open is waited for no longer than this.
    await Promise.race([reading, Bun.sleep(100)]);
    if (this.#child === child) this.#child = null;
    this.#life.exited(exit, performance.now());
    this.#step();
  }

  async #read(child: Child): Promise<void> {
    const lines = new Lines(LINE_BYTES_MAX);
    for await (const chunk of child.output) {
      if (this.#child !== child) return;
      const found = lines.push(chunk);
      if (found === "too long") return this.#babbled(child, "it wrote a line without an end");
      let isChanged = false;
      for (const line of found) {
        const isRight = this.#take(line);
        if (isRight === undefined) return this.#babbled(child, `it wrote what is no message: ${shown(line)}`);
        isChanged ||= isRight;
      }
      this.#step();
      if (isChanged) this.#listener?.changed();
    }
  }

  /** Whether it brought readings; undefined for what is no message. */
  #take(line: string): boolean | undefined {
    const message = decodeProbeMessage(line);
    if (message === undefined) return undefined;
    this.#life.heard(message, performance.now());
    if (message.type === "faults") this.#listener?.faulted(message.faults);
    if (message.type !== "reading") return false;
    this.#lookSeconds = message.tookMs / 1000;
    this.#readings.take(message.gpus, message.isRoll);
    return true;
  }

  #babbled(child: Child, why: string): void {
    if (this.#child !== child) return;
    this.#life.babbled(why, performance.now());
    this.#step();
  }

  /** Whether the state is another one than the one told last. */
  #tell(): boolean {
    const life = this.#life.state;
    const { ambiguous } = this.#readings;
    const isSame = ambiguous.join() === (this.#state.ambiguous ?? []).join();
    if (life === this.#told && isSame) return false;
    const isSince = this.#told?.atMs === life.atMs && this.#told.state === life.state;
    const sinceMs = isSince ? this.#state.sinceMs : Math.round(Date.now() - (performance.now() - life.atMs));
    this.#told = life;
    const { state, stack } = life;
    const since = `driver unresponsive since ${new Date(sinceMs).toISOString()}: `;
    const message = state === "unresponsive" ? since + life.message : life.message;
    this.#state = { state, message, sinceMs, stack, ambiguous };
    return true;
  }
}

function shown(line: string): string {
  const kept = line.replaceAll(/[\p{Cc}\p{Cf}\uFFFD]/gu, "?");
  return kept.length > SHOWN_CHARS ? `${kept.slice(0, SHOWN_CHARS)}...` : kept;
}
