/**
 * Watches one runtime: decides what it is asked and when, and from what comes back how it is (state.ts). It touches no
 * socket and no clock:
 *
 *     const watch = new Watch(adapter, config, nowMs);
 *     const { asks, connect, changed, wakeAtMs } = watch.take();   // after each event, and after wake(nowMs) at wakeAtMs
 *     watch.answered(look, answer, nowMs, tookMs); watch.failed(look, "timeout", message, nowMs);
 *     watch.connected(nowMs); watch.refused(why, nowMs); watch.closed(nowMs);
 *
 * One ask is under way at a time, and ends with exactly one of answered, failed and refused. Where `connect` is set, the
 * shell connects without asking anything and says connected or refused (or out of reach, in time): that costs the runtime
 * no request, so whoever ended a connection is looked at at once, and whoever is down is waited for twice a second. Who
 * listens behind a connection that ended may be another process, even another server: it is asked anew who it is.
 *
 * The state is what the facts come to, in this order:
 *
 *     nobody listened at the last try                                              down
 *     asks fail, and nothing at all was answered for unresponsiveMs                unresponsive
 *     who it is, that it serves or what it serves was answered with a refusal      foreign, denied, starting
 *     one of these three was not answered yet                                      connecting, starting
 *     its metrics did not come in time                                             slow
 *     else                                                                         ready
 *
 * Once it is ready its metrics are looked at once an interval, the rest seldom, or when something hints at a change; where
 * there are no metrics, its models are looked at instead. It is asked at beats, which are the same for all watches that go
 * by one clock: what comes together costs its reader less than half of what it costs one by one. Metrics that can't be read make it no less ready: its figures are
 * not known then. The pause after an answer is at least four times what it took, so a server that is slow to tell is asked
 * less (up to 10 s apart). A look that its version does not have is tried again every five minutes, details every half an hour.
 */
import { assert } from "../base/assert.ts";
import type { Adapter, Answer, Feed, FeedNews, Look, LookRole, Proof, Read } from "./adapter.ts";
import { AskBudget } from "./budget.ts";
import { Proofs } from "./proofs.ts";
import type { ModelReading, RuntimeReading } from "./reading.ts";
import type { WatchConfig } from "./settings.ts";
import { isServing, type RuntimeStatus } from "./state.ts";
import type { RuntimeState } from "../base/runtime-terms.ts";

export type FailedAsk =
  /** No whole answer within the deadline. */
  | "timeout"
  | "too_large"
  /** What came is no answer of HTTP, or the connection ended within it. */
  | "broken";

export interface WatchTake {
  /** At most one. */
  readonly asks: readonly Look[];
  /** To be tried whether somebody listens; once, until connected or refused says so. */
  readonly connect: boolean;
  /** To be asked for and read until it ends: `fed` and `feedEnded` say what comes of it. */
  readonly feed: Feed | undefined;
  /** State, message or models are other than at the take before. */
  readonly changed: boolean;
  readonly wakeAtMs: number;
}

const HEALTH_EVERY_MS = 60_000;
const DETAIL_EVERY_MS = 240_000;
const ABSENT_EVERY_MS = 300_000;
/** Nothing depends on details, and each try is a look at the list of models less. */
const NO_DETAIL_EVERY_MS = 1_800_000;
/** One that is foreign, or wants a key. */
const ELSEWHERE_EVERY_MS = 5000;
const CONNECT_EVERY_MS = 500;
/** A process that dies may take connections when its others have ended; not for so long. */
const CONFIRM_MS = 25;
const SLOWED_MAX_MS = 10_000;
/** A pause is at least so many times what the answer took. */
const REST = 4;
/** Servers that are tired of waiting end connections too: who it is is asked no more often for that. */
const DOUBTED_EVERY_MS = 20_000;
/** Hints let the models be looked at early, but not more often than this. */
const HINTED_EVERY_MS = 2000;
/** As many broken answers in a row of one that was well are those of somebody else. */
const BROKEN_MAX = 3;
/** What was asked late, by so much of an interval, is asked again in time all the same. */
const EARLY_SHARE = 2 / 3;
/** What is behind a beat by no more than this still belongs to it. */
const LATE_SHARE = 1 / 4;
/** Between two tries at a feed: at first, and more where it does not last so long. */
const FEED_PAUSE_MS = 5000;
const FEED_LASTS_MS = 60_000;
/** One that has lasted so long is there, though nothing was told yet. */
const FED_MS = 1000;
/** Of the budget: what is asked so late in a beat leaves enough for the metrics of the next one to be in time. */
const SOON_LEAVES = 0.2;
/** Where metrics count who loads models, or a feed tells of them, the list is looked at so many times more seldom. */
const TOLD_TIMES = 3;
/** Of two that may be asked the lower one is. Who it is has 0. */
const URGENT_RANK = 1;
const MAIN_RANK = 2;
const DUE_RANK = 3;
const ORDER: readonly LookRole[] = ["identity", "health", "models", "metrics", "detail"];

