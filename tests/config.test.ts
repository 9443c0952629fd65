import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { formatFault } from "../src/base/field.ts";
import { parseFlags } from "../src/base/flags.ts";
import { sampleFile } from "../src/base/sample-file.ts";
import { defaultsOf, parseSection, settingsOf } from "../src/base/settings-reading.ts";
import type { Section } from "../src/base/settings.ts";
import { agentSettings, devSettings, resolveAgent, resolveRouter, routerSettings } from "../src/config.ts";
import { variables } from "../src/variables.ts";
import { hostId } from "../src/mesh/host.ts";
import { faultReport, loadConfig, openConfig } from "../src/ctl/load-config.ts";
import { SWIM_PROFILES, swimSettings } from "../src/swim/settings.ts";

interface Given {
  readonly file?: string;
  readonly name?: string;
  readonly env?: Record<string, string>;
  readonly flags?: string[];
}

function load<S extends Section>(settings: S, { file, name = "role.yaml", env = {}, flags = [] }: Given) {
  const line = parseFlags(flags, settingsOf(settings));
  const sources = { env, flags: line.values, faults: line.faults, variables: variables() };
  const parsed = loadConfig(settings, file === undefined ? sources : { ...sources, file: { name, text: file } });
  return { value: parsed.value, faults: (parsed.faults ?? []).map(formatFault) };
}

describe("a config", () => {
  test("comes from file, environment and flags, the later winning", () => {
    const file = "workers: 1\nmaxBody: 1MiB\nfleet:\n  pollInterval: 1s\n  pollTimeout: 1s\n";
    const env = { INFERMESH_MAX_BODY: "2MiB", INFERMESH_FLEET_POLL_INTERVAL: "2s" };
    const { value } = load(routerSettings, { file, env, flags: ["--fleet-poll-interval", "3s"] });
    expect(value).toMatchObject({
      workers: 1,
      maxBodyBytes: 2 * 2 ** 20,
      fleet: { pollIntervalMs: 3000, pollTimeoutMs: 1000, unhealthyAfter: 3 },
    });
    expect(Object.isFrozen(value)).toBe(true);
  });

  test("may come from JSON", () => {
    expect(
      load(routerSettings, { name: "r.json", file: '{"fleet": {"removeAfter": 20}}' }).value?.fleet.removeAfter,
    ).toBe(20);
    expect(load(routerSettings, { name: "r.conf", file: '\n {"workers": 3}' }).value?.workers).toBe(3);
  });

  test("of an empty file, or of comments alone, has the defaults", () => {
    for (const file of ["", "# nothing\n", "fleet:\n  # pollInterval: 1s\n"]) {
      expect(load(routerSettings, { file }).value).toEqual(defaultsOf(routerSettings));
    }
    expect(load(routerSettings, { file: "", name: "r.json" }).value).toEqual(defaultsOf(routerSettings));
  });

  test("has every flag that the issue names", () => {
    const flags = (settings: Section) => settingsOf(settings).map(({ flag }) => flag);
    expect(flags(agentSettings)).toEqual(
      expect.arrayContaining(
        "id role zone label serve api metrics gossip join join-file register advertise data-dir mock mock-profile mock-speed mock-seed mock-models mock-gpus drain-timeout log-format log-level".split(
          " ",
        ),
      ),
    );
    expect(flags(routerSettings)).toEqual(
      expect.arrayContaining(
        "listen api metrics gossip join join-file upstream workers max-body allow-register drain-timeout fleet-poll-interval log-format".split(
          " ",
        ),
      ),
    );
    expect(flags(devSettings)).toEqual(
      expect.arrayContaining("nodes listen traffic mock-profile mock-speed log-level".split(" ")),
    );
  });

  test("has the defaults that others rely on", () => {
    expect(defaultsOf(agentSettings)).toMatchObject({
      serve: { host: "127.0.0.1", port: 8000 },
      api: { host: "127.0.0.1", port: 50051 },
      metrics: { host: "", port: 9090 },
      gossip: { host: "", port: 7946 },
    });
    expect(defaultsOf(routerSettings)).toMatchObject({
      listen: { host: "", port: 8080 },
      api: { host: "127.0.0.1", port: 50052 },
      metrics: { host: "", port: 9091 },
      gossip: { host: "", port: 7947 },
      maxBodyBytes: 32 * 2 ** 20,
      drainTimeoutMs: 30_000,
      fleet: { pollIntervalMs: 5000, pollTimeoutMs: 2000, unhealthyAfter: 3, removeAfter: 10 },
    });
  });

  test("has no two settings of one name", () => {
    for (const settings of [agentSettings, routerSettings, devSettings]) {
      for (const key of ["flag", "variable", "path"] as const) {
        const names = settingsOf(settings).map((setting) => setting[key]);
        expect(names).toEqual([...new Set(names)]);
      }
    }
  });
});

