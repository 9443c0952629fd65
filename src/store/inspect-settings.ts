/** What `infermesh agent inspect-store` says of itself, and may be told. */
import type { Help } from "../base/help.ts";
import { choice, integer, section } from "../base/settings.ts";

export const inspectStoreSettings = section({
  entries: integer({
    default: 0,
    max: 10_000_000,
    doc: "Print the last N entries, one JSON object on each line, instead of the summary.",
  }),
  output: choice(["table", "json", "yaml", "text"], {
    default: "table",
    short: "o",
    doc: "How the summary is printed. table is for people, json and yaml for programs, text is a line for each figure, with a tab.",
  }),
});

export const inspectStoreHelp: Help = {
  command: "infermesh agent inspect-store",
  summary: "show what a control node's log holds, and check every checksum in it; changes nothing",
  usage: ["PATH [flags]"],
  examples: [
    ["infermesh agent inspect-store ~/.local/state/infermesh/control-gpu-1.sqlite", "Also while an agent uses it."],
    ["infermesh agent inspect-store --entries 10 control-gpu-1.sqlite", "The last 10 entries, as JSON lines."],
  ],
  notes: [["Exit codes", "0 all is right\n1 damaged, or no log\n2 wrong command line"]],
};