/** Why it is due before its time: something is not known that others wait for, or something known is to be confirmed. */
type Haste = "none" | "soon" | "now";

interface Watched {
  readonly look: Look;
  dueAtMs: number;
  haste: Haste;
  askedAtMs: number;
  /** When that was asked which was answered well last. */
  toldAtMs: number;
  /** Answered well since the process began, or not had by this server. */
  isKnown: boolean;
  isAbsent: boolean;
  /** It did not come in time the last time. */
  isLate: boolean;
  /** In a row. */
  failures: number;
  /** What is wrong with it, or to be said of it; "" for nothing. */
  words: string;
}

/** A needed look's refusal. */
interface Trouble {
  readonly watched: Watched;
  readonly state: RuntimeState;
  readonly message: string;
}

export class Watch {
  readonly #adapter: Adapter;
  readonly #config: WatchConfig;
  readonly #budget = new AskBudget();
  /** As the adapter has them now. */
  #looks: readonly Look[];
  /** In the order in which a runtime is met. */
  #watched: readonly Watched[];
  /** Of what is looked at each interval; undefined until it is asked for by what is there now. */
  #mainRoles: readonly LookRole[] | undefined;
  /** To be answered before anything is sent to it. */
  #needed: readonly Watched[];
  /** Their names. What is asked only because of what was told is no condition of being ready. */
  readonly #neededNames: ReadonlySet<string>;
  #state: RuntimeState = "connecting";
  #message = "";
  #sinceMs: number;
  #underWay: Watched | undefined;
  #ask: Look | undefined;
  #isConnecting = false;
  /** A connection ended: that another one was taken is looked at once more. */
  #doubt: "none" | "fresh" | "confirming" = "none";
  /** When it was asked, or is to be, who it is, as a connection had ended. */
  #doubtedAtMs = -Infinity;
  #connect = false;
  #connectAtMs = Infinity;
  /** Why nobody listens; "" where somebody does, as far as is known. */
  #gone = "";
  /** When anything was heard of it. */
  #heardAtMs: number;
  #wasHeard = false;
  /** An ask came to nothing since then. */
  #isSilent = false;
  /** What that was. */
  #silence = "";
  #broken = 0;
  #trouble: Trouble | undefined;
  #modelsMark: number;
  #loadsMark: number;
  #processMark: number;
  /** When models were to be looked at last because of a hint. */
  #hintedAtMs = -Infinity;
  /** It was a vague one, which may come to nothing; whether the last of those came to something. */
  #isVague = false;
  #isVagueWorth = true;
  readonly #proofs = new Proofs();
  /** Metrics or a feed tell of models that somebody else has loaded. */
  #isTold = false;
  /** Since when its feed is read; undefined where none is. */
  #fedSinceMs: number | undefined;
  #feedAtMs = -Infinity;
  #feedPauseMs = FEED_PAUSE_MS;
  #feed: Feed | undefined;
  #models: readonly ModelReading[] = [];
  #changed = false;
  #wakeAtMs = 0;
  #nowMs: number;

