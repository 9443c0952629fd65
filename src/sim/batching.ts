/**
 * Continuous batching as vLLM's v1 scheduler does it, without a clock: requests go in, events with times come out.
 *
 * A step serves every decoding sequence with one token, and gives what is left of the token budget to prompts: first to
 * the one whose prefill was cut at the step before, then to waiting ones in order of arrival (first come, first served;
 * the head of the queue is never overtaken). Blocks are taken as sequences grow. When a decoding sequence needs a block
 * and none is free, the newest running one is preempted: it loses its blocks, goes to the front of the queue, and is
 * computed again later; in such a step nothing is admitted.
 *
 *   step ms = pace * (base + prefill tokens / prefill rate + per sequence * batch + per context token * context)
 *
 * The work of a step does not grow with the batch. Decoding sequences all advance by one token a step, so each stores
 * only the step at which it joined and the one at which it is done (a heap); which of them need a new block at a step
 * depends on their length modulo the block size (one count for each residue). While nothing can change – no prefill, no
 * arrival, no end, blocks enough – many steps are planned as one *run* of arithmetically growing durations and settled
 * in closed form. Only streamed requests cost something at each wake, for they are told of every token.
 *
 * Times do not depend on how late wake() is called: steps end when they end, and a late wake catches up.
 *
 * Limits: at most `waitingMax` waiting. Recovery: none is needed; cancel() returns everything at once, though the step
 * under way takes its full time, as on a GPU.
 */

import { assert } from "../base/assert.ts";
import { RateEwma } from "../base/ewma.ts";
import { Heap } from "../base/heap.ts";
import { type CacheWatch, KvCache } from "./kv-cache.ts";
import type { Profile } from "./profile.ts";
import { DECODING, ENDED, PREFILLING, Sequence, SequenceList, WAITING } from "./sequence.ts";
import type { SimEnd, SimRequest } from "./sequence.ts";

export type BatchingConfig = Pick<
  Profile,
  | "prefillTokensPerSecond"
  | "stepBaseMs"
  | "stepPerSequenceMs"
  | "stepPerContextTokenMs"
  | "runningMax"
  | "stepTokensMax"
  | "blockTokens"
  | "kvBlocks"
>;

const WAITING_MAX = 65_536;
/** Rates are means over about this much time at that work: short, so that a node that becomes slow soon shows it. */
const PREFILL_CONSTANT_MS = 250;
const DECODE_CONSTANT_MS = 1_000;

/** Tokens of one request that were made since the event before. */
export interface TokenEvent {
  readonly id: number;
  /** Index of the first of them, 0 for the request's first token. */
  readonly first: number;
  readonly count: number;
  /** When the last of them was made. */
  readonly atMs: number;
}

/** The one end that every submitted request comes to. */
export interface EndEvent {
  readonly id: number;
  readonly end: SimEnd;
  readonly promptTokens: number;
  /** Prompt tokens found in the cache at the first admission. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly submittedAtMs: number;
  /** -1: never. */
  readonly admittedAtMs: number;
  /** -1: never. */
  readonly firstTokenAtMs: number;
  readonly endedAtMs: number;
  readonly preemptions: number;
}

export interface Taken {
  readonly tokens: readonly TokenEvent[];
  readonly finished: readonly EndEvent[];
  /** Infinity: nothing will happen by itself. */
  readonly wakeAtMs: number;
}

export interface BatchingStats {
  readonly running: number;
  readonly waiting: number;
  /** Prompt tokens accepted and not yet computed, of waiting and running requests. */
  readonly queuedPrefillTokens: number;
  readonly kvBlocksUsed: number;
  readonly kvBlocks: number;
  readonly promptTokens: number;
  readonly generationTokens: number;
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
  readonly preemptions: number;
  readonly steps: number;
  /** Time at work since the start. */
  readonly busyMs: number;
  /** Measured over the time that prefill took; undefined before any. */
  readonly prefillTokensPerSecond: number | undefined;
  /** Measured: tokens of the whole batch over the time of the steps that made them. */
  readonly decodeTokensPerSecond: number | undefined;
}

interface Chunk {
  readonly sequence: Sequence;
  readonly tokens: number;
}

