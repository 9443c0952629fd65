/**
 * GPUs that a dcgm-exporter reads: its metrics are fetched at the pace of the load and become readings. There is never a
 * second request before the first has ended, each has a hard limit in time and in size, and one that failed is followed
 * by pauses that grow.
 *
 * One failure is none: an exporter that is restarted is gone for a moment, and what was read last counts until the third
 * failure on end, or for as long as a probe may be silent. One that takes the request and does not answer for that long
 * most likely waits for its driver, and counts as unresponsive.
 *
 * An exporter that was started just now serves an empty page until it has read for the first time, 30 s by default. A page
 * without any GPU is therefore no news for twice as long, and then a failure of the exporter; that the GPUs are lost is
 * believed of minutes of it. One GPU that is missing among others is lost at once.
 */
import { placeOf, withoutUrlSecrets } from "../base/url-secrets.ts";
import type { GpuReading, GpuStack } from "../health/reading.ts";
import { GpuReadings } from "../health/readings.ts";
import type { SourceState } from "../health/source-state.ts";
import { type DcgmLook, DcgmText } from "./dcgm-text.ts";
import type { GpuConfig } from "./settings.ts";
import type { GpuListener, GpuSource, SourceFigures } from "./source.ts";

export type DcgmConfig = Pick<GpuConfig, "loadIntervalMs" | "silentMaxMs" | "restartPauseMinMs" | "restartPauseMaxMs">;

export interface DcgmOptions {
  /** Of its metrics: http://host:9400/metrics. */
  readonly url: string;
  readonly config: DcgmConfig;
}

const ACCEPT = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5";
const FAILURES_MAX = 3;
/** Times `silentMax` for which a page without GPUs changes nothing: 60 s, twice the exporter's own pace. */
const EMPTY_FACTOR = 6;
/** The same until it says that the GPUs are lost: 5 minutes. */
const LOST_FACTOR = 30;
const SHOWN_CHARS = 200;

type Trouble = Exclude<SourceState["state"], "ok" | "starting">;

/** Why a look brought nothing. */
class DcgmTrouble extends Error {
  readonly state: Trouble;
  /** The exporter answers with a page without GPUs, and had some before. */
  readonly isEmpty: boolean;

  constructor(state: Trouble, message: string, isEmpty = false) {
    super(message);
    this.state = state;
    this.isEmpty = isEmpty;
  }
}

export class DcgmSource implements GpuSource {
  readonly #config: DcgmConfig;
  readonly #url: string;
  /** Without what is secret in it. */
  readonly #shownUrl: string;
  readonly #headers: Record<string, string>;
  readonly #text: DcgmText;
  readonly #readings = new GpuReadings();
  /** Of the request under way. */
  #abort: AbortController | null = null;
  #isStopped = false;
  #listener: GpuListener | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #underWay: Promise<void> = Promise.resolve();
  #failures = 0;
  #goodAtMs = -Infinity;
  /** Since when each of its pages has been without a GPU. */
  #emptySinceMs: number | undefined;
  #lookSeconds: number | undefined;
  #state: SourceState = { state: "starting", message: "", sinceMs: Date.now() };