  constructor(adapter: Adapter, config: WatchConfig, nowMs: number) {
    this.#adapter = adapter;
    this.#config = config;
    this.#modelsMark = adapter.modelsMark ?? 0;
    this.#loadsMark = adapter.loadsMark ?? 0;
    this.#processMark = adapter.processMark ?? 0;
    this.#looks = adapter.looks;
    this.#watched = inOrder(adapter.looks).map((look) => newWatched(look, nowMs));
    const of = (...roles: LookRole[]) => this.#watched.filter(({ look }) => roles.includes(look.role));
    const needed = of("identity", "health", "models");
    this.#needed = needed.length > 0 ? needed : of("metrics");
    this.#neededNames = new Set(this.#needed.map(({ look }) => look.name));
    assert(this.#needed.length > 0, "a runtime is known by an identity, health, models or metrics");
    this.#sinceMs = this.#heardAtMs = this.#nowMs = nowMs;
    this.#plan(nowMs);
  }

  get status(): RuntimeStatus {
    return { state: this.#state, message: this.#message, sinceMs: this.#sinceMs };
  }

  get isReady(): boolean {
    return isServing(this.#state);
  }

  /** What was told, and what was proved since then. */
  reading(nowMs: number): RuntimeReading {
    return this.#proofs.over(this.#adapter.reading(nowMs));
  }

  connected(nowMs: number): void {
    this.#isConnecting = false;
    const isConfirmed = this.#doubt === "confirming";
    this.#doubt = this.#doubt === "fresh" ? "confirming" : "none";
    if (this.#doubt === "confirming") this.#connectAtMs = nowMs + CONFIRM_MS;
    if (this.#gone !== "") {
      this.#gone = "";
      this.#hear(nowMs);
      this.#dueBy(nowMs, this.#needed);
    } else if (this.isReady && !isConfirmed && nowMs >= this.#doubtedAtMs) {
      this.#doubtedAtMs = Math.max(nowMs, this.#doubtedAtMs + DOUBTED_EVERY_MS);
      this.#dueBy(
        this.#doubtedAtMs,
        this.#needed.filter(({ isAbsent }) => !isAbsent),
      );
    }
    this.#plan(nowMs);
  }

  /** Nobody listens, or it is out of reach. Ends the ask under way, if there is one. */
  refused(why: string, nowMs: number): void {
    this.#isConnecting = false;
    this.#underWay = undefined;
    this.#gone = why === "" ? "refused" : why;
    this.#hear(nowMs);
    this.#forget();
    this.#connectAtMs = nowMs + CONNECT_EVERY_MS;
    this.#doubt = "none";
    this.#plan(nowMs);
  }

  /** A kept connection ended: the process may have. */
  closed(nowMs: number): void {
    if (this.#gone === "") {
      this.#connectAtMs = nowMs;
      this.#doubt = "fresh";
    }
    this.#plan(nowMs);
  }

  answered(look: Look, answer: Answer, nowMs: number, tookMs: number): void {
    const watched = this.#end(look);
    if (watched === undefined) return;
    if (this.#state === "unresponsive") this.#dueBy(nowMs, this.#mainLooks());
    this.#hear(nowMs);
    this.#wasHeard = true;
    this.#gone = "";
    this.#broken = 0;
    watched.isLate = false;
    const before = look.role === "models" ? this.reading(nowMs).models : undefined;
    this.#took(watched, this.#adapter.answered(look, answer, nowMs), nowMs, tookMs);
    if (before !== undefined) this.#weighHints(watched, before, nowMs);
    this.#followLooks(nowMs);
    this.#followHints(nowMs);
    if (!this.#proofs.isEmpty) this.#proofs.end((proof, sinceMs) => this.#isConfirmed(proof, sinceMs));
    this.#plan(nowMs);
  }

  failed(look: Look, why: FailedAsk, message: string, nowMs: number): void {
    const watched = this.#end(look);
    if (watched === undefined) return;
    watched.failures++;
    watched.words = message;
    watched.isLate = why === "timeout";
    const backoffMs = this.#config.intervalMs * 2 ** Math.min(watched.failures - 1, 10);
    watched.dueAtMs = nowMs + (this.isReady ? Math.min(SLOWED_MAX_MS, backoffMs) : this.#config.intervalMs);
    if (why === "timeout") this.#fallSilent(watched, message, nowMs);
    else {
      this.#hear(nowMs);
      if (why === "broken") this.#break(watched, message, nowMs);
      else if (!watched.isKnown && this.#needed.includes(watched))
        this.#trouble = { watched, state: "starting", message };
    }
    this.#plan(nowMs);
  }

  /** What its feed says is so, which may be known, or a hint. */
  fed(news: FeedNews, nowMs: number): void {
    if (news === "other") {
      this.#lookAtModels(nowMs, false);
      this.#plan(nowMs);
    } else {
      const { models } = this.reading(nowMs);
      if (!areSame(models, news.proof.models(models))) this.proved(news.model, news.proof, nowMs);
    }
  }

  /** It is asked for again, later each time where it does not last. */
  feedEnded(isAbsent: boolean, nowMs: number): void {
    const lastedMs = nowMs - (this.#fedSinceMs ?? nowMs);
    this.#fedSinceMs = undefined;
    this.#feedPauseMs = lastedMs > FEED_LASTS_MS ? FEED_PAUSE_MS : Math.min(ABSENT_EVERY_MS, this.#feedPauseMs * 2);
    this.#feedAtMs = nowMs + (isAbsent ? ABSENT_EVERY_MS : this.#feedPauseMs);
    this.#plan(nowMs);
  }

  /** It is there: a server that does not have it says so at once. */
  #isFed(nowMs: number): boolean {
    return this.#fedSinceMs !== undefined && nowMs - this.#fedSinceMs >= FED_MS;
  }

  /** Its models are changed by us: they are looked at as soon as may be, but where a feed tells it at once. */
  hurry(nowMs: number): void {
    if (this.#isFed(nowMs)) this.#confirm(this.#beatBy(nowMs + 1, 0), this.#ofModels());
    else this.#dueBy(nowMs, this.#ofModels());
    this.#plan(nowMs);
  }

  /** A call of ours has proved this of a model: it is believed, and confirmed by the looks that leave room for it. */
  proved(model: string, proof: Proof, nowMs: number): void {
    this.#proofs.add(model, proof, nowMs);
    // Behind the next page, which may count the call itself: that is no hint at anybody else's.
    this.#confirm(this.#beatBy(nowMs + 1, 0), this.#tellingOf(proof));
    this.#plan(nowMs);
  }

  #tellingOf({ toldBy }: Proof): readonly Watched[] {
    const has = this.#watched.filter(({ isAbsent }) => !isAbsent);
    if (toldBy !== undefined) return has.filter(({ look }) => toldBy.includes(look.name));
    const lists = has.filter(({ look }) => look.role === "models");
    return lists.length > 0 ? lists : this.#mainLooks();
  }

  #isConfirmed(proof: Proof, sinceMs: number): boolean {
    return this.#tellingOf(proof).every(({ toldAtMs }) => toldAtMs > sinceMs);
  }

  /** Whether all that tells of its models was asked since then, and has answered or failed; or need not be asked. */
  hasLookedAtModels(sinceMs: number): boolean {
    if (this.#isFed(this.#nowMs)) return true;
    return this.#ofModels().every((watched) => watched.askedAtMs >= sinceMs && watched !== this.#underWay);
  }

  #ofModels(): Watched[] {
    return this.#watched.filter(
      ({ isAbsent, look: { role, everyMs } }) =>
        !isAbsent && (role === "models" || (role === "detail" && everyMs === undefined)),
    );
  }

  /** At or after wakeAtMs. */
  wake(nowMs: number): void {
    this.#plan(nowMs);
  }

  take(): WatchTake {
    const { models } = this.reading(this.#nowMs);
    const changed = this.#changed || !areSame(models, this.#models);
    const taken = {
      asks: this.#ask === undefined ? [] : [this.#ask],
      connect: this.#connect,
      feed: this.#feed,
      changed,
      wakeAtMs: this.#wakeAtMs,
    };
    this.#models = models;
    this.#ask = this.#feed = undefined;
    this.#connect = this.#changed = false;
    return taken;
  }

  /** The ask under way, which ends; undefined where it is another one, which was ended before. */
  #end(look: Look): Watched | undefined {
    const watched = this.#underWay;
    if (watched?.look.name !== look.name) return undefined;
    this.#underWay = undefined;
    return watched;
  }

  #hear(nowMs: number): void {
    this.#heardAtMs = nowMs;
    this.#isSilent = false;
  }

  /** Nothing is known of the process that is there now, or will be. */
  #forget(): void {
    this.#adapter.restarted();
    this.#proofs.clear();
    this.#trouble = undefined;
    this.#broken = 0;
    this.#wasHeard = false;
    this.#followLooks(this.#nowMs);
    for (const watched of this.#watched) Object.assign(watched, newWatched(watched.look, watched.askedAtMs));
    this.#mainRoles = undefined;
  }

  #dueBy(atMs: number, looks: readonly Watched[]): void {
    for (const watched of looks) {
      watched.dueAtMs = Math.min(watched.dueAtMs, atMs);
      watched.haste = "now";
    }
  }

  /** Nobody waits for them: they come behind the metrics, but may have the last that is left of the budget. */
  #confirm(atMs: number, looks: readonly Watched[]): void {
    for (const watched of looks) {
      if (watched.haste === "now") continue;
      watched.dueAtMs = atMs;
      watched.haste = "soon";
    }
  }

  /** Looked at once an interval: metrics, or what this server has in their place. */
  #isMain({ look: { role } }: Watched): boolean {
    return (this.#mainRoles ??= this.#rolesInPlace()).includes(role);
  }

  #rolesInPlace(): readonly LookRole[] {
    const has = (wanted: LookRole) => this.#watched.some(({ look, isAbsent }) => look.role === wanted && !isAbsent);
    return has("metrics") ? ["metrics"] : has("models") ? ["models"] : ["health", "identity"];
  }

  #mainLooks(): Watched[] {
    return this.#watched.filter((each) => this.#isMain(each));
  }

