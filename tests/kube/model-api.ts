/**
 * What an API server of Kubernetes keeps and answers, without a socket: objects with versions, lists in pages that tell of
 * one moment, events since a version, and versions that it has forgotten.
 */

export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [more: string]: unknown;
  };
  readonly [more: string]: unknown;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

interface Change {
  readonly version: number;
  readonly resource: string;
  readonly before: KubeObject | undefined;
  readonly after: KubeObject | undefined;
}

export interface Selection {
  readonly resource: string;
  /** "" for all. */
  readonly namespace: string;
  readonly selector: string;
}

export class ModelApi {
  #version = 1000;
  readonly #objects = new Map<string, KubeObject>();
  #changes: Change[] = [];
  /** Versions before are forgotten. */
  #oldest = 1000;
  readonly #snapshots = new Map<string, readonly KubeObject[]>();

  get version(): string {
    return String(this.#version);
  }

  put(resource: string, object: KubeObject): void {
    const key = keyOf(resource, object.metadata.namespace, object.metadata.name);
    this.#version += 1;
    const after = { ...object, metadata: { ...object.metadata, resourceVersion: this.version } };
    this.#changes.push({ version: this.#version, resource, before: this.#objects.get(key), after });
    this.#objects.set(key, after);
  }

  delete(resource: string, namespace: string, name: string): void {
    const key = keyOf(resource, namespace, name);
    const before = this.#objects.get(key);
    if (before === undefined) return;
    this.#version += 1;
    this.#changes.push({ version: this.#version, resource, before, after: undefined });
    this.#objects.delete(key);
  }

  /** Something else in the cluster changes. */
  pass(versions = 1): void {
    this.#version += versions;
  }

  /** Forgets what happened, and pages that are under way. */
  compact(): void {
    this.#oldest = this.#version;
    this.#changes = [];
    this.#snapshots.clear();
  }

  matching(selection: Selection): KubeObject[] {
    return [...this.#objects.entries()]
      .filter(([key]) => key.startsWith(`${selection.resource} `))
      .map(([, object]) => object)
      .filter((object) => isMatched(object, selection))
      .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  }

  list(selection: Selection, limit: number, continued: string): { status: number; body: unknown } {
    const [at, from] = continued === "" ? [this.#version, 0] : continued.split(" ").map(Number);
    const key = `${at} ${JSON.stringify(selection)}`;
    if (continued === "") this.#snapshots.set(key, this.matching(selection));
    const snapshot = this.#snapshots.get(key);
    if (snapshot === undefined) return { status: 410, body: expired("The provided continue parameter is too old") };
    const end = (from ?? 0) + limit;
    const more = snapshot.length > end ? { continue: `${at} ${end}` } : {};
    const metadata = { resourceVersion: String(at), ...more };
    return { status: 200, body: { kind: "List", metadata, items: snapshot.slice(from, end) } };
  }

  /** What happened to those since a version. */
  since(selection: Selection, version: string): WatchEvent[] {
    if (Number(version) < this.#oldest) return [{ type: "ERROR", object: expired("too old resource version") }];
    return this.#changes
      .filter((change) => change.version > Number(version) && change.resource === selection.resource)
      .flatMap(({ before, after, version: at }): WatchEvent[] => {
        const was = before !== undefined && isMatched(before, selection);
        const is = after !== undefined && isMatched(after, selection);
        if (is) return [{ type: was ? "MODIFIED" : "ADDED", object: after }];
        if (!was) return [];
        return [
          { type: "DELETED", object: { ...before, metadata: { ...before.metadata, resourceVersion: String(at) } } },
        ];
      });
  }

  bookmark(): WatchEvent {
    return { type: "BOOKMARK", object: { metadata: { resourceVersion: this.version } } };
  }
}

function expired(message: string): object {
  return { kind: "Status", status: "Failure", message, reason: "Expired", code: 410 };
}

function keyOf(resource: string, namespace: string, name: string): string {
  return `${resource} ${namespace}/${name}`;
}

export function nameOf({ metadata: { namespace, name } }: KubeObject): string {
  return `${namespace}/${name}`;
}

/** Of selectors those with = and != are understood. */
function isMatched({ metadata }: KubeObject, { namespace, selector }: Selection): boolean {
  if (namespace !== "" && metadata.namespace !== namespace) return false;
  return selector.split(",").every((requirement) => {
    const [, key = "", sign, value] = /^([^!=]+)(!?=)(.*)$/.exec(requirement) ?? [];
    return (metadata.labels?.[key] === value) === (sign === "=");
  });
}

/** A question as it stands in a request's path. */
export function questionIn(path: string): Selection & { readonly query: URLSearchParams } {
  const { pathname, searchParams } = new URL(path, "http://localhost");
  const [, namespace = "", resource = ""] =
    /^(?:\/apis\/discovery\.k8s\.io\/v1|\/api\/v1)(?:\/namespaces\/([^/]+))?\/(endpointslices|pods)$/.exec(pathname) ??
    [];
  return { resource, namespace, selector: searchParams.get("labelSelector") ?? "", query: searchParams };
}

export interface SliceEndpoint {
  readonly pod: string;
  readonly address: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zone?: string;
}

/** A slice of a Service, as the controller of slices makes it. */
export function sliceOf(
  name: string,
  endpoints: readonly SliceEndpoint[],
  more: {
    readonly port?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly namespace?: string;
  } = {},
): KubeObject {
  const { port = 8000, labels = { app: "vllm" }, namespace = "default" } = more;
  return {
    addressType: endpoints.some(({ address }) => address.includes(":")) ? "IPv6" : "IPv4",
    metadata: { name, namespace, labels: { "kubernetes.io/service-name": "vllm", ...labels } },
    ports: [{ name: "http", port, protocol: "TCP" }],
    endpoints: endpoints.map(({ pod, address, zone, ready = true, serving = ready, terminating = false }) => ({
      addresses: [address],
      conditions: { ready, serving, terminating },
      targetRef: { kind: "Pod", name: pod, namespace },
      nodeName: "machine-1",
      ...(zone === undefined ? {} : { zone }),
    })),
  };
}

export function podOf(
  name: string,
  address: string,
  more: {
    readonly ready?: boolean;
    readonly deleted?: boolean;
    readonly port?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly namespace?: string;
  } = {},
): KubeObject {
  const { ready = true, deleted = false, port = 8000, labels = { app: "vllm" }, namespace = "default" } = more;
  return {
    metadata: { name, namespace, labels, ...(deleted ? { deletionTimestamp: "2026-11-28T00:00:00Z" } : {}) },
    spec: { nodeName: "machine-1", containers: [{ name: "vllm", ports: [{ name: "http", containerPort: port }] }] },
    status: {
      phase: "Running",
      podIP: address,
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    },
  };
}
