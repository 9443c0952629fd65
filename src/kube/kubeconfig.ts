/**
 * What a kubeconfig file, read as YAML, says of how to reach a cluster: the server, whom to trust, and who one is, by a
 * token or a client certificate, each in the file or beside it. What it asks for and is not supported is refused in words:
 * exec plugins and auth providers, passwords, impersonation, proxies.
 */
import { isRecord } from "../base/field.ts";
import { listAt, valueAt } from "./endpoint.ts";

/** PEM or a token as it is, or the file that has it. */
export type Material = { readonly text: string } | { readonly file: string };

export interface ClusterAccess {
  /** Without a slash at its end. */
  readonly server: string;
  /** Undefined: the system's authorities. */
  readonly ca: Material | undefined;
  readonly verify: boolean;
  /** The name that its certificate is to have, where that is not its host; "". */
  readonly serverName: string;
  readonly token: Material | undefined;
  readonly certificate: Material | undefined;
  readonly key: Material | undefined;
}

const UNSUPPORTED_CLUSTER = ["proxy-url"];
const UNSUPPORTED_USER: Readonly<Record<string, string>> = {
  exec: "an exec plugin: make a token instead (kubectl create token NAME) and name its file by tokenFile",
  "auth-provider": "an auth provider, which Kubernetes itself gave up in 1.26",
  username: "a password",
  as: "impersonation",
};

/** `context` is "" for the file's current one. Text says what is wrong. */
export function accessIn(config: unknown, context: string): ClusterAccess | string {
  if (!isRecord(config)) return "it is no kubeconfig: expected a record with clusters, users and contexts";
  const name = context === "" ? config["current-context"] : context;
  if (typeof name !== "string" || name === "") return "it has no current-context: name one by --discover-context";
  const chosen = named(config, "contexts", name);
  if (chosen === undefined) return `it has no context "${name.slice(0, 100)}"`;
  const cluster = named(config, "clusters", valueAt(chosen, "context", "cluster"));
  if (cluster === undefined) return `the cluster of its context "${name.slice(0, 100)}" is not there`;
  const user = named(config, "users", valueAt(chosen, "context", "user"));
  return accessOf(valueAt(cluster, "cluster"), valueAt(user, "user"));
}

function accessOf(cluster: unknown, user: unknown): ClusterAccess | string {
  const server = valueAt(cluster, "server");
  const origin = typeof server === "string" ? originOf(server) : undefined;
  if (origin === undefined) return "the server of its cluster is no https://HOST:PORT, by http too";
  for (const key of UNSUPPORTED_CLUSTER) {
    if (isSet(valueAt(cluster, key))) return `its cluster has ${key}, which is not supported`;
  }
  for (const [key, what] of Object.entries(UNSUPPORTED_USER)) {
    if (isSet(valueAt(user, key))) return `its user has ${what}, which is not supported (${key})`;
  }
  const faults: string[] = [];
  const material = (record: unknown, inline: string, file: string, isEncoded: boolean): Material | undefined => {
    const text = valueAt(record, inline);
    if (typeof text === "string" && text !== "") {
      const plain = isEncoded ? decoded(text) : text.trim();
      if (plain === undefined) faults.push(`its ${inline} is no Base64`);
      return { text: plain ?? "" };
    }
    const path = valueAt(record, file);
    return typeof path === "string" && path !== "" ? { file: path } : undefined;
  };
  const access: ClusterAccess = {
    server: origin,
    ca: material(cluster, "certificate-authority-data", "certificate-authority", true),
    verify: valueAt(cluster, "insecure-skip-tls-verify") !== true,
    serverName: textOf(valueAt(cluster, "tls-server-name")),
    token: material(user, "token", "tokenFile", false),
    certificate: material(user, "client-certificate-data", "client-certificate", true),
    key: material(user, "client-key-data", "client-key", true),
  };
  if ((access.certificate === undefined) !== (access.key === undefined)) {
    faults.push("its user has a client certificate without a key, or a key without a certificate");
  }
  return faults[0] ?? access;
}

function named(config: unknown, list: string, name: unknown): unknown {
  return listAt(config, list).find((one) => name !== undefined && valueAt(one, "name") === name);
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function originOf(server: string): string | undefined {
  if (!URL.canParse(server)) return undefined;
  const { protocol, host, pathname, username, password, search, hash } = new URL(server);
  const isPlain = username === "" && password === "" && search === "" && hash === "";
  if ((protocol !== "https:" && protocol !== "http:") || host === "" || !isPlain) return undefined;
  // A cluster behind a manager of clusters has a path.
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

function decoded(text: string): string | undefined {
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(text));
  } catch {
    return undefined;
  }
}
