/** What a router's cost of a node is made of, from the node's sample by the router's own code (score/cost.ts). */
import { defaultsOf } from "../base/settings-reading.ts";
import { costSettings, type RowContext, rowValues, UNROUTABLE, workValues } from "../score/cost.ts";
import { stepOf } from "../score/row-sides.ts";
import { type ModelSample, PLAIN_MODEL } from "../score/sample.ts";
import type { TargetView } from "../score/view.ts";
import type { BatchingConfig } from "./batching.ts";
import type { NodeSamples } from "./node-samples.ts";
import { SimWarmth } from "./sim-warmth.ts";

const COST = defaultsOf(costSettings);

type Changing<T> = { -readonly [Key in keyof T]: T[Key] };

/** Of one node. What changes is written into the same sample and context each time: there are many of each. */
export class NodeFigures {
  readonly #sample: Changing<ModelSample>;
  readonly #context: Changing<RowContext>;
  /** Something of the sample has changed since the view was filled. */
  #isNews = true;

  /** Until it has told anything it is judged by what is known of such nodes. `prefillRate`: what it is taken for. */
  constructor(config: BatchingConfig, prefillRate: number, rttMs: number, weight: number, isOtherShare: boolean) {
    this.#sample = {
      ...PLAIN_MODEL,
      model: "",
      runningRequests: 0,
      waitingRequests: 0,
      queuedPrefillTokens: 0,
      kvUsage: 0,
      kvCapacityTokens: config.kvBlocks * config.blockTokens,
      prefillTokensPerSecond: prefillRate,
      decodeTokensPerSecond: undefined,
      slots: config.runningMax,
    };
    this.#context = { ...UNROUTABLE, ready: true, rttMs, weight, isOtherShare };
  }

  /** A sample of it came; `learnt`: what a prompt token was found to take. */
  told({ running, waiting, queuedTokens, kvUsage, decodeRate }: NodeSamples, place: number, learnt: number): void {
    this.#context.learntSecondsPerPrefillToken = learnt;
    const rate = decodeRate[place]!;
    const decodeTokensPerSecond = Number.isNaN(rate) ? undefined : rate;
    const sample = this.#sample;
    // Most nodes tell what they told before: nothing came, and nothing ended.
    if (
      sample.runningRequests === running[place]! &&
      sample.waitingRequests === waiting[place]! &&
      sample.queuedPrefillTokens === queuedTokens[place]! &&
      sample.kvUsage === kvUsage[place]! &&
      sample.decodeTokensPerSecond === decodeTokensPerSecond
    )
      return;
    this.#isNews = true;
    sample.runningRequests = running[place]!;
    sample.waitingRequests = waiting[place]!;
    sample.queuedPrefillTokens = queuedTokens[place]!;
    sample.kvUsage = kvUsage[place]!;
    sample.decodeTokensPerSecond = decodeTokensPerSecond;
  }

  /** `coldSeconds`: what is added for its being back only lately. Always into the same place of the same view. */
  fill(view: TargetView, target: number, coldSeconds: number): void {
    if (!this.#isNews && coldSeconds === this.#context.coldSeconds) {
      const { secondsPerPrefillToken, secondsPerActive } = workValues(this.#sample, this.#context, COST);
      view.secondsPerPrefillToken[target] = secondsPerPrefillToken;
      view.secondsPerActive[target] = secondsPerActive;
      return;
    }
    this.#isNews = false;
    this.#context.coldSeconds = coldSeconds;
    const values = rowValues(this.#sample, this.#context, COST);
    view.secondsPerPrefillToken[target] = values.secondsPerPrefillToken;
    view.secondsPerActive[target] = values.secondsPerActive;
    view.slots[target] = values.slots;
    view.secondsPerQueuedRequest[target] = values.secondsPerQueuedRequest;
    view.kvOffset[target] = values.kvOffset;
    view.kvPerToken[target] = values.kvPerToken;
    view.penaltySeconds[target] = values.penaltySeconds;
    view.weight[target] = this.#context.weight;
    const { stepSeconds, running } = stepOf(this.#sample);
    view.stepSeconds[target] = stepSeconds;
    view.running[target] = running;
  }
}

/** What a router's cost of every node is made of. */
export class MeshFigures {
  readonly #view: TargetView;
  readonly #nodes: readonly NodeFigures[];
  readonly #warmth: SimWarmth;

  constructor(view: TargetView, nodes: readonly NodeFigures[]) {
    this.#view = view;
    this.#nodes = nodes;
    this.#warmth = new SimWarmth(nodes.length);
    for (const [target, figures] of nodes.entries()) figures.fill(view, target, 0);
  }

  /** Nothing is sent to the node any more. */
  left(target: number): void {
    this.#warmth.left(target);
  }

  came(target: number, nowMs: number): void {
    this.#warmth.came(target, nowMs);
  }

  told(target: number, samples: NodeSamples, learnt: number): void {
    this.#nodes[target]!.told(samples, target, learnt);
    this.#nodes[target]!.fill(this.#view, target, this.#warmth.coldSeconds[target]!);
  }

  /** All samples of a moment have been told. */
  look(nowMs: number): void {
    const { coldSeconds, isAllWarm } = this.#warmth;
    if (isAllWarm) return;
    this.#warmth.look(this.#view, nowMs);
    for (const [target, figures] of this.#nodes.entries()) figures.fill(this.#view, target, coldSeconds[target]!);
  }
}
