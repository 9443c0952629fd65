/** Settings that are URLs: a server's base, and a model with the server that has it. */

import type { CommonOptions, Field } from "./field.ts";
import { custom } from "./settings.ts";
import { formatAddress, parseAddress } from "./units.ts";

/** What a target speaks on its serving port. */
export type Protocol = "http" | "grpc";

/** A target from flags or a file. An IPv6 host comes without brackets. */
export interface Upstream {
  readonly model: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly protocol: Protocol;
  /** Relative capacity, 1 is usual. */
  readonly weight: number;
  /** What part of requests it computes (../fleet/role.ts); undefined: all of them. */
  readonly role?: string;
}

/** Schemes of targets: what they speak, in TLS or not. */
const SCHEMES: Readonly<Record<string, { readonly protocol: Protocol; readonly tls: boolean }>> = {
  http: { protocol: "http", tls: false },
  https: { protocol: "http", tls: true },
  grpc: { protocol: "grpc", tls: false },
  grpcs: { protocol: "grpc", tls: true },
};
/** What fits a `sockaddr_un` with its end. */
const UNIX_PATH = /^unix:(?<path>\/[^\s,]{1,106})$/;

/** `MODEL=http://HOST:PORT[,WEIGHT][,role=ROLE]`, also by https, grpc, grpcs and unix:/PATH; or in a file also {model, url, weight, role}. */
export function upstream(): Field<Upstream> {
  return custom<Upstream>({
    kind: "upstream",
    placeholder: "MODEL=URL[,WEIGHT][,role=ROLE]",
    expected:
      "MODEL=http://HOST:PORT, or https, grpc or grpcs in place of http, or MODEL=unix:/PATH, with ,WEIGHT behind it for a weight above 0 and at most 1000, and ,role=ROLE for vllm.prefill, vllm.decode, sglang.prefill[.PORT] or sglang.decode",
    parse: parseUpstream,
    write: ({ model, weight, role = "", ...place }) =>
      `${model}=${urlOf(place)}${weight === 1 ? "" : `,${weight}`}${role === "" ? "" : `,role=${role}`}`,
  });
}

function urlOf({ host, port, tls, protocol }: Omit<Upstream, "model" | "weight" | "role">): string {
  if (host.startsWith("/")) return `unix:${host}`;
  return `${protocol}${tls ? "s" : ""}://${formatAddress({ host, port })}`;
}

/** `http://host[:port]` without a path; or one of a few words. Kept without a slash at its end. */
export function baseUrl(
  options: CommonOptions & { readonly expected: string; readonly words?: readonly string[]; readonly default?: string },
): Field<string> {
  const { expected, words = [], ...common } = options;
  return custom<string>({
    ...common,
    kind: "url",
    placeholder: options.placeholder ?? "URL",
    expected,
    parse(raw) {
      if (typeof raw !== "string") return undefined;
      return raw === options.default || words.includes(raw) ? raw : originOf(raw)?.origin;
    },
    write: (value) => value,
  });
}

const UPSTREAM =
  /^(?<model>\S{1,256}?)=(?<url>(?:https?:\/\/|grpcs?:\/\/|unix:)[^\s,]{1,400})(?:,(?<weight>[\d.]{1,12}))?(?:,role=(?<role>[a-z0-9.]{1,32}))?$/;
/** As ../fleet/role.ts reads it; here a role that is none is refused. */
const ROLE = /^(?:(?:vllm|sglang)\.(?:prefill|decode)|sglang\.prefill\.[1-9]\d{0,4})?$/;
export const ROLE_EXPECTED = "vllm.prefill, vllm.decode, sglang.prefill[.PORT] or sglang.decode";

/** Whether the text says which part of requests a target computes; "" says that it is all of each. */
export function isRole(text: string): boolean {
  return ROLE.test(text);
}

function parseUpstream(raw: unknown): Upstream | undefined {
  if (typeof raw === "string") {
    const { model = "", url = "", weight = "1", role = "" } = UPSTREAM.exec(raw.trim())?.groups ?? {};
    return upstreamOf(model, url, Number(weight), role);
  }
  if (typeof raw !== "object" || raw === null) return undefined;
  const { model, url, weight = 1, role = "", ...rest } = raw as Record<string, unknown>;
  if (typeof model !== "string" || typeof url !== "string" || Object.keys(rest).length > 0) return undefined;
  if (typeof weight !== "number" || typeof role !== "string" || !/^\S{1,256}$/.test(model)) return undefined;
  return upstreamOf(model, url, weight, role);
}

function upstreamOf(model: string, url: string, weight: number, role: string): Upstream | undefined {
  if (model === "" || !(weight > 0 && weight <= 1000) || !isRole(role)) return undefined;
  const own = role === "" ? {} : { role };
  const path = UNIX_PATH.exec(url)?.groups?.["path"];
  if (path !== undefined) {
    // A prefill target of SGLang is met at its host, and this has none.
    if (role.startsWith("sglang.prefill")) return undefined;
    return Object.freeze({ model, host: path, port: 0, tls: false, protocol: "http", weight, ...own });
  }
  const scheme = SCHEMES[url.slice(0, Math.max(0, url.indexOf(":")))];
  if (scheme === undefined) return undefined;
  const { protocol, tls } = scheme;
  // A port is always named: 80 and 443 are nobody's for gRPC.
  if (protocol === "grpc" && (role !== "" || !/:\d+\/?$/.test(url))) return undefined;
  const origin = originOf(url.replace(/^\w+/, tls ? "https" : "http"));
  if (origin === undefined) return undefined;
  return Object.freeze({ model, host: origin.host, port: origin.port, tls, protocol, weight, ...own });
}

/** Parts of `http://host[:port]`; undefined when there is more to it, such as a path that would be lost. */
function originOf(raw: string): { origin: string; host: string; port: number; tls: boolean } | undefined {
  if (raw.length > 500 || !URL.canParse(raw)) return undefined;
  const url = new URL(raw);
  const tls = url.protocol === "https:";
  if (!tls && url.protocol !== "http:") return undefined;
  if (url.username !== "" || url.password !== "" || url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    return undefined;
  }
  const place = parseAddress(`${url.hostname}:${url.port === "" ? (tls ? 443 : 80) : url.port}`);
  return place === undefined ? undefined : { origin: url.origin, ...place, tls };
}
