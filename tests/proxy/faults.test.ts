/**
 * An upstream that fails at every stage of an exchange, in every way, beside one that works: what the client sees, how
 * often a request ran, and that nothing stays in flight.
 *
 * A repeatable path costs its client nothing as long as the answer has not begun. A stateful one is told the truth, and
 * runs once at most. An answer that has begun ends as its framing allows: an event stream with an error event, anything
 * else with a connection that is cut, so that nobody takes a part for the whole.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { ACTION, FaultUpstream, STAGE, WHOLE } from "./fault-upstream.ts";
import type { Action, Stage } from "./fault-upstream.ts";
import {
  answer,
  ask,
  CHAT,
  chunk,
  Client,
  CLOSE,
  fixtures,
  ok,
  post,
  SSE_HEAD,
  statusOf,
  until,
  useTransport,
} from "./harness.ts";
import type { Script } from "./harness.ts";

const { upstream, relay } = fixtures();
const opened: FaultUpstream[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.stop();
  useTransport("epoll");
});

function faulty(stage: Stage, action: Action): FaultUpstream {
  const made = new FaultUpstream(stage, action);
  opened.push(made);
  return made;
}

const FILES = "/v1/files";
/** Nobody listens here. */
const REFUSED_PORT = 9;
/** A target that failed stays in play, so that its fault is met again. */
const UNFORGETTING = { ejectForMs: 0 };
/** A stall is over soon. */
const IMPATIENT = { firstByteTimeoutMs: 120, streamTimeoutMs: 120, ejectForMs: 0 };
const ROUNDS = 8;
const REQUESTS_MAX = 200;

const ENDS = [ACTION.reset, ACTION.end] as const;
const BEFORE_THE_ANSWER = [STAGE.accept, STAGE.head, STAGE.body, STAGE.request, STAGE.answerHead] as const;
const pairs = <A, B>(left: readonly A[], right: readonly B[]): [A, B][] =>
  left.flatMap((one) => right.map((other): [A, B] => [one, other]));

/**
 * Sends requests one after the other, each with an id of its own, and more until `met`: which of several idle targets a
 * request goes to is chance. Answers what came back.
 */
async function askInTurn(port: number, count: number, path?: string, met = (): boolean => true): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < count || (!met() && i < REQUESTS_MAX); i++) {
    answers.push(await ask(port, post(CHAT, `${CLOSE}x-request-id: r${i}\r\n`, path)));
  }
  return answers;
}

const bodyOf = (text: string): string => text.slice(text.indexOf("\r\n\r\n") + 4);
const twice = (ids: readonly string[]): string[] => ids.filter((id, at) => ids.indexOf(id) !== at);

