/** How a simulated router brings nodes back into use. */
import { expect, test } from "bun:test";
import { TargetView } from "../../src/score/view.ts";
import { SimWarmth } from "../../src/sim/sim-warmth.ts";

const WINDOW_MS = 10_000;
const SHARE_MIN = 0.1;

/** Four nodes that have a second of prompts each, and a tenth of one for each of 5 requests. */
function busy(): TargetView {
  const view = new TargetView(4);
  view.queuedTokens.fill(20_000);
  view.secondsPerPrefillToken.fill(1 / 20_000);
  view.active.fill(5);
  view.secondsPerActive.fill(0.1);
  return view;
}

test("a node that is back is dearer by a part of the others' load, less and less, until it is as warm as they", () => {
  const warmth = new SimWarmth(4);
  const view = busy();
  expect(warmth.isAllWarm).toBe(true);
  warmth.left(2);
  warmth.look(view, 1000);
  expect(warmth.isAllWarm).toBe(false);
  // Its own load says nothing: the others' counts.
  view.queuedTokens[2] = 0;
  view.active[2] = 0;
  warmth.came(2, 2000);
  const added = [0, 0.5, 0.99].map((part) => {
    warmth.look(view, 2000 + part * WINDOW_MS);
    expect(warmth.isAllWarm).toBe(false);
    expect([...warmth.coldSeconds].toSpliced(2, 1)).toEqual([0, 0, 0]);
    return warmth.coldSeconds[2]!;
  });
  for (const [at, part] of [0, 0.5, 0.99].entries()) {
    const share = SHARE_MIN + (1 - SHARE_MIN) * part;
    expect(added[at]).toBeCloseTo((1 - share) * 1.5, 9);
  }
  warmth.look(view, 2000 + WINDOW_MS);
  expect(warmth.isAllWarm).toBe(true);
  expect([...warmth.coldSeconds]).toEqual([0, 0, 0, 0]);
});

test("what is there already doesn't begin anew, and where nobody is warm nothing is added", () => {
  const warmth = new SimWarmth(4);
  const view = busy();
  warmth.left(0);
  warmth.came(0, 0);
  warmth.came(0, 5000);
  warmth.look(view, WINDOW_MS);
  expect(warmth.isAllWarm).toBe(true);
  for (let node = 0; node < 4; node += 1) warmth.left(node);
  for (let node = 0; node < 4; node += 1) warmth.came(node, 20_000);
  warmth.look(view, 20_000);
  expect([...warmth.coldSeconds]).toEqual([0, 0, 0, 0]);
});
