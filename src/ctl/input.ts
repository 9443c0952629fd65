/** What comes on standard input. */
import { MeshError } from "../base/errors.ts";
import { formatBytes } from "../base/units.ts";
import type { Terminal } from "./terminal.ts";

const LINE_CHARACTERS_MAX = 4096;

/** The first line, for a secret that must not stand on a command line; undefined when none came in time. */
export async function firstLine(terminal: Terminal, timeoutMs: number, prompt = "key: "): Promise<string | undefined> {
  if (process.stdin.isTTY) terminal.err(prompt);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let text = "";
  const take = (chunk: unknown): void => {
    text += String(chunk);
    if (text.includes("\n") || text.length > LINE_CHARACTERS_MAX) end();
  };
  const end = (): void => resolve((text.split("\n", 1)[0] ?? "").slice(0, LINE_CHARACTERS_MAX).trim());
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  process.stdin.on("data", take).once("end", end).once("error", end);
  const line = await promise;
  clearTimeout(timer);
  // A pipe that stays open must not hold the process.
  process.stdin.off("data", take).destroy();
  return line;
}

/** All of it, up to its end. Throws `config_invalid` where it is too long. */
export async function wholeInput(bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > bytesMax) {
      throw new MeshError("config_invalid", `standard input is longer than ${formatBytes(bytesMax)}`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
