/**
 * A runtime as its agent holds it, by its keeper: one that this agent has started, or one that an agent before it had.
 * Signals go from the agent to all of the runtime's session; how it ended comes from the keeper, by its pipe to the agent
 * that started it, and by the record to one that came later.
 */
import type { RuntimeExit } from "../exec/exit.ts";
import { UNSEEN } from "../exec/exit.ts";
import type { KeeperMessage } from "./keeper-process.ts";
import { isThere, killDescendants, placeOfNumbers, type ProcessName, sessionGone, signalSession } from "./proc.ts";
import { asExit, isFromHere, readRecord, recordOf, removeRecord, type RuntimeRecord } from "./record.ts";
import type { KeeperSpec } from "./spec.ts";

export interface Kept {
  readonly pid: number;
  /** Since 1970. */
  readonly startedAtMs: number;
  signal(signal: "SIGTERM" | "SIGKILL"): void;
  /** Never settles once it was let go of. */
  readonly exited: Promise<RuntimeExit>;
  /** It is another agent's from now on: nothing of its record is touched any more. */
  leave(): void;
}

/** A keeper has told nothing for this long, and is ended: the machine may be busy, hardly that busy. */
const START_MS = 60_000;
const POLL_MS = 100;
/** For killed processes to be gone. */
const KILLED_MS = 5000;
const LINE_CHARS_MAX = 1024 * 1024;

/** Rejects with why it could not be started. `lost` is told when its log loses something. */
export async function startKept(spec: KeeperSpec, lost: (why: string) => void): Promise<Kept> {
  const env = Object.fromEntries(["PATH", "HOME", "TMPDIR", "LANG"].map((name) => [name, process.env[name]]));
  const keeper = Bun.spawn([...spec.self, "exec-runtime"], {
    stdin: "pipe",
    stdout: "pipe",
    // It has nothing to say when its agent is gone, and no pipe to say it in.
    stderr: "ignore",
    // A Ctrl-C at the agent's terminal is the agent's.
    detached: true,
    env,
  });
  keeper.unref();
  const messages = messagesOf(keeper.stdout)[Symbol.asyncIterator]();
  const timer = setTimeout(() => keeper.kill("SIGKILL"), START_MS);
  try {
    await keeper.stdin.write(`${JSON.stringify(spec)}\n`);
    await keeper.stdin.flush();
    if (spec.isDetached) await keeper.stdin.end();
    const first = await messages.next();
    if (first.done === true)
      throw new Error(`its keeper ended before it had started it (${spec.self.join(" ")} exec-runtime)`);
    if (first.value.type !== "started")
      throw new Error(first.value.type === "failed" ? first.value.why : "its keeper is another version's");
    const { keeper: name, runtime, atMs } = first.value;
    const told = toldBy(messages, lost).then(async (exit) => {
      await keeper.exited;
      return exit;
    });
    return keptOf(spec.stateDirectory, name, runtime, atMs, told);
  } catch (error) {
    keeper.kill("SIGKILL");
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Its last word; a pipe that breaks is the end of its words. */
async function toldBy(messages: AsyncIterator<KeeperMessage>, lost: (why: string) => void): Promise<RuntimeExit> {
  let exit: RuntimeExit | undefined;
  try {
    for (let next = await messages.next(); next.done !== true; next = await messages.next()) {
      if (next.value.type === "exited") exit = asExit(next.value.exit);
      else if (next.value.type === "lost") lost(next.value.why);
    }
  } catch {
    // What it told until then is what there is.
  }
  return exit ?? UNSEEN;
}

/** What an agent before this one has left: a keeper that is there; what it saw last; nothing. */
export type Left =
  | { readonly kind: "running"; readonly record: RuntimeRecord; readonly kept: Kept }
  | { readonly kind: "ended"; readonly record: RuntimeRecord }
  | { readonly kind: "nothing" };

/** Waits until a keeper that is there has started its runtime. */
export async function findLeft(stateDirectory: string, here: string = placeOfNumbers()): Promise<Left> {
  const endMs = performance.now() + START_MS;
  for (;;) {
    const record = readRecord(stateDirectory);
    // Numbers of another boot or container are of other processes here.
    if (record === undefined || !isFromHere(record, here)) return { kind: "nothing" };
    const { keeper, runtime } = record;
    if (!isThere(keeper)) {
      // It was killed, and its runtime by the kernel; but not always what that one had started.
      if (runtime !== null) await endLeft(runtime);
      removeRecord(stateDirectory, keeper);
      return { kind: "ended", record };
    }
    if (runtime !== null) return { kind: "running", record, kept: adopt(stateDirectory, record, runtime) };
    if (performance.now() > endMs) {
      signalKeeper(keeper);
      return { kind: "nothing" };
    }
    await Bun.sleep(POLL_MS);
  }
}

function adopt(stateDirectory: string, { keeper, startedAtMs }: RuntimeRecord, runtime: ProcessName): Kept {
  const exited = (async (): Promise<RuntimeExit> => {
    // Its parent is another process, so that only looking tells.
    while (isThere(keeper)) await sleep(POLL_MS);
    return UNSEEN;
  })();
  return keptOf(stateDirectory, keeper, runtime, startedAtMs, exited);
}

/** `told` resolves when the keeper is gone, with what it told; the record may know more. */
function keptOf(
  directory: string,
  keeper: ProcessName,
  runtime: ProcessName,
  startedAtMs: number,
  told: Promise<RuntimeExit>,
): Kept {
  const { promise, resolve } = Promise.withResolvers<RuntimeExit>();
  let isLeft = false;
  void told.then(async (exit) => {
    if (isLeft) return;
    // The kernel ended it with its keeper, but not always what it had started.
    await endLeft(runtime);
    const record = recordOf(directory, keeper);
    removeRecord(directory, keeper);
    resolve(exit === UNSEEN ? (record?.exit ?? UNSEEN) : exit);
  });
  return {
    pid: runtime.pid,
    startedAtMs,
    signal(signal) {
      signalSession(runtime, signal);
      // A session of its own keeps nothing from its end; in order, the keeper does that when the leader has ended.
      if (signal === "SIGKILL") killDescendants(keeper);
    },
    exited: promise,
    leave() {
      isLeft = true;
    },
  };
}

/** Ends what a keeper could not end any more. */
async function endLeft(runtime: ProcessName): Promise<void> {
  if (signalSession(runtime, "SIGKILL")) await sessionGone(runtime.pid, KILLED_MS);
}

function signalKeeper(keeper: ProcessName): void {
  try {
    if (isThere(keeper)) process.kill(keeper.pid, "SIGKILL");
  } catch {
    // It ended meanwhile.
  }
}

/** Keeps nobody from ending. */
function sleep(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms).unref();
  return promise;
}

async function* messagesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<KeeperMessage> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_CHARS_MAX) return;
    for (const line of lines) {
      try {
        yield JSON.parse(line) as KeeperMessage;
      } catch {
        // Nothing of a keeper's.
      }
    }
  }
}