export class Batcher {
  readonly config: BatchingConfig;
  readonly cache: KvCache;
  readonly #byId = new Map<number, Sequence>();
  readonly #waiting = new SequenceList();
  readonly #running = new SequenceList();
  readonly #ends = new Heap<Sequence>();
  readonly #streaming = new Set<Sequence>();
  /** Decoding sequences by the residue of the step at which they need a new block. */
  readonly #residues: number[];
  /** The one sequence whose prefill was cut; always the newest running one. */
  #partial: Sequence | null = null;
  /** Scratch of an admission: the blocks that hold the beginning of the prompt. */
  readonly #found: number[] = [];
  #decoding = 0;
  /** Steps completed since the start. */
  #step = 0;
  /** Tokens that the next decode step reads from the cache, all decoding sequences together. */
  #context = 0;
  #pace = 1;

  #inFlight = false;
  #chunks: Chunk[] = [];
  #runStartMs = 0;
  #runSteps = 0;
  #runDone = 0;
  #runStepMs = 0;
  #runGrowthMs = 0;
  #runPrefillMs = 0;
  /** When the first request came to the idle engine: all of that instant share the first step. */
  #startAtMs = 0;
  #stalledAtMs = -1;

  #tokens: TokenEvent[] = [];
  #finished: EndEvent[] = [];
  #queuedPrefillTokens = 0;
  #promptTokens = 0;
  #generationTokens = 0;
  #prefixQueryTokens = 0;
  #prefixHitTokens = 0;
  #preemptions = 0;
  #busyMs = 0;
  readonly #prefillRate = new RateEwma(PREFILL_CONSTANT_MS);
  readonly #decodeRate = new RateEwma(DECODE_CONSTANT_MS);

  /** `watch` hears which content comes to its cache and leaves it. */
  constructor(config: BatchingConfig, watch: CacheWatch | null = null) {
    assert(config.stepBaseMs > 0, "a step must take time");
    assert(config.stepTokensMax >= config.runningMax, "the token budget must hold one token of every sequence");
    this.config = config;
    this.cache = new KvCache(config.kvBlocks, watch);
    this.#residues = Array.from({ length: config.blockTokens }, () => 0);
  }

