/**
 * `infermesh ctl uncordon`: takes back what an operator decided about nodes, and ends by hand the quarantines of their GPUs
 * that don't end by themselves; with `--gpu` only that of one GPU. What the readings still say stays, and is told.
 */
import { escaped, printable } from "../base/printable.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { EXIT, type JsonRecord } from "./client.ts";
import { bodyOf, change, listIn, type Reply } from "./control-plane.ts";
import { nodeChangeFields, NODES, requestOf, wantedOf } from "./node-changes.ts";
import { tellOutcome } from "./outcome.ts";
import { asking } from "./part.ts";
import { isWhole, renderWhole } from "./render.ts";
import type { Terminal } from "./terminal.ts";

/** No GPU's name, and not "": a script whose variable is empty must not mean the node, and each of its GPUs. */
const NOT_GIVEN = "node";
const settings = section({
  ...nodeChangeFields,
  gpu: text({
    default: NOT_GIVEN,
    placeholder: "GPU",
    pattern: /\S/,
    lengthMax: 256,
    expected: "a GPU's index, its UUID or the beginning of that, or all",
    emptyMeans: "the node, and each of its GPUs",
    doc: "Only end the quarantine of this GPU: its index, its UUID or the beginning of that; all: of each GPU of the node. The node stays cordoned if it is. Needs no control nodes.",
  }),
});
type Config = Infer<typeof settings>;

/** A GPU in the answer of ClearGpu. */
interface ClearedRow {
  readonly uuid?: string;
  readonly index?: number;
  readonly ended?: readonly string[];
  readonly forgotten?: boolean;
  readonly health?: string;
  readonly remaining?: readonly string[];
}

/** In place of a GPU's name. */
const ALL = "all";
const NEXT = { not_found: "`infermesh ctl list-gpus` shows the GPUs" };
const ALONE = { no_quorum: `what a node's GPUs are quarantined for needs no control nodes to be ended: --gpu ${ALL}` };
/** It has no GPUs that we could know of: no member of the mesh, no agent, or one of before there was this. */
const WITHOUT_GPUS = ["not_found", "not_supported", "unimplemented", "starting"];

async function uncordon(config: Config, terminal: Terminal, ids: readonly string[]): Promise<number> {
  if (config.gpu !== NOT_GIVEN) return clearOne(config, terminal, ids);
  let code: number = EXIT.ok;
  for (const id of ids) {
    const outcome = await uncordonNode(config, terminal, id);
    // The others are tried all the same; what went wrong first is told.
    if (code === EXIT.ok) code = outcome;
    if (outcome === EXIT.unreachable) break;
  }
  return code;
}

async function clearOne(config: Config, terminal: Terminal, ids: readonly string[]): Promise<number> {
  const [node = "", second] = ids;
  const { gpu, ifRevision, output } = config;
  const fault =
    second !== undefined
      ? "--gpu is of one node; name one"
      : ifRevision !== ""
        ? "--if-revision is about the node's policy, which --gpu leaves as it is; leave one of them out"
        : "";
  if (fault !== "") {
    terminal.err(`infermesh ctl uncordon: ${fault}\n`);
    return EXIT.usage;
  }
  const body = bodyOf(await clear(config, terminal, node, gpu === ALL ? "" : gpu), terminal, NEXT);
  const gpus = typeof body === "number" ? body : listIn(body, "gpus", terminal);
  if (typeof body === "number" || typeof gpus === "number") return typeof gpus === "number" ? gpus : EXIT.failed;
  if (isWhole(output)) terminal.out(renderWhole(output, body));
  else if (gpus.length > 0) tellGpus(config, terminal, node, gpus);
  else if (output !== "text") {
    const which = gpu === ALL ? "each GPU" : `GPU ${gpu}`;
    terminal.out(`${printable(`${which} of ${node}`)} is healthy: nothing to clear\n`);
  }
  return outcomeOf(config, gpus);
}

async function uncordonNode(config: Config, terminal: Terminal, id: string): Promise<number> {
  const wanted = wantedOf(id, "uncordoned");
  const reply = await change(config, "UncordonNode", requestOf(config, id), terminal);
  const body = bodyOf(reply, terminal, { ...wanted.next, ...ALONE });
  if (typeof body === "number") return body;
  const cleared = await clear(config, terminal, id, "");
  const known = cleared.kind === "reply" ? listIn(cleared.body, "gpus", terminal) : [];
  const gpus = typeof known === "number" ? [] : known;
  const told = tellOutcome(config.output, isWhole(config.output) ? { ...body, gpus } : body, terminal, wanted);
  if (told !== EXIT.ok) return told;
  if (!isWhole(config.output)) tellGpus(config, terminal, id, gpus);
  if (cleared.kind === "reply") return typeof known === "number" ? known : outcomeOf(config, gpus);
  if (cleared.kind === "refusal" && WITHOUT_GPUS.includes(cleared.code)) return EXIT.ok;
  const why = cleared.kind === "refusal" ? cleared.message : cleared.why;
  const next = "its GPUs' quarantines are as they were; try again";
  terminal.err(`infermesh ctl uncordon: the GPUs of ${printable(id)} can't be asked: ${escaped(why)}; ${next}\n`);
  return EXIT.failed;
}

/** To say it twice does no harm. */
function clear(config: Config, terminal: Terminal, node: string, gpu: string): Promise<Reply> {
  const { dryRun } = config;
  return change(
    config,
    "ClearGpu",
    { node, ...(gpu === "" ? {} : { gpu }), ...(dryRun ? { dryRun } : {}) },
    terminal,
    false,
  );
}

function outcomeOf({ dryRun }: Config, gpus: readonly ClearedRow[]): number {
  return !dryRun && gpus.some(({ health }) => health === "quarantined") ? EXIT.failed : EXIT.ok;
}

function tellGpus({ output, dryRun }: Config, terminal: Terminal, node: string, gpus: readonly JsonRecord[]): void {
  for (const row of gpus as readonly ClearedRow[]) {
    const { uuid = "", index = 0, health = "", forgotten = false } = row;
    const [ended, remaining] = [wordsIn(row.ended), wordsIn(row.remaining)];
    const done = forgotten ? "forgotten" : ended === "" ? "unchanged" : "cleared";
    if (output === "text") {
      const cells = [`gpu/${uuid}`, node, index, dryRun ? "-" : done, health || "-", ended || "-", remaining || "-"];
      terminal.out(`${cells.map((cell) => printable(String(cell))).join("\t")}\n`);
      continue;
    }
    const gpu = `GPU ${index} of ${node} (${uuid})`;
    const would = dryRun ? "would be " : "";
    const why = forgotten ? "it was lost, and is not looked for any more" : ended;
    if (done !== "unchanged")
      terminal.out(`${printable(`${gpu} ${would}${done}${dryRun ? " (dry run)" : ""}: ${why}`)}\n`);
    if (health !== "healthy" && !forgotten) {
      const stays = dryRun ? `would stay ${health}` : `stays ${health}`;
      terminal.out(`${printable(`${gpu} ${stays}: ${remaining || "no reason is known"}`)}\n`);
    }
  }
}

function wordsIn(list: unknown): string {
  return Array.isArray(list) ? list.map(String).join("; ") : "";
}

/** The command, without its help. */
export const UNCORDON = asking({ settings, operands: NODES, run: uncordon });
