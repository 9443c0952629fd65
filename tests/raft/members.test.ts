/** Changes of members: which configurations follow one another, and how the members get from one to the next. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Configuration } from "../../src/raft/entry.ts";
import { changed, isJoint, left, membersOf } from "../../src/raft/membership.ts";
import { hasQuorum, quorumValue, tally } from "../../src/raft/quorum.ts";
import { bytesOf, Lab } from "./lab.ts";

const of = (voters: number[], learners: number[] = []): Configuration => ({
  voters,
  outgoing: [],
  learners,
  learnersNext: [],
});

describe("a change", () => {
  test("of learners takes one step", () => {
    expect(changed(of([1, 2, 3]), [{ add: 4, as: "learner" }])).toEqual(of([1, 2, 3], [4]));
    expect(changed(of([1, 2, 3], [4]), [{ remove: 4 }])).toEqual(of([1, 2, 3]));
  });

  test("of voters goes through a joint configuration", () => {
    const joint = changed(of([1, 2, 3], [4]), [{ add: 4, as: "voter" }, { remove: 1 }]) as Configuration;
    expect(joint).toEqual({ voters: [2, 3, 4], outgoing: [1, 2, 3], learners: [], learnersNext: [] });
    expect(isJoint(joint)).toBe(true);
    expect(left(joint)).toEqual(of([2, 3, 4]));
  });

  test("of a voter into a learner keeps its old vote until the end", () => {
    const joint = changed(of([1, 2, 3]), [{ add: 3, as: "learner" }]) as Configuration;
    expect(joint).toEqual({ voters: [1, 2], outgoing: [1, 2, 3], learners: [], learnersNext: [3] });
    expect([...membersOf(joint)]).toEqual([1, 2, 3]);
    expect(left(joint)).toEqual(of([1, 2], [3]));
  });

  test.each<[string, Configuration, Parameters<typeof changed>[1], string]>([
    ["nothing", of([1]), [], "no change is named"],
    ["the last voter", of([1], [2]), [{ remove: 1 }], "no voter would be left"],
    ["a stranger", of([1]), [{ remove: 9 }], "member 9 does not take part"],
    ["one twice", of([1]), [{ add: 2, as: "voter" }, { remove: 2 }], "member 2 is named twice"],
    ["a voter again", of([1]), [{ add: 1, as: "voter" }], "member 1 is a voter already"],
    ["a learner again", of([1], [2]), [{ add: 2, as: "learner" }], "member 2 is a learner already"],
    ["nobody", of([1]), [{ add: 0, as: "voter" }], "0 is no member's number"],
    ["too many", of([1, 2, 3, 4, 5, 6, 7]), [{ add: 8, as: "voter" }], "there would be 8 voters"],
    [
      "too many learners",
      of(
        [1],
        Array.from({ length: 32 }, (_, i) => i + 2),
      ),
      [{ add: 99, as: "learner" }],
      "33",
    ],
  ])("is refused with a reason: %s", (_, from, changes, reason) => {
    expect(changed(from, changes)).toContain(reason);
  });
});

describe("a quorum", () => {
  test("is more than half of the voters, and of the outgoing ones", () => {
    const values = new Map([
      [1, 10],
      [2, 20],
      [3, 30],
      [4, 40],
    ]);
    const valueOf = (member: number): number => values.get(member)!;
    expect(quorumValue(of([1]), valueOf)).toBe(10);
    expect(quorumValue(of([1, 2]), valueOf)).toBe(10);
    expect(quorumValue(of([1, 2, 3]), valueOf)).toBe(20);
    expect(quorumValue(of([1, 2, 3, 4]), valueOf)).toBe(20);
    expect(quorumValue({ ...of([2, 3, 4]), outgoing: [1] }, valueOf)).toBe(10);
    expect(quorumValue(of([]), valueOf)).toBe(-Infinity);
  });

  test("of yes and of no cannot both be", () => {
    const members = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 7 });
    const outgoing = fc.oneof(fc.constant([]), members);
    const votes = fc.dictionary(fc.constantFrom("1", "2", "3", "4", "5", "6", "7"), fc.boolean());
    fc.assert(
      fc.property(members, outgoing, votes, (voters, before, answers) => {
        const configuration = { ...of(voters), outgoing: before };
        const cast = new Map(Object.entries(answers).map(([member, vote]) => [Number(member), vote]));
        const yes = hasQuorum(configuration, (member) => cast.get(member) === true);
        const no = hasQuorum(configuration, (member) => cast.get(member) === false);
        expect(yes && no).toBe(false);
        const result = tally(configuration, cast);
        expect(result === "won").toBe(yes);
        if (no) expect(result).toBe("lost");
      }),
    );
  });
});

describe("members", () => {
  test("join as learners, who learn and have no vote, and become voters", () => {
    const lab = new Lab([1]);
    lab.pass(0);
    lab.propose(1, "a");
    lab.add(2);
    lab.take();
    expect(lab.raft(1).changeMembers([{ add: 2, as: "learner" }], lab.nowMs)).toEqual({ index: 4, term: 2 });
    lab.settle();
    expect(lab.take().slice(0, 4)).toEqual([
      "1>2 t2 append after 4/2 [] commit 3",
      "2>1 t2 lacks 4, try 0/0",
      "1>2 t2 append after 0/0 [1/1 configuration, 2/2 noop, 3/2, 4/2 configuration] commit 4",
      "2>1 t2 has 4",
    ]);
    expect(lab.bench(2).applied).toEqual(["a"]);
    lab.crash(2);
    lab.propose(1, "b");
    expect(lab.bench(1).applied).toEqual(["a", "b"]);
    lab.restart(2);
    expect(lab.raft(2).wakeAtMs).toBe(Infinity);

    lab.pass(lab.config.heartbeatIntervalMs);
    lab.raft(1).changeMembers([{ add: 2, as: "voter" }], lab.nowMs);
    lab.settle();
    expect(lab.raft(2).status().configuration).toEqual(of([1, 2]));
    lab.crash(2);
    lab.propose(1, "c");
    expect(lab.bench(1).applied).toEqual(["a", "b"]);
  });

  test("change with the leader among those that go: it leads to the end, and the best of the others stands at once", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.add(4);
    lab.take();
    raft.changeMembers([{ add: 4, as: "voter" }, { remove: 1 }], lab.nowMs);
    lab.settle();
    const lines = lab.take();
    expect(lines.slice(0, 2)).toEqual([
      "1>2 t2 append after 2/2 [3/2 configuration] commit 2",
      "1>3 t2 append after 2/2 [3/2 configuration] commit 2",
    ]);
    expect(lines).toContain("1>3 t2 append after 3/2 [4/2 configuration] commit 3");
    const end = lines.indexOf("1>2 t2 transfer");
    expect(lines.slice(end - 2, end)).toEqual([
      "1>2 t2 append after 4/2 [] commit 4",
      "1>3 t2 append after 4/2 [] commit 4",
    ]);
    expect(lab.leaders).toEqual([2]);
    expect(raft.status()).toMatchObject({ role: "follower", leader: 0 });
    expect(raft.propose([bytesOf("a")], lab.nowMs)).toMatchObject({ refused: "not_leader" });
    lab.take();
    lab.pass(5 * lab.config.electionTimeoutMaxMs);
    expect(lab.take().filter((line) => line.startsWith("1>"))).toEqual([]);
    expect(raft.wakeAtMs).toBe(Infinity);
  });

  test("that were taken out learn it, and are then left alone", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    raft.changeMembers([{ remove: 3 }], lab.nowMs);
    lab.pass(lab.config.heartbeatIntervalMs);
    expect(lab.raft(3).status()).toMatchObject({ configuration: of([1, 2]), commitIndex: 4 });
    expect(lab.raft(3).wakeAtMs).toBe(Infinity);
    lab.pass(4 * lab.config.electionTimeoutMaxMs);
    expect(raft.status().progress.map(({ member }) => member)).toEqual([2]);
    lab.take();
    lab.propose(1, "a");
    expect(lab.take().filter((line) => line.startsWith("1>3"))).toEqual([]);
  });

  test("that were taken out and know nothing of it disturb nobody", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.isolate(3);
    raft.changeMembers([{ remove: 3 }], lab.nowMs);
    lab.pass(10 * lab.config.electionTimeoutMaxMs);
    lab.mend();
    lab.pass(10 * lab.config.electionTimeoutMaxMs);
    expect(lab.leaders).toEqual([1]);
    expect(raft.status().term).toBe(2);
    expect(lab.raft(3).status()).toMatchObject({ role: "precandidate", term: 2 });
  });

  test("are changed once at a time, by a leader that has committed something", () => {
    const lab = new Lab([1, 2, 3]);
    lab.bench(2).slow = true;
    lab.bench(3).slow = true;
    const change = [{ add: 4, as: "learner" }] as const;
    expect(lab.raft(1).changeMembers(change, 0)).toMatchObject({ refused: "not_leader" });
    const raft = lab.elect(1);
    lab.persist(2, 1);
    expect(raft.status()).toMatchObject({ role: "leader", commitIndex: 1 });
    expect(raft.changeMembers(change, lab.nowMs)).toMatchObject({ refused: "busy", leader: 1 });
    lab.persist(2);
    expect(raft.changeMembers([{ remove: 9 }], lab.nowMs)).toMatchObject({ refused: "invalid" });
    expect(raft.changeMembers(change, lab.nowMs)).toEqual({ index: 3, term: 2 });
    expect(raft.changeMembers([{ remove: 3 }], lab.nowMs)).toMatchObject({ refused: "busy" });
    lab.settle();
    lab.persist(2);
    expect(raft.changeMembers([{ remove: 3 }], lab.nowMs)).toEqual({ index: 4, term: 2 });
    expect(raft.changeMembers([{ remove: 4 }], lab.nowMs)).toMatchObject({ refused: "busy" });
  });

  test("go back to what was before when the change is cut off", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.isolate(1);
    raft.changeMembers([{ add: 4, as: "voter" }], lab.nowMs);
    lab.settle();
    expect(raft.status().configuration).toMatchObject({ voters: [1, 2, 3, 4], outgoing: [1, 2, 3] });
    lab.pass(3 * lab.config.electionTimeoutMaxMs);
    lab.mend();
    lab.pass(2 * lab.config.heartbeatIntervalMs);
    expect(raft.status()).toMatchObject({ configuration: of([1, 2, 3]), configurationIndex: 1 });
  });

  test("whom only the newest configuration leaves out may still stand", () => {
    const lab = new Lab([1, 2, 3]);
    const raft = lab.elect(1);
    lab.add(4);
    // The end of the change reaches the outgoing members only.
    lab.loses = (message) =>
      message.type === "append" && message.to >= 3 && message.entries.some(({ index }) => index === 4);
    raft.changeMembers([{ add: 4, as: "voter" }, { remove: 1 }, { remove: 2 }], lab.nowMs);
    lab.settle();
    lab.crash(1);
    lab.loses = () => false;
    expect(lab.raft(2).status().configuration).toEqual(of([3, 4]));
    expect(lab.raft(3).status().configuration.outgoing).toEqual([1, 2, 3]);
    lab.pass(6 * lab.config.electionTimeoutMaxMs);
    expect(lab.leaders.every((leader) => leader >= 3)).toBe(true);
    expect(lab.leaders).toHaveLength(1);
    expect(lab.raft(lab.leaders[0]!).status().configuration).toEqual(of([3, 4]));
  });

  test("that come back after the joint phase was interrupted end it", () => {
    const lab = new Lab([1, 2, 3]);
    lab.elect(1);
    lab.loses = ({ type, from }) => type === "append-reply" && from !== 1;
    lab.raft(1).changeMembers([{ remove: 3 }], lab.nowMs);
    lab.settle();
    lab.crash(1);
    lab.loses = () => false;
    lab.pass(3 * lab.config.electionTimeoutMaxMs);
    lab.restart(1);
    lab.pass(2 * lab.config.electionTimeoutMaxMs);
    for (const member of [1, 2]) expect(lab.raft(member).status().configuration).toEqual(of([1, 2]));
  });
});
