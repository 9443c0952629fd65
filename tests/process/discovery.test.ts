/** The executable's nodes find the mesh: by the environment, by DNS names, and by a file that is written later. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bench, nodes, type Started, until } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

const FAST = ["--swim-probe-interval", "200ms", "--swim-probe-timeout", "100ms", "--swim-gossip-interval", "40ms"];

const router = (...args: string[]): Promise<Started> => bench.router("--workers", "1", ...FAST, ...args);
const agent = (id: string, ...args: string[]): Promise<Started> => bench.agent(id, null, ...FAST, ...args);

async function knows(one: Started, ...ids: string[]): Promise<void> {
  await until(async () => {
    const known = (await nodes(one)).map(({ id }) => id);
    return ids.every((id) => known.includes(id));
  });
  expect((await nodes(one)).map(({ source }) => source)).toEqual(ids.map(() => "gossip"));
}

test("by a name, by the environment, and by a seeds file that comes and changes while they run", async () => {
  const first = await router();
  const seed = String(first.ready["gossip"]);
  const port = seed.slice(seed.lastIndexOf(":") + 1);
  const joinFile = join(bench.dataDir, "seeds");
  const ports = ["--serve", "--api", "--metrics", "--gossip"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const [named, , waiting] = await Promise.all([
    // Bound to every address, it announces one that suits its seeds.
    agent("by-name", "--gossip", ":0", "--join", `localhost:${port}`),
    bench.launch(["agent", "--mock", "--id", "by-environment", ...ports, "--data-dir", bench.dataDir, ...FAST], {
      env: { ...process.env, INFERMESH_JOIN: `none.invalid, localhost:${port}` },
    }),
    agent("by-file", "--join-file", joinFile),
  ]);
  expect(String(named.ready["gossip"])).toMatch(/^127\.0\.0\.1:/);
  await knows(first, "by-name", "by-environment");
  await until(() => waiting.lines.some(({ msg }) => String(msg).includes("no member of the mesh answers")));
  const told = waiting.lines.filter(({ level }) => level === "warn").map(({ msg }) => msg);
  expect(told.map((text) => String(text).replace(/ for (\d+m)?\d+s;/, " for a while;"))).toEqual([
    `can't read the seeds file ${joinFile}: no such file; trying on`,
    `no member of the mesh answers at ${joinFile} (no such file), for a while; trying on`,
  ]);
  writeFileSync(joinFile, `# the router\nnot a seed\n${seed}\n`);
  await knows(first, "by-name", "by-environment", "by-file");
  await until(() => waiting.lines.some(({ msg }) => String(msg).startsWith("found the mesh after ")));
  const wrong = waiting.lines.find(({ msg }) => String(msg).includes("line 2"));
  expect(String(wrong?.["msg"])).toContain('found "not a seed"; expected a member such as');

  // A second router with its own mesh; a line more in the file of one node makes the two one.
  const second = await router();
  expect(await nodes(second)).toEqual([]);
  writeFileSync(joinFile, `${seed}\n${String(second.ready["gossip"])}\n`);
  await knows(second, "by-name", "by-environment", "by-file");
});

test("a profile shows in the router's configuration, and what is given beside it stays", async () => {
  const one = await bench.router("--workers", "1", "--swim-profile", "wan", "--swim-gossip-interval", "300ms");
  const response = await fetch(`http://${one.address("api")}/config`);
  const { swim } = (await response.json()) as { swim: Record<string, unknown> };
  expect(swim).toMatchObject({ profile: "wan", probeInterval: "5s", probeTimeout: "3s", gossipInterval: "300ms" });
});
