/** The journal of membership events: numbers, the ring, restarts, watchers. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { meshView } from "../../src/mesh/mesh-view.ts";
import { joinMesh, type MeshNode } from "../../src/mesh/node-membership.ts";
import { gossipSettings } from "../../src/mesh/settings.ts";
import type { SwimEvent } from "../../src/swim/event.ts";
import { swimSettings } from "../../src/swim/settings.ts";

const START_MS = 1_795_000_000_000;

function event(id: string, kind: SwimEvent["kind"] = "joined"): SwimEvent {
  return { kind, id, address: "10.0.0.1:7946", incarnation: 7, cause: "announced itself" };
}

const ids = (events: readonly { readonly id: string }[]): string[] => events.map(({ id }) => id);

describe("the journal", () => {
  test("keeps each event with a number and the time of the wall", () => {
    const journal = new Journal(START_MS);
    journal.append(event("a"), START_MS + 5);
    journal.append(event("b", "failed"), START_MS + 6);
    const { events, missed, next } = journal.after(0);
    expect(events[0]).toEqual({
      ...event("a"),
      type: "node.joined",
      labels: { node: "a" },
      seq: START_MS * 1000 + 1,
      time: "2026-11-18T11:06:40.005Z",
    });
    expect(events[1]).toMatchObject({ seq: START_MS * 1000 + 2, kind: "failed", id: "b" });
    expect({ missed, next }).toEqual({ missed: 0, next: START_MS * 1000 + 2 });
    expect(journal.first).toBe(START_MS * 1000 + 1);
    expect(journal.after(next)).toEqual({ events: [], missed: 0, next });
    expect(ids(journal.after(events[0]?.seq ?? 0).events)).toEqual(["b"]);
  });

  test("holds the latest, and says how many it has dropped since a number", () => {
    const journal = new Journal(START_MS, 4);
    for (let at = 1; at <= 10; at += 1) journal.append(event(`n${at}`), START_MS);
    const first = START_MS * 1000 + 1;
    expect(ids(journal.after(0).events)).toEqual(["n7", "n8", "n9", "n10"]);
    expect(journal.after(0).missed).toBe(6);
    expect(journal.after(first + 3).missed).toBe(2);
    expect(journal.after(first + 5).missed).toBe(0);
    const part = journal.after(first, 2);
    expect([ids(part.events), part.missed, part.next]).toEqual([["n7", "n8"], 5, first + 7]);
  });

  test("a reader gets every event once and in order, or is told how many it missed", () => {
    const step = fc.record({ appended: fc.nat(12), read: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (steps, max) => {
        const journal = new Journal(START_MS, 8);
        let [appended, seen, next] = [0, 0, journal.last];
        for (const { appended: more, read } of [
          ...steps,
          ...Array.from({ length: 9 }, () => ({ appended: 0, read: true })),
        ]) {
          for (let count = 0; count < more; count += 1) journal.append(event(String((appended += 1))), START_MS);
          if (!read) continue;
          const part = journal.after(next, max);
          expect(part.events.length).toBeLessThanOrEqual(Math.min(max, 8));
          seen += part.missed;
          for (const { id } of part.events) expect(id).toBe(String((seen += 1)));
          next = part.next;
        }
        expect([seen, next]).toEqual([appended, journal.last]);
      }),
    );
  });

  test("one of a later life goes on above, and gives all of itself to who read the earlier one", () => {
    const before = new Journal(START_MS);
    for (let at = 0; at < 900; at += 1) before.append(event("old"), START_MS);
    const after = new Journal(START_MS + 1);
    after.append(event("new"), START_MS + 1);
    expect(after.after(before.last)).toMatchObject({ missed: 0, events: [{ id: "new" }] });
    // A clock that was set back between the two: the number is none of this life's.
    expect(new Journal(START_MS - 5000).after(before.last)).toMatchObject({ missed: 0, events: [] });
    const slow = new Journal(START_MS - 5000);
    slow.append(event("new"), START_MS);
    expect(slow.after(before.last)).toMatchObject({ missed: 0, events: [{ id: "new" }] });
  });

  test("calls its watchers back at each event and at the end, until they stop watching", () => {
    const journal = new Journal(START_MS);
    let [calls, others] = [0, 0];
    const stop = journal.watch(() => (calls += 1));
    journal.watch(() => (others += 1));
    journal.append(event("a"), START_MS);
    stop();
    journal.append(event("b"), START_MS);
    journal.end();
    expect([calls, others, journal.ended]).toEqual([1, 3, true]);
  });
});

test("a node's journal is fed by its membership, and its view tells all of a member", async () => {
  const quiet = { info() {}, warn() {}, debug() {}, error() {} };
  const opened: MeshNode[] = [];
  const node = async (id: string, join: string[]) => {
    const journal = new Journal(Date.now());
    const joined = await joinMesh({
      id,
      identity: 0,
      incarnation: 1,
      gossip: { host: "127.0.0.1", port: 0 },
      advertise: "",
      join,
      mesh: defaultsOf(gossipSettings),
      swim: { ...defaultsOf(swimSettings), probeIntervalMs: 100, probeTimeoutMs: 50, gossipIntervalMs: 20 },
      meta: {
        role: "agent",
        zone: "z1",
        labels: { rack: "r1" },
        apiAddress: "127.0.0.1:9090",
        servingAddress: "127.0.0.1:8000",
        endpoints: [],
        models: ["m"],
        healthy: true,
        draining: false,
      },
      journal,
      log: quiet,
      onEvent() {},
    });
    opened.push(joined);
    const { membership } = joined;
    return { membership, view: meshView(() => membership, journal) };
  };
  try {
    const a = await node("a", []);
    const b = await node("b", [a.membership.address]);
    const end = performance.now() + 10_000;
    const known = (): boolean =>
      typeof a.view.member("b")?.distanceMs === "number" && a.view.member("b")?.rttMs !== null;
    while (!known() && performance.now() < end) await Bun.sleep(5);
    expect(a.view.events.after(0).events).toMatchObject([{ kind: "joined", id: "b", address: b.membership.address }]);
    expect(a.view.member("b")).toMatchObject({
      status: "alive",
      zone: "z1",
      labels: { rack: "r1" },
      servingAddress: "127.0.0.1:8000",
      version: "0.0.0-dev",
      protocols: [1, 1],
      self: false,
      healthy: true,
      cut: false,
    });
    expect(a.view.member("b")?.seenAgoMs).toBeGreaterThanOrEqual(0);
    expect(a.view.member("a")).toMatchObject({ self: true, distanceMs: null, seenAgoMs: null });
    expect(a.view.member("nobody")).toBeUndefined();
    expect(a.view.members().map(({ id }) => id)).toEqual(["a", "b"]);
    await b.membership.leave(3000);
    while (a.view.member("b")?.status === "alive" && performance.now() < end) await Bun.sleep(5);
    expect(a.view.events.after(0).events.map(({ kind }) => kind)).toEqual(["joined", "left"]);
  } finally {
    for (const { membership, transport } of opened) {
      membership.stop();
      transport.stop();
    }
  }
  const early = meshView(() => null, new Journal(1));
  expect([early.members(), early.member("a")]).toEqual([[], undefined]);
});
