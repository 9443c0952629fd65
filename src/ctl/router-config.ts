/** `infermesh ctl config`: the configuration in force at a router. */
import { didYouMean } from "../base/nearest.ts";
import { escaped } from "../base/printable.ts";
import { shown } from "../base/shown.ts";
import { ask, EXIT, failureOf, notOurs, recordOf } from "./client.ts";
import { asking } from "./part.ts";
import { renderFigures } from "./render.ts";
import { type CtlConfig, ctlSettings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

async function showConfig(
  { endpoint, timeoutMs, output }: CtlConfig,
  terminal: Terminal,
  path: string,
): Promise<number> {
  const answer = await ask(endpoint, "/config", timeoutMs);
  const failed = failureOf(answer, terminal);
  if (answer.kind === "answer" && answer.status === 404) {
    terminal.err("infermesh ctl: only a router's --api port tells its configuration\n");
  }
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  const whole = recordOf(answer.body);
  if (whole === undefined) return notOurs("configuration", terminal);
  let part: unknown = whole;
  const keys = path === "" ? [] : path.split(".");
  for (const [at, key] of keys.entries()) {
    const inside = recordOf(part) ?? {};
    if (!Object.hasOwn(inside, key)) {
      const near = didYouMean(key, Object.keys(inside));
      const outer = keys.slice(0, at).join(".");
      const where = outer === "" ? "" : ` in ${shown(outer)}`;
      const hint = near === "" ? "`infermesh ctl config` shows all of them" : near;
      terminal.err(`infermesh ctl config: there is no key ${escaped(`${shown(key)}${where}; ${hint}`)}\n`);
      return EXIT.failed;
    }
    part = inside[key];
  }
  // Asked for one value, that is all: for scripts.
  const single = typeof part !== "object" || part === null;
  terminal.out(
    single && output !== "json" && output !== "yaml" ? `${escaped(String(part))}\n` : renderFigures(output, part),
  );
  return EXIT.ok;
}

/** The command, without its help. */
export const CONFIG = asking({
  settings: ctlSettings,
  operands: [
    { name: "KEY", expected: "a key as in the configuration's file, such as proxy.attemptsMax", optional: true },
  ],
  run: (config, terminal, [path = ""]) => showConfig(config, terminal, path),
});
