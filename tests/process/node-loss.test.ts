/**
 * One of three nodes is killed under load: whoever had not begun to receive an answer is answered by another node, a
 * stateful request runs once at most, and nothing stays in flight.
 */
import { afterAll, expect, test } from "bun:test";
import { resolve } from "node:path";
import type { Subprocess } from "bun";
import { Bench, inFlight, until } from "./harness.ts";

const bench = new Bench();
const children: Subprocess[] = [];
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await bench.end();
});

const DELAY_MS = 15;
const AT_ONCE = 8;
const KINDS = ["plain", "stream", "stateful"] as const;

interface RecordingNode {
  readonly address: string;
  /** Ids of the requests that it has run. */
  readonly ran: string[];
  kill(): Promise<void>;
}

async function startNode(): Promise<RecordingNode> {
  const script = resolve(import.meta.dir, "recording-node.ts");
  const child = Bun.spawn([process.execPath, script, String(DELAY_MS)], { stdout: "pipe", stderr: "inherit" });
  children.push(child);
  const ran: string[] = [];
  const { promise: port, resolve: listens, reject } = Promise.withResolvers<string>();
  void child.exited.then((code) => reject(new Error(`the node ended with ${code}`)));
  port.catch(() => {});
  const read = (async () => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of child.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const [word, value = ""] = line.split(" ");
        if (word === "listening") listens(value);
        else ran.push(value);
      }
    }
  })();
  return {
    address: `127.0.0.1:${await port}`,
    ran,
    async kill() {
      child.kill("SIGKILL");
      await read;
    },
  };
}

interface Outcome {
  readonly kind: (typeof KINDS)[number];
  readonly id: string;
  readonly node: string;
  readonly status: number;
  readonly text: string;
  readonly cut: boolean;
}

async function send(base: string, kind: Outcome["kind"], id: string): Promise<Outcome> {
  const path = kind === "stateful" ? "/v1/files" : "/v1/chat/completions";
  const response = await fetch(`${base}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-request-id": id },
    body: JSON.stringify({ model: "m", messages: [], stream: kind === "stream" }),
  });
  const head = { kind, id, status: response.status, node: response.headers.get("x-infermesh-node") ?? "" };
  try {
    return { ...head, text: await response.text(), cut: false };
  } catch {
    return { ...head, text: "", cut: true };
  }
}

test("one of three nodes is killed under load", async () => {
  const nodes = await Promise.all([startNode(), startNode(), startNode()]);
  const upstreams = nodes.flatMap(({ address }) => ["--upstream", `m=http://${address}`]);
  const router = await bench.router("--workers", "2", ...upstreams);
  const base = `http://${router.address("listen")}`;
  const outcomes: Outcome[] = [];
  let done = false;
  const loop = async (kind: Outcome["kind"], name: string): Promise<void> => {
    for (let i = 0; !done; i++) outcomes.push(await send(base, kind, `${kind}-${name}-${i}`));
  };
  const loops = KINDS.flatMap((kind) => Array.from({ length: AT_ONCE }, (_, at) => loop(kind, String(at))));
  // The one that serves most: on a busy machine another may look slower for longer than this would wait.
  await until(() => nodes.reduce((sum, { ran }) => sum + ran.length, 0) > 60);
  const [victim] = nodes.toSorted((a, b) => b.ran.length - a.ran.length);
  expect(victim!.ran.length).toBeGreaterThan(20);
  await victim!.kill();
  const before = outcomes.length;
  await until(() => outcomes.length > before + 200, 30_000);
  done = true;
  await Promise.all(loops);

  const of = (kind: Outcome["kind"]): Outcome[] => outcomes.filter((one) => one.kind === kind);
  // Its answers come in one piece: none of these had begun.
  expect(of("plain").filter(({ status, cut }) => status !== 200 || cut)).toEqual([]);
  const broken = new Set<string>();
  for (const { status, text, cut, node } of of("stream")) {
    expect({ status, cut }).toEqual({ status: 200, cut: false });
    if (text.includes("[DONE]")) continue;
    // It had begun, and at the node that died.
    expect(text).toContain('data: {"event":0}');
    expect(text).toMatch(/data: \{"error":.*\}\n\n$/);
    broken.add(node);
  }
  expect(broken.size).toBeLessThanOrEqual(1);
  for (const { status } of of("stateful")) expect([200, 502]).toContain(status);
  const ran = nodes.flatMap((node) => node.ran).filter((id) => id.startsWith("stateful-"));
  expect(ran.filter((id, at) => ran.indexOf(id) !== at)).toEqual([]);
  expect(
    new Set(ran).isSupersetOf(new Set(of("stateful").flatMap(({ status, id }) => (status === 200 ? [id] : [])))),
  ).toBe(true);
  await until(async () => (await inFlight(router)) === 0);
}, 60_000);
