/**
 * Which blocks of KV cache the engines behind a router's targets hold, exactly, where their nodes tell: what a prompt's
 * keys (kv/block-key.ts) match at each target of a model. Where nothing is told there is no match but `undefined`: whoever
 * asks falls back to what it can guess.
 */
import type { Target } from "./fleet/target.ts";
import type { RemoteIndex } from "./kv/remote-index.ts";
import type { EngineBlocks } from "./admin/router-api.ts";

/** The keys of a prompt's blocks of so many tokens, each of the block behind the one before. */
export type BlockKeys = (blockTokens: number) => ArrayLike<number>;

export interface ExactMatch {
  /** Of the prompt's first blocks, how many are held, and their tokens. */
  readonly blocks: number;
  readonly tokens: number;
  /** Of several data-parallel ranks the one that holds most. */
  readonly engine: string;
  /** It follows the engine without a gap, and its node hears the engine; else most of it is still so. */
  readonly isCurrent: boolean;
  /** The engine may hold more. */
  readonly isPartial: boolean;
}

export interface TargetMatch {
  readonly target: string;
  /** undefined where no exact index is known. */
  readonly exact: ExactMatch | undefined;
}

export interface RemoteIndexesOptions {
  readonly targets: () => readonly Target[];
  /** Of a node. */
  readonly engines: (node: string) => readonly RemoteIndex[];
}

export class RemoteIndexes {
  readonly #options: RemoteIndexesOptions;

  constructor(options: RemoteIndexesOptions) {
    this.#options = options;
  }

  /** For each target that serves the model. */
  match(model: string, keysOf: BlockKeys): TargetMatch[] {
    const keys = new Map<number, ArrayLike<number>>();
    const known = (blockTokens: number): ArrayLike<number> => {
      const found = keys.get(blockTokens) ?? keysOf(blockTokens);
      keys.set(blockTokens, found);
      return found;
    };
    return this.#options
      .targets()
      .filter(({ models }) => models.includes(model))
      .map((target) => ({ target: target.id, exact: best(this.of(target), known) }));
  }

  /** The engines behind a target: those of its runtime. */
  of(target: Target): RemoteIndex[] {
    const engines = this.#options.engines(target.node);
    const runtime = runtimeOf(target);
    if (runtime !== undefined) return engines.filter((engine) => engine.runtime === runtime);
    // Which of several it stands for is not known yet.
    return new Set(engines.map((engine) => engine.runtime)).size === 1 ? [...engines] : [];
  }

  /** As the API shows them. */
  shown(target: Target, nowMs: number): EngineBlocks[] {
    return this.of(target).map((index) => ({
      engine: index.engine,
      runtime: index.runtime,
      blocks: index.size,
      blockTokens: index.blockTokens,
      whole: !index.isPartial,
      current: index.isCurrent,
      heard: index.isHeard,
      updatesBehind: index.behind,
      behindMs: index.behindSinceMs === undefined ? null : Math.max(0, Math.round(nowMs - index.behindSinceMs)),
    }));
  }
}

/** The name of the runtime that a target stands for; undefined before its node told. */
function runtimeOf({ lastSample }: Target): string | undefined {
  const [only, ...others] = lastSample?.runtimes ?? [];
  return others.length > 0 ? undefined : only?.name;
}

function best(engines: readonly RemoteIndex[], keysOf: BlockKeys): ExactMatch | undefined {
  let found: ExactMatch | undefined;
  for (const index of engines) {
    const { engine, isPartial, blockTokens } = index;
    const isCurrent = index.isCurrent && index.isHeard;
    // An empty one holds nothing, whatever the size of its blocks.
    const { blocks, tokens } = blockTokens === 0 ? { blocks: 0, tokens: 0 } : index.matched(keysOf(blockTokens));
    if (found === undefined || tokens > found.tokens) found = { blocks, tokens, engine, isCurrent, isPartial };
  }
  return found;
}
