/**
 * The chart and the manifests of deploy/, by what reads them: Helm, kubeconform with Kubernetes' own schemas, kube-score,
 * and infermesh, which takes every command line and every configuration that is in them. What is not installed
 * (scripts/install-kube-checkers.sh) is left out, and said so.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHART, MANIFESTS, checkers, manifest, manifestNames, rendered } from "../../scripts/kube/manifests.ts";
import { EXECUTABLE, ownEnvironment } from "../process/harness.ts";
import { containerOf, environmentOf, materialised, type Resource, resourcesOf, workloadsOf } from "./kube-pods.ts";

const BIN = join(checkers(), "bin");
const SCHEMAS = join(checkers(), "kube-schemas");
const KEY = "3q2+796tvu/erb7v3q2+796tvu/erb7v3q2+796tvu8=";
const SECRETS = { "infermesh-gossip": { key: KEY, keys: KEY } };
const POD = { name: "infermesh-router-0", ip: "10.1.2.3", node: "gpu-node-1" };

const root = mkdtempSync(join(tmpdir(), "infermesh-chart-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const tools = ["helm", "kubeconform", "kube-score"].map((name) => join(BIN, name));
const missing = [...tools, SCHEMAS].filter((path) => !existsSync(path));
const HAS = { helm: !missing.includes(join(BIN, "helm")), all: missing.length === 0 };
if (missing.length > 0) console.log(`left out: ${missing.join(", ")} missing (bash scripts/install-kube-checkers.sh)`);

const CI = join(CHART, "ci");
const VALUES: readonly (readonly [string, readonly string[]])[] = [
  ["no values", []],
  ...readdirSync(CI).map((file) => [file, [join(CI, file)]] as const),
  ...manifestNames().map((name) => [`${name}.values.yaml`, [join(MANIFESTS, `${name}.values.yaml`)]] as const),
];

function run(tool: string, args: readonly string[], input = ""): { said: string; exitCode: number } {
  const { stdout, stderr, exitCode } = Bun.spawnSync([join(BIN, tool), ...args], { stdin: Buffer.from(input) });
  return { said: `${stdout.toString()}${stderr.toString()}`, exitCode };
}

const LOCATION = `${SCHEMAS}/{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json`;
const conform = (text: string) => run("kubeconform", ["-strict", "-summary", "-schema-location", LOCATION], text);

/** What infermesh says of a container's command line, environment and configuration; "" when it takes them. */
function complaint(workload: Resource, resources: readonly Resource[], more: readonly string[] = []): string {
  const folder = mkdtempSync(join(root, "pod-"));
  const [role = "", ...flags] = [...materialised(workload, resources, folder), ...more];
  const config = flags.filter((flag) => flag.startsWith("--config=")).map((flag) => flag.slice("--config=".length));
  const rest = flags.filter((flag) => !flag.startsWith("--config="));
  const env = { ...ownEnvironment(), ...environmentOf(containerOf(workload), POD, SECRETS) };
  const command = [EXECUTABLE, role, "validate", ...config, ...rest];
  const { stdout, stderr, exitCode } = Bun.spawnSync(command, { env });
  return exitCode === 0 && stdout.toString() === "valid\n" ? "" : `${stdout.toString()}${stderr.toString()}`;
}

