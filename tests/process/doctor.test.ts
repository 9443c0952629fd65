/** `infermesh doctor` of the built executable: on a machine where all is well, and where something is not. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KubeServer } from "../kube/kube-server.ts";
import { sliceOf } from "../kube/model-api.ts";
import { selfSigned } from "../net/certificates.ts";
import { Double, HAS_COMPILER } from "../gpu/double.ts";
import { Bench, EXECUTABLE, ownEnvironment } from "./harness.ts";

interface Finding {
  readonly check: string;
  readonly grade: "ok" | "warn" | "fail";
  readonly found: string;
  readonly why: string;
  readonly advice: string;
}

interface Report {
  readonly role: string | null;
  readonly counts: Record<Finding["grade"], number>;
  readonly findings: readonly Finding[];
}

const bench = new Bench();
const folder = join(bench.dataDir, "doctor");
const FREE = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--control", "off"];
const ROUTER = ["router", "--listen", "127.0.0.1:0", "--data-dir", folder, ...FREE];
const AGENT = ["agent", "--data-dir", folder, "--gpu", "none", ...FREE];

beforeAll(() => void mkdirSync(folder, { recursive: true }));
afterAll(() => bench.end());

async function run(command: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const env = { ...ownEnvironment(), ...more };
  const child = Bun.spawn([...command], { env, stdout: "pipe", stderr: "pipe", timeout: 50_000 });
  const [said, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { said, errors, code };
}

/** As a program reads it. */
async function doctor(
  args: readonly string[],
  before: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Report & { code: number }> {
  const { said, errors, code } = await run([...before, EXECUTABLE, "doctor", ...args, "--json"], env);
  expect(errors).toBe("");
  return { ...(JSON.parse(said) as Report), code };
}

const of = ({ findings }: Report, check: string): Finding[] => findings.filter((one) => one.check === check);

const fails = (report: Report & { code: number }): [number, string[]] => [
  report.code,
  report.findings.filter(({ grade }) => grade === "fail").map(({ check }) => check),
];

function private_(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, 0o600);
  return path;
}

describe("where nothing fails", () => {
  test("a router: every check has its finding, and the exit code is 0", async () => {
    const report = await doctor(ROUTER);
    expect([report.code, report.role, report.counts.fail]).toEqual([0, "router", 0]);
    const checks = ["executable", "scorer", "kernel-files", "cpu", "memory", "nofile", "core", "memlock", "backlog"];
    const more = ["udp-buffer", "clock", "data-dir", "key", "port-listen", "port-api", "port-metrics", "port-gossip"];
    expect(report.findings.map(({ check }) => check)).toEqual([...checks, ...more, "localhost"]);
    expect(of(report, "executable")[0]?.found).toContain("linked to the system's libc, bytecode of all functions");
    expect(of(report, "port-api")[0]).toEqual({
      check: "port-api",
      grade: "ok",
      found: "any free port",
      why: "",
      advice: "",
    });
    const total = report.counts.ok + report.counts.warn + report.counts.fail;
    expect(total).toBe(report.findings.length);
    for (const { grade, found, why, advice, ...rest } of report.findings) {
      expect(Object.keys(rest)).toEqual(["check"]);
      expect(["ok", "warn", "fail"]).toContain(grade);
      expect(found).not.toBe("");
      expect([why !== "", advice !== ""]).toEqual([grade !== "ok", grade !== "ok"]);
    }
  });

  test("for people a line each; with --strict a warning is a failure", async () => {
    const { said, code } = await run([
      EXECUTABLE,
      "doctor",
      ...AGENT,
      "--runtime",
      "vllm=http://127.0.0.1:1",
      "--strict",
    ]);
    const lines = said.trimEnd().split("\n");
    expect(lines.at(-1)).toMatch(/^\d+ checks: \d+ ok, [1-9]\d* to look at, 0 failed$/);
    for (const line of lines.slice(0, -1)) expect(line).toMatch(/^(ok {2}|warn|fail) {2}[a-z-]+ +\S/);
    expect(said).toMatch(
      /^warn {2}runtime +vllm at 127\.0\.0\.1:1: .*; it serves no requests until then; .*; start it/m,
    );
    expect(code).toBe(1);
  });

  test("the machine alone: the ports of both roles", async () => {
    const report = await doctor(["--data-dir", folder, "--gpu", "none"]);
    expect(report.role).toBeNull();
    const ports = report.findings.map(({ check }) => check).filter((check) => check.startsWith("port-"));
    expect(ports).toContain("port-agent-metrics");
    expect(ports).toContain("port-router-listen");
  });

  test("a member of the mesh is asked, by TCP and UDP", async () => {
    const agent = await bench.agent("probed", null);
    const report = await doctor([...ROUTER, "--join", String(agent.ready["gossip"])]);
    expect(of(report, "peer")).toEqual([
      expect.objectContaining({
        grade: "ok",
        found: expect.stringMatching(/^probed at 127\.0\.0\.1:\d+ of 1 member, TCP .* ms, UDP .* ms$/),
      }),
    ]);
    expect(report.code).toBe(0);
    const key = private_("stranger.key", `${randomBytes(32).toString("base64")}\n`);
    const stranger = await doctor([...ROUTER, "--join", String(agent.ready["gossip"]), "--gossip-key-file", key]);
    expect(of(stranger, "peer")[0]?.found).toContain("answers without encryption alone");
    expect([of(stranger, "key")[0]?.grade, stranger.code]).toEqual(["ok", 1]);
    expect(await agent.stop()).toBe(0);
  });
});