  constructor({ url, config }: DcgmOptions) {
    const plain = new URL(url);
    const pair = `${decoded(plain.username)}:${decoded(plain.password)}`;
    const credentials = pair === ":" ? {} : { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
    plain.username = "";
    plain.password = "";
    plain.hash = "";
    this.#config = config;
    this.#url = plain.href;
    this.#shownUrl = (plain.origin + plain.pathname).slice(0, SHOWN_CHARS);
    this.#headers = { accept: ACCEPT, "accept-encoding": "identity", ...credentials };
    this.#text = new DcgmText(this.#shownUrl);
    this.#next(0);
  }

  get state(): SourceState {
    return this.#state;
  }

  get readings(): readonly GpuReading[] {
    return this.#readings.all;
  }

  get figures(): SourceFigures {
    return { name: "dcgm", restarts: 0, lookSeconds: this.#lookSeconds };
  }

  watch(listener: GpuListener): void {
    this.#listener = listener;
  }

  async stop(): Promise<void> {
    this.#listener = undefined;
    this.#isStopped = true;
    this.#abort?.abort();
    clearTimeout(this.#timer);
    await this.#underWay;
  }

  #next(pauseMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#underWay = this.#look();
    }, pauseMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const { loadIntervalMs, restartPauseMinMs, restartPauseMaxMs } = this.#config;
    const startedMs = performance.now();
    let look: DcgmLook;
    try {
      look = await this.#fetch();
    } catch (error) {
      if (this.#isStopped) return;
      this.#failed(error);
      const isNew = this.#failures < FAILURES_MAX;
      const growing = restartPauseMinMs * 2 ** Math.min(30, this.#failures - FAILURES_MAX);
      this.#next(isNew ? loadIntervalMs : Math.max(loadIntervalMs, Math.min(restartPauseMaxMs, growing)));
      return;
    }
    this.#lookSeconds = (performance.now() - startedMs) / 1000;
    this.#next(Math.max(0, loadIntervalMs - (performance.now() - startedMs)));
    this.#took(look);
  }

  #took({ updates, faults, stack }: DcgmLook): void {
    this.#failures = 0;
    this.#emptySinceMs = undefined;
    this.#goodAtMs = performance.now();
    this.#readings.take(updates, true);
    this.#tell("ok", "", stack);
    this.#listener?.changed();
    if (faults.length > 0) this.#listener?.faulted(faults);
  }

  #failed(error: unknown): void {
    const trouble =
      error instanceof DcgmTrouble
        ? error
        : new DcgmTrouble("broken", `${this.#shownUrl} can't be read: ${whatOf(error)}`);
    if (!trouble.isEmpty) this.#emptySinceMs = undefined;
    const goodMs = performance.now() - this.#goodAtMs;
    const { silentMaxMs } = this.#config;
    const isPassing = trouble.isEmpty && goodMs < EMPTY_FACTOR * silentMaxMs;
    // It answers: it is asked at its usual pace, or GPUs would be found again long after they are shown.
    this.#failures = isPassing ? 0 : this.#failures + 1;
    const isEarly = isPassing || (this.#failures < FAILURES_MAX && goodMs < silentMaxMs);
    if (this.#state.state === "ok" && isEarly) return;
    if (this.#tell(trouble.state, trouble.message, this.#state.stack)) this.#listener?.changed();
  }

  async #fetch(): Promise<DcgmLook> {
    const { silentMaxMs } = this.#config;
    const abort = new AbortController();
    this.#abort = abort;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      abort.abort();
    }, silentMaxMs);
    try {
      // What is inflated on the way would have no limit.
      const options = {
        headers: this.#headers,
        redirect: "manual",
        decompress: false,
        proxy: false,
        signal: abort.signal,
      } as const;
      return await this.#read(await fetch(this.#url, options));
    } catch (error) {
      if (!isLate || error instanceof DcgmTrouble) throw error;
      const how = `${this.#shownUrl} does not answer within ${silentMaxMs / 1000} s: it, or the driver behind it, hangs`;
      throw new DcgmTrouble("unresponsive", how);
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(response: Response): Promise<DcgmLook> {
    const { status, headers, body } = response;
    if (status !== 200) {
      await body?.cancel();
      throw this.#refused(status, headers.get("location"));
    }
    const encoding = headers.get("content-encoding") ?? "identity";
    if (encoding !== "identity") {
      await body?.cancel();
      throw new DcgmTrouble(
        "broken",
        `${this.#shownUrl} answers in ${encoding.slice(0, 32)}, though it was not asked to`,
      );
    }
    const reader = this.#text.reader(/openmetrics/i.test(headers.get("content-type") ?? ""));
    const stream = (body as ReadableStream<Uint8Array> | null)?.getReader();
    for (let part = await stream?.read(); part?.value !== undefined; part = await stream?.read()) {
      if (!reader.push(part.value)) {
        await stream?.cancel();
        break;
      }
    }
    const look = this.#text.finish(reader);
    const { bad, malformed } = look.end;
    if (bad !== "") throw new DcgmTrouble("broken", `${this.#shownUrl} is no whole page of metrics: ${bad}`);
    if (look.updates.length === 0) throw this.#empty(malformed);
    return look;
  }

  #refused(status: number, location: string | null): DcgmTrouble {
    if (status === 401 || status === 403) {
      const what = `${this.#shownUrl} answers ${status}: write dcgm=http://NAME:PASSWORD@HOST/..., or let this node in there`;
      return new DcgmTrouble("denied", what);
    }
    const where = location === null ? "" : `, leading to ${placeOf(location).slice(0, SHOWN_CHARS)}: give that address`;
    return new DcgmTrouble("broken", `${this.#shownUrl} answers ${status}${where}`);
  }

  /** An exporter that shows no GPU for long lost them; one that never did is another one, or on a machine without. */
  #empty(malformed: number): DcgmTrouble {
    const odd = malformed > 0 ? ` (${malformed} lines are malformed)` : "";
    if (this.#goodAtMs === -Infinity) {
      const what = `${this.#shownUrl} has no GPU's DCGM_FI_ metrics with a UUID${odd}`;
      return new DcgmTrouble("absent", `${what}; is it dcgm-exporter's? One that was started just now has none yet`);
    }
    const nowMs = performance.now();
    this.#emptySinceMs ??= nowMs;
    const isLost = nowMs - this.#emptySinceMs >= LOST_FACTOR * this.#config.silentMaxMs;
    const what = `${this.#shownUrl} answers and shows no GPU any more${odd}`;
    return new DcgmTrouble(isLost ? "lost" : "broken", `${what}; look at dcgm-exporter's log and nvidia-smi`, true);
  }

  /** Whether that is another state than before. */
  #tell(state: SourceState["state"], message: string, stack: GpuStack | undefined): boolean {
    const { ambiguous } = this.#readings;
    const before = this.#state;
    const isSame = before.state === state;
    this.#state = { state, message, sinceMs: isSame ? before.sinceMs : Date.now(), stack, ambiguous };
    return !isSame || before.message !== message;
  }
}

/** Of a URL's user information; as it is where it was not escaped. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function whatOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code === "ConnectionRefused" || code === "ECONNREFUSED")
    return "nothing listens there; is dcgm-exporter running?";
  return withoutUrlSecrets(String(message ?? error)).slice(0, SHOWN_CHARS);
}
