/** How entries reach followers: probing, sending ahead, limits, and what waits for whose disk. */
import { describe, expect, test } from "bun:test";
import { bytesOf, Lab } from "./lab.ts";

const progressOf = (lab: Lab, member: number) =>
  lab
    .raft(1)
    .status()
    .progress.find((progress) => progress.member === member);

describe("a follower that lacks entries", () => {
  test("is probed, told where to go on, and then sent ahead", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.crash(3);
    lab.propose(1, "a");
    lab.propose(1, "b", "c");
    lab.take();
    lab.restart(3);
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take()).toEqual([
      "1>2 t2 append after 5/2 [] commit 5",
      "1>3 t2 append after 5/2 [] commit 5",
      "2>1 t2 has 5",
      "3>1 t2 lacks 5, try 2/2",
      "1>3 t2 append after 2/2 [3/2, 4/2, 5/2] commit 5",
      "3>1 t2 has 5",
    ]);
    expect(progressOf(lab, 3)).toEqual({ member: 3, state: "replicate", matchIndex: 5, active: true });
  });

  test("is found where the logs part, a term at a time", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(3);
    lab.isolate(3);
    for (const command of "abcdefgh") lab.propose(3, command);
    lab.crash(3);
    lab.mend();
    lab.elect(1);
    lab.propose(1, "kept");
    lab.raft(1).transfer(2, lab.nowMs);
    lab.settle();
    lab.restart(3);
    lab.take();
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take().filter((line) => line.includes("2>3") || line.includes("3>2"))).toEqual([
      "2>3 t4 append after 4/3 [] commit 5",
      "3>2 t4 lacks 4, try 4/2",
      "2>3 t4 append after 2/2 [3/3 noop, 4/3, 5/4 noop] commit 5",
      "3>2 t4 has 5",
    ]);
    expect(lab.bench(3).entries).toEqual(lab.bench(1).entries);
    expect(lab.bench(3).applied).toEqual(["kept"]);
  });

  test("is not active when it says nothing", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.crash(3);
    lab.pass(2 * lab.config.electionTimeoutMaxMs);
    expect(progressOf(lab, 3)?.active).toBe(false);
    expect(progressOf(lab, 2)?.active).toBe(true);
  });
});