describe.skipIf(!HAS.all)("the chart", () => {
  for (const [name, values] of VALUES) {
    describe(`with ${name}`, () => {
      const flags = values.flatMap((file) => ["--values", file]);
      const text = HAS.helm ? rendered(values) : "";
      const resources = HAS.helm ? resourcesOf(text) : [];

      test("is well to Helm", () => {
        expect(run("helm", ["lint", "--strict", CHART, ...flags])).toMatchObject({ exitCode: 0 });
      });

      test("has nothing that Kubernetes does not know", () => {
        const { said, exitCode } = conform(text);
        expect(said).toContain("Invalid: 0, Errors: 0, Skipped: 0");
        expect(exitCode).toBe(0);
      });

      test("has command lines and configurations that infermesh takes", () => {
        const workloads = workloadsOf(resources);
        expect(workloads.length).toBeGreaterThan(0);
        for (const workload of workloads)
          expect([workload.metadata.name, complaint(workload, resources)]).toEqual([workload.metadata.name, ""]);
      });

      test("has no secret in a command line", () => {
        for (const workload of workloadsOf(resources))
          expect(containerOf(workload).args.join(" ")).not.toMatch(/gossip-key=/);
      });
    });
  }

  test("is refused where a value is called by a wrong name, or is wrong", () => {
    for (const [setting, expected] of [
      ["router.replica=3", "additional properties 'replica' not allowed"],
      ["routers.replicas=3", "additional properties 'routers' not allowed"],
      ["agent.gpu.acces=none", "additional properties 'acces' not allowed"],
      ["agent.kind=Job", "/agent/kind"],
      ["control.replicas=2", "/control/replicas"],
      ["router.drainDelaySeconds=5s", "/router/drainDelaySeconds"],
      ["router.autoscaling.enabled=true,router.autoscaling.targetCPUUtilizationPercentage=0", "nothing to scale by"],
      ["networkPolicy.enabled=true,agent.hostNetwork=true", "networkPolicy.nodeCIDRs"],
      ["agent.mock.enabled=true,agent.runtimes={vllm}", "not both"],
    ] as const) {
      expect(() => rendered([], setting.split(/,(?=[a-z]+\.)/))).toThrow(expected);
    }
  });

  test("lets routers read what they are to discover, and shows nobody else's pods a token", () => {
    const resources = resourcesOf(rendered([join(CI, "discover-values.yaml")]));
    const slices = { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] };
    const pods = { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] };
    const roles = resources.filter(({ rules }) => rules !== undefined);
    expect(roles.map(({ kind, metadata, rules }) => ({ kind, in: metadata.namespace, rules: rules ?? [] }))).toEqual([
      { kind: "ClusterRole", in: undefined, rules: [pods] },
      { kind: "Role", in: "default", rules: [slices] },
      { kind: "Role", in: "models", rules: [pods] },
    ]);
    const bindings = resources.filter(
      ({ kind }) => kind.endsWith("RoleBinding") || kind.endsWith("ClusterRoleBinding"),
    );
    expect(bindings).toHaveLength(roles.length);
    const tokens = (of: readonly Resource[]) =>
      workloadsOf(of).map(({ spec }) => spec.template.spec.automountServiceAccountToken);
    expect(tokens(resources)).toEqual([true]);
    expect(tokens(resourcesOf(rendered([join(MANIFESTS, "mesh.values.yaml")])))).toEqual([false, false, false]);
    expect(rendered([])).not.toContain("kind: Role");
  });

  test("has pods of the restricted security standard, unless more is asked for", () => {
    const values = VALUES.filter(([name]) => name !== "full-values.yaml");
    const workloads = values.flatMap(([, files]) => workloadsOf(resourcesOf(rendered(files))));
    expect(workloads.length).toBeGreaterThan(8);
    for (const workload of workloads) {
      const { volumes, hostNetwork, hostPID, securityContext } = workload.spec.template.spec;
      expect([hostNetwork, hostPID]).toEqual([undefined, undefined]);
      expect(volumes.flatMap((volume) => Object.keys(volume)).filter((key) => key === "hostPath")).toEqual([]);
      expect(securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
      expect(containerOf(workload).securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });

  test("these checks find what is wrong", () => {
    const text = rendered([]);
    expect(conform(text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem")).said).toContain("Invalid: 1");
    const [workload] = workloadsOf(resourcesOf(text));
    expect(complaint(workload!, resourcesOf(text), ["--drain-timout=3s"])).toContain("--drain-timeout");
    const wrong = resourcesOf(rendered([], ["router.config.fleet.pollIntervall=3s"]));
    const router = workloadsOf(wrong).find(({ metadata }) => metadata.name === "infermesh-router");
    expect(complaint(router!, wrong)).toContain("fleet.pollInterval");
  });

  test("leaves nothing critical to kube-score", () => {
    // CPU limits would only throttle; the policy of pulling, and what may be reached from pods, are the operator's.
    const left = ["container-image-pull-policy", "pod-networkpolicy"].flatMap((name) => ["--ignore-test", name]);
    const how = [
      "score",
      "--kubernetes-version",
      "v1.34",
      "--ignore-container-cpu-limit",
      ...left,
      "--output-format",
      "ci",
      "-",
    ];
    for (const name of manifestNames()) {
      const text = readFileSync(join(MANIFESTS, `${name}.yaml`), "utf8");
      expect(
        run("kube-score", how, text)
          .said.split("\n")
          .filter((line) => line.startsWith("[CRITICAL]")),
      ).toEqual([]);
    }
    const planted = readFileSync(join(MANIFESTS, "mock.yaml"), "utf8").replaceAll(
      "readOnlyRootFilesystem: true",
      "readOnlyRootFilesystem: false",
    );
    expect(run("kube-score", how, planted).said).toContain("[CRITICAL]");
  });
});

describe.skipIf(!HAS.helm)("the plain manifests", () => {
  test.each(manifestNames())("%s.yaml is what the chart makes of its values", (name) => {
    const kept = readFileSync(join(MANIFESTS, `${name}.yaml`), "utf8");
    // Else: node scripts/kube-manifests.mjs
    expect(kept).toBe(manifest(name));
  });
});

describe("without any checker, the plain manifests", () => {
  test.each(manifestNames())("%s.yaml has command lines that infermesh takes", (name) => {
    const resources = resourcesOf(readFileSync(join(MANIFESTS, `${name}.yaml`), "utf8"));
    for (const workload of workloadsOf(resources)) expect(complaint(workload, resources)).toBe("");
  });

  test.each(manifestNames())("%s.yaml gives each pod the time that its drain takes", (name) => {
    const workloads = workloadsOf(resourcesOf(readFileSync(join(MANIFESTS, `${name}.yaml`), "utf8")));
    for (const workload of workloads) {
      const seconds = [
        ...containerOf(workload)
          .args.join(" ")
          .matchAll(/--drain-(?:delay|timeout)=(\d+)s/g),
      ];
      const drain = seconds.reduce((sum, [, each]) => sum + Number(each), 0);
      expect(workload.spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(drain + 5);
    }
  });

  test("fit the image: its executable, its user, and its folder for data", () => {
    const dockerfile = readFileSync(join(CHART, "..", "..", "containers", "Dockerfile"), "utf8");
    const [, user] = /^USER (\d+):\d+$/m.exec(dockerfile) ?? [];
    const [, data] = /INFERMESH_DATA_DIR=(\S+)/.exec(dockerfile) ?? [];
    expect(dockerfile).toMatch(/^ENTRYPOINT \["\/infermesh"\]$/m);
    for (const name of manifestNames()) {
      for (const workload of workloadsOf(resourcesOf(readFileSync(join(MANIFESTS, `${name}.yaml`), "utf8")))) {
        const { args, securityContext, volumeMounts } = containerOf(workload);
        expect(securityContext["runAsUser"]).toBe(Number(user));
        expect(args).toContain(`--data-dir=${data}`);
        expect(volumeMounts.map(({ mountPath }) => mountPath)).toContain(data ?? "");
      }
    }
  });

  test("the chart has the version of the package", () => {
    const { version } = JSON.parse(readFileSync(join(CHART, "..", "..", "..", "package.json"), "utf8")) as {
      version: string;
    };
    const chart = Bun.YAML.parse(readFileSync(join(CHART, "Chart.yaml"), "utf8"));
    expect(chart).toMatchObject({ version, appVersion: version });
  });
});
