/** Faults that a repeatable request is to survive by the rules of flow/: timeouts, bursts of refusals, resets of the head. */
import { afterEach, describe, expect, test } from "bun:test";
import { ACTION, FaultUpstream, STAGE } from "./fault-upstream.ts";
import type { Action, Stage } from "./fault-upstream.ts";
import { answer, ask, CHAT, CLOSE, fixtures, ok, post, statusOf, until } from "./harness.ts";

const { upstream, relay } = fixtures();
const opened: FaultUpstream[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.stop();
});

function faulty(stage: Stage, action: Action): FaultUpstream {
  const made = new FaultUpstream(stage, action);
  opened.push(made);
  return made;
}

const FILES = "/v1/files";
const ROUNDS = 4;
const REQUESTS_MAX = 200;
const IMPATIENT = { firstByteTimeoutMs: 300, ejectForMs: 0 };

/** Sends requests one after the other, and more until `met`: which of two idle targets a request goes to is chance. */
async function askInTurn(port: number, count: number, path?: string, met = (): boolean => true): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < count || (!met() && i < REQUESTS_MAX); i++) {
    answers.push(await ask(port, post(CHAT, `${CLOSE}x-request-id: r${i}\r\n`, path)));
  }
  return answers;
}

describe("a target that falls silent before it answers costs a repeatable request nothing but time", () => {
  test.each([STAGE.accept, STAGE.head, STAGE.body, STAGE.request, STAGE.answerHead])("%s", async (stage) => {
    const bad = faulty(stage, ACTION.stall);
    const good = upstream(ok);
    const relayed = relay([bad.port, good.port], IMPATIENT);
    const answers = await askInTurn(relayed.port, ROUNDS, undefined, () => bad.connections > 0);
    expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
    expect(bad.connections).toBeGreaterThan(0);
    await until(() => relayed.inFlight === 0 && bad.open === 0);
  });
});

describe("a burst of refusals by one target", () => {
  test.each(["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "429 Too Many Requests"])(
    "costs a repeatable request nothing: %s",
    async (status) => {
      const bad = upstream((socket) => socket.write(answer('{"error":{}}', "", status)));
      const good = upstream(ok);
      const relayed = relay([bad.port, good.port], IMPATIENT);
      const answers = await askInTurn(relayed.port, ROUNDS, undefined, () => bad.requests.length > 0);
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      expect(bad.requests.length).toBeGreaterThan(0);
      expect(relayed.inFlight).toBe(0);
    },
  );

  test.each(["503 Service Unavailable", "429 Too Many Requests"])(
    "sends a stateful request elsewhere, since it did not run: %s",
    async (status) => {
      const bad = upstream((socket) => socket.write(answer('{"error":{}}', "", status)));
      const good = upstream(ok);
      const relayed = relay([bad.port, good.port], IMPATIENT);
      const answers = await askInTurn(relayed.port, ROUNDS, FILES, () => bad.requests.length > 0);
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      expect(relayed.inFlight).toBe(0);
    },
  );

  test("is not repeated for a client that asks for that", async () => {
    const bad = [0, 1].map(() => upstream((socket) => socket.write(answer("{}", "", "503 Service Unavailable"))));
    const relayed = relay(
      bad.map(({ port }) => port),
      IMPATIENT,
    );
    const text = await ask(relayed.port, post(CHAT, `${CLOSE}x-infermesh-retry: never\r\n`));
    expect(statusOf(text)).toBe(503);
    expect(bad.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(1);
  });
});