describe("entries on their way", () => {
  test("follow one another before the first is answered, up to a number of messages", () => {
    const lab = new Lab([1, 2, 3], { inflightMessagesMax: 2 });
    lab.elect(1);
    lab.bench(2).slow = true;
    lab.bench(3).slow = true;
    lab.take();
    for (const command of "abcd") lab.propose(1, command);
    expect(lab.take().filter((line) => line.startsWith("1>2"))).toEqual([
      "1>2 t2 append after 2/2 [3/2] commit 2",
      "1>2 t2 append after 3/2 [4/2] commit 2",
    ]);
    lab.persist(2, 1);
    expect(lab.take().filter((line) => line.startsWith("1>2"))[0]).toBe("1>2 t2 append after 4/2 [5/2, 6/2] commit 3");
  });

  test("and up to a number of bytes, but one may always go", () => {
    const lab = new Lab([1, 2, 3], { inflightBytesMax: 100, appendBytesMax: 40 });
    lab.elect(1);
    lab.bench(2).slow = true;
    lab.bench(3).slow = true;
    lab.take();
    lab.propose(1, "x".repeat(30), "y".repeat(30), "z".repeat(300), "later");
    expect(lab.take().filter((line) => line.startsWith("1>2"))).toEqual([
      "1>2 t2 append after 2/2 [3/2] commit 2",
      "1>2 t2 append after 3/2 [4/2] commit 2",
      "1>2 t2 append after 4/2 [5/2] commit 2",
    ]);
    lab.persist(2);
    expect(lab.bench(2).entries.at(-1)?.index).toBe(5);
    lab.persist(2);
    lab.persist(2);
    expect(lab.bench(1).applied.at(-1)).toBe("later");
  });

  test("that got lost are sent again after the next heartbeat", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.loses = ({ type, to }) => type === "append" && to === 3;
    lab.propose(1, "a");
    lab.propose(1, "b");
    lab.loses = () => false;
    lab.take();
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take().filter((line) => line.includes("3>1") || line.includes("1>3"))).toEqual([
      "1>3 t2 append after 4/2 [] commit 4",
      "3>1 t2 lacks 4, try 2/2",
      "1>3 t2 append after 2/2 [3/2, 4/2] commit 4",
      "3>1 t2 has 4",
    ]);
  });

  test("and make others be refused are gone back for once, and sent ahead slowly at first", () => {
    const lab = new Lab([1, 2, 3], { appendBytesMax: 1 });
    const raft = lab.elect(1);
    lab.take();
    let lost = 0;
    lab.loses = (message) =>
      message.type === "append" && message.to === 3 && message.entries[0]?.index === 3 && lost++ < 1;
    raft.propose(["a", "b", "c", "d", "e"].map(bytesOf), lab.nowMs);
    lab.settle();
    const lines = lab
      .take()
      .filter((line) => line.startsWith("1>3") || line.startsWith("3>1"))
      // News of what is committed, and answers to that.
      .filter((line) => !line.includes("[]") && !line.includes("lacks 7"));
    expect(lines.map((line) => line.slice(7).replace(/ commit \d/, ""))).toEqual([
      "append after 2/2 [3/2]",
      "append after 3/2 [4/2]",
      "append after 4/2 [5/2]",
      "append after 5/2 [6/2]",
      "append after 6/2 [7/2]",
      "lacks 3, try 2/2",
      "lacks 4, try 2/2",
      "lacks 5, try 2/2",
      "lacks 6, try 2/2",
      "append after 2/2 [3/2]",
      "has 3",
      "append after 3/2 [4/2]",
      "append after 4/2 [5/2]",
      "has 4",
      "has 5",
      "append after 5/2 [6/2]",
      "append after 6/2 [7/2]",
      "has 6",
      "has 7",
    ]);
  });

  test("start again where the follower was known to be when its link breaks", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.isolate(3);
    lab.propose(1, "a");
    raft.unreachable(3, lab.nowMs);
    expect(progressOf(lab, 3)?.state).toBe("probe");
    lab.mend();
    lab.take();
    lab.settle();
    expect(lab.take()).toContain("1>3 t2 append after 2/2 [3/2] commit 3");
    expect(progressOf(lab, 3)).toMatchObject({ state: "replicate", matchIndex: 3 });
  });
});

