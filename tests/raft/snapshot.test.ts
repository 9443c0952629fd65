/** Compaction, and followers that get a snapshot because their entries are dropped. */
import { describe, expect, test } from "bun:test";
import type { SnapshotChunk } from "../../src/raft/message.ts";
import { SnapshotReceiver, SnapshotSender } from "../../src/raft/snapshot-transfer.ts";
import { Lab, snapshotOf } from "./lab.ts";

const SMALL = { trailingEntriesMax: 0, snapshotChunkBytes: 16, snapshotWindowBytes: 32 };

/** Eight commands that member 3 missed, compacted away. */
function behind(): Lab {
  const lab = new Lab([1, 2, 3], SMALL);
  lab.elect(1);
  lab.crash(3);
  for (const command of "abcdefgh") lab.propose(1, command);
  compact(lab, 1);
  lab.take();
  return lab;
}

function compact(lab: Lab, member: number): void {
  const raft = lab.raft(member);
  const bench = lab.bench(member);
  const snapshot = raft.compact(bench.appliedIndex, snapshotOf(bench.applied));
  expect(snapshot).toBeDefined();
  const { firstIndex } = raft.status();
  bench.snapshot = snapshot!;
  bench.entries = bench.entries.filter(({ index }) => index >= firstIndex);
}

