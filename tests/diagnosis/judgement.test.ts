/** Each check's judgement of facts that are given: what is well, what is to be looked at, what fails. */
import { describe, expect, test } from "bun:test";
import { judgeCertificate, judgeDataFolder, judgeKey, judgeNoKey } from "../../src/diagnosis/file-checks.ts";
import { type Finding, fail, ok, report, verdictOf, warn } from "../../src/diagnosis/finding.ts";
import { judgeCuda, judgeGpus } from "../../src/diagnosis/gpu-checks.ts";
import {
  judgeDiscovery,
  judgeJoinFile,
  judgeLocalhost,
  judgeNames,
  judgePeers,
  judgePort,
  judgeRuntimes,
  type PeerAnswer,
  type PortFacts,
} from "../../src/diagnosis/network-checks.ts";
import {
  descriptorsWanted,
  judgeBacklog,
  judgeClock,
  judgeCore,
  judgeCpu,
  judgeDescriptors,
  judgeExecutable,
  judgeKernelFiles,
  judgeLocked,
  judgeMemory,
  judgeScorer,
  judgeUdp,
  memoryBytesWanted,
} from "../../src/diagnosis/process-checks.ts";

const MEBI = 1024 ** 2;
const seen: Finding[] = [];

/** A grade, and what is told with it; whatever is not well says why that matters and what to do. */
function expectFinding(finding: Finding | undefined, grade: Finding["grade"], found: string | RegExp): void {
  expect(finding?.grade).toBe(grade);
  expect(finding?.found).toMatch(found);
  const isTold = finding?.why !== "" && finding?.advice !== "";
  expect(isTold).toBe(grade !== "ok");
  if (finding !== undefined) seen.push(finding);
}

