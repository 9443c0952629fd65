/** top as it is used: once or live, keys, failures; and the screen that it draws on. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { commandOf, CTL } from "../../src/ctl/catalogue.ts";
import { runCommandLine } from "../../src/ctl/command.ts";
import { openScreen, type ScreenEvents } from "../../src/ctl/screen.ts";
import { ControlBed, ctl, refusal } from "./control-bed.ts";
import { gpuState, node } from "./gpu-bed.ts";

const bed = new ControlBed();
afterAll(() => bed.stop());
beforeEach(() => {
  bed.calls.length = 0;
  bed.answers.clear();
  bed.answers.set("ListNodes", () => ({ nodes: [node("gpu-1", [gpuState(0), gpuState(1)])] }));
});

interface Drawn {
  events: ScreenEvents | undefined;
  frames: (readonly string[])[];
  isClosed: boolean;
}

/** Runs `top` on a screen of that size; `on` is called with it after each frame. */
async function live(
  size: { columns: number; lines: number },
  on: (drawn: Drawn) => void,
  args: readonly string[] = [],
): Promise<{ code: number; out: string; err: string; drawn: Drawn }> {
  const drawn: Drawn = { events: undefined, frames: [], isClosed: false };
  let [out, err] = ["", ""];
  const terminal = {
    color: false,
    size,
    out: (text: string) => void (out += text),
    err: (text: string) => void (err += text),
    screen(events: ScreenEvents) {
      drawn.events = events;
      return {
        size,
        draw(lines: readonly string[]) {
          drawn.frames.push(lines);
          queueMicrotask(() => on(drawn));
        },
        close: () => void (drawn.isClosed = true),
      };
    },
  };
  const command = await commandOf("ctl top", CTL["top"]!);
  const env = { INFERMESH_CTL_CONFIG: "/nonexistent/config.yaml", INFERMESH_ENDPOINT: bed.endpoint };
  const variables = () => Promise.resolve(new Set(Object.keys(env)));
  const code = await runCommandLine(command, args, { env, terminal, columns: 100, variables });
  return { code, out, err, drawn };
}