  /** Whether it can ever run is told by the end event, at once. */
  submit(request: SimRequest, nowMs: number): void {
    assert(!this.#byId.has(request.id), `request ${request.id} is known already`);
    assert(request.promptTokens > 0, "a request needs a prompt");
    this.#advance(nowMs);
    const sequence = new Sequence(request, nowMs);
    if (this.#blocksFor(request.promptTokens + Math.max(0, request.outputTokens - 1)) > this.config.kvBlocks) {
      this.#report(sequence, "too_long", nowMs);
      return;
    }
    if (this.#waiting.size >= WAITING_MAX) {
      this.#report(sequence, "queue_full", nowMs);
      return;
    }
    this.#byId.set(request.id, sequence);
    if (!this.#inFlight && this.#waiting.size === 0) this.#startAtMs = nowMs;
    this.#waiting.pushBack(sequence);
    this.#queuedPrefillTokens += request.promptTokens;
    this.#cutRun();
  }

  /** Content that was computed elsewhere: cached as if its request had ended here, as much as has room. */
  preload(hashes: readonly number[], nowMs: number): void {
    this.#advance(nowMs);
    for (const hash of hashes.slice(0, this.cache.free)) {
      if (this.cache.has(hash)) continue;
      this.cache.takeAnonymous(1);
      this.cache.release(this.cache.name(hash));
    }
  }

  /** Gives back its place and its blocks at once; false when the request is not known or has ended. */
  cancel(id: number, nowMs: number): boolean {
    this.#advance(nowMs);
    const sequence = this.#byId.get(id);
    if (sequence === undefined) return false;
    // Whoever waited behind it, or for its blocks, may be admitted with the next step.
    this.#cutRun();
    if (sequence.state === WAITING) {
      this.#waiting.remove(sequence);
      this.#queuedPrefillTokens -= sequence.prefillTokens;
    } else this.#leaveRunning(sequence);
    this.#end(sequence, "cancelled", nowMs);
    return true;
  }

  /** Every step from the next on takes `pace` times as long. */
  setPace(pace: number, nowMs: number): void {
    assert(pace > 0 && Number.isFinite(pace), "the pace must be positive");
    if (pace === this.#pace) return;
    this.#advance(nowMs);
    this.#pace = pace;
    this.#cutRun();
  }

  /** Freezes everything, or lets it go on from where it stood. Requests are still taken and cancelled. */
  stall(on: boolean, nowMs: number): void {
    if (on === this.stalled) return;
    if (on) {
      this.#advance(nowMs);
      this.#stalledAtMs = nowMs;
    } else {
      this.#runStartMs += nowMs - this.#stalledAtMs;
      this.#startAtMs = nowMs;
      this.#stalledAtMs = -1;
    }
  }

  get stalled(): boolean {
    return this.#stalledAtMs >= 0;
  }

  wake(nowMs: number): void {
    this.#advance(nowMs);
    if (!this.#inFlight && !this.stalled && this.#waiting.size > 0 && this.#startAtMs <= nowMs) {
      this.#plan(this.#startAtMs);
      this.#advance(nowMs);
    }
  }

  take(): Taken {
    const tokens = this.#tokens;
    const finished = this.#finished;
    if (tokens.length > 0) this.#tokens = [];
    if (finished.length > 0) this.#finished = [];
    return { tokens, finished, wakeAtMs: this.wakeAtMs };
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get decodeTokensPerSecond(): number | undefined {
    return this.#decodeRate.perSecond;
  }

  /** Prompt tokens accepted and not yet computed. */
  get queuedPrefillTokens(): number {
    return this.#queuedPrefillTokens;
  }

  get wakeAtMs(): number {
    if (this.stalled) return Infinity;
    if (this.#inFlight) return this.#stepEndMs(this.#streaming.size > 0 ? this.#runDone + 1 : this.#runSteps);
    return this.#waiting.size > 0 ? this.#startAtMs : Infinity;
  }

  /** Time at work up to `nowMs`, the part of the run under way included. */
  busyMs(nowMs: number): number {
    if (!this.#inFlight) return this.#busyMs;
    const untilMs = this.stalled ? this.#stalledAtMs : nowMs;
    return this.#busyMs + Math.max(0, Math.min(untilMs, this.#stepEndMs(this.#runSteps)) - this.#runStartMs);
  }

  stats(nowMs: number): BatchingStats {
    return {
      running: this.#running.size,
      waiting: this.#waiting.size,
      queuedPrefillTokens: this.#queuedPrefillTokens,
      kvBlocksUsed: this.cache.used,
      kvBlocks: this.config.kvBlocks,
      promptTokens: this.#promptTokens,
      generationTokens: this.#generationTokens,
      prefixQueryTokens: this.#prefixQueryTokens,
      prefixHitTokens: this.#prefixHitTokens,
      preemptions: this.#preemptions,
      steps: this.#step,
      busyMs: this.busyMs(nowMs),
      prefillTokensPerSecond: this.#prefillRate.perSecond,
      decodeTokensPerSecond: this.#decodeRate.perSecond,
    };
  }

  // ---- time

  /** Settles every step that ended by `nowMs`, and plans what follows it. */
  #advance(nowMs: number): void {
    if (this.stalled) return;
    // A submission at the very instant of the first one still joins its step: only a later call starts it.
    if (!this.#inFlight && this.#waiting.size > 0 && this.#startAtMs < nowMs) this.#plan(this.#startAtMs);
    while (this.#inFlight) {
      const steps = this.#stepsBy(nowMs);
      if (steps > this.#runDone) this.#settle(steps);
      if (steps < this.#runSteps) return;
      this.#completeRun(this.#stepEndMs(this.#runSteps));
    }
  }

  /** When the run's first `steps` steps are over. */
  #stepEndMs(steps: number): number {
    return this.#runStartMs + steps * this.#runStepMs + (this.#runGrowthMs * steps * (steps - 1)) / 2;
  }

  /** Steps of the run that are over at `nowMs`: the inverse of #stepEndMs. */
  #stepsBy(nowMs: number): number {
    if (this.#stepEndMs(this.#runSteps) <= nowMs) return this.#runSteps;
    if (this.#stepEndMs(this.#runDone + 1) > nowMs) return this.#runDone;
    const elapsed = nowMs - this.#runStartMs;
    const half = this.#runGrowthMs / 2;
    const linear = this.#runStepMs - half;
    // The stable form of the quadratic's root; it holds for no growth, too.
    let steps = Math.floor((2 * elapsed) / (linear + Math.sqrt(linear * linear + 4 * half * elapsed)));
    // Rounding may leave the estimate one off, never more.
    while (steps > this.#runDone && this.#stepEndMs(steps) > nowMs) steps -= 1;
    while (steps < this.#runSteps && this.#stepEndMs(steps + 1) <= nowMs) steps += 1;
    return steps;
  }

  /** Something changed: the run ends with the step under way, so that the next plan sees it. */
  #cutRun(): void {
    if (this.#inFlight) this.#runSteps = this.#runDone + 1;
  }

  /** Counts the run's steps up to `steps` as done: every decoding sequence has that many more tokens. */
  #settle(steps: number): void {
    const count = steps - this.#runDone;
    const atMs = this.#stepEndMs(steps);
    const stepMs = atMs - this.#stepEndMs(this.#runDone);
    for (const sequence of this.#streaming) {
      this.#tokens.push({ id: sequence.request.id, first: this.#generatedBy(sequence), count, atMs });
    }
    // The first step's blocks were taken by the plan; a step under way must have its own.
    const untilStep = this.#step + count + (steps < this.#runSteps ? 1 : 0);
    this.cache.takeAnonymous(this.#blocksWanted(this.#step + 1, untilStep));
    this.#step += count;
    this.#runDone = steps;
    const made = count * this.#decoding;
    this.#generationTokens += made;
    this.#context += made;
    if (this.#decoding > 0) this.#decodeRate.observe(made, stepMs);
  }

  #completeRun(atMs: number): void {
    this.#inFlight = false;
    this.#busyMs += atMs - this.#runStartMs;
    // Heap order is not arrival order: those that end together are told in order of arrival.
    const done: Sequence[] = [];
    for (let top = this.#ends.peek(); top !== undefined && top.heapKey <= this.#step; top = this.#ends.peek()) {
      this.#ends.pop();
      done.push(top);
    }
    if (done.length > 1) done.sort((a, b) => a.submittedAtMs - b.submittedAtMs || a.request.id - b.request.id);
    for (const sequence of done) this.#finish(sequence, atMs);
    const chunks = this.#chunks;
    this.#chunks = [];
    let prefilled = 0;
    for (const { sequence, tokens } of chunks) {
      prefilled += tokens;
      // A cancelled one was computed all the same, for nobody.
      if (sequence.state === PREFILLING) this.#completeChunk(sequence, tokens, atMs);
    }
    if (prefilled > 0) this.#prefillRate.observe(prefilled, this.#runPrefillMs);
    this.#plan(atMs);
  }

  #completeChunk(sequence: Sequence, tokens: number, atMs: number): void {
    sequence.computed += tokens;
    this.#queuedPrefillTokens -= tokens;
    if (sequence.computed < sequence.prefillTokens) return;
    const { request } = sequence;
    if (sequence.generated === 0) this.#promptTokens += request.promptTokens;
    if (request.outputTokens > 0) {
      const first = sequence.generated;
      if (first === 0) sequence.firstTokenAtMs = atMs;
      if (first === 0 || request.stream) this.#tokens.push({ id: request.id, first, count: 1, atMs });
      this.#generationTokens += 1;
      sequence.generated += 1;
    }
    this.#startDecoding(sequence);
    if (sequence.generated >= request.outputTokens) this.#finish(sequence, atMs);
  }

  // ---- planning

  #plan(startMs: number): void {
    const preemptionsBefore = this.#preemptions;
    this.#makeRoom();
    this.cache.takeAnonymous(this.#blocksWanted(this.#step, this.#step + 1));
    let budget = this.config.stepTokensMax - this.#decoding;
    if (this.#partial !== null) {
      budget -= this.#continuePartial(this.#partial, budget);
    }
    const preempted = this.#preemptions > preemptionsBefore;
    let admitting = !preempted && this.#partial === null;
    while (admitting && budget > 0 && this.#running.size < this.config.runningMax) {
      const chunk = this.#admit(budget, startMs);
      if (chunk === 0) break;
      budget -= chunk;
      admitting = this.#partial === null;
    }
    const batch = this.#decoding + this.#chunks.length;
    if (batch === 0) {
      assert(this.#running.size === 0 && this.#waiting.size === 0, "the engine has work and does none");
      return;
    }
    const prefillTokens = this.config.stepTokensMax - this.#decoding - budget;
    const { prefillTokensPerSecond, stepBaseMs, stepPerSequenceMs, stepPerContextTokenMs } = this.config;
    this.#runPrefillMs = (this.#pace * prefillTokens * 1_000) / prefillTokensPerSecond;
    this.#inFlight = true;
    this.#runStartMs = startMs;
    this.#runDone = 0;
    this.#runStepMs =
      this.#runPrefillMs +
      this.#pace * (stepBaseMs + stepPerSequenceMs * batch + stepPerContextTokenMs * this.#context);
    this.#runGrowthMs = this.#pace * stepPerContextTokenMs * this.#decoding;
    // After a preemption nothing was admitted: the very next step may.
    this.#runSteps = this.#chunks.length > 0 || preempted ? 1 : this.#stepsAhead();
  }

  /** Steps until a sequence ends or blocks run out; the first one has its blocks. */
  #stepsAhead(): number {
    const first = this.#ends.peek();
    assert(first !== undefined, "decoding sequences have an end");
    const untilEnd = first.heapKey - this.#step;
    const free = this.cache.free;
    const { blockTokens } = this.config;
    // Every blockTokens steps, each decoding sequence takes one block.
    let steps = 1 + Math.floor(free / this.#decoding) * blockTokens;
    if (steps >= untilEnd) return untilEnd;
    let left = free % this.#decoding;
    while (steps < untilEnd) {
      left -= this.#residues[this.#residueAt(this.#step + steps)] as number;
      if (left < 0) break;
      steps += 1;
    }
    return steps;
  }

  /** Preempts until every decoding sequence can take its next block. */
  #makeRoom(): void {
    while (this.#blocksWanted(this.#step, this.#step + 1) > this.cache.free) {
      this.#preempt(this.#running.tail as Sequence);
    }
  }

  /** Goes on with a prefill that was cut; 0 when there was no room, and it was preempted. */
  #continuePartial(sequence: Sequence, budget: number): number {
    const tokens = Math.min(sequence.prefillTokens - sequence.computed, budget);
    if (tokens === 0) return 0;
    const blocks = this.#blocksFor(sequence.computed + tokens) - this.#blocksFor(sequence.computed);
    if (blocks > this.cache.free) {
      this.#preempt(sequence);
      return 0;
    }
    this.cache.takeAnonymous(blocks);
    this.#schedule(sequence, tokens);
    return tokens;
  }

  /** Takes the head of the queue into the batch; returns the tokens of its first chunk, 0 when it must wait. */
  #admit(budget: number, nowMs: number): number {
    const sequence = this.#waiting.head;
    if (sequence === null) return 0;
    const { blockTokens } = this.config;
    const total = sequence.prefillTokens;
    // The last token is always computed: its output is what the next token is chosen from.
    const hitsMax = Math.floor((total - 1) / blockTokens);
    const found = this.#found;
    let hits = 0;
    let hitsFree = 0;
    for (; hits < hitsMax; hits += 1) {
      const hash = sequence.hashAt(hits);
      const block = hash === -1 ? -1 : this.cache.find(hash);
      if (block === -1) break;
      if (this.cache.isFree(block)) hitsFree += 1;
      found[hits] = block;
    }
    const cached = hits * blockTokens;
    const tokens = Math.min(total - cached, budget);
    // All of the prompt must fit, though only the chunk's blocks are taken: else a prompt that is cut would be admitted,
    // preempted and computed again in turns while others fill the cache.
    if (this.#blocksFor(total) - hits > this.cache.free - hitsFree) return 0;
    const blocks = this.#blocksFor(cached + tokens) - hits;
    this.#waiting.remove(sequence);
    this.#running.pushBack(sequence);
    sequence.state = PREFILLING;
    for (let hit = 0; hit < hits; hit += 1) {
      this.cache.share(found[hit]!);
      sequence.blocks.push(found[hit]!);
    }
    sequence.namedTo = hits;
    sequence.computed = cached;
    this.#queuedPrefillTokens -= cached;
    if (sequence.admittedAtMs < 0) {
      sequence.admittedAtMs = nowMs;
      sequence.cachedTokens = cached;
      this.#prefixQueryTokens += sequence.request.promptTokens;
      this.#prefixHitTokens += cached;
    }
    this.cache.takeAnonymous(blocks);
    this.#schedule(sequence, tokens);
    return tokens;
  }

  /** Its blocks are named as they are planned, as vLLM does: the next admission of the same step shares them. */
  #schedule(sequence: Sequence, tokens: number): void {
    this.#chunks.push({ sequence, tokens });
    const computed = sequence.computed + tokens;
    this.#name(sequence, Math.floor(Math.min(computed, sequence.prefillTokens) / this.config.blockTokens));
    this.#partial = computed < sequence.prefillTokens ? sequence : null;
  }

  #name(sequence: Sequence, until: number): void {
    for (; sequence.namedTo < until; sequence.namedTo += 1) {
      const hash = sequence.hashAt(sequence.namedTo);
      if (hash === -1) {
        sequence.namedTo = until;
        return;
      }
      const block = this.cache.name(hash);
      if (block !== -1) sequence.blocks.push(block);
    }
  }

  // ---- sequences

  #startDecoding(sequence: Sequence): void {
    sequence.state = DECODING;
    sequence.joinedAtStep = this.#step;
    sequence.heapKey = this.#step + sequence.request.outputTokens - sequence.generated;
    this.#ends.push(sequence);
    this.#residues[this.#residueOf(sequence)]! += 1;
    this.#decoding += 1;
    this.#context += sequence.computed + 1;
    if (sequence.request.stream) this.#streaming.add(sequence);
  }

  /** Takes a sequence out of the batch and frees its blocks. What it computed is written back into it. */
  #leaveRunning(sequence: Sequence): void {
    this.#running.remove(sequence);
    if (this.#partial === sequence) this.#partial = null;
    let slots = sequence.computed;
    if (sequence.state === DECODING) {
      const steps = this.#step - sequence.joinedAtStep;
      this.#residues[this.#residueOf(sequence)]! -= 1;
      sequence.computed += steps;
      sequence.generated += steps;
      this.#ends.remove(sequence);
      this.#streaming.delete(sequence);
      this.#decoding -= 1;
      this.#context -= sequence.computed + 1;
      // The step under way has its block for the token that is being made.
      slots = sequence.computed + (this.#inFlight ? 1 : 0);
    } else {
      this.#queuedPrefillTokens -= sequence.prefillTokens - sequence.computed;
      for (const chunk of this.#chunks) if (chunk.sequence === sequence) slots += chunk.tokens;
    }
    this.#name(sequence, Math.floor(sequence.computed / this.config.blockTokens));
    this.#freeBlocks(sequence, this.#blocksFor(slots));
  }

  /** Last blocks first, so that the start of a prompt, which most others share, stays cached longest. */
  #freeBlocks(sequence: Sequence, held: number): void {
    const { blocks } = sequence;
    this.cache.giveAnonymous(held - blocks.length);
    for (let index = blocks.length - 1; index >= 0; index -= 1) this.cache.release(blocks[index] as number);
    sequence.blocks = [];
    sequence.namedTo = 0;
  }

  #preempt(sequence: Sequence): void {
    assert(!this.#inFlight, "preemption happens between steps");
    this.#leaveRunning(sequence);
    sequence.state = WAITING;
    sequence.computed = 0;
    sequence.preemptions += 1;
    this.#preemptions += 1;
    this.#queuedPrefillTokens += sequence.prefillTokens;
    this.#waiting.pushFront(sequence);
  }

  #finish(sequence: Sequence, atMs: number): void {
    this.#leaveRunning(sequence);
    this.#end(sequence, "finished", atMs);
  }

  #end(sequence: Sequence, end: SimEnd, atMs: number): void {
    this.#byId.delete(sequence.request.id);
    sequence.state = ENDED;
    this.#report(sequence, end, atMs);
  }

  #report(sequence: Sequence, end: SimEnd, atMs: number): void {
    this.#finished.push({
      id: sequence.request.id,
      end,
      promptTokens: sequence.request.promptTokens,
      cachedTokens: sequence.cachedTokens,
      outputTokens: sequence.generated,
      submittedAtMs: sequence.submittedAtMs,
      admittedAtMs: sequence.admittedAtMs,
      firstTokenAtMs: sequence.firstTokenAtMs,
      endedAtMs: atMs,
      preemptions: sequence.preemptions,
    });
  }

  #generatedBy(sequence: Sequence): number {
    return sequence.generated + this.#step - sequence.joinedAtStep;
  }

  // ---- blocks

  #blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.config.blockTokens);
  }

  /** Which residue needs a block at `step`: those whose tokens fill their last block exactly when it begins. */
  #residueAt(step: number): number {
    const { blockTokens } = this.config;
    return (blockTokens - (step % blockTokens)) % blockTokens;
  }

  #residueOf(sequence: Sequence): number {
    const { blockTokens } = this.config;
    const offset = (sequence.computed - sequence.joinedAtStep) % blockTokens;
    return offset < 0 ? offset + blockTokens : offset;
  }

  /** Blocks that the decoding sequences need for the steps from `from` up to, not including, `to`. */
  #blocksWanted(from: number, to: number): number {
    const { blockTokens } = this.config;
    const count = Math.max(0, to - from);
    let wanted = Math.floor(count / blockTokens) * this.#decoding;
    for (let step = from; step < from + (count % blockTokens); step += 1) {
      wanted += this.#residues[this.#residueAt(step)] as number;
    }
    return wanted;
  }
}
