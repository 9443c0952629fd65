/** The operator's side of membership with live processes: watching, describing, leaving. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { freePort } from "../ports.ts";
import { Bench, EXECUTABLE, nodes, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

const FAST = ["--swim-probe-interval", "200ms", "--swim-probe-timeout", "100ms", "--swim-gossip-interval", "40ms"];

const router = (...args: string[]): Promise<Started> =>
  bench.router("--workers", "1", "--fleet-poll-interval", "200ms", ...FAST, ...args);

const agent = (id: string, seed: string, ...args: string[]): Promise<Started> =>
  bench.agent(id, null, "--join", seed, ...FAST, ...args);

const url = (one: Started, port: "api" | "metrics" = "api"): string => `http://${one.address(port)}`;
const seedOf = (one: Started): string => String(one.ready["gossip"]);

async function ctl(...args: string[]) {
  const child = Bun.spawn([EXECUTABLE, "ctl", ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

/** `ctl members --watch` of the node, as JSON; lines are what it has printed so far. */
function watch(one: Started) {
  const child = Bun.spawn([EXECUTABLE, "ctl", "members", "--watch", "--output", "json", "--endpoint", url(one)], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines: Record<string, unknown>[] = [];
  const state = { lines, err: "" };
  const reading = (async () => {
    let rest = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts.map((line) => JSON.parse(line) as Record<string, unknown>));
    }
  })();
  const hearing = (async () => {
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) state.err += chunk;
  })();
  return Object.assign(state, {
    kinds: (id: string): unknown[] => lines.filter((line) => line["id"] === id).map(({ kind }) => kind),
    /** Ctrl-C; the exit code. */
    async end(): Promise<number> {
      child.kill("SIGINT");
      const code = await child.exited;
      await Promise.all([reading, hearing]);
      return code;
    },
  });
}

test("a watcher sees nodes join, fail and leave, and ends well by Ctrl-C", async () => {
  const asked = await router();
  const watching = watch(asked);
  await until(() => watching.lines.length > 0);
  expect(watching.lines[0]).toMatchObject({ members: [{ status: "alive", role: "router" }] });
  const [first, second] = await Promise.all([agent("node1", seedOf(asked)), agent("node2", seedOf(asked))]);
  await until(() => watching.kinds("node1").includes("joined") && watching.kinds("node2").includes("joined"));
  await first.kill();
  await until(() => watching.kinds("node1").includes("failed"), 20_000);
  // On a busy machine it may have been suspected, and have refuted that, before.
  expect(watching.kinds("node1")[0]).toBe("joined");
  expect(watching.kinds("node1").slice(-2)).toEqual(["suspect", "failed"]);
  expect(await second.stop()).toBe(0);
  await until(() => watching.kinds("node2").includes("left"));
  expect(watching.lines.at(-1)).toMatchObject({ kind: "left", id: "node2", address: String(second.ready["gossip"]) });
  expect([await watching.end(), watching.err]).toEqual([0, ""]);
  const journal = (await (await fetch(`${url(asked, "metrics")}/events?type=node`)).json()) as {
    events: Record<string, unknown>[];
  };
  expect(journal.events).toEqual(watching.lines.slice(1));
});

/** Whether that member is alive by such an answer of /members. */
function alive(answer: unknown, id: string): boolean {
  const { members } = answer as { members: { id: string; status: string }[] };
  return members.some((member) => member.id === id && member.status === "alive");
}