describe("top", () => {
  test("without a terminal, or once, is one frame", async () => {
    for (const args of [["top"], ["top", "--once"], ["top", "--once", "--sort", "health"]]) {
      const { code, out, err } = await ctl(bed.endpoint, args);
      expect([code, err]).toEqual([0, ""]);
      expect(out).toMatch(/^infermesh top at \d\d:\d\d:\d\d {2}1 node {2}2 GPUs: 2 healthy/);
      expect(out).toContain("gpu-1/1  [");
      expect(out).not.toContain("q ends");
    }
    expect(bed.bodies("ListNodes")[0]).toEqual({ withState: true });
    const narrow = await ctl(bed.endpoint, ["top"], { size: { columns: 60, lines: 5 } });
    for (const line of narrow.out.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
    expect(narrow.out).toContain("llama gpu-1");
  });

  test("refuses and fails like the others", async () => {
    expect((await ctl("http://127.0.0.1:1", ["top"])).code).toBe(3);
    const wrong = await ctl(bed.endpoint, ["top", "--sort", "heat"]);
    expect([wrong.code, wrong.out]).toEqual([2, ""]);
    bed.answers.set("ListNodes", () => refusal("unavailable", 503, "starting", { code: "starting" }));
    expect(await ctl(bed.endpoint, ["top"])).toMatchObject({ code: 1, out: "" });
    bed.answers.set("ListNodes", () => ({ nodes: 7 }));
    const strange = await live({ columns: 80, lines: 24 }, () => {});
    expect([strange.code, strange.err]).toEqual([
      1,
      "infermesh ctl: the answer holds no nodes; is this an infermesh --api port?\n",
    ]);
    expect(strange.drawn.events).toBeUndefined();
  });

  test.each(["q", "Q", "\u0003"])("on a terminal is drawn until %p", async (key) => {
    const { code, out, err, drawn } = await live({ columns: 80, lines: 24 }, ({ events }) => events?.key(key));
    expect([code, out, err, drawn.isClosed]).toEqual([0, "", "", true]);
    expect(drawn.frames).toHaveLength(1);
    expect(drawn.frames[0]?.at(-1)).toBe("q ends, s sorts by the next, space and b turn pages; sorted by node");
  });

  test("is drawn anew when it is asked again, and when the screen has another size", async () => {
    let asked = 0;
    const size = { columns: 80, lines: 24 };
    bed.answers.set("ListNodes", () => ({ nodes: [node("gpu-1", [gpuState(0, { utilization: (asked += 1) / 10 })])] }));
    const { drawn } = await live(
      size,
      ({ events, frames }) => {
        if (frames.length === 2) {
          size.columns = 120;
          events?.resized();
        }
        if (frames.length === 3) events?.key("q");
      },
      ["--interval", "500ms"],
    );
    const text = drawn.frames.map((lines) => lines.join("\n"));
    expect(text[0]).toContain("] 10%".replace("] ", "]  "));
    expect(text[1]).toContain("]  20%");
    expect(text[1]).not.toContain("512/700W");
    expect(text[2]).toContain("512/700W");
  });

  test("sorts and turns pages by keys", async () => {
    const gpus = Array.from({ length: 60 }, (_, index) => gpuState(index));
    bed.answers.set("ListNodes", () => ({ nodes: [node("gpu-1", gpus)] }));
    const keys = [
      "s",
      " ",
      " ",
      "\u001b[6~",
      " ",
      " ",
      " ",
      " ",
      "b",
      "\u001b[5~",
      "x",
      "b",
      "b",
      "b",
      "b",
      "b",
      "b",
      "q",
    ];
    const { drawn } = await live({ columns: 80, lines: 24 }, ({ events }) => {
      for (const key of keys.splice(0)) events?.key(key);
    });
    const firsts = drawn.frames.map((lines) => /^gpu-1\/(\d+)/m.exec(lines.join("\n"))?.[1]);
    const each = Number(firsts[2]);
    expect(each).toBeGreaterThan(5);
    const last = Math.floor(59 / each);
    expect(firsts.slice(0, 4).map(Number)).toEqual([0, 0, each, 2 * each]);
    expect(Math.max(...firsts.map(Number))).toBe(last * each);
    expect(Number(firsts.at(-1))).toBe(0);
    expect(drawn.frames[1]?.at(-1)).toEndWith("sorted by busy");
  });

  test("goes on when who is asked fails, and says that this is not of now", async () => {
    const { code, drawn } = await live(
      { columns: 80, lines: 24 },
      ({ events, frames }) => {
        if (frames.length === 1)
          bed.answers.set("ListNodes", () => refusal("unavailable", 503, "gone \u001b[2J", { code: "starting" }));
        if (frames.length === 2) bed.answers.set("ListNodes", () => ({ nodes: [node("gpu-1", [])] }));
        if (frames.length === 3) events?.key("q");
      },
      ["--interval", "500ms"],
    );
    expect(code).toBe(0);
    const [, failed, well] = drawn.frames.map((lines) => lines.join("\n"));
    expect(failed).toMatch(/^not of now: http:\/\/127\.0\.0\.1:\d+ answered: gone \\u001b\[2J/m);
    expect(failed).toContain("gpu-1/1  [");
    expect(well).not.toContain("not of now");
    expect(well).toContain("no GPUs");
  });

  test("ends at once though nobody answers", async () => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const { code } = await live(
      { columns: 80, lines: 24 },
      ({ events, frames }) => {
        if (frames.length > 1) return;
        bed.instead.push(() => {
          events?.key("q");
          return promise;
        });
      },
      ["--interval", "500ms", "--timeout", "10m"],
    );
    expect(code).toBe(0);
    resolve(Response.json({}));
  });

  test("of an agent says whose GPUs these are", async () => {
    bed.answers.set("ListNodes", () => ({
      nodes: [node("gpu-1", [gpuState(0)], { self: true }), node("gpu-2", undefined)],
    }));
    expect((await ctl(bed.endpoint, ["top"])).out).toContain(
      "gpu-1 is an agent, which knows its own GPUs alone, and not those of 1 more; ask a router",
    );
  });
});

describe("a screen", () => {
  function open() {
    let written = "";
    const listeners = new Map<string, (bytes: Uint8Array) => void>();
    const stream = {
      columns: 10,
      rows: 4,
      isTTY: true,
      raw: false,
      isPaused: false,
      write: (text: string) => void (written += text),
      on: (event: string, listener: (bytes: Uint8Array) => void) => void listeners.set(event, listener),
      off: (event: string) => void listeners.delete(event),
      setRawMode: (raw: boolean) => void (stream.raw = raw),
      resume: () => void (stream.isPaused = false),
      pause: () => void (stream.isPaused = true),
    };
    const keys: string[] = [];
    const events = {
      key: (key: string) => void keys.push(key),
      resized: () => void keys.push("resized"),
      gone: () => void keys.push("gone"),
    };
    const screen = openScreen(stream, stream, events);
    const taken = (): string => {
      const text = written;
      written = "";
      return text;
    };
    const type = (text: string): void => listeners.get("data")?.(new TextEncoder().encode(text));
    return { screen, stream, keys, taken, type, listeners };
  }

  test("writes only lines that are different, each at its place", () => {
    const { screen, taken } = open();
    expect(taken()).toBe("\u001b[?1049h\u001b[?25l\u001b[?7l\u001b[2J");
    screen.draw(["a", "b", "c"]);
    expect(taken()).toBe("\u001b[1;1H\u001b[2Ka\u001b[2;1H\u001b[2Kb\u001b[3;1H\u001b[2Kc");
    screen.draw(["a", "B", "c"]);
    expect(taken()).toBe("\u001b[2;1H\u001b[2KB");
    screen.draw(["a", "B", "c"]);
    expect(taken()).toBe("");
    screen.draw(["a"]);
    expect(taken()).toBe("\u001b[2;1H\u001b[2K\u001b[3;1H\u001b[2K");
    screen.draw(["1", "2", "3", "4", "5", "6"]);
    expect(taken()).not.toContain("5");
    screen.close();
  });

  test("begins anew when it has another size", () => {
    const { screen, stream, keys, taken, listeners } = open();
    screen.draw(["a", "b"]);
    taken();
    [stream.columns, stream.rows] = [20, 8];
    listeners.get("resize")?.(new Uint8Array());
    expect([taken(), keys, screen.size]).toEqual(["\u001b[2J", ["resized"], { columns: 20, lines: 8 }]);
    screen.draw(["a", "b"]);
    expect(taken()).toBe("\u001b[1;1H\u001b[2Ka\u001b[2;1H\u001b[2Kb");
    screen.close();
  });

  test("tells keys one by one, and of what is pasted not too many", () => {
    const { screen, keys, type } = open();
    type("qs\u001b[6~\u0003\u001b[1;5A\u001bOPé");
    expect(keys).toEqual(["q", "s", "\u001b[6~", "\u0003", "\u001b[1;5A", "\u001bOP", "é"]);
    keys.length = 0;
    type("x".repeat(100_000));
    expect(keys).toHaveLength(64);
    screen.close();
  });

  test("tells when nobody sits at it any more, and is closed all the same", () => {
    const { screen, stream, keys, listeners, taken } = open();
    stream.setRawMode = () => {
      throw new Error("EIO");
    };
    listeners.get("end")?.(new Uint8Array());
    expect(keys).toEqual(["gone"]);
    taken();
    screen.close();
    expect(taken()).toContain("\u001b[?1049l");
    listeners.get("error")?.(new Uint8Array());
    expect(keys).toEqual(["gone"]);
  });

  test("puts the terminal back as it was, once", () => {
    const { screen, stream, taken, listeners } = open();
    expect(stream.raw).toBe(true);
    const before = process.listenerCount("exit");
    taken();
    screen.close();
    screen.close();
    expect(taken()).toBe("\u001b[?7h\u001b[?25h\u001b[?1049l");
    expect([stream.raw, stream.isPaused, [...listeners.keys()]]).toEqual([false, true, ["error"]]);
    expect(process.listenerCount("exit")).toBe(before - 1);
    screen.draw(["a"]);
    expect(taken()).toBe("");
  });
});