describe("faults", () => {
  test("of all sources come in one report, with where they stand", () => {
    const { faults } = load(routerSettings, {
      file: "listen: 8080\nfleet:\n  pollIntervall: 5s\n\n  pollTimeout: soon\n",
      env: { INFERMESH_LISTN: "x", INFERMESH_WORKERS: "many" },
      flags: ["--worker", "2", "--drain-timeout", "never"],
    });
    expect(faults).toEqual([
      '--worker: found "--worker"; no such flag; did you mean --workers?',
      "listen: found 8080 (role.yaml, line 1); expected an address such as 127.0.0.1:8080, :8080 or [::1]:8080",
      'fleet.pollIntervall: found "5s" (role.yaml, line 3); no such key; did you mean pollInterval?',
      'fleet.pollTimeout: found "soon" (role.yaml, line 5); expected a duration from 10ms to 1m',
      'workers: found "many" (environment INFERMESH_WORKERS); expected a whole number from 0 to 256',
      "INFERMESH_LISTN: found (hidden) (environment); no such variable; did you mean INFERMESH_LISTEN?",
      'drainTimeout: found "never" (flag --drain-timeout); expected a duration from 0s to 1d',
    ]);
    expect(faultReport("infermesh router", [])).toBe("infermesh router: 0 faults\n");
  });

  test.each([
    ["r.yaml", "listen: :1\nfleet: {\nworkers: 1\n", '(file): found "fleet: {" (r.yaml, line 2)'],
    ["r.yaml", "listen: :1\n\tworkers: 1\n", "line 2)"],
    ["r.json", '{\n "listen": ":1",\n "workers" 2\n}', '(file): found "\\"workers\\" 2" (r.json, line 3)'],
    ["r.json", '{\n "listen": ":1",\n}', '(file): found "}" (r.json, line 3)'],
    ["r.json", "listen: 1", '(file): found "listen: 1" (r.json, line 1)'],
    ["r.yaml", "- 1\n- 2\n", "(top level): found [1,2]"],
    ["r.yaml", "workers: 1\nworkers: 2\n", "workers: found the key a second time (r.yaml, line 2); expected it once"],
  ])("of a broken file name the line: %s %j", (name, file, expected) => {
    expect(load(routerSettings, { name, file }).faults[0]).toContain(expected);
  });

  test("between settings are found", () => {
    expect(load(routerSettings, { flags: ["--fleet-remove-after", "2"] }).faults).toEqual([
      "fleet.removeAfter: found 2 (flag --fleet-remove-after); expected at least fleet.unhealthyAfter, which is 3",
    ]);
  });

  test("of the membership's figures are found with the profile's among them", () => {
    const swim = (...flags: string[]) => load(agentSettings, { flags }).faults;
    expect(swim("--swim-probe-interval", "400ms")).toEqual([
      'swim.probeTimeout: found "500ms"; expected less than swim.probeInterval, which is 400ms (profile lan)',
    ]);
    expect(swim("--swim-profile", "wan", "--swim-probe-interval", "2s")).toEqual([
      'swim.probeTimeout: found "3s"; expected less than swim.probeInterval, which is 2s (profile wan)',
    ]);
    expect(swim("--swim-profile", "wan", "--swim-gossip-interval", "6s", "--swim-gossip-to-the-dead", "1h")).toEqual([
      'swim.gossipInterval: found "6s" (flag --swim-gossip-interval); expected at most swim.probeInterval, which is 5s (profile wan)',
    ]);
    expect(swim("--swim-gossip-to-the-dead", "1h", "--swim-forget-after", "1m")).toEqual([
      'swim.gossipToTheDead: found "1h" (flag --swim-gossip-to-the-dead); expected at most swim.forgetAfter, which is 1m (profile lan)',
    ]);
    expect(swim("--swim-profile", "moon")).toEqual([
      'swim.profile: found "moon" (flag --swim-profile); expected one of lan, wan, local',
    ]);
  });

  test("are not made of other roles' variables, of empty ones, or of what Kubernetes sets", () => {
    const env = {
      INFERMESH_NODES: "3",
      INFERMESH_ENDPOINT: "x",
      INFERMESH_WORKERS: "",
      INFERMESH_CONFIG: "x",
      INFERMESH_SERVICE_HOST: "10.0.0.1",
      INFERMESH_ROUTER_SERVICE_PORT_HTTP: "80",
      INFERMESH_PORT: "tcp://10.0.0.1:80",
      INFERMESH_ROUTER_PORT_80_TCP_ADDR: "10.0.0.1",
      OTHER: "x",
    };
    expect(load(routerSettings, { env }).value).toEqual(defaultsOf(routerSettings));
  });
});

