/** `infermesh load` as the executable that people run: against a mesh of mock nodes, and a server that misbehaves. */
import { afterAll, afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadReport } from "../../src/load/report.ts";
import { selfSigned } from "../net/certificates.ts";
import { Bench, EXECUTABLE, ownEnvironment, until } from "./harness.ts";
import { CUTS, startRaw, type Stub, startStub } from "./load-stub.ts";

setDefaultTimeout(60_000);

const folder = mkdtempSync(join(tmpdir(), "infermesh-load-"));
const bench = new Bench();
let stub: Stub;

beforeEach(() => {
  stub = startStub();
});
afterEach(() => stub.stop());
afterAll(async () => {
  await bench.end();
  rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function spawn(args: readonly string[], env: Record<string, string> = {}) {
  const how = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
  return Bun.spawn([EXECUTABLE, "load", ...args], { ...how, env: { ...ownEnvironment(), ...env } });
}

async function ran(child: ReturnType<typeof spawn>): Promise<Ran> {
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code, out, err };
}

const run = (args: readonly string[], env: Record<string, string> = {}) => ran(spawn(args, env));

async function report(args: readonly string[], env: Record<string, string> = {}): Promise<LoadReport> {
  const { out, err } = await run([...args, "--format", "json"], env);
  if (out === "") throw new Error(err);
  return JSON.parse(out) as LoadReport;
}

test("streams are measured, by nodes, tokens and caches", async () => {
  const made = await report([stub.url, "--rate", "100", "--max-requests", "40", "--prompt-tokens", "5..9"]);
  expect(made).toMatchObject({ model: "stub-model", requests: 40, ok: 40, failed: 0, goodput: 1, outputTokens: 120 });
  expect(made).toMatchObject({ promptTokens: 4000, cachedTokens: 1600, hitRate: 0.4 });
  expect(made.nodes).toEqual([{ node: "stub-node", requests: 40, outputTokens: 120 }]);
  expect(made.gapMs.count).toBe(80);
  expect(stub.seen).toHaveLength(40);
  expect(stub.seen[0]).toMatchObject({ path: "/v1/chat/completions", body: { stream: true, max_tokens: 64 } });
});

test("whole answers, of completions, with headers and a key that nobody shows", async () => {
  const key = join(folder, "key");
  writeFileSync(key, "sk-very-secret\n");
  const header = ["--header", "x-team: a, b", "--header", "x-infermesh-tenant=t"];
  const asked = ["--no-stream", "--api", "completions", "--model", "m", "--rate", "50", "--max-requests", "5"];
  const { code, out, err } = await run([stub.url, ...asked, ...header, "--api-key-file", key, "--out", folder]);
  expect({ code, err }).toEqual({ code: 0, err: `infermesh load: the report is ${join(folder, "report.html")}\n` });
  const [first] = stub.seen;
  expect(first?.path).toBe("/v1/completions");
  expect(first?.body).toMatchObject({ model: "m", max_tokens: 64, prompt: expect.any(String) });
  expect(first?.body["stream"]).toBeUndefined();
  expect(first?.headers.get("authorization")).toBe("Bearer sk-very-secret");
  expect([first?.headers.get("x-team"), first?.headers.get("x-infermesh-tenant")]).toEqual(["a, b", "t"]);
  const written = readFileSync(join(folder, "report.json"), "utf8");
  const lines = readFileSync(join(folder, "requests.csv"), "utf8").trim().split("\n");
  expect(lines).toHaveLength(6);
  expect(out).toContain("5 ok, 0 failed");
  const objects = readFileSync(join(folder, "requests.jsonl"), "utf8").trim().split("\n");
  expect(objects.map((line) => (JSON.parse(line) as { outcome: string }).outcome)).toEqual(
    lines.slice(1).map(() => "ok"),
  );
  const page = readFileSync(join(folder, "report.html"), "utf8");
  expect(page).toContain("5 answered, 0 failed");
  expect(`${out}${err}${written}${page}${objects.join("")}${lines.join("")}`).not.toContain("secret");
  expect((JSON.parse(written) as LoadReport).ttftMs.count).toBe(5);
});

test("runs are compared, and what is no report is refused", async () => {
  const [calm, full] = [join(folder, "calm"), join(folder, "full")];
  const asked = [stub.url, "--rate", "100", "--max-requests", "12", "--out"];
  await report([...asked, calm]);
  stub.manner = () => "full";
  await report([...asked, full]);
  const both = join(folder, "both");
  const { code, out, err } = await run(["compare", calm, join(full, "report.json"), "--out", both]);
  expect({ code, err }).toEqual({
    code: 0,
    err: `infermesh load compare: the report is ${join(both, "report.html")}\n`,
  });
  expect(out).toMatch(/^RUN +REQUESTS +FAILED/);
  expect(out).toMatch(/^calm +12 +0 /m);
  expect(out).toMatch(/^full +12 +12 /m);
  const page = readFileSync(join(both, "report.html"), "utf8");
  for (const word of ["2 runs of load", "calm", "full", "status 429"]) expect(page).toContain(word);
  for (const [args, why] of [
    [["compare"], "REPORT: found none"],
    [["compare", join(folder, "none")], "can't be read"],
    [["compare", join(calm, "requests.csv")], "is no JSON"],
    [["compare", ...Array.from({ length: 13 }, () => calm)], "at most 12"],
    [["compair"], "URL: found"],
  ] as const) {
    const wrong = await run(args);
    expect({ code: wrong.code, out: wrong.out }).toEqual({ code: 2, out: "" });
    expect(wrong.err).toContain(why);
  }
});

test("each way of failing is told by its kind, with the server's words", async () => {
  const manners = ["full", "malformed", "told", "broken", "html", "unended", "well"] as const;
  stub.manner = (number) => manners[number % manners.length]!;
  const made = await report([stub.url, "--rate", "200", "--max-requests", "70"]);
  expect(made).toMatchObject({ requests: 70, ok: 10, failed: 60, goodput: 1 / 7 });
  const errors = Object.fromEntries(made.errors.map(({ kind, count, words }) => [kind, `${count} ${words}`]));
  expect(errors).toEqual({
    "status 429": "10 too many requests are waiting (retry-after: 7)",
    "status 500": "10 ",
    "cut short": "10 the stream ended without [DONE]",
    "malformed answer": "20 an event that is no JSON object: {oops",
    "error in the answer": "10 out of memory",
  });
});

test("answers that break off, and what is no HTTP", async () => {
  const raw = startRaw(CUTS);
  const made = await report([raw.url, "--model", "m", "--rate", "100", "--max-requests", "20", "--connections", "1"]);
  raw.stop();
  const counts = Object.fromEntries(made.errors.map(({ kind, count }) => [kind, count]));
  expect(counts).toEqual({ "closed unanswered": 4, "cut short": 12, "malformed answer": 4 });
});

test("a server that stands still is charged for all that it kept waiting", async () => {
  // All that are due in the second after the first one comes are answered at its end, 50 of 150.
  let stillUntil = 0;
  stub.waitMs = () => {
    if (stillUntil === 0) stillUntil = performance.now() + 1000;
    return Math.max(0, stillUntil - performance.now());
  };
  const asked = ["--rate", "50", "--arrivals", "even", "--duration", "3s", "--connections", "2"];
  const made = await report([stub.url, ...asked]);
  expect(made).toMatchObject({ requests: 150, ok: 150, failed: 0 });
  // By the times of sending, two requests were slow.
  const slow = made.ttftCdfMs.filter((ms) => ms > 200).length / made.ttftCdfMs.length;
  expect(slow).toBeGreaterThan(0.1);
  expect(made.late).toBeGreaterThan(20);
});

test("what doesn't end in time has failed, and is called off", async () => {
  stub.manner = () => "silent";
  const { code, out } = await run([
    stub.url,
    "--rate",
    "20",
    "--max-requests",
    "4",
    "--timeout",
    "300ms",
    "--format",
    "json",
  ]);
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ requests: 4, ok: 0, errors: [{ kind: "timeout", count: 4 }] });
});