describe("where something fails, it is named, and the exit code is 1", () => {
  test("a port that is taken: by whom", async () => {
    const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const report = await doctor([...ROUTER, "--metrics", `127.0.0.1:${taken.port}`]);
    taken.stop(true);
    expect(fails(report)).toEqual([1, ["port-metrics"]]);
    expect(of(report, "port-metrics")[0]?.found).toMatch(
      new RegExp(`is in use: held by \\S+ \\(pid ${process.pid}\\)$`),
    );
    const udp = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0 });
    const gossip = await doctor([...ROUTER, "--gossip", `127.0.0.1:${udp.port}`]);
    udp.close();
    expect(fails(gossip)).toEqual([1, ["port-gossip"]]);
    expect(of(gossip, "port-gossip")[0]?.found).toContain("is in use by UDP");
  });

  test("an address that this machine does not have", async () => {
    const report = await doctor([...ROUTER, "--api", "192.0.2.1:50052"]);
    expect(fails(report)).toEqual([1, ["port-api"]]);
    expect(of(report, "port-api")[0]?.found).toContain("this machine has no such address");
  });

  test("a key file that others may read, and one that is not there", async () => {
    const open = private_("open.key", `${randomBytes(32).toString("base64")}\n`);
    chmodSync(open, 0o644);
    const report = await doctor([...ROUTER, "--gossip-key-file", open]);
    expect(fails(report)).toEqual([1, ["key"]]);
    expect(of(report, "key")[0]?.found).toContain("chmod 600");
    expect(fails(await doctor([...ROUTER, "--gossip-key-file", join(folder, "nowhere.key")]))).toEqual([1, ["key"]]);
  });

  test("a certificate that ends soon, and one with another's key", async () => {
    const [one, other] = [selfSigned("one.test"), selfSigned("two.test")];
    const cert = private_("one.pem", one.cert);
    const key = private_("one.key", one.key);
    const soon = await doctor([...ROUTER, "--tls-cert", cert, "--tls-key", key]);
    expect(soon.code).toBe(0);
    expect(of(soon, "certificate")).toEqual([
      expect.objectContaining({
        grade: "warn",
        found: expect.stringMatching(/^tls\.cert, .*one\.pem \(CN=test\) is valid until 20/),
      }),
    ]);
    const wrong = await doctor([...ROUTER, "--tls-cert", cert, "--tls-key", private_("two.key", other.key)]);
    expect(fails(wrong)).toEqual([1, ["certificate"]]);
    expect(of(wrong, "certificate")[0]?.found).toContain("not the key of the certificate");
  });

  test("a name that nobody knows, a member that is not there, and one that never answers", async () => {
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const seeds = ["no-such-host.invalid:7946", "127.0.0.1:1", `127.0.0.1:${silent.port}`];
    const report = await doctor([...ROUTER, ...seeds.flatMap((seed) => ["--join", seed])]);
    silent.stop(true);
    expect(fails(report)).toEqual([1, ["dns", "peer", "peer"]]);
    expect(of(report, "dns")[0]?.found).toMatch(/^no-such-host\.invalid:7946: (no such name|DNS )/);
    expect(of(report, "peer").map(({ found }) => found)).toEqual([
      "nobody listens at 127.0.0.1:1",
      expect.stringContaining("does not answer: no answer within"),
    ]);
  });

  test("few open files", async () => {
    const report = await doctor(ROUTER, ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"]);
    expect(fails(report)).toEqual([1, ["nofile"]]);
    expect(of(report, "nofile")[0]).toMatchObject({
      found: "200 open files allowed",
      advice: expect.stringContaining("LimitNOFILE="),
    });
  });

  test("a data directory that is not there yet is not left behind", async () => {
    const kept = join(folder, "kept");
    mkdirSync(kept);
    const report = await doctor([...AGENT, "--data-dir", join(kept, "made/anew")]);
    const { grade = "", found = "" } = of(report, "data-dir")[0] ?? {};
    const [, ms] = / free, a write is on disk after ([\d.]+) ms$/.exec(found)!;
    // How long that takes is the disk's, which may be busy: of more than 100 ms it warns.
    expect([report.code, grade]).toEqual([0, Number(ms) > 100 ? "warn" : "ok"]);
    expect(readdirSync(kept)).toEqual([]);
  });

  test("a data directory that can't be made: an agent's alone", async () => {
    const below = join(private_("file", ""), "below");
    expect(fails(await doctor([...AGENT, "--data-dir", below]))).toEqual([1, ["data-dir"]]);
    const router = await doctor([...ROUTER, "--data-dir", below]);
    expect([router.code, of(router, "data-dir")[0]?.grade]).toEqual([0, "warn"]);
  });

  test("a GPU library that is named and not there", async () => {
    const report = await doctor([...AGENT, "--gpu", "nvml", "--gpu-nvml-library", "/nowhere/libnvidia-ml.so.1"]);
    expect(fails(report)).toEqual([1, ["gpu"]]);
  });
});

