/** Elections, as transcripts: who asks whom for what, and who leads in the end. */
import { describe, expect, test } from "bun:test";
import { bytesOf, Lab, lineOf } from "./lab.ts";

describe("an election", () => {
  test("begins with a pre-vote, and its leader commits an entry of its term", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    expect(lab.take()).toEqual([
      "1>2 t2 pre-vote? 1/1",
      "1>3 t2 pre-vote? 1/1",
      "2>1 t2 pre-vote yes",
      "3>1 t2 pre-vote yes",
      "1>2 t2 vote? 1/1",
      "1>3 t2 vote? 1/1",
      "2>1 t2 vote yes",
      "3>1 t2 vote yes",
      "1>2 t2 append after 1/1 [2/2 noop] commit 1",
      "1>3 t2 append after 1/1 [2/2 noop] commit 1",
      "2>1 t2 has 2",
      "3>1 t2 has 2",
      "1>2 t2 append after 2/2 [] commit 2",
      "1>3 t2 append after 2/2 [] commit 2",
    ]);
    lab.propose(1, "a", "b");
    for (const member of [1, 2, 3]) expect(lab.bench(member).applied).toEqual(["a", "b"]);
  });

  test("needs nobody else where there is nobody else, and no time", () => {
    const lab = new Lab([7]);
    lab.pass(0);
    expect(lab.leaders).toEqual([7]);
    lab.propose(7, "a");
    expect(lab.bench(7).applied).toEqual(["a"]);
  });

  test("happens by itself within twice the longest timeout when the leader is gone", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.propose(1, "a");
    lab.crash(1);
    lab.pass(2 * lab.config.electionTimeoutMaxMs);
    expect(lab.leaders).toHaveLength(1);
    lab.propose(lab.leaders[0]!, "b");
    lab.restart(1);
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.bench(1).applied).toEqual(["a", "b"]);
  });

  test("happens at once where the links to the leader break with it", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.crash(1);
    for (const member of [2, 3]) lab.raft(member).unreachable(1, lab.nowMs);
    lab.pass(2 * lab.config.heartbeatIntervalMs);
    expect(lab.leaders).toHaveLength(1);
  });

  test("in which votes were split is soon held again", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.crash(1);
    lab.nowMs += lab.config.electionTimeoutMaxMs;
    for (const member of [2, 3]) lab.raft(member).wake(lab.nowMs);
    lab.take();
    lab.settle();
    expect(lab.take().filter((line) => line.includes("t3 vote no"))).toEqual(["3>2 t3 vote no", "2>3 t3 vote no"]);
    expect(lab.leaders).toEqual([]);
    lab.pass(lab.config.electionTimeoutMinMs);
    expect(lab.leaders).toHaveLength(1);
  });

  test("is not held because one link to a living leader breaks", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.raft(2).unreachable(1, lab.nowMs);
    lab.cut.add("1>2");
    lab.pass(3 * lab.config.heartbeatIntervalMs);
    expect(lab.raft(2).status().role).toBe("precandidate");
    lab.mend();
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.leaders).toEqual([1]);
    expect(lab.raft(2).status()).toMatchObject({ role: "follower", term: 2, leader: 1 });
  });

  test("is not won without the others' entries", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.crash(3);
    lab.propose(1, "a");
    lab.restart(3);
    lab.crash(1);
    lab.take();
    lab.elect(3);
    expect(lab.take()).toEqual(["3>1 t3 pre-vote? 2/2", "3>2 t3 pre-vote? 2/2", "2>3 t2 pre-vote no"]);
    lab.elect(2);
    expect(lab.leaders).toEqual([2]);
    expect(lab.bench(3).applied).toEqual(["a"]);
  });

  test("gives a vote once, also over a restart", () => {
    const lab = new Lab([1, 2, 3]);
    const ask = (from: number): string[] => {
      lab.deliver({ type: "vote", from, to: 2, term: 5, pre: false, last: { index: 1, term: 1 }, transfer: false });
      lab.settle();
      return lab.take().filter((line) => line.startsWith("2>"));
    };
    lab.isolate(2);
    lab.mend();
    expect(ask(1)).toEqual(["2>1 t5 vote yes"]);
    expect(ask(3)).toEqual(["2>3 t5 vote no"]);
    lab.crash(2);
    lab.restart(2);
    expect(ask(3)).toEqual(["2>3 t5 vote no"]);
    expect(ask(1)).toEqual(["2>1 t5 vote yes"]);
  });
});

