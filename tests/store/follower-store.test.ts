/** A node that is no control node, where there is none to ask, or none that answers. */
import { afterEach, expect, test } from "bun:test";
import { FollowerStore } from "../../src/store/follower-store.ts";
import { Ways } from "../../src/store/ways.ts";
import { freePort } from "../ports.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function following(addresses: () => readonly string[]): FollowerStore {
  const identity = { cluster: "mesh", node: "a", storeId: () => "", keys: () => [] };
  const ways = new Ways({ identity, handlers: { message() {}, call: async () => ({}) }, onBroken() {} });
  const store = new FollowerStore({ ways, addresses, file: "", log: { info() {}, warn() {} } });
  ends.push(
    () => store.stop(),
    () => ways.stop(),
  );
  return store;
}

test("where no control node is known, its status says so without waiting for one", async () => {
  let looks = 0;
  const store = following(() => {
    looks += 1;
    return [];
  });
  const before = looks;
  expect(await store.status()).toMatchObject({
    engine: "follower",
    writable: false,
    leader: "",
    members: [],
    alarm: "no control node can be reached (no control node is known yet); see `infermesh ctl control status`",
  });
  // Whoever waits looks again and again.
  expect(looks - before).toBe(1);
});

test("one that is known and does not answer is asked until the time is over", async () => {
  let looks = 0;
  const port = freePort();
  const store = following(() => {
    looks += 1;
    return [`127.0.0.1:${port}`];
  });
  const { writable, alarm } = await store.status();
  expect([writable, alarm]).toEqual([false, expect.stringContaining("no control node can be reached")]);
  expect(looks).toBeGreaterThan(3);
});
