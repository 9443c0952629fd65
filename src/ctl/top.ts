/**
 * `infermesh ctl top`: GPUs and models as they are, drawn anew as they change. Without a terminal, or with `--once`, it is
 * shown once. The first failure ends the command; later ones are told, and it is asked on, since who looks on outlives
 * who is asked.
 */
import { choice, duration, flag, type Infer, section } from "../base/settings.ts";
import { EXIT, failureOf, notOurs } from "./client.ts";
import { bodyOf, call, type Caller } from "./control-plane.ts";
import { type StatefulNode, statefulNodes } from "./gpu-rows.ts";
import { asking } from "./part.ts";
import { CTRL_BACKSLASH, CTRL_C, PAGE_DOWN, PAGE_UP, type Screen } from "./screen.ts";
import { ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";
import { pagesOf, type Sort, SORTS, topFrame, type TopView } from "./top-frame.ts";
import { pause, untilEnded } from "./until-ended.ts";

const { endpoint, timeoutMs } = ctlSettings.fields;
const settings = section({
  sort: choice(SORTS, {
    default: "node",
    doc: "What the GPUs are ordered by: the most, or the worst, first. The key s takes the next one.",
  }),
  once: flag({ default: false, doc: "Show it once, whole, and end." }),
  intervalMs: duration({ default: "2s", min: "500ms", max: "1h", doc: "How often to ask." }),
  endpoint,
  timeoutMs,
});
type Config = Infer<typeof settings>;

const KEYS = "q ends, s sorts by the next, space and b turn pages; sorted by ";
/** For lines that nobody's terminal cuts. */
const COLUMNS = 120;

async function top(config: Config, terminal: Terminal): Promise<number> {
  const nodes = await look(config, terminal);
  if (typeof nodes === "number") return nodes;
  if (config.once || terminal.screen === undefined) {
    const columns = terminal.size?.columns ?? COLUMNS;
    const view = viewOf(nodes, config.sort, "");
    terminal.out(`${topFrame(view, { columns, lines: Infinity }, terminal.color).join("\n")}\n`);
    return EXIT.ok;
  }
  return untilEnded(terminal, (ended) => live(config, terminal, nodes, ended));
}

/** All nodes with their states; an exit code after saying why there are none. */
async function look(config: Config & Caller, terminal: Terminal): Promise<readonly StatefulNode[] | number> {
  const reply = await call(config, "ListNodes", { withState: true });
  if (reply.kind === "unreachable") return failureOf(reply, terminal) ?? EXIT.failed;
  const body = bodyOf(reply, terminal);
  return typeof body === "number" ? body : (statefulNodes(body) ?? notOurs("nodes", terminal));
}

function viewOf(nodes: readonly StatefulNode[], sort: Sort, failure: string): TopView {
  const agents = nodes.filter(({ self, role, gpus }) => role === "agent" && (self || gpus.length === 0));
  const own = agents.find(({ self }) => self);
  const others = agents.length - 1;
  const alone =
    own === undefined || others < 1
      ? ""
      : `${own.id} is an agent, which knows its own GPUs alone, and not those of ${others} more; ask a router`;
  return { nodes, atMs: Date.now(), sort, page: 0, notice: failure === "" ? alone : failure, keys: "" };
}

async function live(
  config: Config,
  terminal: Terminal,
  first: readonly StatefulNode[],
  ended: AbortSignal,
): Promise<number> {
  const quit = new AbortController();
  const over = AbortSignal.any([ended, quit.signal]);
  let view: TopView = keyed(viewOf(first, config.sort, ""), 0);
  const draw = (): void => screen?.draw(topFrame(view, screen.size, terminal.color));
  const turn = (by: number): void => {
    if (screen !== undefined)
      view = { ...view, page: Math.min(pagesOf(view, screen.size) - 1, Math.max(0, view.page + by)) };
  };
  const screen: Screen | undefined = terminal.screen?.({
    key(key) {
      if (key === "q" || key === "Q" || key === CTRL_C || key === CTRL_BACKSLASH) return quit.abort();
      if (key === "s")
        view = keyed({ ...view, sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length] ?? "node" }, 0);
      else if (key === " " || key === PAGE_DOWN) turn(1);
      else if (key === "b" || key === PAGE_UP) turn(-1);
      else return;
      draw();
    },
    resized: draw,
    gone: () => quit.abort(),
  });
  try {
    draw();
    while (!over.aborted) {
      await pause(config.intervalMs, over);
      if (over.aborted) break;
      view = await next(config, view, over);
      draw();
    }
  } finally {
    screen?.close();
  }
  return EXIT.ok;
}

/** As things are now, or as they were with why nothing newer is known. */
async function next(config: Config, view: TopView, over: AbortSignal): Promise<TopView> {
  let said = "";
  const silent: Terminal = { color: false, out() {}, err: (text) => void (said += text) };
  const nodes = await look({ ...config, signal: over }, silent);
  if (over.aborted) return view;
  if (typeof nodes !== "number") return keyed(viewOf(nodes, view.sort, ""), view.page);
  const [why = ""] = said.split("\n");
  return { ...view, notice: `not of now: ${why.replace(/^infermesh ctl: /, "")}` };
}

function keyed(view: TopView, page: number): TopView {
  return { ...view, page, keys: `${KEYS}${view.sort}` };
}

/** The command, without its help. */
export const TOP = asking({ settings, run: (config, terminal) => top(config, terminal) });
