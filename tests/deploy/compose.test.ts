/**
 * docker-compose.yaml: checked, and run. Its services of infermesh run in containers of the image that it builds, its
 * Prometheus is Debian's with the configuration that it mounts, all in a network of their own.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXECUTABLE, until } from "../process/harness.ts";
import { checker, run } from "./checkers.ts";
import {
  addMountPoints,
  buildImage,
  CHECKOUT,
  containerEnv,
  containerFault,
  type Image,
  inContainer,
  makeVolume,
} from "./image.ts";
import { MeshNetwork } from "./mesh-network.ts";

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
  readonly stop_grace_period?: string;
}

const FOLDER = join(CHECKOUT, "deploy/containers");
const FILE = join(FOLDER, "docker-compose.yaml");
const text = readFileSync(FILE, "utf8");
const compose = Bun.YAML.parse(text) as { services: Record<string, Service>; volumes: Record<string, unknown> };
const ours = Object.entries(compose.services).filter(([, { build }]) => build !== undefined);
const folder = mkdtempSync(join(tmpdir(), "infermesh-compose-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [composeCheck, dclint, prometheus] = ["compose-check", "dclint", "prometheus"].map(checker);
/** Many processes start, on a machine that may be busy. */
const PATIENCE_MS = 30_000;
const executable = join(CHECKOUT, `dist/infermesh-linux-${process.arch}`);
const fault = (existsSync(executable) ? "" : `${executable} is missing: run npm run build:static`) || containerFault();
if (fault !== "") console.log(`left out: ${fault}`);

/** A variation of the file beside the others that it names. */
function written(changed: string): string {
  const path = join(folder, "docker-compose.yaml");
  writeFileSync(path, changed);
  return path;
}

describe("docker-compose.yaml", () => {
  test.skipIf(typeof composeCheck !== "string")("is one by the specification's own reader", () => {
    const check = (path: string) => run([composeCheck ?? "", path]);
    expect(check(FILE)).toMatchObject({ code: 0, err: "" });
    expect(check(written(text.replace("stop_grace_period", "stop_grace")))).toMatchObject({ code: 1 });
    expect(check(written(text.replace("services:", "servics:")))).toMatchObject({ code: 1 });
  });

  test.skipIf(typeof dclint !== "string")("has no error that dclint finds", () => {
    // Its warnings are about the order of keys.
    expect(run([dclint ?? "", FILE])).toMatchObject({ code: 0, out: expect.stringContaining("0 errors") });
    const worse = text.replace('"127.0.0.1:3000:3000"', '"127.0.0.1:8080:3000"');
    expect(run([dclint ?? "", written(worse)])).toMatchObject({ code: 1, out: expect.stringContaining("8080") });
  });

  test("has three mock agents, a router, Prometheus and Grafana", () => {
    const mocks = ours.filter(([, { command = [] }]) => command[0] === "agent" && command.includes("--mock"));
    expect(mocks.length).toBe(3);
    expect(ours.filter(([, { command = [] }]) => command[0] === "router").length).toBe(1);
    expect(Object.values(compose.services).map(({ image }) => image.split(":")[0])).toEqual(
      expect.arrayContaining(["prom/prometheus", "grafana/grafana"]),
    );
  });

  test("mounts files that are there, and volumes that it names", () => {
    const mounts = Object.values(compose.services).flatMap(({ volumes = [] }) =>
      volumes.map((one) => one.split(":")[0] ?? ""),
    );
    const isFile = (source: string): boolean => source.startsWith(".");
    expect(mounts.filter(isFile).filter((source) => !existsSync(join(FOLDER, source)))).toEqual([]);
    expect(mounts.filter((source) => !isFile(source)).toSorted()).toEqual(Object.keys(compose.volumes).toSorted());
    for (const [, { build }] of ours)
      expect(existsSync(join(FOLDER, build?.context ?? "", build?.dockerfile ?? ""))).toBe(true);
  });

  test.each(ours)("gives %s flags that are known", (_name, { command = [] }) => {
    const [role = "", ...flags] = command;
    expect(run([EXECUTABLE, role, "validate", ...flags])).toEqual({ code: 0, out: "valid\n", err: "" });
  });

  test("opens ports to this machine alone, and gives time to drain", () => {
    for (const { ports = [] } of Object.values(compose.services))
      for (const port of ports) expect(port).toStartWith("127.0.0.1:");
    for (const [, service] of ours)
      expect([service.stop_grace_period, service.read_only, service.tmpfs]).toEqual(["40s", true, ["/tmp"]]);
  });
});

