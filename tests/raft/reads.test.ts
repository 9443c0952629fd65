/** Reads that see every write that was acknowledged before them, without an entry in the log. */
import { describe, expect, test } from "bun:test";
import { Lab } from "./lab.ts";

describe("a read", () => {
  test("is answered when a majority has confirmed the leader, several by one round", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.take();
    for (const id of [7, 8, 9]) expect(raft.read(id, lab.nowMs)).toBeUndefined();
    lab.settle();
    expect(lab.take()).toEqual([
      "1>2 t2 append after 2/2 [] commit 2",
      "1>3 t2 append after 2/2 [] commit 2",
      "2>1 t2 has 2",
      "3>1 t2 has 2",
    ]);
    expect(lab.bench(1).reads).toEqual([7, 8, 9].map((id) => ({ id, index: 2 })));
  });

  test("at a follower asks the leader", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.propose(1, "a");
    lab.take();
    lab.raft(2).read(5, lab.nowMs);
    lab.settle();
    const lines = lab.take();
    expect([lines[0], lines.at(-1)]).toEqual(["2>1 t2 read", "1>2 t2 read at 3"]);
    expect(lab.bench(2).reads).toEqual([{ id: 5, index: 3 }]);
  });

  test("waits for a new leader to commit something of its own", () => {
    const lab = new Lab([1, 2, 3]);
    for (const member of [2, 3]) lab.bench(member).slow = true;
    const raft = lab.elect(1);
    lab.persist(2, 1);
    expect(raft.status()).toMatchObject({ role: "leader", commitIndex: 1 });
    raft.read(1, lab.nowMs);
    lab.settle();
    expect(lab.bench(1).reads).toEqual([]);
    lab.persist(2);
    lab.persist(2);
    expect(lab.bench(1).reads).toEqual([{ id: 1, index: 2 }]);
  });

  test("needs nobody where there is nobody else", () => {
    const lab = new Lab([1]);
    lab.pass(0);
    lab.raft(1).read(1, lab.nowMs);
    lab.settle();
    expect(lab.bench(1).reads).toEqual([{ id: 1, index: 2 }]);
  });

  test("at a leader that is none any more is refused", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.isolate(1);
    raft.read(1, lab.nowMs);
    lab.pass(2 * lab.config.electionTimeoutMaxMs);
    expect(lab.bench(1).reads).toEqual([{ id: 1, refused: true }]);
    expect(raft.read(2, lab.nowMs)).toMatchObject({ refused: "not_leader", leader: 0 });
  });

  test("that a follower forwarded is refused when the leader changes, refuses or says nothing", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.cut.add("2>1");
    lab.raft(2).read(1, lab.nowMs);
    lab.pass(lab.config.electionTimeoutMaxMs);
    expect(lab.bench(2).reads.splice(0)).toEqual([{ id: 1, refused: true }]);

    lab.raft(2).read(2, lab.nowMs);
    lab.settle();
    lab.raft(1).transfer(3, lab.nowMs);
    lab.settle();
    expect(lab.bench(2).reads.splice(0)).toEqual([{ id: 2, refused: true }]);

    lab.mend();
    lab.take();
    lab.deliver({ type: "read", from: 9, to: 3, term: 3, id: 1 });
    lab.deliver({ type: "read", from: 2, to: 1, term: 3, id: 1 });
    lab.settle();
    expect(lab.take()).toContain("1>2 t3 read refused");
    expect(lab.take()).not.toContain("3>9 t3 read at 3");
  });

  test("is refused where too many wait", () => {
    const lab = new Lab([1, 2, 3], { pendingReadsMax: 2 });
    const raft = lab.elect(1);
    lab.isolate(1);
    for (const id of [1, 2]) expect(raft.read(id, lab.nowMs)).toBeUndefined();
    expect(raft.read(3, lab.nowMs)).toMatchObject({ refused: "busy", leader: 1 });
    for (const id of [1, 2]) expect(lab.raft(2).read(id, lab.nowMs)).toBeUndefined();
    expect(lab.raft(2).read(3, lab.nowMs)).toMatchObject({ refused: "busy", leader: 1 });
  });

  test("is answered once, and by no answer to a question of an earlier life", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.raft(2).read(1, lab.nowMs);
    lab.settle();
    lab.crash(2);
    lab.restart(2);
    lab.pass(lab.config.heartbeatIntervalMs);
    lab.cut.add("2>1");
    lab.raft(2).read(1, lab.nowMs);
    for (let id = 0; id < 100; id += 1) lab.deliver({ type: "read-reply", from: 1, to: 2, term: 2, id, index: 2 });
    lab.settle();
    expect(lab.bench(2).reads).toEqual([{ id: 1, index: 2 }]);
  });
});