test("so many at once, and no warm-up counted", async () => {
  stub.waitMs = () => 20;
  const made = await report([stub.url, "--concurrency", "3", "--duration", "1500ms", "--warmup", "500ms"]);
  expect(made.failed).toBe(0);
  expect(made.warmUpRequests).toBeGreaterThan(5);
  expect(made.requests).toBeGreaterThan(10);
  expect(made.requests + made.warmUpRequests).toBe(stub.seen.length);
});

test("several threads send together what one would alone", async () => {
  const asked = [stub.url, "--rate", "60..200", "--over", "1s", "--max-requests", "90", "--prompt-tokens", "5..30"];
  const sent = async (out: string, ...more: readonly string[]) => {
    stub.seen.length = 0;
    const made = await report([...asked, ...more, "--out", join(folder, out)]);
    const lines = readFileSync(join(folder, out, "requests.csv"), "utf8")
      .trim()
      .split("\n")
      .slice(1);
    const due = lines.map((line) => line.split(",").slice(0, 2).map(Number)).toSorted(([a], [b]) => a! - b!);
    return { made, due, bodies: stub.seen.map(({ body }) => JSON.stringify(body)).toSorted() };
  };
  const alone = await sent("alone");
  const three = await sent("three", "--workers", "3");
  expect(three.made).toMatchObject({ requests: 90, ok: 90, failed: 0, outputTokens: 270, gapMs: { count: 180 } });
  expect(three.made.workload).toBe(`${alone.made.workload}, 3 threads`);
  expect(three.due.map(([number]) => number)).toEqual(Array.from({ length: 90 }, (_, at) => at));
  for (const [at, [, dueMs]] of three.due.entries()) expect(dueMs!).toBeCloseTo(alone.due[at]![1]!, 2);
  expect(three.bodies).toEqual(alone.bodies);
  stub.waitMs = () => 20;
  const closed = await report([stub.url, "--concurrency", "5", "--max-requests", "31", "--workers", "2"]);
  expect(closed).toMatchObject({ requests: 31, ok: 31 });
});