describe("a member that was cut off", () => {
  test("comes back in its old term and disturbs nobody", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.isolate(3);
    lab.pass(10 * lab.config.electionTimeoutMaxMs);
    expect(lab.raft(3).status()).toMatchObject({ role: "precandidate", term: 2, leader: 0 });
    lab.mend();
    lab.take();
    lab.pass(0);
    lab.raft(3).wake(lab.nowMs + lab.config.electionTimeoutMaxMs);
    lab.settle();
    expect(lab.take()).toEqual(["3>1 t3 pre-vote? 2/2", "3>2 t3 pre-vote? 2/2"]);
    expect(lab.leaders).toEqual([1]);
    expect(lab.raft(1).status().term).toBe(2);
  });

  test("and led steps down, and what it could not commit gives way", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.isolate(1);
    lab.propose(1, "lost");
    expect(lab.leaders).toEqual([1]);
    lab.pass(lab.config.electionTimeoutMaxMs + 2 * lab.config.heartbeatIntervalMs);
    expect(lab.raft(1).status()).toMatchObject({ role: "follower", leader: 0 });
    lab.pass(lab.config.electionTimeoutMaxMs);
    const [leader] = lab.leaders;
    lab.propose(leader!, "kept");
    lab.mend();
    lab.pass(2 * lab.config.heartbeatIntervalMs);
    for (const member of [1, 2, 3]) expect(lab.bench(member).applied).toEqual(["kept"]);
    expect(lab.bench(1).entries).toEqual(lab.bench(leader!).entries);
  });

  test("with a later term makes the leader begin anew", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    // It stood while nobody was loyal, and lost: only its term is ahead.
    lab.loses = ({ from, type }) => from === 3 && type !== "append-reply";
    lab.raft(3).receive({ type: "transfer", from: 1, to: 3, term: 2 }, lab.nowMs);
    lab.settle();
    lab.loses = () => false;
    expect(lab.raft(3).status()).toMatchObject({ role: "candidate", term: 3 });
    lab.take();
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.take()).toContain("3>1 t3 lacks 0, try 0/0");
    expect(lab.leaders).toEqual([]);
    lab.pass(2 * lab.config.electionTimeoutMaxMs);
    expect(lab.leaders).toHaveLength(1);
  });
});

describe("leadership", () => {
  test("is handed over at once, without anybody waiting", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.take();
    expect(lab.raft(1).transfer(3, lab.nowMs)).toBeUndefined();
    lab.settle();
    expect(lab.take().slice(0, 5)).toEqual([
      "1>3 t2 transfer",
      "3>1 t3 vote? 2/2 transfer",
      "3>2 t3 vote? 2/2 transfer",
      "1>3 t3 vote yes",
      "2>3 t3 vote yes",
    ]);
    expect(lab.leaders).toEqual([3]);
    expect(lab.raft(1).status()).toMatchObject({ role: "follower", transferringTo: 0 });
  });

  test("waits for the one that takes it to have everything, and takes nothing new meanwhile", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.bench(3).slow = true;
    lab.propose(1, "a");
    expect(raft.transfer(3, lab.nowMs)).toBeUndefined();
    expect(raft.transfer(3, lab.nowMs)).toBeUndefined();
    expect(raft.transfer(2, lab.nowMs)).toMatchObject({ refused: "transferring" });
    expect(raft.propose([bytesOf("b")], lab.nowMs)).toMatchObject({ refused: "transferring", leader: 1 });
    expect(raft.changeMembers([{ remove: 2 }], lab.nowMs)).toMatchObject({ refused: "transferring" });
    lab.bench(3).slow = false;
    lab.persist(3);
    expect(lab.leaders).toEqual([3]);
  });

  test("stays where it is when the other does not take it in time", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.crash(3);
    lab.propose(1, "a");
    expect(raft.transfer(3, lab.nowMs)).toBeUndefined();
    lab.pass(lab.config.electionTimeoutMaxMs);
    expect(raft.status().transferringTo).toBe(0);
    lab.propose(1, "b");
    expect(lab.bench(2).applied).toEqual(["a", "b"]);
  });

  test("goes to voters only, and from the leader only", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    for (const to of [1, 4, 0]) expect(raft.transfer(to, lab.nowMs)).toMatchObject({ refused: "invalid", leader: 1 });
    expect(lab.raft(2).transfer(3, lab.nowMs)).toMatchObject({ refused: "not_leader", leader: 1 });
    lab.take();
    // Somebody else's wish to see it stand is none of its business.
    lab.deliver({ type: "transfer", from: 3, to: 2, term: 2 });
    lab.settle();
    expect(lab.take()).toEqual([lineOf({ type: "transfer", from: 3, to: 2, term: 2 })]);
  });
});

test("messages for others, from oneself or about elections that are over are dropped", () => {
  const lab = new Lab([1, 2, 3]);
  const raft = lab.elect(1);
  lab.take();
  const before = raft.status();
  const reply = { type: "vote-reply", pre: false, granted: true } as const;
  raft.receive({ ...reply, from: 2, to: 3, term: 9 }, lab.nowMs);
  raft.receive({ ...reply, from: 1, to: 1, term: 9 }, lab.nowMs);
  raft.receive({ ...reply, from: 2, to: 1, term: 2 }, lab.nowMs);
  raft.receive({ ...reply, from: 2, to: 1, term: 1 }, lab.nowMs);
  raft.receive({ type: "append-reply", from: 2, to: 1, term: 2, round: 9, index: 99 }, lab.nowMs);
  raft.receive({ type: "append-reply", from: 8, to: 1, term: 2, round: 9, index: 2 }, lab.nowMs);
  lab.settle();
  expect(lab.take()).toEqual([]);
  expect(raft.status()).toEqual(before);
});
