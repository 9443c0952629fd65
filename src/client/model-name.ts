/** Which model a target serves, where nobody says it. */
import { MeshError } from "../base/errors.ts";
import type { Header } from "../load/settings.ts";
import type { LoadTarget } from "../load/target.ts";
import type { TlsClientOptions } from "../net/tls-streams.ts";
import { wordsOf } from "./sender.ts";

const WAIT_MS = 10_000;
const SHOWN_MAX = 8;

/** The only model that the target lists; throws a MeshError that says what to do where there is not one. */
export async function onlyModel(
  { tls, authority, path }: LoadTarget,
  headers: readonly Header[],
  { ca, verify }: TlsClientOptions,
): Promise<string> {
  const url = `${tls ? "https" : "http"}://${authority}${path}/models`;
  const names = await listed(url, headers, { ...(ca === undefined ? {} : { ca }), rejectUnauthorized: verify });
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  const shown = names.slice(0, SHOWN_MAX).join(", ");
  const more = names.length > SHOWN_MAX ? ", ..." : "";
  throw new MeshError(
    names.length === 0 ? "model_not_found" : "config_invalid",
    names.length === 0
      ? `${url} lists no model`
      : `${url} lists several models; name one with --model: ${shown}${more}`,
  );
}

async function listed(url: string, headers: readonly Header[], tls: object): Promise<string[]> {
  const failed = (why: string) =>
    new MeshError("upstream_failed", `which model there is can't be asked: ${url}: ${why}; name it with --model`);
  let answer: { readonly data?: unknown };
  try {
    const named = Object.fromEntries(headers.map(({ name, value }) => [name, value]));
    // No proxy of the environment: what is measured is the target.
    const how = { headers: named, tls, signal: AbortSignal.timeout(WAIT_MS), proxy: "" };
    const response = await fetch(url, how);
    if (!response.ok) throw new Error(`status ${response.status}`);
    answer = (await response.json()) as typeof answer;
  } catch (error) {
    throw failed(wordsOf(error));
  }
  const { data } = answer;
  if (!Array.isArray(data)) throw failed("the answer is no list of models");
  return data.flatMap((one: unknown) => {
    const { id } = (one ?? {}) as { id?: unknown };
    return typeof id === "string" && id !== "" ? [id] : [];
  });
}
