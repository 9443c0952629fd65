/** `infermesh ctl control`: who holds the policies, and changes of that. */
import { printable } from "../base/printable.ts";
import { duration, type Infer, section } from "../base/settings.ts";
import { EXIT, type JsonRecord } from "./client.ts";
import type { Operand } from "./command.ts";
import { bodyOf, call, change, listIn, wholeOf } from "./control-plane.ts";
import { asking, type Part } from "./part.ts";
import { repeating, watchFields } from "./repeat.ts";
import { type Column, isWhole, renderFacts, renderRows, renderWhole, textColumn, wordOf } from "./render.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

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
type ChangeConfig = Infer<typeof changeSettings>;

const NODE: Operand = { name: "NODE", expected: "a node's id, as list-nodes shows it", completes: "node" };
const ROLE_COLORS: Readonly<Record<string, number>> = { leader: 32, learner: 33 };

/** A member, with its figures as JSON has them: 64 bits as text. */
type MemberRow = JsonRecord;
const textOf = (value: unknown): string => (value === undefined || value === "" ? "-" : wordOf(value));

const MEMBER_COLUMNS: readonly Column<MemberRow>[] = [
  textColumn("NODE", ({ node, self }) => `${textOf(node)}${self === true ? " (asked here)" : ""}`),
  { ...textColumn<MemberRow>("ROLE", ({ role }) => textOf(role)), color: ({ role }) => ROLE_COLORS[String(role)] },
  textColumn("ADDRESS", ({ address }) => textOf(address)),
  textColumn("HAS", ({ matchIndex }) => textOf(matchIndex), true),
  { ...textColumn<MemberRow>("MEMBER", ({ member }) => textOf(member), true), wide: true },
];

/** Exit code 0 while policies can be changed, 1 while they can't. */
async function showStatus(config: Infer<typeof statusSettings>, terminal: Terminal): Promise<number> {
  const { output } = config;
  const body = bodyOf(await call(config, "GetStoreStatus"), terminal);
  const members = typeof body === "number" ? body : listIn(body, "members", terminal);
  if (typeof members === "number" || typeof body === "number")
    return typeof members === "number" ? members : EXIT.failed;
  const { engine, clusterId, leader, term, commitIndex, revision, alarm = "", quorum } = body;
  const well = quorum === true && alarm === "";
  const code = well ? EXIT.ok : EXIT.failed;
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else if (output === "text") terminal.out(renderRows(output, members, MEMBER_COLUMNS, {}));
  else {
    const state =
      alarm !== ""
        ? `alarm: ${String(alarm)}`
        : well
          ? "well"
          : "no majority: policies stay in force, and can't be changed";
    const facts: (readonly [string, string])[] = [
      ["state", state],
      ["engine", textOf(engine)],
      ["cluster", textOf(clusterId)],
      ["leader", textOf(leader)],
      ["term", textOf(term)],
      ["commit index", textOf(commitIndex)],
      ["revision", String(wholeOf(revision) ?? 0)],
    ];
    terminal.out(renderFacts({ title: "Store of policies", facts }));
    if (members.length > 0) terminal.out(`\n${renderRows(output, members, MEMBER_COLUMNS, {}, terminal.color)}`);
  }
  return code;
}

async function changeMembers(
  config: ChangeConfig,
  terminal: Terminal,
  method: string,
  node: string,
  words: (leader: string) => string,
): Promise<number> {
  const { output } = config;
  const reply = await change(config, method, node === "" ? {} : { node }, terminal, false);
  const body = bodyOf(reply, terminal);
  const members = typeof body === "number" ? body : listIn(body, "members", terminal);
  if (typeof members === "number" || typeof body === "number")
    return typeof members === "number" ? members : EXIT.failed;
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else if (output === "text") terminal.out(renderRows(output, members, MEMBER_COLUMNS, {}));
  else {
    terminal.out(`${printable(words(textOf(body["leader"])))}\n\n`);
    terminal.out(renderRows(output, members, MEMBER_COLUMNS, {}, terminal.color));
  }
  return EXIT.ok;
}

function changing(method: string, words: (node: string, leader: string) => string, optional = false): Part {
  return asking({
    settings: changeSettings,
    operands: [{ ...NODE, optional }],
    run: (config, terminal, [node = ""]) =>
      changeMembers(config, terminal, method, node, (leader) => words(node, leader)),
  });
}

/** The commands, without their help. */
export const CONTROL_MEMBERS = {
  status: asking({
    settings: statusSettings,
    run: (config, terminal) => repeating(config, terminal, (to) => showStatus(config, to)),
  }),
  add: changing("AddControlMember", (node) => `${node} is a control node now`),
  remove: changing("RemoveControlMember", (node) => `${node} is no control node any more`),
  transfer: changing("TransferLeadership", (_node, leader) => `${leader} leads now`, true),
};