describe("upstreams", () => {
  const read = (...flags: string[]) => load(routerSettings, { flags: flags.map((flag) => `--upstream=${flag}`) });

  test("are a model, a URL and a weight", () => {
    expect(read("a/b=http://h:8000", "m=x=http://[::1]:1,0.5", "m=http://h").value?.upstreams).toEqual([
      { model: "a/b", host: "h", port: 8000, tls: false, protocol: "http", weight: 1 },
      { model: "m=x", host: "::1", port: 1, tls: false, protocol: "http", weight: 0.5 },
      { model: "m", host: "h", port: 80, tls: false, protocol: "http", weight: 1 },
    ]);
    expect(read("m=grpc://h:8001", "m=grpc://[::1]:1,3").value?.upstreams).toEqual([
      { model: "m", host: "h", port: 8001, tls: false, protocol: "grpc", weight: 1 },
      { model: "m", host: "::1", port: 1, tls: false, protocol: "grpc", weight: 3 },
    ]);
    expect(read("m=https://h", "m=grpcs://h:8001", "m=unix:/run/llm.sock,2").value?.upstreams).toEqual([
      { model: "m", host: "h", port: 443, tls: true, protocol: "http", weight: 1 },
      { model: "m", host: "h", port: 8001, tls: true, protocol: "grpc", weight: 1 },
      { model: "m", host: "/run/llm.sock", port: 0, tls: false, protocol: "http", weight: 2 },
    ]);
    expect(
      load(routerSettings, { env: { INFERMESH_UPSTREAM: "a=http://h:1,2 b=http://h:2" } }).value?.upstreams,
    ).toHaveLength(2);
    const roles = read("m=http://h:1,role=vllm.prefill", "m=http://h:2,2,role=sglang.prefill.9000").value?.upstreams;
    expect(roles?.map(({ weight, role }) => [weight, role])).toEqual([
      [1, "vllm.prefill"],
      [2, "sglang.prefill.9000"],
    ]);
  });

  test.each([
    "http://h:1",
    "=http://h:1",
    "m=grpc://h",
    "m=grpc://h:1/path",
    "m=h:1",
    "m=http://h:1/v1",
    "m=http://u:p@h",
    "m=grpcs://h",
    "m=ftp://h:1",
    "m=unix:relative",
    "m=unix:/a,b",
    `m=unix:/${"x".repeat(107)}`,
    "m=http://h:1,0",
    "m=http://h:1,x",
    "m=http://h:1,1.2.3",
    "m=http://h:99999",
    "m=http://h:1,1001",
    "m=http://h:1,role=prefill",
    "m=http://h:1,role=vllm.decode.1",
    "m=grpc://h:1,role=vllm.decode",
    "m=unix:/a,role=sglang.prefill",
  ])("are not %s", (flag) => {
    expect(read(flag).faults).toHaveLength(1);
  });
});