test.concurrent("files of keys that can't be reached in time hold up nothing else", async () => {
  const pipe = join(folder, "pipe");
  expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
  const cert = private_("reached.pem", selfSigned("one.test").cert);
  const args = ["--tls-cert", cert, "--tls-key", pipe, "--upstream-auth", `bearer:file:${pipe}`, "--limit", "5s"];
  const report = await doctor([...ROUTER, ...args]);
  expect(fails(report)).toEqual([1, ["key", "certificate"]]);
  expect([...of(report, "key"), ...of(report, "certificate")].map(({ found }) => found)).toEqual(
    Array.from({ length: 2 }, () => "no result within 5 s"),
  );
});

test.concurrent("the API server of Kubernetes is asked as the router would ask it", async () => {
  const server = await new KubeServer().open();
  const found = async (source: string, env = server.env) => {
    const account = ["--discover-service-account", server.serviceAccount];
    const { code, ...report } = await doctor([...ROUTER, "--discover", source, ...account], [], env);
    const [finding] = of(report, "discovery");
    expect(JSON.stringify(report)).not.toContain(server.token);
    return { code, ...finding };
  };
  try {
    server.put("endpointslices", sliceOf("s", [{ pod: "a", address: "10.0.0.1" }]));
    const where = `as https://127.0.0.1:${server.port} tells`;
    const source = "k8s://default?selector=app=vllm";
    expect(await found(source)).toMatchObject({ grade: "ok", found: `${source}: 1 places for requests, ${where}` });
    expect(await found("k8s://default?pods=app=none")).toMatchObject({
      grade: "warn",
      advice: "no pod has the labels app=none yet",
    });
    // Who may list and not watch hears of no change.
    server.faults.set("endpointslices watch", { status: 403, message: "may not be watched" });
    expect(await found(source)).toMatchObject({
      code: 1,
      grade: "fail",
      found: expect.stringContaining("may not be watched"),
      advice: expect.stringContaining("allow the service account to list and watch endpointslices"),
    });
    server.delayMs = 10_000;
    expect(await found(source)).toMatchObject({ grade: "fail", found: expect.stringContaining("no answer within") });
    expect(await found(source, { KUBERNETES_SERVICE_HOST: "" })).toMatchObject({
      grade: "fail",
      found: expect.stringContaining("this is no pod of Kubernetes"),
    });
  } finally {
    await server.stop();
  }
});

test.skipIf(!HAS_COMPILER).concurrent("GPUs are read as an agent reads them", async () => {
  const root = join(folder, "root");
  mkdirSync(join(root, "proc/driver/nvidia"), { recursive: true });
  writeFileSync(join(root, "proc/driver/nvidia/version"), "NVRM version: a double\n");
  const double = new Double();
  double.play("h100");
  const gpu = ["--gpu", "nvml", "--gpu-nvml-library", double.path, "--gpu-root", root];
  const report = await doctor(["agent", "--data-dir", folder, ...FREE, ...gpu, "--limit", "30s"]);
  const [read, cuda] = [...of(report, "gpu"), ...of(report, "libcuda")];
  expect(read?.found).toMatch(new RegExp(`^[1-9]\\d* GPUs? by nvml of ${double.path}, driver `));
  expect(["ok", "warn"]).toContain(cuda?.grade ?? "");
  expect(report.code).toBe(0);
});

test.concurrent("what the roles would refuse is refused", async () => {
  const wrong = await run([EXECUTABLE, "doctor", "router", "--workers", "many"]);
  expect([wrong.code, wrong.said]).toEqual([2, ""]);
  expect(wrong.errors).toContain("workers");
  const command = await run([EXECUTABLE, "doctor", "rooter"]);
  expect([command.code, command.errors]).toEqual([2, expect.stringContaining("router")]);
  const help = await run([EXECUTABLE, "doctor", "--help"]);
  expect([help.code, help.errors]).toEqual([0, ""]);
  for (const word of ["--json", "--strict", "--limit", "Exit codes"]) expect(help.said).toContain(word);
});
