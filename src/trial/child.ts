/**
 * `infermesh self-test-child WHAT`: what the self-test starts of itself, to see how a process begins, is told something
 * and ends. Each says nothing but what the test looks for.
 */

export const CHILD_COMMAND = "self-test-child";
/** The end that a child has when it is asked for it in order. */
export const ORDERLY = 7;

/** Deep enough that the place of an error is not the whole of its stack. */
function fail(depth: number): never {
  if (depth > 0) fail(depth - 1);
  throw new Error("meant to be seen");
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function waitForSignals(): void {
  for (const signal of ["SIGUSR1", "SIGUSR2", "SIGHUP"] as const) process.on(signal, () => say(signal));
  process.on("SIGTERM", () => {
    say("SIGTERM");
    process.exitCode = ORDERLY;
    clearInterval(alive);
  });
  const alive = setInterval(() => {}, 1000);
  say("ready");
}

async function echo(): Promise<void> {
  for await (const bytes of process.stdin) if (!process.stdout.write(bytes as Buffer)) await drained();
}

const drained = (): Promise<void> => new Promise((resolve) => process.stdout.once("drain", () => resolve()));

/** What is typed comes key by key, and is not shown by the terminal itself. */
function readKeys(): void {
  const { stdin, stdout } = process;
  const raw = stdin.isTTY ? (stdin.setRawMode(true), "raw") : "no terminal";
  stdin.on("data", (keys: Buffer) => {
    say(`keys ${keys.toString("hex")}`);
    if (!keys.includes("q")) return;
    stdin.setRawMode(false);
    stdin.pause();
    process.exitCode = ORDERLY;
  });
  say(`size ${stdout.columns}x${stdout.rows} ${raw}`);
}

const CHILDREN = {
  signals: waitForSignals,
  echo,
  keys: readKeys,
  throw: () => fail(3),
  // Nobody waits for it: the runtime has to find out.
  reject: () => void Promise.reject(new Error("meant to be seen")),
} as const satisfies Record<string, () => Promise<void> | void>;

export type ChildName = keyof typeof CHILDREN;

export function trialChild([name = ""]: readonly string[]): Promise<void> | void {
  if (Object.hasOwn(CHILDREN, name)) return CHILDREN[name as ChildName]();
  process.stderr.write(`infermesh ${CHILD_COMMAND}: the self-test starts it by itself\n`);
  process.exitCode = 2;
}
