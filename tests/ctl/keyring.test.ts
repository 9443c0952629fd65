import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { addKey, change, listKeys } from "../../src/ctl/keyring.ts";
import type { KeyringConfig } from "../../src/ctl/settings.ts";
import { parseKey } from "../../src/mesh/keyring.ts";

const A = "3f2a9c0011223344";
const B = "b1b2b3b4b5b6b7b8";
const KEY = Buffer.alloc(32, 5).toString("base64");

const well = (id: string, kept = true) => ({ id, address: `${id}:7946`, outcome: "ok", error: "", kept, keys: [] });
const LISTED = {
  keys: [
    { fingerprint: A, primaryAt: 2, presentAt: 2, missingAt: [] },
    { fingerprint: B, primaryAt: 0, presentAt: 1, missingAt: ["gpu-2"] },
  ],
  members: [
    well("gpu-1"),
    well("gpu-2"),
    { id: "gpu-3", address: "gpu-3:7946", outcome: "unreachable", error: "no answer\u001b[2J", kept: null, keys: [] },
  ],
};

const asked: unknown[] = [];
let answer: { readonly status: number; readonly body: object } = { status: 200, body: {} };
let server: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const text = await request.text();
      asked.push([request.method, new URL(request.url).pathname, text === "" ? "" : JSON.parse(text)]);
      return Response.json(answer.body, { status: answer.status });
    },
  });
});
afterAll(() => server.stop(true));

type Run = (config: KeyringConfig, terminal: Parameters<typeof listKeys>[1]) => Promise<number>;

async function run(command: Run, body: object, status = 200, config: Partial<KeyringConfig> = {}) {
  asked.length = 0;
  answer = { status, body };
  let [out, err] = ["", ""];
  const code = await command(
    { endpoint: `http://127.0.0.1:${server.port}`, output: "table", timeoutMs: 2000, ...config },
    { out: (text) => (out += text), err: (text) => (err += text), color: false },
  );
  return { code, out, err: err.replaceAll(String(server.port), "PORT") };
}

describe("list", () => {
  test("shows each key with where it is, and names who did not answer", async () => {
    expect(await run(listKeys, LISTED)).toEqual({
      code: 0,
      out: `FINGERPRINT       PRIMARY  PRESENT  MISSING AT
${A}  2 of 2   2 of 2   -
${B}  0 of 2   1 of 2   gpu-2
`,
      err: "gpu-3 (gpu-3:7946): unreachable: no answer?[2J\n",
    });
    expect(asked).toEqual([["GET", "/keyring", ""]]);
    const { code, err } = await run(listKeys, { ...LISTED, members: [well("gpu-1")], absent: ["gpu-4", "gpu-5"] });
    expect(code).toBe(0);
    expect(err).toBe(
      "not asked, since failed: gpu-4, gpu-5; when they are back, add the key again before it is used, or they are cut off\n",
    );
  });

  test("tells why a member's last change failed", async () => {
    const members = [{ ...well("gpu-1"), error: "can't write the gossip key file: EACCES" }];
    const { code, err } = await run(listKeys, { ...LISTED, members });
    expect(code).toBe(0);
    expect(err).toBe("gpu-1 (gpu-1:7946): its last change failed: can't write the gossip key file: EACCES\n");
  });

  test("for scripts", async () => {
    expect((await run(listKeys, LISTED, 200, { output: "text" })).out).toBe(`${A}\t2\t2\t-\n${B}\t0\t1\tgpu-2\n`);
    expect(JSON.parse((await run(listKeys, LISTED, 200, { output: "json" })).out)).toEqual(LISTED);
  });

  test("of a mesh without keys, of something else, and of nobody", async () => {
    const plain = { error: { message: "this mesh is not encrypted", code: "conflict" } };
    expect(await run(listKeys, plain, 409)).toEqual({
      code: 1,
      out: "",
      err: "infermesh ctl: http://127.0.0.1:PORT answered: this mesh is not encrypted (status 409)\n",
    });
    expect(await run(listKeys, { nodes: [] })).toMatchObject({ code: 1, out: "" });
    expect(await run(listKeys, {}, 200, { endpoint: "http://127.0.0.1:1" })).toMatchObject({ code: 3, out: "" });
  });
});