  #everyMs(watched: Watched): number {
    const { look } = watched;
    const { intervalMs, modelsIntervalMs } = this.#config;
    const leastMs = look.everyMs ?? 0;
    if (this.#isMain(watched)) {
      // Those that are wanted each interval share it.
      const sharing = this.#mainLooks().filter((each) => each.look.everyMs === undefined).length;
      return look.everyMs === undefined ? intervalMs * sharing : Math.max(leastMs, intervalMs);
    }
    if (look.role === "models") {
      return Math.max(leastMs, modelsIntervalMs * (this.#isTold ? TOLD_TIMES : 1));
    }
    if (look.role === "identity") return Infinity;
    if (look.role === "detail") return look.everyMs ?? DETAIL_EVERY_MS;
    return this.#state === "slow" ? intervalMs : Math.max(leastMs, HEALTH_EVERY_MS);
  }

  /** The first beat from then on, or so much of an interval before it. */
  #beatBy(atMs: number, earlyShare: number): number {
    const { intervalMs } = this.#config;
    return Math.ceil(atMs / intervalMs - earlyShare) * intervalMs;
  }

  #took(watched: Watched, read: Read, nowMs: number, tookMs: number): void {
    watched.words = read.ok ? (read.note ?? "") : read.message;
    const isAbsent = !read.ok && read.kind === "not_supported";
    if (isAbsent !== watched.isAbsent) this.#mainRoles = undefined;
    watched.isAbsent = isAbsent;
    const restMs = Math.min(SLOWED_MAX_MS, tookMs * (1 + REST));
    const dueAtMs = this.#beatBy(watched.askedAtMs + this.#everyMs(watched), EARLY_SHARE);
    // What was wanted while it was under way is not what this answer tells.
    const wantedAtMs = watched.haste === "none" ? dueAtMs : Math.min(dueAtMs, watched.dueAtMs);
    watched.dueAtMs = Math.max(wantedAtMs, watched.askedAtMs + restMs);
    if (read.ok) watched.toldAtMs = watched.askedAtMs;
    if (read.ok || watched.isAbsent) {
      watched.isKnown = true;
      watched.failures = 0;
      if (this.#trouble?.watched === watched) this.#trouble = undefined;
      if (!read.ok) this.#miss(watched, nowMs);
      return;
    }
    watched.failures++;
    // A page that could be read before may be that of a model which has gone.
    if (watched.look.role === "metrics" && watched.isKnown && watched.failures === 1) {
      this.#lookAtModels(nowMs, true);
    }
    if (this.#needed.includes(watched)) this.#refuse(watched, read.kind, read.message, nowMs);
  }

  /** This server does not have it. One that has none of what is needed is looked at again soon. */
  #miss(watched: Watched, nowMs: number): void {
    watched.words = "";
    watched.dueAtMs = nowMs + (watched.look.role === "detail" ? NO_DETAIL_EVERY_MS : ABSENT_EVERY_MS);
    // Others may be what is looked at each interval now.
    this.#dueBy(nowMs + this.#config.intervalMs, this.#mainLooks());
    if (!this.#needed.every(({ isAbsent }) => isAbsent)) return;
    for (const each of this.#needed) each.dueAtMs = nowMs + ELSEWHERE_EVERY_MS;
  }

  /** A look that is needed was answered, but not as it should be. */
  #refuse(watched: Watched, kind: string, message: string, nowMs: number): void {
    const isForeign = kind === "foreign" || (kind === "unreadable" && watched.look.role === "identity");
    if (watched.isKnown && !isForeign && kind !== "denied" && watched.look.role !== "health") {
      // What was told before holds where it can't be read now. Whether it serves still is for its health to say.
      const health = this.#needed.filter(({ look, isAbsent }) => look.role === "health" && !isAbsent);
      this.#dueBy(nowMs, health);
      if (kind === "unreadable" || health.length > 0) return;
    }
    if (kind === "unreadable" && !isForeign && watched.isKnown) return;
    if (isForeign) this.#forget();
    watched.isKnown = false;
    const isElsewhere = isForeign || kind === "denied";
    watched.dueAtMs = nowMs + (isElsewhere ? ELSEWHERE_EVERY_MS : this.#config.intervalMs);
    this.#trouble = { watched, state: isForeign ? "foreign" : kind === "denied" ? "denied" : "starting", message };
  }

  /** No answer in time: another look tells whether it is only this one. */
  #fallSilent(watched: Watched, message: string, nowMs: number): void {
    this.#isSilent = true;
    this.#silence = message;
    if (!this.isReady) return;
    const others = this.#needed.filter((each) => each !== watched && !each.isAbsent);
    const other = others.find(({ look }) => look.role === "health") ?? others[0];
    if (other !== undefined) this.#dueBy(nowMs, [other]);
  }

  /** Who ends connections within answers may have crashed; who does nothing else speaks something else. */
  #break(watched: Watched, message: string, nowMs: number): void {
    this.#broken++;
    this.#connectAtMs = nowMs;
    this.#doubt = "fresh";
    if (this.isReady && this.#broken < BROKEN_MAX) {
      watched.dueAtMs = nowMs + this.#config.intervalMs;
      return;
    }
    this.#forget();
    const first = this.#needed[0] ?? watched;
    first.dueAtMs = nowMs + ELSEWHERE_EVERY_MS;
    this.#trouble = { watched: first, state: "foreign", message: `what is there does not answer as HTTP: ${message}` };
  }

