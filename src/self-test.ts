/** `infermesh self-test`: tries part by part what this executable needs of itself and of the machine, and tells of each. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { escaped } from "./base/printable.ts";
import { type Infer, duration, section } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";
import type { Terminal } from "./ctl/terminal.ts";
import { selfCommand } from "./process.ts";
import { type Outcome, type Part, type Place, tryParts } from "./trial/part.ts";
import { PARTS } from "./trial/parts.ts";

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
const NAME_WIDTH = Math.max(...PARTS.map(({ name }) => name.length));

const selfTestSettings = section({
  limitMs: duration({ default: "15s", min: "1s", max: "10m", doc: "How long each part may take." }),
});

export const selfTestCommand: Command<typeof selfTestSettings> = {
  help: {
    command: "infermesh self-test",
    summary: "try part by part what this executable needs of itself and of the machine",
    usage: ["[PART...] [flags]"],
    examples: [["infermesh self-test http tls", "Two parts alone."]],
    notes: [
      ["Parts", PARTS.map(({ name }) => name).join(", ")],
      [
        "What it does",
        "All of it stays on this machine: servers and name servers on loopback, files in a folder of $TMPDIR that is removed, this program again as its own child.",
      ],
      ["Exit codes", "0 all that could be tried works\n1 a part failed\n2 wrong command line"],
    ],
  },
  settings: selfTestSettings,
  operands: [{ name: "PART", expected: "a part of the test", optional: true, many: true }],
  run: selfTest,
};

async function selfTest(
  { limitMs }: Infer<typeof selfTestSettings>,
  terminal: Terminal,
  names: readonly string[],
): Promise<number> {
  const unknown = names.find((name) => !PARTS.some((part) => part.name === name));
  if (unknown !== undefined) {
    const known = PARTS.map(({ name }) => name).join(", ");
    terminal.err(`infermesh self-test: there is no part ${escaped(unknown)}; there are ${known}\n`);
    return EXIT.usage;
  }
  const parts = names.length === 0 ? PARTS : PARTS.filter(({ name }) => names.includes(name));
  const code = await runParts(parts, limitMs, terminal);
  // A part that was given up may hold this process up for ever.
  if (code !== EXIT.ok) setTimeout(() => process.exit(code), 100);
  return code;
}

async function runParts(parts: readonly Part[], limitMs: number, terminal: Terminal): Promise<number> {
  const [folder, folderFault] = scratch();
  const workerEntry = new URL("./trial/worker.ts", import.meta.url);
  const place: Place = { command: selfCommand(), workerEntry, folder, folderFault };
  try {
    const outcomes = await tryParts(parts, place, limitMs, (outcome) => terminal.out(lineOf(outcome)));
    const count = (what: Outcome["result"]): number => outcomes.filter(({ result }) => result === what).length;
    const [failed, left] = [count("failed"), count("left out")];
    terminal.out(`${count("ok")} parts work, ${failed} failed, ${left} left out\n`);
    return failed === 0 ? EXIT.ok : EXIT.failed;
  } finally {
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  }
}

function scratch(): [folder: string, fault: string] {
  try {
    return [mkdtempSync(join(tmpdir(), "infermesh-self-test-")), ""];
  } catch (error) {
    return ["", (error as Error).message];
  }
}

function lineOf({ name, result, tookMs, detail }: Outcome): string {
  const words = escaped(detail);
  return `${result.padEnd(8)}  ${name.padEnd(NAME_WIDTH)}  ${tookMs.toFixed(0).padStart(5)} ms  ${words}\n`;
}
