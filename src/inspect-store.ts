/** `infermesh agent inspect-store`: shows what a control node's log holds, and checks it. */
import type { Command } from "./ctl/command.ts";
import { inspectStoreHelp, inspectStoreSettings } from "./store/inspect-settings.ts";

export const inspectStoreCommand: Command<typeof inspectStoreSettings> = {
  help: inspectStoreHelp,
  settings: inspectStoreSettings,
  operands: [{ name: "PATH", expected: "a log's database, such as DATA-DIR/control-ID.sqlite", completes: "file" }],
  async run({ entries: count, output }, terminal, [path = ""]) {
    const { entryLine, inspectLog } = await import("./store/log-inspection.ts");
    const { renderFigures, renderJsonLine } = await import("./ctl/render.ts");
    const { summary, entries, fault } = await inspectLog(path);
    if (count === 0) terminal.out(renderFigures(output, summary));
    else for (const entry of entries.slice(-count)) terminal.out(renderJsonLine(entryLine(entry)));
    if (fault !== null) throw fault;
  },
};