describe.skipIf(fault !== "")("its services", () => {
  let image: Image;
  let network: MeshNetwork;
  const logOf = (name: string): string => join(folder, `${name}.log`);

  beforeAll(async () => {
    image = buildImage({ dockerfile: readFileSync(join(FOLDER, "Dockerfile"), "utf8"), folder: join(folder, "image") });
    network = await MeshNetwork.make(Object.keys(compose.services), folder);
    addMountPoints(image, readFileSync(network.hosts, "utf8"));
    for (const [name, { command = [] }] of ours) {
      const volume = makeVolume(image, "/data", join(folder, "volumes", name));
      const inside = inContainer(image, volume, [...image.config.entrypoint, ...command]);
      network.start(name, inside, containerEnv(image), logOf(name));
    }
  });
  afterAll(async () => {
    await network.end();
  });

  const ctl = (...args: string[]) =>
    run(network.at("router", [executable, "ctl", ...args]), {
      env: { PATH: "/usr/bin:/bin", XDG_STATE_HOME: folder, HOME: folder },
    });

  test("are a mesh: three healthy nodes, which keep the policies together", async () => {
    await until(() => Promise.resolve((ctl("list-nodes").out.match(/ healthy /g) ?? []).length === 3), PATIENCE_MS);
    await until(() => {
      const { out } = ctl("control", "status", "-o", "json");
      const { members = [] } = JSON.parse(out || "{}") as { members?: { role: string }[] };
      return Promise.resolve(members.filter(({ role }) => role === "leader" || role === "follower").length === 3);
    }, PATIENCE_MS);
    expect(ctl("policy", "set", "node", "gpu-3", "cordoned=true")).toMatchObject({ code: 0 });
    expect(ctl("policy", "delete", "node", "gpu-3")).toMatchObject({ code: 0 });
  });

  test("answer a request at the published port", async () => {
    const published = compose.services["router"]?.ports?.[0]?.split(":").at(-1) ?? "";
    const url = `http://${network.address("router")}:${published}/v1/chat/completions`;
    const [model = ""] = ctl("list-models", "-o", "text").out.split("\t");
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], max_tokens: 3 });
    const answer = network.ask(url, { method: "POST", body });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ model, usage: { completion_tokens: 3 } });
  });

  test("can't be told anything from outside their containers", () => {
    for (const [name] of ours) {
      for (const port of [50_051, 50_052])
        expect(network.ask(`http://${network.address(name)}:${port}/health`).status).toBe(0);
    }
  });

  describe.skipIf(typeof prometheus !== "string")("as Prometheus sees them", () => {
    const query = (expression: string): { metric: Record<string, string>; value: [number, string] }[] => {
      const { status, body } = network.ask(
        `http://${network.address("prometheus")}:9090/api/v1/query?query=${encodeURIComponent(expression)}`,
      );
      // It answers 503 before it has read its files.
      const { data } = JSON.parse(status === 200 ? body : "{}") as {
        data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
      };
      return data?.result ?? [];
    };

    beforeAll(() => {
      const { command = [], volumes = [] } = compose.services["prometheus"] ?? { image: "" };
      // What the file mounts at a place of the image lies in a folder here.
      const etc = join(folder, "etc");
      mkdirSync(etc, { recursive: true });
      for (const volume of volumes) {
        const [source = "", target = ""] = volume.split(":");
        if (source.startsWith("."))
          writeFileSync(join(etc, target.replace("/etc/prometheus/", "")), readFileSync(join(FOLDER, source)));
      }
      const flags = command.map((flag) =>
        flag.replace("/etc/prometheus", etc).replace("=/prometheus", `=${join(folder, "tsdb")}`),
      );
      const withNames = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', network.hosts];
      network.start(
        "prometheus",
        [...withNames, prometheus ?? "", ...flags],
        { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
        logOf("prometheus"),
      );
    });

    test("all of them are up", async () => {
      await until(() => Promise.resolve(query("up == 1").length === ours.length), PATIENCE_MS);
      expect(
        query("up")
          .map(({ metric }) => metric["instance"]?.split(":")[0] ?? "")
          .toSorted(),
      ).toEqual(ours.map(([name]) => name).toSorted());
    });

    test("every panel's query that tells of the present has an answer, and no alert of something amiss is raised", async () => {
      const gauges = [
        'max(infermesh_mesh_members{status="alive"})',
        "max(infermesh_control_leader_known)",
        'max(infermesh_router_targets{state="healthy"})',
      ];
      await until(() => Promise.resolve(query(gauges[2] ?? "")[0]?.value[1] === "3"), PATIENCE_MS);
      expect(gauges.map((gauge) => query(gauge)[0]?.value[1])).toEqual(["4", "1", "3"]);
      expect(query("sum(infermesh_router_requests_total) > 0").length).toBe(1);
      const { body } = network.ask(`http://${network.address("prometheus")}:9090/api/v1/rules`);
      const { data } = JSON.parse(body) as {
        data: { groups: { rules: { name: string; health: string; state: string; lastError?: string }[] }[] };
      };
      const rules = data.groups.flatMap((group) => group.rules);
      expect(rules.length).toBeGreaterThan(10);
      expect(rules.filter(({ health }) => health === "err")).toEqual([]);
      expect(rules.filter(({ state }) => state === "firing")).toEqual([]);
    });

    test("a quarantined GPU raises its alert", async () => {
      const told = run(
        network.at("gpu-2", [
          "env",
          `XDG_STATE_HOME=${folder}`,
          process.execPath,
          "-e",
          'await fetch("http://127.0.0.1:50051/mock/faults", { method: "POST", body: JSON.stringify({ gpu: 0, xid: 79 }) })',
        ]),
        { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" } },
      );
      expect(told).toEqual({ code: 0, out: "", err: "" });
      await until(
        () =>
          Promise.resolve(
            query('ALERTS{alertname="InfermeshGpuQuarantined", alertstate="firing", node="gpu-2"}').length === 1,
          ),
        PATIENCE_MS,
      );
    });
  });
});
