/**
 * A Dockerfile as far as ours go: its stages, their instructions with arguments filled in, and what the last of them says
 * of the image. Whatever it doesn't know is refused, so that no instruction goes untested.
 */

export interface Instruction {
  readonly name: string;
  readonly flags: Readonly<Record<string, string>>;
  /** The words behind the flags; of the exec form, its list. */
  readonly words: readonly string[];
  readonly text: string;
}

export interface Stage {
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

const KNOWN = new Set(
  "ARG FROM LABEL COPY RUN USER ENV VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split(" "),
);

/** Throws an error for an instruction that isn't known. */
export function parseDockerfile(text: string, given: Readonly<Record<string, string>>): Stage[] {
  const stages: { name: string; base: string; instructions: Instruction[] }[] = [];
  let values: Record<string, string> = {};
  const globals: Record<string, string> = {};
  for (const line of logicalLines(text)) {
    const [, name = "", rest = ""] = /^(\w+)\s+(.*)$/s.exec(line) ?? [];
    if (!KNOWN.has(name)) throw new Error(`an instruction that the tests don't know: ${line}`);
    const filled = name === "RUN" ? rest : rest.replace(/\$\{(\w+)\}/g, (_, of: string) => values[of] ?? "");
    if (name === "ARG") {
      const [word = "", preset = ""] = filled.split("=");
      values[word] = given[word] ?? globals[word] ?? preset;
      if (stages.length === 0) globals[word] = values[word];
    } else if (name === "FROM") {
      const [base = "", as = "", stage = ""] = filled.split(/\s+/);
      stages.push({ name: as.toUpperCase() === "AS" ? stage : "", base, instructions: [] });
      values = { ...globals };
    } else stages.at(-1)?.instructions.push(instruction(name, filled));
  }
  return stages;
}

function logicalLines(text: string): string[] {
  const lines = text.split("\n").filter((line) => !/^\s*(#|$)/.test(line));
  return lines
    .join("\n")
    .replace(/\\\n\s*/g, " ")
    .split("\n");
}

function instruction(name: string, rest: string): Instruction {
  const flags: Record<string, string> = {};
  let text = rest;
  for (let flag = /^--([\w-]+)=(\S+)\s+/.exec(text); flag !== null; flag = /^--([\w-]+)=(\S+)\s+/.exec(text)) {
    flags[flag[1] ?? ""] = flag[2] ?? "";
    text = text.slice(flag[0].length);
  }
  const list = /^(?:CMD\s+)?(\[.*\])$/s.exec(text)?.[1];
  const words = list === undefined ? text.split(/\s+/) : (JSON.parse(list) as string[]);
  return { name, flags, words, text };
}

export interface ImageConfig {
  readonly user: string;
  readonly env: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
  readonly ports: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
  readonly stopSignal: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function configOf(stage: Stage): ImageConfig {
  const all = (name: string): Instruction[] => stage.instructions.filter((one) => one.name === name);
  const last = (name: string): readonly string[] => all(name).at(-1)?.words ?? [];
  const pairs = (name: string): Record<string, string> =>
    Object.fromEntries(
      all(name).flatMap(({ text }) =>
        [...text.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)].map(([, key, quoted, bare]) => [key, quoted ?? bare]),
      ),
    ) as Record<string, string>;
  return {
    user: last("USER")[0] ?? "0",
    env: pairs("ENV"),
    volumes: last("VOLUME"),
    ports: last("EXPOSE"),
    entrypoint: last("ENTRYPOINT"),
    cmd: last("CMD"),
    healthcheck: last("HEALTHCHECK"),
    stopSignal: last("STOPSIGNAL")[0] ?? "SIGTERM",
    labels: pairs("LABEL"),
  };
}