test("a watcher outlives a restart of the one that it asks", async () => {
  const before = await router("--api", `127.0.0.1:${freePort()}`);
  const friend = await agent("node1", seedOf(before));
  const doomed = await agent("node2", seedOf(before));
  await until(async () => (await nodes(before)).length === 2);
  const watching = watch(before);
  await until(() => watching.lines.length > 0);
  expect(alive(watching.lines[0], "node2")).toBe(true);
  expect(await before.stop()).toBe(0);
  await until(() => watching.err.includes("trying again"));
  // It dies while nobody looks, and the new process has never known it.
  await doomed.kill();
  await until(async () => !alive(await (await fetch(`${url(friend)}/members`)).json(), "node2"), 20_000);
  await router("--api", before.address("api"), "--join", String(friend.ready["gossip"]));
  await until(() => watching.err.includes(" again\n") && watching.kinds("node1").includes("joined"), 20_000);
  const anew = watching.lines.filter((line) => "members" in line).at(-1);
  expect(anew).not.toBe(watching.lines[0]);
  expect(alive(anew, "node2")).toBe(false);
  expect(watching.err).toContain("has begun anew; these are the members now\n");
  expect(watching.err).toMatch(/^infermesh ctl: lost \S+ it ended the stream; it may be stopping; trying again\n/);
  expect(await watching.end()).toBe(0);
});

test("a watcher whose reader goes ends quietly, though nothing happens", async () => {
  const asked = await router();
  const child = Bun.spawn(["sh", "-c", `"${EXECUTABLE}" ctl members --watch --endpoint ${url(asked)} | head -1`], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect([await child.exited, err]).toEqual([0, ""]);
  expect(out).toMatch(/^ID +STATUS +ROLE/);
});

test("leave lets a node finish what it has in flight, and it ends as by SIGTERM", async () => {
  const asked = await router();
  const leaver = await agent("node1", seedOf(asked), "--mock-speed", "1");
  await until(async () => (await nodes(asked)).some(({ state }) => state === "healthy"));
  const model = (await nodes(asked))[0]?.models[0];
  const answer = await fetch(`http://${asked.address("listen")}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 200, stream: true }),
  });
  const refused = await ctl("leave", "--endpoint", url(leaver, "metrics"));
  expect([refused.code, refused.out]).toEqual([1, ""]);
  expect(refused.err).toContain("only --api ports take leave");
  const [left, text] = await Promise.all([ctl("leave", "--endpoint", url(leaver)), answer.text()]);
  expect(left).toMatchObject({ code: 0, err: "" });
  expect(left.out).toMatch(/^agent node1 at \S+ has left the mesh and ended, after \d+\.\d s\n$/);
  expect(text).toEndWith("data: [DONE]\n\n");
  expect(await leaver.process.exited).toBe(0);
  expect(leaver.lines.find(({ msg }) => msg === "stopping")).toMatchObject({ signal: "POST /leave" });
  const router1 = await ctl("leave", "--endpoint", url(asked));
  expect(router1).toMatchObject({ code: 0, err: "" });
  expect(await asked.process.exited).toBe(0);
});

test("list-nodes and describe-node show nodes with their place in the mesh", async () => {
  const asked = await router();
  await agent("node1", seedOf(asked), "--zone", "eu-1a", "--label", "rack=r12");
  await until(async () => (await nodes(asked)).some(({ state, rttMs }) => state === "healthy" && rttMs !== null));
  const list = await ctl("list-nodes", "--output", "wide", "--endpoint", url(asked));
  expect(list.out).toMatch(/^ID +STATE +ROLE +ZONE +MODELS.* VERSION +INCARNATION +SOURCE /m);
  expect(list.out).toMatch(/^node1 +healthy +agent +eu-1a .*\d\.\d\.\d +\d{10} +gossip /m);
  expect(list.out).toMatch(/^router-\S+ +alive +router +- +- +- .*\d\.\d\.\d +\d{10} +gossip /m);
  const described = await ctl("describe-node", "node1", "--endpoint", url(asked));
  expect(described).toMatchObject({ code: 0, err: "" });
  for (const part of [
    /^ {2}status +alive for /m,
    /labels +rack=r12/,
    /version +\d\.\d\.\d, gossip protocol 1/,
    /^GPUs$/m,
  ]) {
    expect(described.out).toMatch(part);
  }
  expect(described.out).toMatch(/^Events\n.*\n.* joined +127/m);
  const wrong = await ctl("describe-node", "nod1", "--endpoint", url(asked));
  expect([wrong.code, wrong.out]).toEqual([1, ""]);
  expect(wrong.err).toContain('knows no node "nod1"; did you mean node1?');
});
