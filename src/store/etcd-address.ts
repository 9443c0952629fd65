/** `etcd://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][/CLUSTER]`, or etcds:// for TLS: where an etcd is, and as whom to go there. */
import { type Address, formatAddress, parseAddress } from "../base/units.ts";

export interface EtcdAddress {
  /** An IPv6 host comes without brackets. */
  readonly endpoints: readonly Address[];
  readonly tls: boolean;
  /** Null: etcd is not asked for a token. */
  readonly login: { readonly user: string; readonly password: string } | null;
  /** The mesh whose policies are meant, where several keep theirs in one etcd; "" when the address names none. */
  readonly cluster: string;
}

const PORT = 2379;
const TEXT_LENGTH_MAX = 2048;
const ENDPOINTS_MAX = 16;
const CLUSTER = /^[A-Za-z0-9][\w.-]{0,63}$/;
const PARTS = /^etcd(?<secure>s?):\/\/(?:(?<login>[^@/]*)@)?(?<hosts>[^@/]+)(?:\/(?<cluster>.*))?$/;

/** Whether a store's address means an etcd, be it right or wrong. */
export function isEtcdAddress(text: string): boolean {
  return /^etcds?:/.test(text);
}

/** A text says what is wrong with the address, without the password that may be in it. */
export function parseEtcdAddress(text: string): EtcdAddress | string {
  if (text.length > TEXT_LENGTH_MAX) return `is longer than ${TEXT_LENGTH_MAX} characters`;
  const { secure, login = "", hosts = "", cluster = "" } = PARTS.exec(text)?.groups ?? {};
  if (hosts === "") return "is not of the form etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...][/CLUSTER]";
  const names = hosts.split(",");
  if (names.length > ENDPOINTS_MAX) return `names more than ${ENDPOINTS_MAX} endpoints`;
  const endpoints: Address[] = [];
  for (const name of names) {
    const endpoint = parseAddress(/:\d+$/.test(name) ? name : `${name}:${PORT}`);
    if (endpoint === undefined || endpoint.host === "" || endpoint.port === 0) {
      return `names the endpoint "${name}", which is not HOST:PORT`;
    }
    if (!endpoints.some((other) => formatAddress(other) === formatAddress(endpoint))) endpoints.push(endpoint);
  }
  if (cluster !== "" && !CLUSTER.test(cluster)) {
    return `names the cluster "${cluster}", which is not up to 64 letters, digits, dots, dashes and underscores`;
  }
  const known = login === "" ? null : loginOf(login);
  if (known === undefined) return "has a login that is not USER:PASSWORD, with % and two digits for : / @ and %";
  return { endpoints, tls: secure === "s", login: known, cluster };
}

/** The address as it may be shown: without the password. */
export function shownEtcdAddress({ endpoints, tls, login, cluster }: EtcdAddress): string {
  const user = login === null ? "" : `${encodeURIComponent(login.user)}@`;
  const path = cluster === "" ? "" : `/${cluster}`;
  return `etcd${tls ? "s" : ""}://${user}${endpoints.map(formatAddress).join(",")}${path}`;
}

function loginOf(text: string): EtcdAddress["login"] | undefined {
  const colon = text.indexOf(":");
  if (colon <= 0) return undefined;
  try {
    return { user: decodeURIComponent(text.slice(0, colon)), password: decodeURIComponent(text.slice(colon + 1)) };
  } catch {
    return undefined;
  }
}
