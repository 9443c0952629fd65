/** A key of the gossip is rotated by `infermesh ctl keyring` in a mesh that is at work. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeKey } from "../../src/mesh/keyring.ts";
import { Bench, EXECUTABLE, nodes, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

async function keyring(at: Started, args: readonly string[], input = "") {
  const child = Bun.spawn([EXECUTABLE, "ctl", "keyring", ...args, "--endpoint", `http://${at.address("api")}`], {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

function generated(): string {
  const { stdout, exitCode } = Bun.spawnSync([EXECUTABLE, "ctl", "keyring", "generate"]);
  expect(exitCode).toBe(0);
  return stdout.toString();
}

const hintOf = (key: string): number => makeKey(Buffer.from(key, "base64")).hint;

function keyFile(name: string, key: string): string {
  const path = join(bench.dataDir, `${name}.keys`);
  writeFileSync(path, `# of ${name}\n${key}`, { mode: 0o600 });
  return path;
}

function agent(id: string, seed: string, file: string): Promise<Started> {
  return bench.agent(id, null, "--join", seed, "--mock-speed", "10", "--gossip-key-file", file);
}

const healthy = async (router: Started): Promise<string[]> =>
  (await nodes(router))
    .filter(({ state }) => state === "healthy")
    .map(({ id }) => id)
    .toSorted();

/** The members that it holds for alive. */
async function alive(at: Started): Promise<number> {
  const response = await fetch(`http://${at.address("api")}/members`);
  const { members } = (await response.json()) as { members: readonly { readonly status: string }[] };
  return members.filter(({ status }) => status === "alive").length;
}

test("a rotation under traffic, a restart after it, and one that missed it", async () => {
  const old = generated();
  let fresh = generated();
  // A header tells keys by one byte: with the same one, a packet is not strange but forged.
  while (hintOf(fresh) === hintOf(old)) fresh = generated();
  const files = ["node1", "node2", "node3"].map((id) => keyFile(id, old));
  const router = await bench.router(
    "--workers",
    "1",
    "--fleet-poll-interval",
    "200ms",
    "--gossip-key-file",
    keyFile("router", old),
  );
  const seed = String(router.ready["gossip"]);
  const agents = await Promise.all(files.map((file, index) => agent(`node${index + 1}`, seed, file)));
  await until(async () => (await healthy(router)).length === 3);
  await until(async () => (await Promise.all([router, ...agents].map(alive))).every((count) => count === 4));
  const model = (await nodes(router))[0]?.models[0] ?? "";

  const statuses: number[] = [];
  let ended = false;
  const traffic = (async () => {
    while (!ended) {
      const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 4 }),
      });
      await response.text();
      statuses.push(response.status);
    }
  })();

  const first = await keyring(agents[0]!, ["list", "--output", "text"]);
  const [oldFingerprint = ""] = first.out.split("\t");
  expect(first).toEqual({ code: 0, out: `${oldFingerprint}\t4\t4\t-\n`, err: "" });
  const added = await keyring(router, ["add"], fresh);
  const [fingerprint = ""] = added.out.split(" ");
  expect(added).toEqual({ code: 0, out: `${fingerprint} added at 4 of 4 members\n`, err: "" });
  // Nothing is skipped: a key that seals can't be taken out.
  const early = await keyring(router, ["remove", oldFingerprint]);
  expect([early.code, early.out]).toEqual([1, ""]);
  expect(early.err).toContain(`${oldFingerprint} is the primary at `);
  expect(await keyring(agents[1]!, ["use", fingerprint.slice(0, 6)])).toMatchObject({
    code: 0,
    out: `${fingerprint} in use at 4 of 4 members\n`,
  });
  expect((await keyring(agents[2]!, ["list"])).out).toBe(
    `FINGERPRINT       PRIMARY  PRESENT  MISSING AT\n${fingerprint}  4 of 4   4 of 4   -\n${oldFingerprint}  0 of 4   4 of 4   -\n`,
  );
  expect(await keyring(router, ["remove", oldFingerprint])).toEqual({
    code: 0,
    out: `${oldFingerprint} removed at 4 of 4 members\n`,
    err: "",
  });
  ended = true;
  await traffic;
  expect(statuses.length).toBeGreaterThan(10);
  expect(new Set(statuses)).toEqual(new Set([200]));
  for (const { lines } of [router, ...agents]) {
    // And no word of packets that could not be opened.
    const told = lines
      .filter(({ msg }) => String(msg).includes("key"))
      .map(({ level, msg }) => `${String(level)} ${String(msg)}`);
    expect(told).toEqual(Array.from({ length: 3 }, () => "info gossip keys changed"));
  }
  for (const file of files) expect(readFileSync(file, "utf8")).toBe(fresh);

  // A restart comes back with the ring as it was left.
  expect(await agents[0]!.stop()).toBe(0);
  await until(async () => (await healthy(router)).length === 2);
  const again = await agent("node1", seed, files[0]!);
  await until(async () => (await healthy(router)).length === 3, 15_000);

  // One that was away meanwhile, and has only the old key.
  const late = await agent("late", seed, keyFile("late", old));
  await until(() => late.lines.some(({ msg }) => String(msg).includes("no member of the mesh answers")));
  const line = late.lines.find(({ msg }) => String(msg).includes("no member of the mesh answers"));
  expect(line).toMatchObject({ level: "warn", key: oldFingerprint, hint: expect.stringContaining("`keyring add`") });
  await until(() =>
    router.lines.some(({ msg }) => String(msg).includes("is sealed with a key that this node does not have")),
  );
  expect(await healthy(router)).toEqual(["node1", "node2", "node3"]);
  // It does what it is told, and is in.
  expect((await keyring(late, ["add"], fresh)).code).toBe(0);
  expect((await keyring(late, ["use", fingerprint])).code).toBe(0);
  await until(async () => (await healthy(router)).length === 4, 30_000);

  // No key came out anywhere.
  const config = await (await fetch(`http://${router.address("api")}/config`)).text();
  const everything = JSON.stringify([config, ...[router, ...agents, again, late].map(({ lines }) => lines)]);
  for (const key of [old, fresh]) expect(everything).not.toContain(key.slice(0, 16));
});

test("keys from the environment change until a restart, and ctl says so; a plain mesh has none", async () => {
  const key = generated().trim();
  const sealed = await bench.agent("alone", null, "--register", "none", "--gossip-key", key);
  const added = await keyring(sealed, ["add"], generated());
  expect(added).toMatchObject({ code: 0, err: expect.stringContaining("only until restart at alone: ") });
  const plain = await bench.agent("plain", null, "--register", "none");
  for (const args of [["list"], ["add"]]) {
    const { code, err } = await keyring(plain, args, generated());
    expect([code, err]).toEqual([1, expect.stringContaining("this mesh is not encrypted")]);
  }
  // Not on the metrics port, which others can reach.
  expect((await fetch(`http://${sealed.address("metrics")}/keyring`)).status).toBe(404);
});