describe("a snapshot", () => {
  test("goes to a follower whose entries are dropped, a window of pieces at a time", () => {
    const lab = behind();
    lab.restart(3);
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take().filter((line) => line.includes("3>1") || line.includes("1>3"))).toEqual([
      "1>3 t2 append after 10/2 [] commit 10",
      "3>1 t2 lacks 10, try 2/2",
      "1>3 t2 snapshot 10/2 [0, 16) of 33",
      "1>3 t2 snapshot 10/2 [16, 32) of 33",
      "3>1 t2 snapshot 10/2 up to 16",
      "3>1 t2 snapshot 10/2 up to 32",
      "1>3 t2 snapshot 10/2 [32, 33) of 33",
      "3>1 t2 has 10",
    ]);
    expect(lab.bench(3).applied).toEqual("abcdefgh".split(""));
    expect(lab.bench(3).snapshot?.configuration.voters).toEqual([1, 2, 3]);
    lab.propose(1, "i");
    expect(lab.bench(3).applied).toEqual("abcdefghi".split(""));
    lab.crash(3);
    lab.restart(3);
    lab.propose(1, "j");
    expect(lab.bench(3).applied).toEqual("abcdefghij".split(""));
  });

  test("is acknowledged only when it is durable", () => {
    const lab = behind();
    lab.restart(3);
    lab.bench(3).slow = true;
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take()).not.toContain("3>1 t2 has 10");
    expect(lab.bench(3).applied).toEqual("abcdefgh".split(""));
    expect(lab.raft(1).status().progress[1]).toMatchObject({
      state: "snapshot",
      snapshot: { receivedBytes: 32, totalBytes: 33 },
    });
    lab.persist(3);
    expect(lab.take()).toContain("3>1 t2 has 10");
    expect(lab.raft(1).status().progress[1]).toMatchObject({ state: "replicate", matchIndex: 10 });
  });

  test("goes on where it was when pieces get lost, and begins anew with a follower that begins anew", () => {
    const lab = behind();
    lab.restart(3);
    let pieces = 0;
    lab.loses = ({ type }) => type === "snapshot" && ++pieces === 2;
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.bench(3).applied).toEqual([]);
    lab.pass(lab.config.electionTimeoutMinMs + lab.config.heartbeatIntervalMs);
    expect(lab.bench(3).applied).toEqual("abcdefgh".split(""));

    const other = behind();
    other.restart(3);
    other.loses = ({ type, from }) => type === "snapshot-reply" && from === 3;
    other.pass(other.config.heartbeatIntervalMs);
    other.crash(3);
    other.restart(3);
    other.loses = () => false;
    other.pass(2 * other.config.electionTimeoutMinMs);
    expect(other.bench(3).applied).toEqual("abcdefgh".split(""));
  });

  test("is not needed while the entries are there: a tail of them is kept", () => {
    const lab = new Lab([1, 2, 3], { ...SMALL, trailingEntriesMax: 9 });
    lab.elect(1);
    lab.crash(3);
    for (const command of "abcdefgh") lab.propose(1, command);
    compact(lab, 1);
    expect(lab.raft(1).status()).toMatchObject({ firstIndex: 2, snapshotIndex: 10 });
    lab.restart(3);
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take().filter((line) => line.includes("snapshot"))).toEqual([]);
    expect(lab.bench(3).applied).toEqual("abcdefgh".split(""));
    // A store with a tail before its snapshot is one to start from.
    lab.crash(1);
    lab.restart(1);
    expect(lab.raft(1).status()).toMatchObject({ snapshotIndex: 10, lastIndex: 10 });
    lab.pass(3 * lab.config.electionTimeoutMaxMs);
    lab.propose(lab.leaders[0]!, "i");
    expect(lab.bench(1).applied).toEqual("abcdefghi".split(""));
  });

  test("keeps no more of the tail than so many bytes", () => {
    const lab = new Lab([1, 2, 3], { ...SMALL, trailingEntriesMax: 9, trailingBytesMax: 5 });
    lab.elect(1);
    for (const command of ["a", "b", "ccc", "d", "e"]) lab.propose(1, command);
    compact(lab, 1);
    // "ccc", "d" and "e" have five bytes.
    expect(lab.raft(1).status()).toMatchObject({ firstIndex: 5, lastIndex: 7, snapshotIndex: 7 });
  });

  test("keeps the entries after it until the follower that receives it has it", () => {
    const lab = behind();
    lab.restart(3);
    lab.loses = ({ type, from }) => type === "snapshot-reply" && from === 3;
    lab.pass(lab.config.heartbeatIntervalMs);
    for (const command of "ijkl") lab.propose(1, command);
    compact(lab, 1);
    expect(lab.raft(1).status()).toMatchObject({ snapshotIndex: 14, firstIndex: 11 });
    lab.loses = () => false;
    lab.pass(3 * lab.config.electionTimeoutMinMs);
    expect(lab.bench(3).applied).toEqual("abcdefghijkl".split(""));
    expect(lab.bench(3).snapshot?.index).toBe(10);
  });

  test("is made only of what was applied, and only once of a place", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.propose(1, "a");
    expect(raft.compact(4, new Uint8Array(0))).toBeUndefined();
    expect(raft.compact(3, new Uint8Array(0))).toMatchObject({ index: 3, term: 2 });
    expect(raft.compact(3, new Uint8Array(0))).toBeUndefined();
    expect(raft.compact(2, new Uint8Array(0))).toBeUndefined();
  });

  test("of what a follower has already is not taken", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.propose(1, "a", "b");
    lab.take();
    const configuration = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [] };
    const chunk = { type: "snapshot", from: 1, to: 2, term: 2, configuration, totalBytes: 0, offset: 0 } as const;
    lab.deliver({ ...chunk, at: { index: 3, term: 2 }, bytes: new Uint8Array(0) });
    lab.settle();
    expect(lab.take()).toEqual(["1>2 t2 snapshot 3/2 [0, 0) of 0", "2>1 t2 has 4"]);
    expect(lab.bench(2).applied).toEqual(["a", "b"]);
  });

  test("of what a follower has, but does not know to be committed, commits it", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.cut.add("1>3");
    lab.bench(1).slow = true;
    lab.propose(1, "a");
    expect(lab.raft(2).status()).toMatchObject({ commitIndex: 2, lastIndex: 3 });
    const configuration = { voters: [1, 2, 3], outgoing: [], learners: [], learnersNext: [] };
    const chunk = { type: "snapshot", from: 1, to: 2, term: 2, configuration, totalBytes: 0, offset: 0 } as const;
    lab.deliver({ ...chunk, at: { index: 3, term: 2 }, bytes: new Uint8Array(0) });
    lab.settle();
    expect(lab.bench(2).applied).toEqual(["a"]);
    expect(lab.bench(2).snapshot).toBeNull();
  });
});