describe("the executable", () => {
  const facts = {
    version: "1.2.3",
    commit: "abc",
    bun: "1.4.5",
    isCompiled: true,
    namesLoader: true,
    bytecode: "all functions",
  };
  test("compiled, static, or its sources", () => {
    expectFinding(
      judgeExecutable(facts),
      "ok",
      "infermesh 1.2.3 (abc, bun 1.4.5), linked to the system's libc, bytecode of all functions",
    );
    expectFinding(judgeExecutable({ ...facts, namesLoader: false, bytecode: "" }), "ok", /, static, without bytecode$/);
    expectFinding(judgeExecutable({ ...facts, namesLoader: undefined }), "ok", /, executable, /);
    expectFinding(judgeExecutable({ ...facts, isCompiled: false }), "warn", /run from its sources$/);
  });

  test("its scorer, and the kernel's files", () => {
    expectFinding(judgeScorer({ kind: "c", reason: "C scorer" }), "ok", /^C scorer$/);
    expectFinding(judgeScorer({ kind: "typescript", reason: "TypeScript scorer, since x" }), "warn", /since x$/);
    expectFinding(judgeKernelFiles({ proc: true, sys: true }), "ok", /can be read/);
    expectFinding(judgeKernelFiles({ proc: false, sys: true }), "warn", /^\/proc can't be read$/);
    expectFinding(judgeKernelFiles({ proc: false, sys: false }), "warn", /^\/proc and \/sys can't/);
  });
});

describe("what it may have", () => {
  const share = { coresMax: undefined, memoryBytesMax: undefined, memoryBytes: 8192 * MEBI, cores: 4, workers: 4 };
  test("processors", () => {
    expectFinding(judgeCpu(share), "ok", /^4 cores, for 4 workers$/);
    expectFinding(judgeCpu({ ...share, cores: 1, workers: 0 }), "ok", /^1 core$/);
    expectFinding(judgeCpu({ ...share, coresMax: 1.5 }), "warn", /the container may use 1.5, for 4 workers$/);
    expectFinding(judgeCpu({ ...share, coresMax: 1.5, workers: 2 }), "ok", /for 2 workers$/);
    expect(judgeCpu({ ...share, coresMax: 0.5 }).advice).toContain("--workers 1,");
    expectFinding(judgeCpu({ ...share, coresMax: Infinity }), "ok", /^4 cores, for/);
  });

  test("memory", () => {
    expectFinding(judgeMemory(share, "router"), "ok", /^8\.0 GiB in the machine$/);
    expectFinding(
      judgeMemory({ ...share, memoryBytesMax: 256 * MEBI }, "router"),
      "warn",
      /^256 MiB is the container's limit$/,
    );
    expectFinding(
      judgeMemory({ ...share, memoryBytesMax: memoryBytesWanted("agent", 0) }, "agent"),
      "ok",
      /container's/,
    );
    expectFinding(
      judgeMemory({ ...share, memoryBytesMax: Infinity, memoryBytes: undefined }, "agent"),
      "ok",
      /no limit/,
    );
    expect(memoryBytesWanted("router", 4)).toBeGreaterThan(memoryBytesWanted("router", 2));
  });

  test("open files: what a router wants grows with its workers", () => {
    const wanted = descriptorsWanted("router", 2, 20_000);
    expect(descriptorsWanted("router", 4, 20_000)).toBeGreaterThan(wanted);
    expect(descriptorsWanted("router", 2, 16)).toBeLessThan(wanted);
    expectFinding(judgeDescriptors({ soft: wanted, hard: wanted }, wanted), "ok", /open files allowed$/);
    expectFinding(
      judgeDescriptors({ soft: 1024, hard: 4096 }, wanted),
      "warn",
      /^1024 open files allowed \(4096 at most\)$/,
    );
    expectFinding(judgeDescriptors({ soft: 64, hard: 64 }, wanted), "fail", /^64 open/);
    expectFinding(judgeDescriptors({ soft: Infinity, hard: Infinity }, wanted), "ok", /^any number of/);
    expectFinding(judgeDescriptors(undefined, wanted), "ok", /not told/);
  });

  test("core dumps and locked memory", () => {
    expectFinding(judgeCore({ soft: 0, hard: 0 }), "ok", /no core dump/);
    expectFinding(judgeCore({ soft: Infinity, hard: Infinity }), "ok", /any size/);
    expectFinding(judgeCore(undefined), "ok", /not told/);
    expectFinding(judgeLocked({ soft: 0, hard: 0 }, false), "ok", /may be locked/);
    expectFinding(judgeLocked({ soft: 0, hard: 0 }, true), "warn", /may be locked/);
    expectFinding(judgeLocked(undefined, true), "ok", /not told/);
  });

  test("buffers and queues", () => {
    expectFinding(judgeBacklog(4096, 4096), "ok", /is 4096$/);
    expectFinding(judgeBacklog(128, 4096), "warn", /is 128$/);
    expectFinding(judgeBacklog(undefined, 4096), "ok", /not told/);
    expectFinding(
      judgeUdp({ obtainedBytes: 4 * MEBI, wantedBytes: 2 * MEBI }),
      "ok",
      /^2 MiB for datagrams that wait, 2 MiB wanted$/,
    );
    expectFinding(judgeUdp({ obtainedBytes: 425_984, wantedBytes: 2 * MEBI }), "warn", /^208KiB for/);
    expect(judgeUdp({ obtainedBytes: 425_984, wantedBytes: 2 * MEBI }).advice).toBe(
      "sysctl -w net.core.rmem_max=2097152",
    );
    expectFinding(judgeUdp({ obtainedBytes: undefined, wantedBytes: 1 }), "ok", /does not tell/);
  });

  test("the clock", () => {
    const facts = {
      wallMs: Date.UTC(2026, 0, 2),
      shown: "2026-01-02T00:00:00.000Z",
      driftMs: 0,
      isSynchronised: true,
      errorMsMax: 12.3,
    };
    expectFinding(judgeClock(facts), "ok", /^2026-01-02T.*, synchronised, right within 13 ms$/);
    expectFinding(judgeClock({ ...facts, isSynchronised: undefined }), "ok", /not told$/);
    expectFinding(judgeClock({ ...facts, isSynchronised: false }), "warn", /not synchronised$/);
    expectFinding(judgeClock({ ...facts, driftMs: -400 }), "warn", /set by -400 ms/);
    expectFinding(judgeClock({ ...facts, wallMs: 0, shown: "1970-01-01T00:00:00.000Z" }), "fail", /^it is 1970-/);
  });
});

describe("ports", () => {
  const facts: PortFacts = {
    name: "gossip",
    label: "gossip",
    host: "",
    port: 7946,
    protocols: ["tcp", "udp"],
    isMovable: false,
    outcome: { kind: "free" },
  };
  const inUse = (by: { pid: number; program: string }[]) => ({ kind: "in use", protocol: "udp", by }) as const;
  test("free, held by somebody, by this program, by whom can't be seen", () => {
    expectFinding(judgePort(facts), "ok", "*:7946 (TCP and UDP) is free");
    expectFinding(judgePort({ ...facts, port: 0 }), "ok", /^any free port$/);
    expectFinding(
      judgePort({ ...facts, outcome: inUse([{ pid: 7, program: "nginx" }]) }),
      "fail",
      /by UDP: held by nginx \(pid 7\)$/,
    );
    expectFinding(judgePort({ ...facts, outcome: inUse([]) }), "fail", /can't be seen/);
    expectFinding(
      judgePort({ ...facts, outcome: inUse([{ pid: 7, program: "infermesh" }]) }),
      "warn",
      /infermesh \(pid 7\)$/,
    );
    expectFinding(judgePort({ ...facts, isMovable: true, outcome: inUse([]) }), "warn", /is in use/);
    expectFinding(
      judgePort({ ...facts, outcome: { kind: "refused", message: "not allowed" } }),
      "fail",
      /can't be had: not allowed$/,
    );
    expect(judgePort({ ...facts, label: "agent-gossip" }).check).toBe("port-agent-gossip");
  });
});

describe("the way to the mesh", () => {
  const answered: PeerAnswer = { kind: "answered", id: "gpu-1", members: 3, tcpMs: 1.234, udpMs: 0.5, secondsAhead: 0 };
  const at = (...answers: PeerAnswer[]): Finding[] =>
    judgePeers(
      answers.map((answer, index) => ({ address: `10.0.0.${index}:7946`, answer })),
      300_000,
    );

  test("names and the file of members", () => {
    const [good, bad] = judgeNames([
      { seed: "a:1", addresses: 2, fault: "" },
      { seed: "b:1", addresses: 0, fault: "no such name" },
    ]);
    expectFinding(good, "ok", "a:1 has 2 addresses");
    expectFinding(bad, "fail", "b:1: no such name");
    expectFinding(judgeJoinFile("f", "", 1), "ok", "f names 1 member");
    expectFinding(judgeJoinFile("f", "no such file", 0), "warn", "f: no such file");
  });

  test("members that answer", () => {
    expectFinding(at(answered)[0], "ok", "gpu-1 at 10.0.0.0:7946 of 3 members, TCP 1.2 ms, UDP 0.5 ms, the same time");
    expectFinding(at({ ...answered, secondsAhead: null })[0], "ok", /UDP 0.5 ms$/);
    expectFinding(at({ ...answered, secondsAhead: -40 })[0], "warn", /its clock is 40 s behind$/);
    expectFinding(at({ ...answered, udpMs: null })[0], "fail", /no answer by UDP$/);
    expectFinding(at({ kind: "own" })[0], "ok", /this node itself$/);
  });

  test("strangers, and nobody there, which matters less where another member answers", () => {
    expectFinding(at({ kind: "stranger" })[0], "fail", /does not answer this node$/);
    expectFinding(at({ kind: "plain" })[0], "fail", /without encryption/);
    expectFinding(at({ kind: "refused" })[0], "fail", /^nobody listens at/);
    expectFinding(at({ kind: "refused" }, answered)[0], "warn", /^nobody listens at/);
    expectFinding(at({ kind: "silent", message: "no answer" })[0], "fail", /does not answer: no answer$/);
    expectFinding(at({ kind: "stranger" }, answered)[0], "fail", /does not answer this node$/);
  });

  test("localhost", () => {
    expectFinding(judgeLocalhost(["127.0.0.1", "::1"], ""), "ok", "localhost is 127.0.0.1 and ::1");
    expectFinding(judgeLocalhost([], "ENOTFOUND"), "warn", /ENOTFOUND$/);
    expectFinding(judgeLocalhost(["10.0.0.1"], ""), "warn", "localhost is 10.0.0.1");
  });
});

describe("files", () => {
  const folder = { path: "/data", fault: "", fsyncMs: 2, freeBytes: 1024 * MEBI };
  test("the data directory: an agent does not start without, a router does", () => {
    expectFinding(judgeDataFolder(folder, "agent"), "ok", "/data: 1.0 GiB free, a write is on disk after 2.0 ms");
    expectFinding(judgeDataFolder({ ...folder, fault: "read-only" }, "agent"), "fail", /read-only$/);
    expectFinding(judgeDataFolder({ ...folder, fault: "read-only" }, "router"), "warn", /read-only$/);
    expectFinding(judgeDataFolder({ ...folder, freeBytes: MEBI }, "agent"), "warn", /1 MiB free/);
    expectFinding(judgeDataFolder({ ...folder, fsyncMs: 300 }, "agent"), "warn", /after 300.0 ms/);
  });

  test("keys", () => {
    expectFinding(judgeKey({ name: "k", found: "1 key", fault: "" }), "ok", "k: 1 key");
    expectFinding(judgeKey({ name: "k", found: "", fault: "mode 0644" }), "fail", "k: mode 0644");
    expectFinding(judgeNoKey(false), "ok", /this machine alone/);
    expectFinding(judgeNoKey(true), "warn", /not encrypted/);
  });

  test("certificates", () => {
    const nowMs = Date.UTC(2026, 5, 1);
    const valid = (fromDays: number, toDays: number) => {
      const [notBeforeMs, notAfterMs] = [nowMs + fromDays * 86_400_000, nowMs + toDays * 86_400_000];
      const [notBefore = "", notAfter = ""] = [notBeforeMs, notAfterMs].map((ms) =>
        new Date(ms).toISOString().slice(0, 10),
      );
      return {
        name: "tls.cert",
        file: "c.pem",
        fault: "",
        subject: "CN=x",
        notBeforeMs,
        notAfterMs,
        notBefore,
        notAfter,
      };
    };
    expectFinding(judgeCertificate(valid(-1, 90), nowMs), "ok", "tls.cert, c.pem (CN=x) is valid until 2026-08-30");
    expectFinding(judgeCertificate(valid(-1, 5), nowMs), "warn", /until 2026-06-06$/);
    expectFinding(judgeCertificate(valid(-9, -1), nowMs), "fail", /expired on 2026-05-31$/);
    expectFinding(judgeCertificate(valid(1, 90), nowMs), "fail", /not valid before 2026-06-02$/);
    expectFinding(judgeCertificate({ ...valid(-1, 90), fault: "tls.key: no" }, nowMs), "fail", "tls.key: no");
  });
});

describe("what serves models", () => {
  const source = { state: "ok", message: "", backend: "nvml of /usr/lib/x.so", driver: "580", library: "13", gpus: 2 };
  test("GPUs", () => {
    expectFinding(judgeGpus([source], false)[0], "ok", "2 GPUs by nvml of /usr/lib/x.so, driver 580, library 13");
    expectFinding(judgeGpus([{ ...source, message: "GPU 1 does not answer" }], false)[0], "warn", /GPU 1 does not/);
    const absent = { ...source, state: "absent", message: "no driver" };
    expectFinding(judgeGpus([absent], false)[0], "ok", "no driver");
    expectFinding(judgeGpus([absent], true)[0], "fail", "absent: no driver");
    expectFinding(judgeGpus([{ ...absent, state: "broken" }], false)[0], "warn", "broken: no driver");
    expectFinding(judgeCuda("/usr/lib/libcuda.so.1"), "ok", "/usr/lib/libcuda.so.1");
    expectFinding(judgeCuda(undefined), "warn", /at none/);
  });

  test("inference servers", () => {
    const server = { name: "big", place: "127.0.0.1:8000", kind: "vllm 0.11", fault: "" };
    expectFinding(judgeRuntimes([server], undefined)[0], "ok", "big at 127.0.0.1:8000 is vllm 0.11");
    expectFinding(judgeRuntimes([{ ...server, kind: "" }], undefined)[0], "ok", /listens$/);
    expectFinding(judgeRuntimes([{ ...server, fault: "refused" }], [8000])[0], "warn", /: refused$/);
    expectFinding(judgeRuntimes([], [8000, 8080])[0], "warn", /usual ports \(8000, 8080\)$/);
    expect(judgeRuntimes([], undefined)).toEqual([]);
  });
});

describe("all of them together", () => {
  const all = [
    ok("a", "well"),
    warn("long-name", "so-so", "it matters", "do that"),
    fail("b", "bad\u001b[2J", "it ends", "stop"),
  ];
  const plain = (text: string): string => text.replaceAll("\u001b", "?");

  test("a warning fails when it is to, a failure always does", () => {
    expect(verdictOf(all, false)).toEqual({ counts: { ok: 1, warn: 1, fail: 1 }, code: 1 });
    expect([verdictOf(all.slice(0, 2), false).code, verdictOf(all.slice(0, 2), true).code]).toEqual([0, 1]);
    expect([verdictOf([], true).code, verdictOf(all.slice(0, 1), true).code]).toEqual([0, 0]);
  });

  test("a line for each, with what is foreign made safe", () => {
    expect(report(all, plain, false)).toBe(
      "ok    a          well\nwarn  long-name  so-so; it matters; do that\nfail  b          bad?[2J; it ends; stop\n3 checks: 1 ok, 1 to look at, 1 failed\n",
    );
    expect(report(all, plain, true)).toContain("\u001b[31mfail\u001b[0m  b  ");
    expect(report([], plain, false)).toBe("0 checks: 0 ok, 0 to look at, 0 failed\n");
  });

  test("no line has a break in it", () => {
    for (const { found, why, advice } of seen) expect(`${found}${why}${advice}`).not.toContain("\n");
  });
});

test("what an API server of Kubernetes tells", () => {
  const none: readonly string[] = [];
  const facts = { source: "k8s://a", server: "https://b", objects: 2, places: 3, faults: none, fault: "", advice: "" };
  expectFinding(judgeDiscovery(facts), "ok", "k8s://a: 3 places for requests, as https://b tells");
  expectFinding(judgeDiscovery({ ...facts, objects: 0, places: 0, advice: "no labels" }), "warn", "0 places");
  const left = judgeDiscovery({ ...facts, faults: ["ns/x: it has no port http", "ns/y"] });
  expectFinding(left, "warn", /; ns\/x: it has no port http \(and 1 more\)$/);
  expectFinding(judgeDiscovery({ ...facts, fault: "forbidden" }), "fail", "k8s://a at https://b: forbidden");
  expectFinding(judgeDiscovery({ ...facts, server: "", fault: "no pod" }), "fail", /^k8s:\/\/a: no pod$/);
  expect(judgeDiscovery({ ...facts, fault: "forbidden", advice: "allow it" }).advice).toBe("allow it");
});
