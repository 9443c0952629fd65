/** What answers of calls prove, and how long that is believed. */
import { describe, expect, test } from "bun:test";
import type { LookRole, Proof } from "../../src/runtimes/adapter.ts";
import { Proofs, provesAll, provesAvailable, provesGone, provesLoaded } from "../../src/runtimes/proofs.ts";
import { LOADED_MODEL, type ModelReading, NO_FIGURES, type RuntimeReading } from "../../src/runtimes/reading.ts";
import { fine, Life, looksOf, model, say } from "./life.ts";

function readingOf(...models: readonly ModelReading[]): RuntimeReading {
  return { version: "1", models, figures: NO_FIGURES, figuresAtMs: 7 };
}

const statesOf = ({ models }: RuntimeReading) => Object.fromEntries(models.map((one) => [one.model, one.state]));

describe("a proof", () => {
  test("leaves all else as it was told", () => {
    const proofs = new Proofs();
    const told = readingOf(model("a"), { ...model("b", "failed"), reason: "no memory", sizeBytes: 5 });
    expect(proofs.over(told)).toBe(told);
    proofs.add("b", provesLoaded(["b"]), 0);
    expect(proofs.over(told)).toEqual(readingOf(model("a"), { ...model("b"), sizeBytes: 5 }));
    // Readings are compared by who looks at them.
    expect(proofs.over(told)).toBe(proofs.over(told));
    expect(statesOf(proofs.over(readingOf(model("c"))))).toEqual({ c: "loaded", b: "loaded" });
  });

  test("of a model that nobody has named has what is known of its parent", () => {
    const proofs = new Proofs();
    proofs.add("lora", provesLoaded(["lora"], { parent: "base" }), 0);
    const base: ModelReading = { model: "base", ...LOADED_MODEL, contextTokensMax: 4096, capabilities: ["chat"] };
    expect(proofs.over(readingOf(base)).models[1]).toEqual({ ...base, model: "lora", parent: "base" });
    expect(proofs.over(readingOf()).models[0]).toEqual({ model: "lora", ...LOADED_MODEL, parent: "base" });
  });

  test("says what is out of memory, what is gone, and what all are", () => {
    const told = readingOf(model("a"), model("b"), model("c", "loading"));
    const over = (proof: Proof) => {
      const proofs = new Proofs();
      proofs.add("x", proof, 0);
      return statesOf(proofs.over(told));
    };
    expect(over(provesAvailable(["a", "nothing"]))).toEqual({ a: "available", b: "loaded", c: "loading" });
    expect(over(provesGone(["a", "b"]))).toEqual({ c: "loading" });
    expect(over(provesAll("available"))).toEqual({ a: "available", b: "available", c: "available" });
  });

  test("takes the place of the one before of the same model, and the last of all counts", () => {
    const proofs = new Proofs();
    proofs.add("a", provesLoaded(["a"]), 0);
    proofs.add("b", provesGone(["b"]), 1);
    proofs.add("a", provesGone(["a"]), 2);
    expect(statesOf(proofs.over(readingOf(model("a"), model("b"))))).toEqual({});
    proofs.end((_, sinceMs) => sinceMs === 1);
    expect(statesOf(proofs.over(readingOf(model("a"), model("b"))))).toEqual({ b: "loaded" });
    proofs.clear();
    expect(proofs.isEmpty).toBe(true);
  });

  test("is forgotten where there are too many", () => {
    const proofs = new Proofs();
    for (let at = 0; at < 300; at++) proofs.add(`m${at}`, provesLoaded([`m${at}`]), at);
    const { models } = proofs.over(readingOf());
    expect([models.length, models[0]?.model, models.at(-1)?.model]).toEqual([256, "m44", "m299"]);
  });
});

describe("the watch believes it", () => {
  function watched(...roles: LookRole[]): Life {
    const life = new Life(looksOf(...roles));
    life.models = [model("base")];
    life.pass(60_000);
    expect(life.state).toBe("ready");
    return life;
  }
  const namesOf = (life: Life) => life.watch.reading(life.nowMs).models.map((one) => one.model);
  const proves = (life: Life, name: string, proof: Proof) =>
    life.happens((watch, nowMs) => watch.proved(name, proof, nowMs));

  test("at once, and tells it once", () => {
    const life = watched("identity", "models", "metrics");
    const before = life.changes;
    proves(life, "a", provesLoaded(["a"]));
    expect([namesOf(life), life.changes]).toEqual([["base", "a"], before + 1]);
    life.models = [model("base"), model("a")];
    life.pass(30_000);
    expect([namesOf(life), life.changes]).toEqual([["base", "a"], before + 1]);
  });

  test("past a list that was asked for before", () => {
    const life = watched("identity", "models");
    life.outcome = () => ({ ...fine, tookMs: 400 });
    const sinceMs = life.nowMs;
    while (!life.isAsking) life.pass(10);
    proves(life, "a", provesLoaded(["a"]));
    while (life.isAsking) life.pass(10);
    expect(life.countSince(sinceMs, "models")).toBe(1);
    expect(namesOf(life)).toEqual(["base", "a"]);
    life.pass(5000);
    expect(namesOf(life)).toEqual(["base"]);
  });

  test("for as long as no list can be read", () => {
    const life = watched("identity", "models", "metrics");
    life.outcome = (role) => (role === "models" ? say("unreadable") : fine);
    proves(life, "a", provesLoaded(["a"]));
    life.pass(60_000);
    expect(namesOf(life)).toEqual(["base", "a"]);
    life.outcome = () => fine;
    life.pass(60_000);
    expect(namesOf(life)).toEqual(["base"]);
  });

  test("until the looks that it names have told of it, but for those that this server has not", () => {
    const life = watched("identity", "models", "metrics", "detail");
    life.outcome = (role) => (role === "detail" ? say("not_supported") : fine);
    life.pass(600_000);
    proves(life, "a", { ...provesLoaded(["a"]), toldBy: ["metrics", "detail"] });
    const sinceMs = life.nowMs;
    life.pass(1150);
    expect(life.rolesSince(sinceMs)).toEqual(["metrics"]);
    expect(namesOf(life)).toEqual(["base"]);
  });

  test("but of no process that is gone", () => {
    const life = watched("identity", "models", "metrics");
    proves(life, "a", provesLoaded(["a"]));
    life.die();
    life.pass(10);
    expect(namesOf(life)).toEqual(["base"]);
  });

  test("and asks again for a list that was wanted while it came", () => {
    const life = watched("identity", "models");
    life.outcome = () => ({ ...fine, tookMs: 100 });
    while (!life.isAsking) life.pass(10);
    const wantedMs = life.nowMs;
    life.happens((watch, nowMs) => watch.hurry(nowMs));
    life.pass(1600);
    expect(life.countSince(wantedMs, "models")).toBeGreaterThan(0);
    expect(life.watch.hasLookedAtModels(wantedMs)).toBe(true);
  });
});
