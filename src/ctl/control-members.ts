/** `infermesh ctl control`: who holds the policies, and changes of that. */
import { escaped, printable } from "../base/printable.ts";
import { duration, type Infer, section, text } from "../base/settings.ts";
import { EXIT, type JsonRecord } from "./client.ts";
import type { Operand } from "./command.ts";
import { bodyOf, call, change, listIn, wholeOf } from "./control-plane.ts";
import { asking, type Part } from "./part.ts";
import { type Column, isWhole, renderFacts, renderRows, renderWhole, textColumn, wordOf } from "./render.ts";
import { repeating, watchFields } from "./repeat.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** Longer than an election takes. */
const ELECTION_MS_MAX = 3000;
const LOOK_MS = 250;

const statusSettings = section({ ...ctlSettings.fields, ...watchFields });
const changeSettings = section({
  ...ctlSettings.fields,
  timeoutMs: duration({
    default: "60s",
    min: "10ms",
    max: "1h",
    doc: "How long to wait: a new member fetches all policies before it votes.",
  }),
});
const addSettings = section({
  address: text({
    default: "",
    lengthMax: 300,
    placeholder: "HOST:PORT",
    emptyMeans: "what the mesh knows of it",
    doc: "Where the node takes the links of control nodes (its --control-listen).",
  }),
  ...changeSettings.fields,
});
type ChangeConfig = Infer<typeof changeSettings>;

const NODE: Operand = { name: "NODE", expected: "a node's id, as list-nodes shows it", completes: "node" };
const ROLE_COLORS: Readonly<Record<string, number>> = { leader: 32, learner: 33 };

/** A member, with its figures as JSON has them: 64 bits as text. */
type MemberRow = JsonRecord;
const textOf = (value: unknown): string => (value === undefined || value === "" ? "-" : wordOf(value));

const MEMBER_COLUMNS: readonly Column<MemberRow>[] = [
  textColumn("NODE", ({ node }) => textOf(node)),
  { ...textColumn<MemberRow>("ROLE", ({ role }) => textOf(role)), color: ({ role }) => ROLE_COLORS[textOf(role)] },
  textColumn("ADDRESS", ({ address }) => textOf(address)),
  textColumn("HAS", ({ matchIndex }) => textOf(matchIndex), true),
  textColumn("HEARD", ({ active }) => (typeof active === "boolean" ? (active ? "yes" : "no") : "-")),
  { ...textColumn<MemberRow>("MEMBER", ({ member }) => textOf(member)), wide: true },
];

/** Exit code 0 while policies can be changed, 1 while they can't. */
async function showStatus(config: Infer<typeof statusSettings>, terminal: Terminal): Promise<number> {
  const { output } = config;
  const body = bodyOf(await call(config, "GetStoreStatus"), terminal);
  if (typeof body === "number") return body;
  const members = membersIn(body, terminal);
  if (typeof members === "number") return members;
  const writable = body["writable"] === true;
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else if (output === "text") terminal.out(renderRows(output, members, MEMBER_COLUMNS, {}));
  else {
    // Elsewhere it says to come here.
    const alarm = textOf(body["alarm"]).replace(/; see `infermesh ctl control status`$/, "");
    const why = alarm === "-" ? "" : `: ${alarm}`;
    const applied = `applied up to ${textOf(body["appliedIndex"] ?? 0)} of ${textOf(body["commitIndex"] ?? 0)}`;
    const facts: (readonly [string, string])[] = [
      ["state", `policies ${writable ? "can be changed" : "stay in force, and can't be changed now"}${why}`],
      ["engine", textOf(body["engine"])],
      ["cluster", textOf(body["cluster"])],
      ["leader", textOf(body["leader"])],
      ["term", textOf(body["term"])],
      ["policies", `${textOf(body["items"] ?? 0)}, at revision ${textOf(body["revision"] ?? 0)}`],
      ["log", `${applied}, ${sizeText(wholeOf(body["logBytes"]) ?? 0)}`],
    ];
    terminal.out(renderFacts({ title: "Store of policies", facts }));
    if (members.length > 0) terminal.out(`\n${renderRows(output, members, MEMBER_COLUMNS, {}, terminal.color)}`);
  }
  if (!isWhole(output) && output !== "text") tellMembers(body, members, terminal);
  return writable ? EXIT.ok : EXIT.failed;
}

