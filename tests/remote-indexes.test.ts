import { describe, expect, test } from "bun:test";
import { Prng } from "../src/base/prng.ts";
import { blockKey, ROOT } from "../src/kv/block-key.ts";
import { IndexFeed } from "../src/kv/index-feed.ts";
import { IndexReceiver } from "../src/kv/index-receiver.ts";
import type { Target } from "../src/fleet/target.ts";
import { type BlockKeys, RemoteIndexes } from "../src/remote-indexes.ts";
import { nodeRuntime, nodeSample, targetOf } from "./fleet/samples.ts";
import { storedEvent } from "./kv/engine.ts";

const PROMPT = Uint32Array.from({ length: 64 }, (_, at) => 1000 + at);

/** Of the prompt's whole blocks. */
const keysOf: BlockKeys = (blockTokens) => {
  const keys: number[] = [];
  for (let from = 0; from + blockTokens <= PROMPT.length; from += blockTokens) {
    keys.push(blockKey(keys.at(-1) ?? ROOT, PROMPT, from, from + blockTokens));
  }
  return keys;
};

const target = (id: string, more: Partial<Target> = {}): Target =>
  targetOf(id, { source: "gossip", streamed: true, ...more });

class Fleet {
  readonly receiver = new IndexReceiver();
  targets: Target[] = [];
  readonly indexes = new RemoteIndexes({
    targets: () => this.targets,
    engines: (node) => this.receiver.engines(node),
  });

  /** An engine that holds the first `tokens` of the prompt in blocks of `blockTokens`. */
  engine(node: string, slot: number, tokens: number, blockTokens: number, name = "vllm"): IndexFeed {
    const feed = new IndexFeed({ slot, runtime: name, engine: `${node} rank ${slot}` }, new Prng(slot + 1));
    feed.index.restart(true);
    feed.isHeard = true;
    if (tokens > 0) {
      const hashes = Array.from({ length: tokens / blockTokens }, (_, at) => `${at}`);
      feed.index.apply(storedEvent({ hashes, tokens: PROMPT.slice(0, tokens), blockTokens }));
    }
    feed.take();
    for (const message of feed.snapshot()) this.receiver.receive(node, message, 0);
    return feed;
  }
}

describe("exact matches", () => {
  test("for each target of a model, by the size of its engine's blocks; undefined where nothing is told", () => {
    const fleet = new Fleet();
    fleet.engine("a", 0, 48, 16);
    fleet.engine("b", 0, 32, 8);
    fleet.engine("c", 0, 0, 16);
    fleet.targets = [target("a"), target("b"), target("c"), target("d"), target("e", { models: ["other"] })];
    const asked: number[] = [];
    const matches = fleet.indexes.match("m", (blockTokens) => {
      asked.push(blockTokens);
      return keysOf(blockTokens);
    });
    const whole = { isCurrent: true, isPartial: false };
    expect(matches).toEqual([
      { target: "a", exact: { blocks: 3, tokens: 48, engine: "a rank 0", ...whole } },
      { target: "b", exact: { blocks: 4, tokens: 32, engine: "b rank 0", ...whole } },
      { target: "c", exact: { blocks: 0, tokens: 0, engine: "c rank 0", ...whole } },
      { target: "d", exact: undefined },
    ]);
    // The keys of a prompt are made once for each size, and for no other.
    expect(asked).toEqual([16, 8]);
    expect(fleet.indexes.match("nobody's", keysOf)).toEqual([]);
  });

  test("of several ranks the best; two endpoints of a node are told apart by their runtime", () => {
    const fleet = new Fleet();
    fleet.engine("n", 0, 16, 16);
    fleet.engine("n", 1, 48, 16);
    fleet.engine("n", 2, 32, 16, "vllm-2");
    const of = (name: string) => ({
      node: "n",
      endpoint: name,
      lastSample: nodeSample({ runtimes: [nodeRuntime({ name })] }),
    });
    fleet.targets = [target("n/vllm", of("vllm")), target("n/vllm-2", of("vllm-2")), target("n/tgi", of("tgi"))];
    expect(fleet.indexes.match("m", keysOf).map(({ exact }) => [exact?.engine, exact?.tokens])).toEqual([
      ["n rank 1", 48],
      ["n rank 2", 32],
      [undefined, undefined],
    ]);
    // Before the node told which runtime an endpoint is of, of two nobody knows whose they are.
    fleet.targets = [target("n/vllm", { node: "n" })];
    expect(fleet.indexes.match("m", keysOf)).toEqual([{ target: "n/vllm", exact: undefined }]);
  });

  test("what is behind or partial says so, and the API shows since when", () => {
    const fleet = new Fleet();
    const feed = fleet.engine("a", 0, 48, 16);
    const [a] = (fleet.targets = [target("a")]);
    feed.index.missed();
    feed.take();
    feed.index.apply(storedEvent({ hashes: ["x"], tokens: Uint32Array.of(1, 2, 3, 4) }));
    for (const message of feed.take()) fleet.receiver.receive("a", message, 1000);
    expect(fleet.indexes.match("m", keysOf)[0]!.exact).toMatchObject({ tokens: 48, isCurrent: false });
    expect(fleet.indexes.shown(a!, 1250)).toEqual([
      {
        engine: "a rank 0",
        runtime: "vllm",
        blocks: 3,
        blockTokens: 16,
        whole: true,
        current: false,
        heard: true,
        updatesBehind: 2,
        behindMs: 250,
      },
    ]);
    for (const message of feed.snapshot()) fleet.receiver.receive("a", message, 1300);
    expect(fleet.indexes.shown(a!, 1400)[0]).toMatchObject({ whole: false, current: true, blocks: 4, behindMs: null });
    // The node does not hear the engine any more.
    feed.isHeard = false;
    for (const message of feed.take()) fleet.receiver.receive("a", message, 1450);
    expect(fleet.indexes.shown(a!, 1450)[0]).toMatchObject({ current: true, heard: false });
    expect(fleet.indexes.match("m", keysOf)[0]!.exact).toMatchObject({ tokens: 48, isCurrent: false });
    fleet.receiver.forget("a");
    expect(fleet.indexes.shown(a!, 1500)).toEqual([]);
    expect(fleet.indexes.match("m", keysOf)).toEqual([{ target: "a", exact: undefined }]);
  });
});
