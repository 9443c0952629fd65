/**
 * `infermesh ctl members --watch`: the members once, then each event as it happens, until it is ended (Ctrl-C) or
 * nobody reads on.
 *
 * The stream's first line comes before the members are asked for, so that nothing happens unseen between the two. If
 * events were missed while it was broken, or the process is a new one, which never knew those who died before, the
 * members are shown anew.
 */
import { escaped } from "../base/printable.ts";
import { followEvents, OfNoUse, type StreamLine } from "./event-stream.ts";
import { renderEvent } from "./events.ts";
import { askMembers, listMembers, MEMBER_COLUMNS } from "./members.ts";
import { renderJsonLine, renderRows, renderWhole } from "./render.ts";
import type { MembersConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { untilEnded } from "./until-ended.ts";

/** The members, once or on and on. */
export async function showMembers(config: MembersConfig, terminal: Terminal): Promise<number> {
  if (!config.watch) return listMembers(config, terminal);
  return untilEnded(terminal, (ended) => watchMembers(config, terminal, ended));
}

function watchMembers(config: MembersConfig, terminal: Terminal, ended: AbortSignal): Promise<number> {
  const say = (text: string): void => terminal.err(`infermesh ctl: ${escaped(text)}\n`);
  let idWidth = 0;
  /** The beginning of the journal that the table is of; null while there is no table. */
  let life: number | undefined | null = null;
  const showTable = async (endpoint: string): Promise<void> => {
    const members = await askMembers(endpoint, config.timeoutMs, terminal);
    if (typeof members === "number") throw life === null ? new OfNoUse(members) : new Error("it tells no members");
    idWidth = Math.max(...members.map(({ id }) => (typeof id === "string" ? id.length : 0)), 2);
    if (config.output === "json") terminal.out(renderJsonLine({ members }));
    else if (config.output === "yaml") terminal.out(`---\n${renderWhole("yaml", { members })}`);
    else terminal.out(renderRows(config.output, members, MEMBER_COLUMNS, {}, terminal.color));
  };
  return followEvents(config, "", terminal, ended, async (line: StreamLine, endpoint) => {
    if (line.kind === "heartbeat" && (life === null || (line.first ?? life) !== life)) {
      if (life !== null) say(`${endpoint} has begun anew; these are the members now`);
      await showTable(endpoint);
      life = line.first;
    } else if (line.kind === "gap") {
      say(`${line.missed ?? "some"} events were missed; these are the members now`);
      await showTable(endpoint);
    } else if (line.kind !== "heartbeat" && isOfMember(line)) {
      terminal.out(renderEvent(config.output, line, idWidth, terminal.color));
    }
  });
}

/** Others are of models, policies, GPUs and routing. */
function isOfMember({ type }: StreamLine): boolean {
  return type === undefined || type.startsWith("node.");
}
