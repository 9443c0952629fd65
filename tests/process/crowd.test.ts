/** A crowd of real processes, each a member and nothing else: they gather, lose one, and take one back. */
import { afterAll, expect, test } from "bun:test";
import { Bench, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
afterAll(() => bench.end());

const MEMBERS = 25;
/** Between the defaults and what a busy machine of two cores can keep up with. */
const PACE = ["--swim-probe-interval", "600ms", "--swim-probe-timeout", "300ms"];

function member(id: string, seed: string): Promise<Started> {
  const join = seed === "" ? [] : ["--join", seed];
  return bench.launch(["member", "--id", id, "--gossip", "127.0.0.1:0", ...join, ...PACE]);
}

/** What a member's log says of the others one by one: the last word on each, and none of most who joined. */
function view({ lines }: Started): Map<string, string> {
  const words = new Map<string, string>();
  for (const { msg, member: id } of lines) {
    if (typeof msg === "string" && msg.startsWith("member ") && typeof id === "string") words.set(id, msg.slice(7));
  }
  return words;
}

/** How many joined, by lines of one and by lines of many. */
function joins({ lines }: Started): number {
  const of = ({ msg, count }: Started["lines"][number]): number =>
    msg === "member joined" ? 1 : msg === "members joined" ? Number(count) : 0;
  return lines.reduce((sum, line) => sum + of(line), 0);
}

/** Of one that has joined. */
const isAlive = (word: string | undefined): boolean =>
  word === undefined || word === "joined" || word === "alive-again" || word === "updated";
const failures = ({ lines }: Started): unknown[] =>
  lines.filter(({ msg }) => msg === "member failed").map(({ member: id }) => id);

test("all see all, one is killed, one freezes and returns by itself, nobody else is lost", async () => {
  const seed = await member("m0", "");
  const address = String(seed.ready["gossip"]);
  const rest = await Promise.all(Array.from({ length: MEMBERS - 1 }, (_, at) => member(`m${at + 1}`, address)));
  const all = [seed, ...rest];
  await until(() => all.every((one) => joins(one) === MEMBERS - 1), 30_000);

  const [killed, frozen] = [all[7] as Started, all[11] as Started];
  const others = all.filter((one) => one !== killed && one !== frozen);
  await killed.kill();
  await until(() => others.every((one) => view(one).get("m7") === "failed"), 30_000);
  frozen.process.kill("SIGSTOP");
  await until(() => others.some((one) => view(one).get("m11") === "failed"), 30_000);
  frozen.process.kill("SIGCONT");
  await until(() => others.every((one) => isAlive(view(one).get("m11"))), 30_000);
  // One that slept has heard nobody, and so declares nobody dead.
  const lost = new Set([...others, frozen].flatMap(failures));
  lost.delete("m7");
  lost.delete("m11");
  expect([...lost]).toEqual([]);
});

test("a member tells its view when it is asked by a signal, and is not among the commands that are listed", async () => {
  const one = await member("alone", "");
  one.process.kill("SIGUSR2");
  await until(() => one.lines.some(({ msg }) => msg === "view"));
  expect(one.lines.find(({ msg }) => msg === "view")).toMatchObject({ alive: 1, suspect: 0, failed: 0, left: 0 });
  expect(await one.stop()).toBe(0);
});