describe.each(["epoll", "bun"] as const)("streams of %s", (kind) => {
  beforeEach(() => useTransport(kind));

  describe("before the answer has begun, a repeatable request is answered by another target", () => {
    test.each(pairs(BEFORE_THE_ANSWER, ENDS))("%s: %s", async (stage, action) => {
      const bad = faulty(stage, action);
      const good = upstream(ok);
      const relayed = relay([bad.port, good.port], UNFORGETTING);
      const answers = await askInTurn(relayed.port, ROUNDS, undefined, () => bad.connections > 0);
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      expect(new Set(answers.map(bodyOf))).toEqual(new Set(['{"ok":true}']));
      expect(bad.connections).toBeGreaterThan(0);
      for (const request of good.requests) expect(request.endsWith(CHAT)).toBe(true);
      await until(() => relayed.inFlight === 0 && bad.open === 0);
    });

    test.each(pairs(BEFORE_THE_ANSWER, ENDS))("by the third, when two fail alike: %s: %s", async (stage, action) => {
      const bad = [faulty(stage, action), faulty(stage, action)];
      const good = upstream(ok);
      const relayed = relay([...bad.map(({ port }) => port), good.port], UNFORGETTING);
      const answers = await askInTurn(relayed.port, ROUNDS, undefined, () =>
        bad.every(({ connections }) => connections > 0),
      );
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      await until(() => relayed.inFlight === 0);
    });

    test("refused connections: by the third", async () => {
      const good = upstream(ok);
      const relayed = relay([REFUSED_PORT, REFUSED_PORT, good.port], UNFORGETTING);
      const answers = await askInTurn(relayed.port, ROUNDS);
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      expect(relayed.inFlight).toBe(0);
    });

    test.each([
      ["no HTTP", "220 smtp ready\r\n\r\n"],
      ["binary", "\x00\x01\x02\xff\xfe\r\n\r\n"],
      ["a broken head", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n"],
      ["a head without end", `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(20_000)}`],
      ["a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"],
    ])("garbage: %s", async (_name, garbage) => {
      const bad = upstream((socket) => socket.write(garbage));
      const good = upstream(ok);
      const relayed = relay([bad.port, good.port], UNFORGETTING);
      const answers = await askInTurn(relayed.port, ROUNDS, undefined, () => bad.requests.length > 0);
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      expect(bad.requests.length).toBeGreaterThan(0);
      await until(() => relayed.inFlight === 0 && bad.open === 0);
    });

    test("a body that comes in pieces is sent to the other target whole", async () => {
      const bad = faulty(STAGE.body, ACTION.reset);
      const good = upstream(ok);
      const relayed = relay([bad.port, good.port], { ...UNFORGETTING, replayBytes: 1 << 20 });
      const long = JSON.stringify({ model: "m", prompt: "y".repeat(200_000) });
      for (let i = 0; i < ROUNDS || (bad.connections === 0 && i < REQUESTS_MAX); i++) {
        const bytes = Buffer.from(post(long, CLOSE));
        const client = await Client.open(relayed.port);
        let sent = 0;
        await until(() => {
          sent += Math.max(0, client.write(bytes.subarray(sent, sent + 30_000)));
          return sent === bytes.length;
        });
        expect(statusOf(await client.end())).toBe(200);
      }
      expect(bad.connections).toBeGreaterThan(0);
      for (const request of good.requests) expect(request.endsWith(long)).toBe(true);
    });

    test("many at once, while a target fails at every stage", async () => {
      const bad = BEFORE_THE_ANSWER.map((stage) => faulty(stage, ACTION.reset));
      const good = [upstream(ok), upstream(ok)];
      // The faulty ones are ejected as they are met, as they would be with the defaults.
      const relayed = relay(
        [...bad, ...good].map(({ port }) => port),
        { attemptsMax: 8 },
      );
      const answers = await Promise.all(Array.from({ length: 100 }, () => ask(relayed.port, post(CHAT, CLOSE))));
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      expect(relayed.inFlight).toBe(0);
    });
  });

  describe("a stateful request", () => {
    test.each(pairs(BEFORE_THE_ANSWER, ENDS))("runs once at most: %s: %s", async (stage, action) => {
      const bad = faulty(stage, action);
      const ran: string[] = [];
      const good = upstream((socket, request) => {
        ran.push(/x-request-id: (\S+)/.exec(request)?.[1] ?? "");
        socket.write(WHOLE);
      });
      const relayed = relay([bad.port, good.port], UNFORGETTING);
      const answers = await askInTurn(relayed.port, ROUNDS, FILES, () => bad.connections > 0);
      expect(twice([...bad.ran, ...ran])).toEqual([]);
      // One that failed is told so; one that was answered had run there, and nowhere else.
      for (const text of answers) expect([200, 502]).toContain(statusOf(text));
      expect(answers.filter((text) => statusOf(text) === 200)).toHaveLength(ran.length);
      await until(() => relayed.inFlight === 0 && bad.open === 0);
    });

    test("whose target refused the connection goes to another: it can't have run", async () => {
      const good = upstream(ok);
      const relayed = relay([REFUSED_PORT, good.port], UNFORGETTING);
      const answers = await askInTurn(relayed.port, ROUNDS, FILES);
      expect(answers.map(statusOf)).toEqual(answers.map(() => 200));
      const ids = good.requests.map((request) => /x-request-id: (\S+)/.exec(request)?.[1] ?? "");
      expect(ids).toEqual(Array.from({ length: ROUNDS }, (_, i) => `r${i}`));
    });

    test("whose target stalls is given up in time, and runs once", async () => {
      const bad = [faulty(STAGE.request, ACTION.stall), faulty(STAGE.request, ACTION.stall)];
      const relayed = relay(
        bad.map(({ port }) => port),
        IMPATIENT,
      );
      const answers = await askInTurn(relayed.port, 4, FILES);
      expect(answers.map(statusOf)).toEqual([504, 504, 504, 504]);
      expect(twice(bad.flatMap(({ ran }) => ran))).toEqual([]);
      await until(() => relayed.inFlight === 0 && bad.every(({ open }) => open === 0));
    });
  });

  describe("an answer that has begun", () => {
    test.each(pairs([STAGE.answerBegun, STAGE.answerBody, STAGE.chunks], Object.values(ACTION)))(
      "and stands in no event stream is cut, never completed: %s: %s",
      async (stage, action) => {
        const bad = faulty(stage, action);
        const relayed = relay([bad.port, bad.port], IMPATIENT);
        const text = await ask(relayed.port, post(CHAT));
        expect(statusOf(text)).toBe(200);
        expect(text).not.toContain("\r\n0\r\n\r\n");
        expect(bodyOf(text).length).toBeLessThan(100);
        expect(bad.ran).toHaveLength(1);
        await until(() => relayed.inFlight === 0 && bad.open === 0);
      },
    );

    test.each(pairs([STAGE.events, STAGE.event], Object.values(ACTION)))(
      "as an event stream ends with an error event, and its connection goes on: %s: %s",
      async (stage, action) => {
        const bad = faulty(stage, action);
        const relayed = relay([bad.port], IMPATIENT);
        const client = await Client.open(relayed.port);
        client.send(post(CHAT));
        const text = await client.until((heard) => heard.endsWith("\r\n0\r\n\r\n"));
        expect(text).toContain("data: one\n\n");
        expect(text).not.toContain("data: tw");
        expect(text.match(/data: \{"error":/g)).toHaveLength(1);
        expect(text).toContain(action === ACTION.stall ? '"upstream_timeout"' : '"upstream_failed"');
        expect(client.closed).toBe(false);
        client.send("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        expect(await client.end()).toEndWith('{"status":"ok"}');
        expect(bad.ran).toHaveLength(1);
        await until(() => relayed.inFlight === 0 && bad.open === 0);
      },
    );

    test.each(ENDS)("and is whole is not harmed by what comes behind it: %s", async (action) => {
      const bad = faulty(STAGE.answered, action);
      const relayed = relay([bad.port], UNFORGETTING);
      for (let i = 0; i < ROUNDS; i++) {
        // Some meet the connection before it ends, some after, some as it does.
        if (i % 2 === 1) await Bun.sleep(i);
        const text = await ask(relayed.port, post(CHAT, `${CLOSE}x-request-id: r${i}\r\n`));
        expect(text).toEndWith('{"ok":true}');
      }
      await until(() => relayed.inFlight === 0 && bad.open === 0);
    });
  });

  describe("answers of a wrong length", () => {
    test("too short for their length, then another: the next request gets its own", async () => {
      const bad = upstream((socket, _request, nth) => {
        // The first says 20 and sends 4; a relay that waits would give it the head of what comes next.
        socket.write(nth === 1 ? "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf" : WHOLE);
      });
      const relayed = relay([bad.port], { streamTimeoutMs: 120 });
      expect(await ask(relayed.port, post(CHAT))).toEndWith("half");
      expect(await ask(relayed.port, post(CHAT, CLOSE))).toEndWith('{"ok":true}');
      expect(bad.connections).toBe(2);
      await until(() => relayed.inFlight === 0);
    });

    test("longer than their length: the rest is nobody's", async () => {
      const bad = upstream((socket) => socket.write(`${WHOLE}and more`));
      const relayed = relay([bad.port]);
      for (const text of await askInTurn(relayed.port, 4)) expect(text).toEndWith('{"ok":true}');
      expect(bad.connections).toBe(4);
      expect(relayed.inFlight).toBe(0);
    });
  });

  describe("a burst of refusals", () => {
    test.each(["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"])(
      "is told to the client of a stateful request, which may have run: %s",
      async (status) => {
        const bad = [0, 1].map(() => upstream((socket) => socket.write(answer('{"error":{}}', "", status))));
        const relayed = relay(
          bad.map(({ port }) => port),
          UNFORGETTING,
        );
        const answers = await askInTurn(relayed.port, ROUNDS, FILES);
        expect(answers.map(statusOf)).toEqual(answers.map(() => Number(status.slice(0, 3))));
        expect(bad.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(ROUNDS);
      },
    );

    test("by every target is told as it is", async () => {
      const bad = upstream((socket) => socket.write(answer('{"error":{}}', "", "503 Service Unavailable")));
      const relayed = relay([bad.port]);
      expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(503);
      expect(relayed.inFlight).toBe(0);
    });
  });

  describe("slow answers", () => {
    test.each([
      ["a head", WHOLE, 12],
      ["an event stream", `${SSE_HEAD}${chunk("data: one\n\n")}${chunk("data: [DONE]\n\n")}0\r\n\r\n`, 12],
    ])("%s that drips is not cut short, though it takes longer than any pause may", async (_name, bytes, pauseMs) => {
      const drip: Script = async (socket) => {
        for (const byte of bytes) {
          socket.write(byte);
          socket.flush();
          await Bun.sleep(pauseMs);
        }
      };
      const slow = upstream(drip);
      const relayed = relay([slow.port], { streamTimeoutMs: 1000 });
      expect(bodyOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(bodyOf(bytes));
      expect(relayed.inFlight).toBe(0);
    });
  });

  describe("clients that leave", () => {
    test.each([...BEFORE_THE_ANSWER, STAGE.answerBegun, STAGE.answerBody, STAGE.chunks, STAGE.events, STAGE.event])(
      "a target that stalls: %s",
      async (stage) => {
        const bad = faulty(stage, ACTION.stall);
        const relayed = relay([bad.port]);
        const client = await Client.open(relayed.port);
        client.send(post(CHAT));
        await until(() => bad.connections === 1 && relayed.inFlight > 0);
        await Bun.sleep(5);
        client.leave();
        await until(() => relayed.inFlight === 0 && bad.open === 0 && relayed.connections.size === 0);
      },
    );
  });
});