  /** What the adapter wants to be asked may be other after an answer: what stays keeps its time. */
  #followLooks(nowMs: number): void {
    const { looks } = this.#adapter;
    if (looks === this.#looks) return;
    this.#looks = looks;
    const mainRole = this.#mainLooks()[0]?.look.role;
    const before = new Map(this.#watched.map((watched) => [watched.look.name, watched]));
    this.#watched = inOrder(looks).map((look) => before.get(look.name) ?? newWatched(look, nowMs));
    this.#mainRoles = undefined;
    this.#needed = this.#watched.filter(({ look }) => this.#neededNames.has(look.name));
    if (this.#trouble !== undefined && !this.#watched.includes(this.#trouble.watched)) this.#trouble = undefined;
    const main = this.#mainLooks();
    if (main[0]?.look.role !== mainRole) this.#dueBy(nowMs + this.#config.intervalMs, main);
  }

  #followHints(nowMs: number): void {
    const { modelsMark = 0, loadsMark = 0, processMark = 0 } = this.#adapter;
    if (processMark !== this.#processMark) this.#dueBy(nowMs, this.#needed);
    else if (loadsMark !== this.#loadsMark) this.#lookAtModels(nowMs, false);
    else if (modelsMark !== this.#modelsMark) this.#lookAtModels(nowMs, true);
    this.#modelsMark = modelsMark;
    this.#loadsMark = loadsMark;
    this.#processMark = processMark;
  }

  /**
   * Something hints that they are others: what was proved meanwhile is others too, and may be all that it is about. Vague
   * hints, such as another adapter at work, may come with each page and to nothing: then nothing is late for them.
   */
  #lookAtModels(nowMs: number, isVague: boolean): void {
    const looks = this.#watched.filter(({ look }) => look.role === "models");
    if (!this.#proofs.isEmpty || (isVague && !this.#isVagueWorth)) return this.#confirm(nowMs, looks);
    if (this.#hintedAtMs <= nowMs) this.#hintedAtMs = Math.max(nowMs, this.#hintedAtMs + HINTED_EVERY_MS);
    this.#isVague = isVague;
    this.#dueBy(this.#hintedAtMs, looks);
  }

  /** Where it is not told any more who changes models, the list is looked at more often again. */
  #followTelling(nowMs: number): void {
    const isTold = this.#adapter.countsLoads === true || this.#isFed(nowMs);
    if (isTold === this.#isTold) return;
    this.#isTold = isTold;
    if (isTold) return;
    for (const watched of this.#watched) {
      if (watched.look.role !== "models") continue;
      watched.dueAtMs = Math.min(
        watched.dueAtMs,
        this.#beatBy(watched.askedAtMs + this.#everyMs(watched), EARLY_SHARE),
      );
    }
  }

  /** Whether vague hints are worth it, by what came of a look. */
  #weighHints({ askedAtMs }: Watched, before: readonly ModelReading[], nowMs: number): void {
    const isOther = !areSame(before, this.reading(nowMs).models);
    if (isOther || (this.#isVague && askedAtMs >= this.#hintedAtMs)) this.#isVagueWorth = isOther;
    this.#isVague = false;
  }

  /** Brings the state to what the facts come to, and says what is to be done next. */
  #plan(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#judge(nowMs);
    this.#followTelling(nowMs);
    if (nowMs >= this.#connectAtMs && !this.#isConnecting) {
      this.#connectAtMs = Infinity;
      this.#isConnecting = this.#connect = true;
    }
    const hungAtMs =
      this.#isSilent && this.#state !== "unresponsive" ? this.#heardAtMs + this.#config.unresponsiveMs : Infinity;
    this.#wakeAtMs = Math.min(this.#isConnecting ? Infinity : this.#connectAtMs, hungAtMs, this.#planFeed(nowMs));
    const next = this.#underWay !== undefined || this.#gone !== "" ? undefined : this.#next(nowMs);
    if (next === undefined) return;
    const atMs = this.#mayAtMs(next, nowMs);
    if (atMs > nowMs) {
      this.#wakeAtMs = Math.min(this.#wakeAtMs, atMs);
      return;
    }
    this.#budget.spend(nowMs);
    this.#underWay = next;
    this.#ask = next.look;
    next.askedAtMs = nowMs;
    next.haste = "none";
  }

  /** Asks for its feed where it may, before all else, since it saves so much of it; else when that is. */
  #planFeed(nowMs: number): number {
    const { feed } = this.#adapter;
    if (feed === undefined || this.#fedSinceMs !== undefined || !this.isReady) return Infinity;
    const atMs = Math.max(this.#feedAtMs, this.#budget.nextMs(nowMs, 0));
    if (atMs > nowMs) return atMs;
    this.#budget.spend(nowMs);
    this.#fedSinceMs = nowMs;
    this.#feed = feed;
    // What happened before is told by the list alone.
    this.#confirm(this.#beatBy(nowMs + 1, 0), this.#ofModels());
    return Infinity;
  }

  /** What is asked next. */
  #next(nowMs: number): Watched | undefined {
    const earliest = (looks: readonly Watched[]) => looks.reduce((a, b) => (this.#isBefore(b, a, nowMs) ? b : a));
    if (this.isReady) return earliest(this.#watched);
    const unknown = this.#needed.find(({ isKnown }) => !isKnown);
    const isElsewhere = this.#needed.every(({ isAbsent }) => isAbsent);
    return this.#trouble?.watched ?? unknown ?? earliest(isElsewhere ? this.#needed : this.#watched);
  }

  /**
   * Of several that may be asked the urgent ones come first, then what is looked at each interval, then those that are due
   * the longest. What is urgent again and again, as a model is loaded, takes turns with the metrics: nobody starves. What
   * is urgent of another server would be read as this one's, so who it is comes first.
   */
  #isBefore(a: Watched, b: Watched, nowMs: number): boolean {
    const [aMs, bMs] = [this.#mayAtMs(a, nowMs), this.#mayAtMs(b, nowMs)];
    if (aMs !== bMs) return aMs < bMs;
    const [aRank, bRank] = [this.#rank(a), this.#rank(b)];
    if (aRank + bRank === URGENT_RANK + MAIN_RANK) return a.askedAtMs < b.askedAtMs;
    return aRank === bRank ? a.dueAtMs < b.dueAtMs : aRank < bRank;
  }

  #rank(watched: Watched): number {
    if (watched.haste === "now") return watched.look.role === "identity" ? 0 : URGENT_RANK;
    return this.#isMain(watched) ? MAIN_RANK : DUE_RANK;
  }

  /**
   * When it may be asked. What is only due comes behind the metrics of its beat, and leaves one of the budget: so that
   * metrics are never late for it, and what is urgent need not wait.
   */
  #mayAtMs(watched: Watched, nowMs: number): number {
    const isPatient = this.isReady && watched.haste !== "now" && !this.#isMain(watched);
    const leave = isPatient ? (watched.haste === "soon" ? SOON_LEAVES : 1) : 0;
    const atMs = Math.max(watched.dueAtMs, this.#budget.nextMs(nowMs, leave));
    return isPatient ? Math.max(atMs, this.#beatBy(atMs, LATE_SHARE)) : atMs;
  }

  #judge(nowMs: number): void {
    const isHung = this.#isSilent && nowMs - this.#heardAtMs >= this.#config.unresponsiveMs;
    if (this.#gone !== "") this.#enter("down", `it can't be connected to: ${this.#gone}`, nowMs);
    else if (isHung) this.#enter("unresponsive", `it answers nothing: ${this.#silence}`, nowMs);
    else if (this.#trouble !== undefined) this.#enter(this.#trouble.state, this.#trouble.message, nowMs);
    else if (!this.#needed.every(({ isKnown }) => isKnown)) {
      const words = this.#needed.find(({ words: said }) => said !== "")?.words;
      if (this.#wasHeard) this.#enter("starting", words ?? "it is asked who it is and what it serves", nowMs);
      else this.#enter("connecting", words ?? "nothing was heard of it yet", nowMs);
    } else if (this.#needed.every(({ isAbsent }) => isAbsent)) {
      const paths = this.#needed.map(({ look }) => look.ask.path).join(", ");
      this.#enter("foreign", `it has none of ${paths}`, nowMs);
    } else {
      const words = this.#watched.map((each) => each.words).filter((each) => each !== "");
      this.#enter(this.#mainLooks().some(({ isLate }) => isLate) ? "slow" : "ready", words.join("; "), nowMs);
    }
  }

  #enter(state: RuntimeState, message: string, nowMs: number): void {
    if (state === this.#state && message === this.#message) return;
    if (state !== this.#state) this.#sinceMs = nowMs;
    this.#state = state;
    this.#message = message;
    this.#changed = true;
  }
}

function inOrder(looks: readonly Look[]): readonly Look[] {
  return looks.toSorted((a, b) => ORDER.indexOf(a.role) - ORDER.indexOf(b.role));
}

function newWatched(look: Look, nowMs: number): Watched {
  return {
    look,
    dueAtMs: nowMs,
    haste: "none",
    askedAtMs: nowMs,
    toldAtMs: -Infinity,
    isKnown: false,
    isAbsent: false,
    isLate: false,
    failures: 0,
    words: "",
  };
}

/** Whether they are the same models in the same states. */
function areSame(a: readonly ModelReading[], b: readonly ModelReading[]): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((model, i) => model.model === b[i]!.model && model.state === b[i]!.state);
}
