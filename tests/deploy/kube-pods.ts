/** What a kubelet would start of manifests: containers with their command lines, environments and files. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "../../src/base/assert.ts";

type EnvEntry = {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
  };
};
type Port = { readonly name: string; readonly containerPort: number };
type HttpProbe = { readonly httpGet: { readonly path: string; readonly port: string } };
type Volume = {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly secret?: { readonly secretName: string };
};

export interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: readonly EnvEntry[];
  readonly ports: readonly Port[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe: HttpProbe;
  readonly livenessProbe: HttpProbe;
  readonly readinessProbe: HttpProbe;
  readonly securityContext: Readonly<Record<string, unknown>>;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly securityContext: Readonly<Record<string, unknown>>;
}

export interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: readonly { readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
  readonly spec: {
    readonly replicas?: number;
    readonly serviceName?: string;
    readonly template: { readonly metadata: object; readonly spec: PodSpec };
  };
}

const WORKLOADS = new Set(["Deployment", "DaemonSet", "StatefulSet"]);

export function resourcesOf(text: string): Resource[] {
  const parsed: unknown = Bun.YAML.parse(text);
  return (Array.isArray(parsed) ? parsed : [parsed]).filter((one) => one !== null) as Resource[];
}

export function workloadsOf(resources: readonly Resource[]): Resource[] {
  return resources.filter(({ kind }) => WORKLOADS.has(kind));
}

export function containerOf(workload: Resource): Container {
  const { containers } = workload.spec.template.spec;
  const [first] = containers;
  assert(first !== undefined && containers.length === 1, `${workload.metadata.name} has one container`);
  return first;
}

/** Where a pod runs, as far as its containers are told. */
export interface PodFields {
  readonly name: string;
  readonly ip: string;
  readonly node: string;
}

/** The environment that a container has; `secrets` are by name and key. */
export function environmentOf(
  { env }: Container,
  pod: PodFields,
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Record<string, string> {
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": pod.name,
    "status.podIP": pod.ip,
    "spec.nodeName": pod.node,
  };
  const valueOf = ({ name, value, valueFrom }: EnvEntry): string => {
    if (value !== undefined) return value;
    const { fieldRef, secretKeyRef } = valueFrom ?? {};
    const found =
      fieldRef === undefined
        ? secrets[secretKeyRef?.name ?? ""]?.[secretKeyRef?.key ?? ""]
        : fields[fieldRef.fieldPath];
    assert(found !== undefined, `${name} has a value`);
    return found;
  };
  return Object.fromEntries(env.map((entry) => [entry.name, valueOf(entry)]));
}

/** Puts the files of config maps below `root`; answers the arguments, with the places where they lie now. */
export function materialised(workload: Resource, resources: readonly Resource[], root: string): string[] {
  const { volumes } = workload.spec.template.spec;
  const { args, volumeMounts } = containerOf(workload);
  for (const { name, mountPath } of volumeMounts) {
    const volume = volumes.find((one) => one.name === name);
    const map = volume?.configMap?.name;
    if (map === undefined) continue;
    const data = resources.find((one) => one.kind === "ConfigMap" && one.metadata.name === map)?.data;
    assert(data !== undefined, `there is a config map ${map}`);
    for (const [file, text] of Object.entries(data)) {
      const path = join(root, mountPath, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
  }
  const own = volumeMounts.map(({ mountPath }) => mountPath);
  return args.map((arg) => {
    const [flag = "", value] = arg.split(/=(.*)/s);
    const isFile = own.some((path) => value === path || value?.startsWith(`${path}/`) === true);
    return isFile ? `${flag}=${join(root, value ?? "")}` : arg;
  });
}

/** Where a probe asks. */
export function probeUrl({ ports }: Container, { httpGet }: HttpProbe, ip: string): string {
  const port = ports.find(({ name }) => name === httpGet.port)?.containerPort;
  assert(port !== undefined, `the container has a port ${httpGet.port}`);
  return `http://${ip}:${port}${httpGet.path}`;
}