describe("what the machine decides", () => {
  const agent = (flags: string[]) =>
    resolveAgent(
      load(agentSettings, { flags: ["--data-dir=/tmp/x", ...flags] }).value as ReturnType<
        typeof defaultsOf<typeof agentSettings>
      >,
    );

  test("an agent without --join and --register announces itself to the router of this machine", () => {
    expect(agent([]).register).toEqual(["http://127.0.0.1:50052"]);
    expect(agent(["--join", "a:1"]).register).toEqual([]);
    expect(agent(["--join-file", "/etc/seeds"]).register).toEqual([]);
    expect(agent(["--register", "none"]).register).toEqual([]);
    expect(agent(["--register", "http://a:1/,http://b"]).register).toEqual(["http://a:1", "http://b"]);
  });

  test("an agent is called as its host, and its mock is what the profile says", () => {
    expect(agent([]).id).toBe(hostId());
    expect(agent(["--mock-profile", "h100-70b"]).mock.gpus).toBeGreaterThan(1);
    expect(agent([]).mock.models).toHaveLength(1);
    expect(agent(["--mock-models", "a,b", "--mock-gpus", "3"]).mock).toMatchObject({ models: ["a", "b"], gpus: 3 });
  });

  test("a router has a worker for each core", () => {
    expect(resolveRouter(defaultsOf(routerSettings)).workers).toBe(availableParallelism());
  });
});

describe("seeds", () => {
  test.each([agentSettings, routerSettings])("come from flags, the environment and files alike", (settings) => {
    const joined = (given: Given) => load(settings as Section, given).value;
    const both = { join: ["a:7946", "[::1]:7946", "srv:_gossip._tcp.b"] };
    expect(joined({ flags: ["--join", "a,[::1]", "--join=_gossip._tcp.b"] })).toMatchObject(both);
    expect(joined({ env: { INFERMESH_JOIN: "a:7946, [::1],srv:_gossip._tcp.b" } })).toMatchObject(both);
    expect(joined({ file: 'join: [a, "[::1]:7946", srv:_gossip._tcp.b]\n' })).toMatchObject(both);
    expect(
      joined({ env: { INFERMESH_JOIN: "a", INFERMESH_JOIN_FILE: "/seeds" }, flags: ["--join", "b:1"] }),
    ).toMatchObject({ join: ["b:1"], joinFile: "/seeds" });
  });

  test("that are none are named, with what is likely wrong", () => {
    const expected = "expected a member such as gpu-1:7946, 10.0.0.5, [::1]:7946 or srv:_gossip._tcp.NAME";
    expect(load(agentSettings, { flags: ["--join", "a:1,http://b,::1"], file: "join: [7946]\n" }).faults).toEqual([
      `join[0]: found 7946 (role.yaml, line 1); ${expected}`,
      `join: found "http://b" (flag --join); ${expected}; leave the scheme out: it is no URL`,
      `join: found "::1" (flag --join); ${expected}; put brackets around an IPv6 address`,
    ]);
  });
});