test("in TLS, where the certificate is trusted", async () => {
  const secured = startStub(selfSigned("localhost", "IP:127.0.0.1"));
  const identity = selfSigned("localhost", "IP:127.0.0.1");
  const trusted = startStub(identity);
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, identity.cert);
  const asked = ["--rate", "50", "--max-requests", "6", "--tls-ca", ca];
  expect(await report([trusted.url, ...asked])).toMatchObject({
    model: "stub-model",
    ok: 6,
    failed: 0,
    outputTokens: 18,
  });
  expect(await report([secured.url, "--model", "m", ...asked])).toMatchObject({
    ok: 0,
    errors: [{ kind: "no connection" }],
  });
  expect(await report([secured.url, ...asked, "--no-tls-verify"])).toMatchObject({ ok: 6 });
  secured.stop();
  trusted.stop();
});

test.each([1, 3])("Ctrl-C ends it with a report of what was done, by %d threads", async (workers) => {
  stub.manner = (number) => (number % 2 === 0 ? "well" : "silent");
  const asked = ["--rate", "50", "--duration", "10m", "--workers", String(workers)];
  const child = spawn([stub.url, ...asked, "--format", "json"]);
  await until(() => stub.seen.length > 10);
  child.kill("SIGINT");
  const { code, out } = await ran(child);
  expect(code).toBe(0);
  const made = JSON.parse(out) as LoadReport;
  expect(made).toMatchObject({ isStopped: true, failed: 0 });
  expect(made.ok).toBeGreaterThan(3);
  expect(made.unfinished).toBeGreaterThan(3);
});

test("nobody there, no such name, and wrong command lines", async () => {
  stub.stop();
  const { code, out } = await run([
    stub.url,
    "--model",
    "m",
    "--rate",
    "50",
    "--max-requests",
    "3",
    "--format",
    "json",
  ]);
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ ok: 0, errors: [{ kind: "connection refused", count: 3 }] });
  const unasked = await run([stub.url]);
  expect(unasked.code).toBe(1);
  expect(unasked.err).toContain("name it with --model");
  for (const [args, why] of [
    [[], "URL: found none"],
    [["ftp://x"], "expected a URL such as"],
    [[stub.url, "--rate", "x"], "a ramp such as 10..200"],
    [[stub.url, "--rate", "5", "--concurrency", "2"], "give one of them"],
    [[stub.url, "--workers", "8", "--connections", "7"], "need a connection each"],
    [[stub.url, "--trace", join(folder, "none")], "can't be read"],
    [[stub.url, "--api-key-env", "NOT_SET_AT_ALL"], "NOT_SET_AT_ALL is not set"],
    [[stub.url, "--tls-ca", join(folder, "none")], "--tls-ca"],
  ] as const) {
    const wrong = await run(args);
    expect({ code: wrong.code, out: wrong.out }).toEqual({ code: 2, out: "" });
    expect(wrong.err).toContain(why);
  }
});

test("a trace through a mesh of mock nodes: what shared a prefix when it was recorded finds it in caches", async () => {
  const trace = join(folder, "trace.jsonl");
  const lines = Array.from({ length: 24 }, (_, at) => ({
    timestamp: at * 100,
    input_length: 1200,
    output_length: 4,
    hash_ids: [1, 2, 10 + at],
  }));
  writeFileSync(trace, lines.map((line) => JSON.stringify(line)).join("\n"));
  const free = ["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
  const dev = await bench.start("dev", "--nodes", "2", "--mock-speed", "4", ...free);
  const made = await report([`http://${dev.address("listen")}`, "--trace", trace]);
  expect(made).toMatchObject({ requests: 24, ok: 24, outputTokens: 96 });
  expect(made.nodes.map(({ node }) => node).every((node) => /^node[12]$/.test(node))).toBe(true);
  // All but the first at each node find 1,024 of some 1,210 tokens, in blocks of 16.
  expect(made.hitRate!).toBeGreaterThan(0.6);
  await dev.stop();
});
