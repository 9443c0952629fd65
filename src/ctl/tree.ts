/** `infermesh ctl` as a tree of commands; see complete.ts for its form. */
import { CTL_GROUPS } from "./catalogue-groups.ts";
import { commandOf, CTL, type Entry } from "./catalogue.ts";
import type { Branch } from "./complete.ts";
import type { SnapshotReader } from "./snapshot.ts";

/**
 * All commands of ctl. `root` is the whole tree, whose words `ctl complete` knows; `reader` gives what reads a snapshot,
 * which is the store's.
 */
export function ctlTree(root: () => Branch, reader: () => Promise<SnapshotReader>): Branch {
  const status: Entry = {
    summary: "show what a snapshot's file holds",
    async load() {
      const [{ snapshotStatus }, read] = await Promise.all([import("./snapshot.ts"), reader()]);
      return snapshotStatus(read);
    },
  };
  const groups = Object.entries(CTL_GROUPS).map(([name, { summary, entries }]): [string, Branch] => {
    const more = name === "snapshot" ? { status } : {};
    return [name, { doc: summary, children: branches(`ctl ${name}`, { ...entries, ...more }) }];
  });
  const completion: Branch = {
    doc: "What makes a shell complete these commands.",
    children: branches("ctl completion", {
      bash: {
        summary: "print what bash loads: source <(infermesh ctl completion bash)",
        load: async () => (await completions()).script("bash"),
      },
      zsh: {
        summary: "print what zsh loads: source <(infermesh ctl completion zsh)",
        load: async () => (await completions()).script("zsh"),
      },
      fish: {
        summary: "print what fish loads: infermesh ctl completion fish | source",
        load: async () => (await completions()).script("fish"),
      },
    }),
  };
  const complete: Entry = {
    summary: "tell a shell what the last of the words may become",
    hidden: true,
    load: async () => (await completions()).completing(root()),
  };
  return {
    doc: "Ask a running router or agent, and manage the mesh.",
    children: { ...branches("ctl", CTL), ...Object.fromEntries(groups), completion, ...branches("ctl", { complete }) },
  };
}

const completions = () => import("./completion.ts");

function branches(group: string, entries: Readonly<Record<string, Entry>>): Record<string, Branch> {
  return Object.fromEntries(
    Object.entries(entries).map(([name, entry]): [string, Branch] => {
      const { summary, hidden = false } = entry;
      const doc = `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`;
      return [name, { doc, hidden, load: () => commandOf(`${group} ${name}`, entry) }];
    }),
  );
}
