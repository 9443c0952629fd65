/** `infermesh ctl keyring`: the keys of the gossip at all members of the mesh, and their change under way. */
import { randomBytes } from "node:crypto";
import { printable } from "../base/printable.ts";
import { section } from "../base/settings.ts";
import { EXIT, ask, failureOf } from "./client.ts";
import { firstLine } from "./input.ts";
import { asking, part } from "./part.ts";
import { type Column, renderRows } from "./render.ts";
import { keyringChangeSettings, type KeyringConfig, keyringSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const KEY_BYTES = 32;

/** A key as `GET /keyring` shows it. */
interface KeyRow {
  readonly fingerprint?: string;
  readonly primaryAt?: number;
  readonly presentAt?: number;
  readonly missingAt?: readonly string[];
}

interface MemberRow {
  readonly id?: string;
  readonly address?: string;
  readonly outcome?: string;
  readonly error?: string;
  readonly kept?: boolean | null;
}

interface Keyring {
  readonly keys: readonly KeyRow[];
  readonly members: readonly MemberRow[];
  readonly absent?: readonly string[];
  readonly fingerprint?: string;
}

type Change = { readonly op: "add"; readonly key: string } | Choice;
interface Choice {
  readonly op: "use" | "remove";
  readonly fingerprint: string;
  readonly force: boolean;
}

const DONE = { add: "added", use: "in use", remove: "removed" } as const;

/** Every key with the members that have it. */
export async function listKeys({ endpoint, timeoutMs, output }: KeyringConfig, terminal: Terminal): Promise<number> {
  const answer = keyringOf(await ask(endpoint, "/keyring", timeoutMs), terminal);
  if (typeof answer === "number") return answer;
  const told = answer.members.filter(isWell).length;
  const of = (count: number | undefined): string => `${count ?? "-"} of ${told}`;
  const missing = ({ missingAt = [] }: KeyRow): string => missingAt.join(",") || "-";
  const columns: readonly Column<KeyRow>[] = [
    { title: "FINGERPRINT", cell: ({ fingerprint = "-" }) => fingerprint, raw: ({ fingerprint = "-" }) => fingerprint },
    { title: "PRIMARY", cell: (row) => of(row.primaryAt), raw: (row) => String(row.primaryAt ?? "-") },
    { title: "PRESENT", cell: (row) => of(row.presentAt), raw: (row) => String(row.presentAt ?? "-") },
    { title: "MISSING AT", cell: missing, raw: missing },
  ];
  terminal.out(renderRows(output, answer.keys, columns, answer, terminal.color));
  tellFaults(answer, terminal);
  return EXIT.ok;
}

/** A new key, for people and for `keyring add`. */
export function generateKey(terminal: Terminal): void {
  terminal.out(`${randomBytes(KEY_BYTES).toString("base64")}\n`);
}

/** Adds a key; without one, or for "-", that of the first line of the input, which is waited for as for an answer. */
export async function addKey(
  config: KeyringConfig,
  terminal: Terminal,
  given: string,
  input: (timeoutMs: number) => Promise<string | undefined> = (timeoutMs) => firstLine(terminal, timeoutMs),
): Promise<number> {
  const key = given === "" || given === "-" ? await input(config.timeoutMs) : given;
  if (key === undefined || key === "") {
    const why = key === "" ? "" : ` within ${config.timeoutMs} ms`;
    terminal.err(
      `infermesh ctl keyring add: no key came on standard input${why}; \`infermesh ctl keyring generate\` makes one\n`,
    );
    return EXIT.usage;
  }
  const host = readableOnTheWayTo(config.endpoint);
  if (host !== "") {
    terminal.err(
      `infermesh ctl: the key goes to ${host} in plain HTTP, and opens all gossip to who reads it on the way; better run this on that machine\n`,
    );
  }
  return change(config, terminal, { op: "add", key });
}

/** The host of an endpoint to which others may read what is sent; "" where they can't. */
function readableOnTheWayTo(endpoint: string): string {
  if (endpoint === "") return "";
  const { protocol, hostname } = new URL(endpoint);
  const local = hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  return protocol === "https:" || local ? "" : hostname;
}

export async function change(config: KeyringConfig, terminal: Terminal, wanted: Change): Promise<number> {
  const { endpoint, timeoutMs, output } = config;
  const answer = keyringOf(await ask(endpoint, "/keyring", timeoutMs, "POST", wanted), terminal);
  if (typeof answer === "number") return answer;
  const { fingerprint = "-", members, absent = [] } = answer;
  const well = members.filter(isWell);
  // One that has failed may come back, and has not taken the change.
  const count = members.length + absent.length;
  if (output === "table" || output === "wide") {
    terminal.out(`${fingerprint} ${DONE[wanted.op]} at ${well.length} of ${count} members\n`);
  } else terminal.out(renderRows(output, members, MEMBER_COLUMNS, answer));
  tellFaults(answer, terminal);
  const forgetful = well.filter(({ kept }) => kept === false).map(({ id }) => id);
  if (forgetful.length > 0) {
    terminal.err(
      `only until restart at ${forgetful.join(", ")}: the key is not from a file there; change --gossip-key or INFERMESH_GOSSIP_KEY too\n`,
    );
  }
  return well.length === count ? EXIT.ok : EXIT.failed;
}

const MEMBER_COLUMNS: readonly Column<MemberRow>[] = (["id", "address", "outcome", "error"] as const).map((name) => ({
  title: name.toUpperCase(),
  cell: (row) => row[name] ?? "",
  raw: (row) => row[name] ?? "",
}));

function isWell({ outcome }: MemberRow): boolean {
  return outcome === "ok";
}

function tellFaults({ members, absent = [] }: Keyring, terminal: Terminal): void {
  for (const { id = "-", address = "-", outcome = "-", error = "" } of members) {
    const what = outcome === "ok" ? "its last change failed" : outcome;
    if (error !== "" || outcome !== "ok") terminal.err(`${printable(`${id} (${address}): ${what}: ${error}`)}\n`);
  }
  if (absent.length > 0) {
    const names = printable(absent.join(", "));
    terminal.err(
      `not asked, since failed: ${names}; when they are back, add the key again before it is used, or they are cut off\n`,
    );
  }
}

function keyringOf(answer: Awaited<ReturnType<typeof ask>>, terminal: Terminal): Keyring | number {
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  const body = answer.body as Partial<Keyring> | null;
  if (Array.isArray(body?.keys) && Array.isArray(body.members)) return body as Keyring;
  terminal.err("infermesh ctl: the answer holds no keys; is this an infermesh --api port?\n");
  return EXIT.failed;
}

const FINGERPRINT = {
  name: "FINGERPRINT",
  expected: "a key's fingerprint or its beginning, as infermesh ctl keyring list shows it",
};

/** The commands of `infermesh ctl keyring`, without their help. */
export const KEYRING_COMMANDS = {
  list: asking({ settings: keyringSettings, run: listKeys }),
  generate: part({ settings: section({}), run: (_config, terminal) => generateKey(terminal) }),
  add: asking({
    settings: keyringSettings,
    operands: [{ name: "KEY", expected: "a key in base64", optional: true }],
    run: (config, terminal, [key = ""]) => addKey(config, terminal, key),
  }),
  use: asking({
    settings: keyringChangeSettings,
    operands: [FINGERPRINT],
    run: ({ force, ...config }, terminal, [fingerprint = ""]) =>
      change(config, terminal, { op: "use", fingerprint, force }),
  }),
  remove: asking({
    settings: keyringChangeSettings,
    operands: [FINGERPRINT],
    run: ({ force, ...config }, terminal, [fingerprint = ""]) =>
      change(config, terminal, { op: "remove", fingerprint, force }),
  }),
};
