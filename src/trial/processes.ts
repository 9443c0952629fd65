/** Processes: this program run again, told something by signals, pipes and a terminal; and what one says that fails. */
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { commit, version } from "../base/version.ts";
import { CHILD_COMMAND, type ChildName, ORDERLY } from "./child.ts";
import { LeftOut, type Part, type Place, must, mustEqual } from "./part.ts";

const PIPED_BYTES = 300_000;
const COLUMNS = 91;
const ROWS = 17;

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const commandOf = ({ command }: Place, child: ChildName): string[] => [...command, CHILD_COMMAND, child];

async function spawn(place: Place): Promise<string> {
  const child = Bun.spawn([...place.command, "--version"], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [said, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  mustEqual("what it said, and how it ended", [errors, code], ["", 0]);
  mustEqual("its version", said, `infermesh ${version} (${commit}, bun ${Bun.version})\n`);
  const killed = Bun.spawn(commandOf(place, "signals"), { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  killed.kill("SIGKILL");
  await killed.exited;
  mustEqual("how one that was killed ended", [killed.exitCode, killed.signalCode], [null, "SIGKILL"]);
  return "itself again: its version, its exit code, its end by a signal";
}

/** Signals that it handles come one by one, and that for the end ends it in order. */
async function signals(place: Place): Promise<string> {
  const child = Bun.spawn(commandOf(place, "signals"), { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const next = ["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGTERM"] as const;
  const seen: string[] = [];
  let rest = "";
  try {
    for await (const bytes of child.stdout) {
      rest += Buffer.from(bytes).toString();
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        seen.push(rest.slice(0, end));
        rest = rest.slice(end + 1);
        // Each is sent when the one before was told of.
        const signal = next[seen.length - 1];
        if (signal !== undefined) child.kill(signal);
      }
    }
  } finally {
    child.kill("SIGKILL");
  }
  mustEqual("what it told", seen, ["ready", ...next]);
  mustEqual("its exit code", await child.exited, ORDERLY);
  return `${next.join(", ")} handled, the last by an orderly end`;
}

/** An error that nobody handles ends the process by 1, with the error's words and the places that it went through. */
async function uncaught(place: Place): Promise<string> {
  const counts: number[] = [];
  for (const kind of ["throw", "reject"] as const) {
    const child = Bun.spawn(commandOf(place, kind), { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    const [errors, code] = await Promise.all([child.stderr.text(), child.exited]);
    mustEqual("the exit code after an error", code, 1);
    must(errors.includes("meant to be seen"), `an error that nobody handled was not told: ${JSON.stringify(errors)}`);
    counts.push([...errors.matchAll(/^\s+at .*:\d+:\d+\)?$/gm)].length);
  }
  const [frames = 0] = counts;
  must(frames >= 4, `the stack of an error four calls deep has ${frames} places`);
  return `errors and rejections told, the error with ${frames} places`;
}

/** What goes in by its standard input comes out of its standard output, until the end of it ends the process. */
async function stdin(place: Place): Promise<string> {
  const sent = randomBytes(PIPED_BYTES);
  const child = Bun.spawn(commandOf(place, "echo"), { stdin: sent, stdout: "pipe", stderr: "inherit" });
  const [got, code] = await Promise.all([child.stdout.bytes(), child.exited]);
  mustEqual("its exit code", code, 0);
  mustEqual("what came back", digest(got), digest(sent));
  return `${PIPED_BYTES} bytes through a pipe in and one out`;
}

async function terminal(place: Place): Promise<string> {
  if (!existsSync("/dev/ptmx")) throw new LeftOut("there are no terminals here (/dev/ptmx)");
  let said = "";
  const typed = ["a", "q"];
  let lines = 0;
  // Its last words may come after the news of its end.
  const { promise: heard, resolve: isHeard } = Promise.withResolvers<void>();
  const screen = new Bun.Terminal({
    cols: COLUMNS,
    rows: ROWS,
    data: (self, bytes) => {
      said += Buffer.from(bytes).toString();
      // A key for each whole line.
      for (; lines < said.split("\n").length - 1; lines++) {
        const key = typed[lines];
        if (key === undefined) isHeard();
        else self.write(key);
      }
    },
  });
  const child = Bun.spawn(commandOf(place, "keys"), { terminal: screen, env: { ...process.env, TERM: "xterm" } });
  const code = await child.exited;
  mustEqual(`the exit code of one that said ${JSON.stringify(said)}`, code, ORDERLY);
  await heard;
  screen.close();
  const expected = [`size ${COLUMNS}x${ROWS} raw`, ...typed.map((key) => `keys ${Buffer.from(key).toString("hex")}`)];
  mustEqual("what it said on a terminal", said.split(/\r?\n/).slice(0, -1), expected);
  return `${COLUMNS} columns, ${ROWS} lines, key by key`;
}

export const PROCESS_PARTS: readonly Part[] = [
  { name: "spawn", run: spawn },
  { name: "signals", run: signals },
  { name: "errors", run: uncaught },
  { name: "stdin", run: stdin },
  { name: "terminal", run: terminal },
];