describe("the membership's profile", () => {
  test.each([agentSettings, routerSettings])("changes the defaults; what is given in any place wins", (settings) => {
    const { value: lan } = load(settings as Section, {});
    expect(lan).toMatchObject({ swim: { profile: "lan", probeIntervalMs: 1000, probeTimeoutMs: 500, gossipNodes: 3 } });
    const wan = { profile: "wan", probeIntervalMs: 5000, probeTimeoutMs: 3000, gossipNodes: 4 };
    const env = { INFERMESH_SWIM_PROFILE: "wan" };
    expect(load(settings as Section, { env }).value).toMatchObject({ swim: wan });
    expect(
      load(settings as Section, {
        file: "swim:\n  gossipNodes: 3\n",
        env: { ...env, INFERMESH_SWIM_PROBE_TIMEOUT: "1s" },
        flags: ["--swim-probe-interval=2s"],
      }).value,
    ).toMatchObject({
      swim: { ...wan, gossipNodes: 3, probeTimeoutMs: 1000, probeIntervalMs: 2000, suspicionMult: 1 },
    });
    expect(load(settings as Section, { env, flags: ["--swim-profile", "local"] }).value).toMatchObject({
      swim: { profile: "local", probeIntervalMs: 1000, probeTimeoutMs: 200, indirectChecks: 1 },
    });
  });

  test("is one of figures that are right by themselves and together", () => {
    const ranges = new Map(settingsOf(swimSettings).map((setting) => [setting.keys[0], setting]));
    for (const [profile, figures] of Object.entries(SWIM_PROFILES)) {
      const written = Object.entries(figures).map(([key, value]) => {
        const setting = ranges.get(key);
        return [setting?.path, setting?.field.write(value)];
      });
      const given = parseSection(swimSettings, { profile, ...Object.fromEntries(written) });
      expect(given.faults).toBeUndefined();
      expect(given.value).toEqual(parseSection(swimSettings, { profile }).value);
      expect(given.value).toMatchObject(figures);
    }
  });
});

describe("the sample file", () => {
  test.each([
    ["agent", agentSettings],
    ["router", routerSettings],
    ["dev", devSettings],
  ] as const)("of %s reads back as the defaults, without a fault", (_role, settings) => {
    const file = sampleFile(settings, "A title.\nIn two lines.");
    const { value, faults } = load(settings as Section, { file });
    expect(faults).toEqual([]);
    expect(value).toEqual(defaultsOf(settings as Section));
    expect(file).toContain("# A title.\n# In two lines.\n");
  });

  test("tells of every key what it is for, what it takes and what else sets it", () => {
    const file = sampleFile(routerSettings, "Title.");
    expect(file).toContain(`
  # Time between two polls of one target. Shorter finds trouble sooner and costs each node one small
  # request a poll. A node whose states stream here is polled six times as seldom.
  # A duration from 50ms to 10m; default 5s.
  # Flag --fleet-poll-interval, environment INFERMESH_FLEET_POLL_INTERVAL.
  pollInterval: 5s
`);
    for (const { flag } of settingsOf(routerSettings)) expect(file).toContain(`Flag --${flag},`);
    for (const line of file.split("\n")) expect(line.length).toBeLessThanOrEqual(110);
  });
});

describe("the file itself", () => {
  const directory = mkdtempSync(join(tmpdir(), "infermesh-config-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("must exist, be a file, and not be huge", () => {
    writeFileSync(join(directory, "a.yaml"), "workers: 1\n");
    writeFileSync(join(directory, "big.yaml"), "#".repeat(5 * 2 ** 20));
    expect(openConfig(join(directory, "a.yaml"))).toEqual({ name: "a.yaml", text: "workers: 1\n" });
    expect(openConfig(join(directory, "none.yaml"))).toMatchObject({ expected: "a file that exists" });
    expect(openConfig(directory)).toMatchObject({ expected: "a file, not a directory" });
    expect(openConfig(join(directory, "big.yaml"))).toMatchObject({ expected: "a file of at most 4 MiB" });
  });
});