/** What a reader of the list may not know: why one does not vote, and what mends the loss of a majority. */
function tellMembers(body: JsonRecord, members: readonly MemberRow[], terminal: Terminal): void {
  const say = (words: string): void => terminal.err(`infermesh ctl control: ${escaped(words)}\n`);
  if (hasNoLeader(body)) say(members.length > 0 ? majorityOf(members) : NO_MEMBERS);
  const learners = members.filter(({ role }) => role === "learner").map(({ node }) => textOf(node));
  if (learners.length > 0 && members.length % 2 === 0) {
    const verb = learners.length === 1 ? "learns along and votes" : "learn along and vote";
    say(
      `${learners.join(", ")} ${verb} when one more is added: voters are an odd number, since an even one survives no more failures`,
    );
  }
}

const NO_MEMBERS =
  "no control node is known there: one agent of the mesh is started with --control bootstrap, others join it, and `infermesh ctl members` shows who is met";

function hasNoLeader({ leader, writable }: JsonRecord): boolean {
  return writable !== true && textOf(leader) === "-";
}

function majorityOf(members: readonly MemberRow[]): string {
  const names = members.map(({ node }) => textOf(node)).join(", ");
  return `a majority of ${names} must run; \`infermesh ctl members\` shows which are down`;
}

/** Waits for a leader, since nothing can be changed without; says so and answers an exit code where there is none. */
async function withoutLeader(config: ChangeConfig, terminal: Terminal): Promise<number | undefined> {
  const untilMs = performance.now() + Math.min(ELECTION_MS_MAX, config.timeoutMs);
  const asked = { endpoint: config.endpoint, timeoutMs: Math.min(ELECTION_MS_MAX, config.timeoutMs) };
  for (;;) {
    const status = await call(asked, "GetStoreStatus");
    // What else goes wrong is told by the change itself.
    if (status.kind !== "reply" || !hasNoLeader(status.body)) return undefined;
    const members = listIn(status.body, "members", terminal);
    if (typeof members === "number" || members.length === 0) return undefined;
    if (performance.now() < untilMs) {
      await Bun.sleep(LOOK_MS);
      continue;
    }
    terminal.err("infermesh ctl control: the control nodes have no leader, and can't be changed now\n");
    terminal.err(`infermesh ctl control: ${escaped(majorityOf(members))}\n`);
    return EXIT.failed;
  }
}

async function changeMembers(
  config: ChangeConfig,
  terminal: Terminal,
  {
    method,
    request,
    words,
  }: { method: string; request: object; words: (leader: string, nodes: readonly unknown[]) => string },
): Promise<number> {
  const { output } = config;
  const stuck = await withoutLeader(config, terminal);
  if (stuck !== undefined) return stuck;
  const body = bodyOf(await change(config, method, request, terminal, false), terminal);
  if (typeof body === "number") return body;
  const members = membersIn(body, terminal);
  if (typeof members === "number") return members;
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else if (output === "text") terminal.out(renderRows(output, members, MEMBER_COLUMNS, {}));
  else {
    terminal.out(
      `${printable(
        words(
          textOf(body["leader"]),
          members.map(({ node }) => node),
        ),
      )}\n\n`,
    );
    terminal.out(renderRows(output, members, MEMBER_COLUMNS, {}, terminal.color));
    tellMembers({ ...body, writable: true }, members, terminal);
  }
  return EXIT.ok;
}

/** By name. */
function membersIn(body: JsonRecord, terminal: Terminal): readonly MemberRow[] | number {
  const members = listIn(body, "members", terminal);
  if (typeof members === "number") return members;
  return members.toSorted((a, b) => (textOf(a["node"]) < textOf(b["node"]) ? -1 : 1));
}

function sizeText(bytes: number): string {
  return bytes < 2 ** 20 ? `${bytes.toLocaleString("en-US")} bytes` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function changing(method: string, words: (node: string, leader: string) => string): Part {
  return asking({
    settings: changeSettings,
    operands: [NODE],
    run(config, terminal, [node = ""]) {
      return changeMembers(config, terminal, { method, request: { node }, words: (leader) => words(node, leader) });
    },
  });
}

/** The commands, without their help. */
export const CONTROL_MEMBERS = {
  status: asking({
    settings: statusSettings,
    run: (config, terminal) => repeating(config, terminal, (to) => showStatus(config, to)),
  }),
  add: asking({
    settings: addSettings,
    operands: [NODE],
    run(config, terminal, [node = ""]) {
      const { address } = config;
      const request = { node, ...(address === "" ? {} : { address }) };
      // Who is asked may be told of it a moment later.
      const words = (_leader: string, nodes: readonly unknown[]): string =>
        nodes.includes(node) ? `${node} is a control node now` : `${node} is becoming a control node`;
      return changeMembers(config, terminal, { method: "AddControlMember", request, words });
    },
  }),
  remove: changing("RemoveControlMember", (node) => `${node} is no control node any more`),
  transfer: changing("TransferLeadership", (_node, leader) => `${leader} leads now`),
};
