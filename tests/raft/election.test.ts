/** Elections, as transcripts: who asks whom for what, and who leads in the end. */
import { describe, expect, test } from "bun:test";
import { Lab } from "./lab.ts";

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
      "2>1 t2 has 2",
      "3>1 t2 has 2",
    ]);
    lab.propose(1, "a", "b");
    expect([1, 2, 3].map((member) => lab.bench(member).applied)).toEqual([
      ["a", "b"],
      ["a", "b"],
      ["a", "b"],
    ]);
  });

  test("needs nobody else where there is nobody else, and no time", () => {
    const lab = new Lab([7]);
    lab.pass(0);
    expect(lab.leaders).toEqual([7]);
    lab.propose(7, "a");
    expect(lab.bench(7).applied).toEqual(["a"]);
  });
});
