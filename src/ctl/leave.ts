/** `infermesh ctl leave`: a router or an agent takes leave of its mesh and ends, as by SIGTERM, from wherever it is. */
import { escaped, printable } from "../base/printable.ts";
import { formatDuration } from "../base/units.ts";
import { DEFAULT_ENDPOINTS, EXIT, ask, failureOf, notOurs, recordOf, recordsIn } from "./client.ts";
import type { LeaveConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const LOOK_MS = 50;
/** For one answer; also the last look has time for one, so that the wait may take that much longer. */
const ANSWER_MS_MIN = 250;
const ANSWER_MS_MAX = 5000;

/** Asks, then waits until nobody listens there any more. */
export async function leaveMesh({ endpoint, timeoutMs }: LeaveConfig, terminal: Terminal): Promise<number> {
  const say = (text: string): void => terminal.err(`infermesh ctl leave: ${escaped(text)}\n`);
  const startedMs = performance.now();
  const leftMs = (): number => {
    return Math.max(ANSWER_MS_MIN, Math.min(ANSWER_MS_MAX, startedMs + timeoutMs - performance.now()));
  };
  if (endpoint === "" && (await allAnswer(DEFAULT_ENDPOINTS, leftMs()))) {
    say(`a router and an agent run here; say who is to leave: --endpoint ${DEFAULT_ENDPOINTS.join(" or ")}`);
    return EXIT.usage;
  }
  const known = await ask(endpoint, "/members", leftMs());
  const failed = failureOf(known, terminal);
  if (failed !== undefined || known.kind !== "answer") return failed ?? EXIT.failed;
  // Who asks a stranger to leave may end something else.
  const [self] = recordsIn(known.body, "members") ?? [];
  const { id, role } = self ?? {};
  if (typeof id !== "string" || id === "") return notOurs("members", terminal);
  const who = printable(`${typeof role === "string" ? role : "member"} ${id} at ${known.endpoint}`);
  const asked = await ask(known.endpoint, "/leave", leftMs(), "POST");
  const refused = failureOf(asked, terminal);
  if (refused !== undefined || asked.kind !== "answer") {
    if (asked.kind === "answer" && asked.status === 404) say("only --api ports take leave, not --metrics ports");
    return refused ?? EXIT.failed;
  }
  for (let last = "it has not been asked again"; ; await Bun.sleep(LOOK_MS)) {
    const health = await ask(known.endpoint, "/health", leftMs());
    const waited = performance.now() - startedMs;
    if (health.kind === "unreachable" && health.refused) {
      terminal.out(`${who} has left the mesh and ended, after ${(waited / 1000).toFixed(1)} s\n`);
      return EXIT.ok;
    }
    if (health.kind === "answer") {
      const status = recordOf(health.body)?.["status"];
      if (status !== "draining") {
        say(
          `${who} took leave, and something answers there again after ${(waited / 1000).toFixed(1)} s (${JSON.stringify(status)}):`,
        );
        say("a supervisor has started it anew; stop it there");
        return EXIT.failed;
      }
      last = "it is finishing what it has in flight";
      terminal.progress?.(`${who}: ${last}, ${Math.round(waited / 1000)} s`);
    } else last = health.why;
    if (waited >= timeoutMs) {
      say(`${who} has taken leave, and is still there after ${formatDuration(timeoutMs)}: ${last}`);
      return EXIT.failed;
    }
  }
}

async function allAnswer(endpoints: readonly string[], timeoutMs: number): Promise<boolean> {
  const answers = await Promise.all(endpoints.map((endpoint) => ask(endpoint, "/health", timeoutMs)));
  return answers.every(({ kind }) => kind === "answer");
}