describe("a change", () => {
  const done = { op: "add", fingerprint: A, keys: [], members: [well("gpu-1"), well("gpu-2")] };
  const add =
    (given: string, input = ""): Run =>
    (config, terminal) =>
      addKey(config, terminal, given, async () => input);

  test("says in one line how far it went", async () => {
    expect(await run(add(KEY), done)).toEqual({ code: 0, out: `${A} added at 2 of 2 members\n`, err: "" });
    expect(asked).toEqual([["POST", "/keyring", { op: "add", key: KEY }]]);
    for (const [op, words] of [
      ["use", "in use"],
      ["remove", "removed"],
    ] as const) {
      const wanted = { op, fingerprint: "3f2a9c", force: true } as const;
      const { out } = await run((config, terminal) => change(config, terminal, wanted), done);
      expect(out).toBe(`${A} ${words} at 2 of 2 members\n`);
      expect(asked).toEqual([["POST", "/keyring", wanted]]);
    }
  });

  test("that did not reach everybody fails, and names whom", async () => {
    const partly = { ...done, members: LISTED.members };
    expect(await run(add(KEY), partly)).toEqual({
      code: 1,
      out: `${A} added at 2 of 3 members\n`,
      err: "gpu-3 (gpu-3:7946): unreachable: no answer?[2J\n",
    });
    expect((await run(add(KEY), partly, 200, { output: "text" })).out.split("\n")[1]).toBe("gpu-2\tgpu-2:7946\tok\t");
  });

  test("that one who failed did not take fails too", async () => {
    expect(await run(add(KEY), { ...done, absent: ["gpu-9"] })).toEqual({
      code: 1,
      out: `${A} added at 2 of 3 members\n`,
      err: expect.stringContaining("not asked, since failed: gpu-9; "),
    });
  });

  test("that a restart undoes says where", async () => {
    const members = [well("gpu-1"), well("gpu-2", false)];
    const { code, err } = await run(add(KEY), { ...done, members });
    expect(code).toBe(0);
    expect(err).toStartWith("only until restart at gpu-2: ");
  });

  test("takes the key from the input when it is not given, and refuses none", async () => {
    for (const given of ["", "-"]) {
      await run(add(given, KEY), done);
      expect(asked).toEqual([["POST", "/keyring", { op: "add", key: KEY }]]);
    }
    expect(await run(add("", ""), done)).toMatchObject({ code: 2, out: "" });
    expect(asked).toEqual([]);
  });

  test("warns before a key leaves the machine where others can read it, and of nothing else", async () => {
    const warned = async (endpoint: string): Promise<boolean> =>
      (await run(add(KEY), done, 200, { endpoint, timeoutMs: 100 })).err.includes("in plain HTTP");
    // Addresses that lead to nobody: the warning comes before.
    expect(await warned("http://192.0.2.1:50051")).toBe(true);
    expect(await warned("http://127.0.0.1.invalid:50051")).toBe(true);
    for (const endpoint of ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://192.0.2.1:1"]) {
      expect(await warned(endpoint)).toBe(false);
    }
  });

  test("that is refused shows why", async () => {
    const refused = { error: { message: "refused, and nothing was changed: can't reach gpu-3", code: "conflict" } };
    expect(await run(add(KEY), refused, 409)).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("can't reach gpu-3"),
    });
  });
});

describe("as a process", () => {
  const MAIN = join(import.meta.dir, "../../src/main.ts");

  async function infermesh(args: readonly string[], input: string | null = "") {
    const child = Bun.spawn([process.execPath, MAIN, "ctl", "keyring", ...args], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: { PATH: process.env["PATH"] ?? "" },
    });
    if (input !== null) {
      void child.stdin.write(input);
      void child.stdin.flush();
      // What is left open must not hold the command up: a line is a key.
      if (!input.endsWith("\n")) void child.stdin.end();
    }
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, err };
  }

  test("generate prints a key, another one each time", async () => {
    const [one, two] = await Promise.all([infermesh(["generate"]), infermesh(["generate"])]);
    expect(parseKey(one.out.trimEnd())).toHaveLength(32);
    expect(one).toMatchObject({ code: 0, err: "" });
    expect(two.out).not.toBe(one.out);
  });

  test.each([
    ["a line", `  ${KEY}\nmore\n`],
    ["no end of line", KEY],
  ])("add reads the first line of standard input: %s", async (_what, input) => {
    asked.length = 0;
    answer = { status: 200, body: { fingerprint: A, keys: [], members: [well("gpu-1")] } };
    const { code, out } = await infermesh(["add", "--endpoint", `http://127.0.0.1:${server.port}`], input);
    expect([code, out]).toEqual([0, `${A} added at 1 of 1 members\n`]);
    expect(asked).toEqual([["POST", "/keyring", { op: "add", key: KEY }]]);
  });

  test("add waits for a line as long as for an answer, and no longer", async () => {
    asked.length = 0;
    const { code, err } = await infermesh(["add", "--timeout", "300ms"], null);
    expect([code, err]).toEqual([2, expect.stringContaining("no key came on standard input within 300 ms")]);
    expect(asked).toEqual([]);
  });

  test("help says that others can see a key on the command line", async () => {
    expect((await infermesh(["add", "--help"])).out.replaceAll(/\s+/g, " ")).toContain("which other users can see");
  });

  test("wrong command lines are refused with exit code 2", async () => {
    for (const [args, words] of [
      [[], "COMMAND [flags]"],
      [["rotate"], 'no command "rotate"'],
      [["use"], "FINGERPRINT: found none; expected a key's fingerprint"],
      [["remove", "3f2a9c", "b1b2b3"], "only flags here"],
      [["add", "--force"], "no such flag"],
    ] as const) {
      const { code, out, err } = await infermesh(args);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain(words);
    }
    const help = await infermesh(["use", "--help"]);
    expect(help.out).toContain("Usage: infermesh ctl keyring use FINGERPRINT [flags]");
    expect(help.out).toContain("--force");
  });
});