describe("what waits for a disk", () => {
  test("a leader sends while it stores, and counts itself only afterwards", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    for (const member of [1, 2, 3]) lab.bench(member).slow = true;
    lab.take();
    lab.propose(1, "a");
    lab.propose(1, "b");
    expect(lab.take()).toEqual([
      "1>2 t2 append after 2/2 [3/2] commit 2",
      "1>3 t2 append after 2/2 [3/2] commit 2",
      "1>2 t2 append after 3/2 [4/2] commit 2",
      "1>3 t2 append after 3/2 [4/2] commit 2",
    ]);
    lab.persist(2, 1);
    expect(lab.take()).toEqual(["2>1 t2 has 3"]);
    lab.persist(1);
    expect(lab.bench(1).applied).toEqual(["a"]);
    lab.persist(3);
    expect(lab.bench(1).applied).toEqual(["a", "b"]);
  });

  test("others may commit what the leader has not stored yet", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.bench(1).slow = true;
    lab.propose(1, "a");
    expect(raft.status()).toMatchObject({ commitIndex: 3, durableIndex: 2 });
    lab.persist(1);
    expect(raft.status().durableIndex).toBe(3);
  });

  test("a vote and the term that it is for", () => {
    const lab = new Lab([1, 2, 3]);
    for (const member of [1, 2, 3]) lab.bench(member).slow = true;
    lab.elect(1);
    expect(lab.take().filter((line) => !line.includes("pre-vote"))).toEqual([]);
    lab.persist(1);
    expect(lab.take()).toEqual(["1>2 t2 vote? 1/1", "1>3 t2 vote? 1/1"]);
    lab.persist(3);
    expect(lab.take().slice(0, 2)).toEqual(["3>1 t2 vote yes", "1>2 t2 append after 1/1 [2/2 noop] commit 1"]);
    expect(lab.leaders).toEqual([1]);
  });

  test("an answer to a heartbeat waits for nothing that it does not tell of", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.bench(2).slow = true;
    lab.cut.add("1>3");
    lab.propose(1, "a");
    lab.take();
    lab.deliver({
      type: "append",
      from: 1,
      to: 2,
      term: 2,
      previous: { index: 2, term: 2 },
      commitIndex: 2,
      entries: [],
      round: 1,
    });
    lab.settle();
    // What it said is that the logs agree up to 2, which is durable; what it has of 3 it says later.
    expect(lab.take().filter((line) => line.startsWith("2>"))).toEqual(["2>1 t2 has 2"]);
    lab.persist(2);
    expect(lab.take()).toContain("2>1 t2 has 3");
  });

  test("batches that are cut off while they are stored count for nothing", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.bench(2).slow = true;
    lab.cut.add("1>3");
    lab.propose(1, "a", "b", "c");
    const append = { type: "append", from: 3, to: 2, term: 3, commitIndex: 2, round: 1 } as const;
    const noop = { index: 3, term: 3, kind: "noop", data: new Uint8Array(0) } as const;
    lab.deliver({ ...append, previous: { index: 2, term: 2 }, entries: [noop] });
    lab.settle();
    lab.persist(2, 1);
    expect(lab.raft(2).status().durableIndex).toBe(2);
    lab.persist(2);
    expect(lab.raft(2).status()).toMatchObject({ durableIndex: 3, lastIndex: 3, term: 3 });
    expect(lab.bench(2).entries.at(-1)).toEqual(noop);
  });
});

describe("proposals", () => {
  test("are refused by others than the leader, which they name", () => {
    const lab = new Lab([1, 2, 3]);
    expect(lab.raft(2).propose([bytesOf("a")], 0)).toMatchObject({ refused: "not_leader", leader: 0 });
    lab.elect(1);
    expect(lab.raft(2).propose([bytesOf("a")], lab.nowMs)).toMatchObject({ refused: "not_leader", leader: 1 });
  });

  test("are all taken or none, each with its place", () => {
    const lab = new Lab([1, 2, 3], { entryBytesMax: 10 });
    const raft = lab.elect(1);
    const tooLarge = [bytesOf("a"), bytesOf("x".repeat(11))];
    expect(raft.propose(tooLarge, lab.nowMs)).toMatchObject({ refused: "too_large" });
    expect(raft.status().lastIndex).toBe(2);
    expect(raft.propose([bytesOf("a"), bytesOf("b")], lab.nowMs)).toEqual([
      { index: 3, term: 2 },
      { index: 4, term: 2 },
    ]);
  });

  test("wait elsewhere while a majority is slow", () => {
    const lab = new Lab([1, 2, 3], { uncommittedBytesMax: 100 });
    const raft = lab.elect(1);
    lab.isolate(1);
    const propose = (length: number) => raft.propose([new Uint8Array(length)], lab.nowMs);
    // One alone may be larger.
    expect(propose(150)).toEqual([{ index: 3, term: 2 }]);
    expect(propose(1)).toMatchObject({ refused: "busy", leader: 1 });
    lab.mend();
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(propose(60)).toEqual([{ index: 4, term: 2 }]);
    expect(propose(60)).toMatchObject({ refused: "busy" });
    lab.settle();
    expect(propose(60)).toEqual([{ index: 5, term: 2 }]);
  });
});