describe("the pieces", () => {
  const configuration = { voters: [1], outgoing: [], learners: [], learnersNext: [] };
  const data = Uint8Array.from({ length: 10 }, (_, at) => at);
  const chunk = (offset: number, length: number, changes: Partial<SnapshotChunk> = {}): SnapshotChunk => ({
    type: "snapshot",
    from: 1,
    to: 2,
    term: 3,
    at: { index: 7, term: 2 },
    configuration,
    totalBytes: 10,
    offset,
    bytes: data.slice(offset, offset + length),
    ...changes,
  });

  test("are put together in order; others are dropped", () => {
    const receiver = new SnapshotReceiver();
    expect(receiver.accept(chunk(4, 4))).toBeUndefined();
    expect(receiver.receivedOf(chunk(0, 4))).toBe(0);
    for (const [offset, received] of [
      [0, 4],
      [0, 4],
      [8, 4],
      [4, 8],
    ] as const) {
      expect(receiver.accept(chunk(offset, 4))).toBeUndefined();
      expect(receiver.receivedOf(chunk(0, 4))).toBe(received);
    }
    expect(receiver.accept(chunk(8, 4))).toEqual({ index: 7, term: 2, configuration, data });
    expect(receiver.receivedOf(chunk(0, 4))).toBe(0);
  });

  test("of another leader, another term or another place begin anew", () => {
    for (const changes of [{ from: 5 }, { term: 4 }, { at: { index: 8, term: 2 } }, { totalBytes: 11 }]) {
      const receiver = new SnapshotReceiver();
      receiver.accept(chunk(0, 4));
      receiver.accept(chunk(4, 4, changes));
      expect(receiver.receivedOf(chunk(0, 0))).toBe(4);
      receiver.accept(chunk(0, 4, changes));
      expect(receiver.receivedOf(chunk(0, 0))).toBe(0);
      expect(receiver.receivedOf(chunk(0, 0, changes))).toBe(4);
    }
  });

  test("leave within the window, and slowly at first when nothing arrived", () => {
    const snapshot = { index: 7, term: 2, configuration, data };
    const sender = new SnapshotSender(snapshot, 2, 4, 0);
    const offsets = (): (number | undefined)[] => {
      const found: number[] = [];
      for (let piece = sender.next(); piece !== undefined; piece = sender.next()) found.push(piece.offset);
      return found;
    };
    expect(offsets()).toEqual([0, 2]);
    sender.received(2, 5);
    expect(offsets()).toEqual([4]);
    // Late words, and words that can't be.
    sender.received(0, 6);
    sender.received(99, 6);
    expect(sender.acknowledged).toBe(2);
    sender.retry(14, 10);
    expect(offsets()).toEqual([]);
    sender.received(2, 14);
    sender.retry(15, 10);
    expect(offsets()).toEqual([2]);
    sender.received(4, 16);
    expect(offsets()).toEqual([4, 6]);
    sender.received(10, 17);
    expect(offsets()).toEqual([]);
    // All of it arrived, and nobody says that it is stored.
    sender.retry(27, 10);
    expect(offsets()).toEqual([0]);
  });

  test("of nothing are one", () => {
    const sender = new SnapshotSender({ index: 7, term: 2, configuration, data: new Uint8Array(0) }, 2, 4, 0);
    expect(sender.next()).toEqual({ offset: 0, bytes: new Uint8Array(0) });
    expect(sender.next()).toBeUndefined();
    const receiver = new SnapshotReceiver();
    expect(receiver.accept(chunk(0, 0, { totalBytes: 0 }))?.data).toEqual(new Uint8Array(0));
  });
});