describe("a lease", () => {
  const leaseReads = true;

  test("answers at once, until it ends", () => {
    const lab = new Lab([1, 2, 3], { leaseReads });
    const raft = lab.elect(1);
    lab.take();
    raft.read(1, lab.nowMs);
    lab.settle();
    expect(lab.take()).toEqual([]);
    expect(lab.bench(1).reads.splice(0)).toEqual([{ id: 1, index: 2 }]);
    lab.raft(2).read(2, lab.nowMs);
    lab.settle();
    expect(lab.take()).toEqual(["2>1 t2 read", "1>2 t2 read at 2"]);

    lab.isolate(1);
    lab.pass(0.7 * lab.config.electionTimeoutMinMs);
    raft.read(3, lab.nowMs);
    lab.settle();
    expect(lab.bench(1).reads.splice(0)).toEqual([{ id: 3, index: 2 }]);
    lab.pass(0.15 * lab.config.electionTimeoutMinMs);
    raft.read(4, lab.nowMs);
    lab.settle();
    expect(lab.bench(1).reads).toEqual([]);
  });

  test("is none once somebody was asked to stand", () => {
    const lab = new Lab([1, 2, 3], { leaseReads });
    const raft = lab.elect(1);
    lab.isolate(3);
    raft.transfer(3, lab.nowMs);
    lab.pass(lab.config.electionTimeoutMaxMs);
    raft.read(1, lab.nowMs);
    lab.take();
    lab.settle();
    expect(lab.take()).toContain("1>2 t2 append after 2/2 [] commit 2");
  });

  test("binds those who gave it over a restart, and a broken link does not free them", () => {
    const lab = new Lab([1, 2, 3], { leaseReads });
    lab.elect(1);
    lab.pass(lab.config.heartbeatIntervalMs);
    lab.crash(2);
    lab.restart(2);
    lab.raft(3).unreachable(1, lab.nowMs);
    const ask = (to: number): string[] => {
      lab.take();
      lab.deliver({ type: "vote", from: 9, to, term: 3, pre: false, last: { index: 9, term: 2 }, transfer: false });
      lab.settle();
      return lab.take().slice(1);
    };
    expect([ask(2), ask(3)]).toEqual([[], []]);
    lab.crash(1);
    lab.nowMs += lab.config.electionTimeoutMinMs;
    expect([ask(2), ask(3)]).toEqual([["2>9 t3 vote yes"], ["3>9 t3 vote yes"]]);
  });

  test("binds who learned of a later term by something else than a request for its vote", () => {
    const lab = new Lab([1, 2, 3], { leaseReads });
    const raft = lab.elect(1);
    lab.cut.add("2>1");
    // 3 stands in term 3; 2 had asked it for a pre-vote before it heard of 1, and gets the answer after that.
    lab.deliver({ type: "vote-reply", from: 3, to: 2, term: 3, pre: true, granted: false });
    lab.settle();
    expect(lab.raft(2).status().term).toBe(3);
    const ask = (): string[] => {
      lab.take();
      lab.deliver({ type: "vote", from: 3, to: 2, term: 3, pre: false, last: { index: 9, term: 2 }, transfer: false });
      lab.settle();
      return lab.take().slice(1);
    };
    expect(ask()).toEqual(["2>3 t3 vote no"]);
    raft.read(1, lab.nowMs);
    lab.settle();
    expect(lab.bench(1).reads).toEqual([{ id: 1, index: 2 }]);
    lab.nowMs += lab.config.electionTimeoutMinMs;
    expect(ask()).toEqual(["2>3 t3 vote yes"]);
  });

  test("binds who will be the only voter, over a restart, until that is known to be committed", () => {
    const lab = new Lab([1, 2], { leaseReads });
    const raft = lab.elect(1);
    // 2 has the end of the change, which 1 does not learn: it leads on.
    lab.loses = (message) => message.type === "append-reply" && message.index === 4;
    raft.changeMembers([{ remove: 1 }], lab.nowMs);
    lab.settle();
    expect(lab.raft(2).status()).toMatchObject({ lastIndex: 4, commitIndex: 3, configuration: { voters: [2] } });
    lab.crash(2);
    lab.restart(2);
    lab.pass(0);
    expect(lab.leaders).toEqual([1]);
    raft.read(1, lab.nowMs);
    lab.settle();
    expect(lab.bench(1).reads).toEqual([{ id: 1, index: 3 }]);

    lab.pass(2 * lab.config.electionTimeoutMaxMs);
    expect(lab.leaders).toEqual([2]);
    // What is committed is noted along with the next entry.
    lab.propose(2, "a");
    lab.crash(2);
    lab.restart(2);
    lab.pass(0);
    expect(lab.leaders).toEqual([2]);
  });
});
