/**
 * The rules of the house (src/README.md), as functions from sources to faults. house.test.ts runs them over the
 * checkout, and over planted violations that prove that each rule can fail.
 */

export interface Source {
  /** From the root of the checkout, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export const CORES = [
  "base",
  "swim",
  "raft",
  "policy",
  "score",
  "signal",
  "wire",
  "flow",
  "fleet",
  "sim",
  "load",
  "health",
  "kv",
  "kube",
  "exec",
  "runtimes",
  "diagnosis",
];
const SHELLS = ["telemetry", "client", "gpu", "keeper", "mesh", "store", "proxy", "admin", "ctl", "trial", "lab"];

const BELOW_SHELLS = [...CORES, "obs", "gen", "native", "native-pages", "native-tokens", "net"];
const ROLES = ["agent", "router", "dev", "member"];
/** Files of src/ itself that roles share, or that are parts of one. */
const BESIDE_ROLES = [
  "doctor",
  "doctor-files",
  "doctor-kube",
  "doctor-machine",
  "doctor-mesh",
  "doctor-ports",
  "doctor-serving",
  "doctor-subject",
  "bench-gpu",
  "load-branch",
  "load-command",
  "load-compare",
  "inspect-store",
  "self-test",
  "sim-branch",
  "sim-commands",
  "process",
  "targets",
  "target-news",
  "upkeep",
  "certificates",
  "config-commands",
  "config-watch",
  "ending",
  "node-order",
  "operations",
  "policies",
  "control",
  "exec-plane",
  "gpu-plane",
  "kube-plane",
  "pod-runtimes",
  "runtime-news",
  "runtime-plane",
  "served-places",
  "withheld",
  "runtime-forward",
  "block-plane",
  "remote-indexes",
  "gpu-calls",
  "gpu-search",
  "model-calls",
  "node-calls",
  "news",
  "control-plane",
  "reload",
  "rows",
  "standing",
  "succession",
  "upgrade",
  "variables",
];

/** What each room may import besides itself; main may import everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  ...Object.fromEntries(CORES.slice(1).map((core) => [core, ["base"]])),
  sim: ["base", "score", "flow", "policy", "health"],
  load: ["base", "sim"],
  fleet: ["base", "score"],
  signal: ["base", "score"],
  runtimes: ["base", "wire"],
  obs: ["base", "health"],
  net: ["base", "wire"],
  "native-library": [],
  native: ["base", "score", "native-library"],
  "native-pages": ["wire", "native-library"],
  "native-tokens": ["score", "native-library"],
  ...Object.fromEntries(SHELLS.map((shell) => [shell, BELOW_SHELLS])),
  config: [...BELOW_SHELLS, ...SHELLS],
  ...Object.fromEntries(BESIDE_ROLES.map((name) => [name, [...BELOW_SHELLS, ...SHELLS, "config", ...BESIDE_ROLES]])),
  ...Object.fromEntries(ROLES.map((role) => [role, [...BELOW_SHELLS, ...SHELLS, "config", ...BESIDE_ROLES]])),
  main: [...BELOW_SHELLS, ...SHELLS, "config", ...BESIDE_ROLES, ...ROLES],
};

/** Single files that are a whole state machine may reach 1,000 lines rather than be cut in mid-thought. */
export const LINES_MAX = 300;
export const STATE_MACHINE_LINES_MAX = 1_000;
const OTHER_LINES_MAX = 600;

const CORE_BANS: readonly (readonly [RegExp, string])[] = [
  [/\bDate\s*\.\s*now\b|\bnew\s+Date\b|(?<![.\w#])performance\s*\./, "the clock"],
  [/\bMath\s*\.\s*random\b|(?<![.\w#])crypto\s*\./, "a random source other than Prng"],
  [/(?<![.\w#])(?:setTimeout|setInterval|setImmediate|queueMicrotask|requestAnimationFrame)\b/, "a timer"],
  [/(?<![.\w#])(?:async|await)\b|\bPromise\b/, "async"],
  [/(?<![.\w#])(?:process|Bun|Deno|console)\s*\./, "the process"],
  [/(?<![.\w#])(?:fetch|require)\s*\(|\bnew\s+(?:Worker|WebSocket)\b|\bimport\s*\(/, "the world outside"],
];

const STYLE_BANS: readonly (readonly [RegExp, string])[] = [
  [/\bexport\s+default\b|\bas\s+default\b/, "a default export"],
  [/(?<![.\w#])(?:const\s+)?enum\s+[A-Za-z]/, "an enum (use an `as const` object)"],
  [/\bexport\s*\*/, "a barrel (`export *`)"],
  [/\binterface\s+I[A-Z][a-z]/, "an I prefix"],
];

/** The code without comments, every string literal replaced by `"N"`, its index in `strings`. */
export function scan(text: string): { code: string; strings: string[] } {
  const strings: string[] = [];
  let code = "";
  // How many braces are open inside each `${` that we are in.
  const templates: number[] = [];
  let at = 0;
  const endOf = (pattern: RegExp): number => {
    pattern.lastIndex = at;
    return pattern.test(text) ? pattern.lastIndex : text.length;
  };
  const literal = (end: number): void => {
    strings.push(text.slice(at + 1, end - 1));
    code += `"${strings.length - 1}"`;
    at = end;
  };
  const templatePart = (): void => {
    const end = endOf(/(?:[^\\`$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y);
    if (text[end - 1] === "{") templates.push(0);
    code += '"" ';
    at = end;
  };
  while (at < text.length) {
    const char = text[at] ?? "";
    const two = text.slice(at, at + 2);
    if (two === "//") at = endOf(/[^\n]*/y);
    else if (two === "/*") at = endOf(/\/\*[^]*?\*\//y);
    else if (char === '"') literal(endOf(/"(?:[^"\\\n]|\\[^])*"/y));
    else if (char === "'") literal(endOf(/'(?:[^'\\\n]|\\[^])*'/y));
    else if (char === "/" && /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case))\s*$/.test(code.slice(-40))) {
      at = endOf(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y);
      code += "0 ";
    } else if (char === "`") {
      at += 1;
      templatePart();
    } else if (char === "}" && templates.at(-1) === 0) {
      templates.pop();
      at += 1;
      templatePart();
    } else {
      const depth = templates.length - 1;
      if (depth >= 0 && char === "{") templates[depth] = (templates[depth] ?? 0) + 1;
      if (depth >= 0 && char === "}") templates[depth] = (templates[depth] ?? 0) - 1;
      code += char;
      at += 1;
    }
  }
  return { code, strings };
}

const IMPORT =
  /\b(?:import|export)\b[^;"]*?\bfrom\s*"(\d+)"|\bimport\s*\(?\s*"(\d+)"|\bnew\s+URL\s*\(\s*"(\d+)"\s*,\s*import/g;

/** Every module that the source names: static, type-only and dynamic imports, re-exports, workers' URLs. */
export function importsOf(text: string): string[] {
  const { code, strings } = scan(text);
  return [...code.matchAll(IMPORT)].map((match) => strings[Number(match[1] ?? match[2] ?? match[3])] ?? "");
}

/** The path that a relative import leads to. */
function target(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** The room of a file of src/: its folder, or its own name if it lies in src/ itself. */
function roomOf(path: string): string {
  const [, first = "", second] = path.split("/");
  return second === undefined ? first.replace(/\.\w+$/, "") : first;
}

const isRelative = (specifier: string): boolean => specifier.startsWith(".");

function importFaults({ path, text }: Source): string[] {
  const faults: string[] = [];
  const inSource = path.startsWith("src/");
  const room = inSource ? roomOf(path) : "";
  const allowed = MAY_IMPORT[room] ?? [];
  for (const specifier of importsOf(text)) {
    if (!isRelative(specifier)) {
      if (CORES.includes(room)) faults.push(`${path}: a core imports the package "${specifier}"`);
      continue;
    }
    const to = target(path, specifier);
    const generated = to.startsWith("src/gen/");
    if (!/\.\w+$/.test(specifier) || (specifier.endsWith(".js") && !generated)) {
      faults.push(`${path}: the import "${specifier}" must name its file, with .ts`);
    }
    if (!inSource || !to.startsWith("src/")) continue;
    const other = roomOf(to);
    if (other !== room && !allowed.includes(other)) {
      faults.push(`${path}: ${room} may not import ${other} ("${specifier}")`);
    }
  }
  return faults;
}

function bannedWords({ path, text }: Source): string[] {
  const { code } = scan(text);
  const bans = path.startsWith("src/") && CORES.includes(roomOf(path)) ? [...CORE_BANS, ...STYLE_BANS] : STYLE_BANS;
  return bans.flatMap(([pattern, what]) => {
    const match = pattern.exec(code);
    return match === null ? [] : [`${path}: uses ${what} (\`${match[0].trim()}\`)`];
  });
}

function nameFaults({ path }: Source): string[] {
  return path.split("/").flatMap((part, index, parts) => {
    const isFile = index === parts.length - 1;
    if (!isFile && part.startsWith(".")) return [];
    const stem = isFile ? part.replace(/(?:\.test)?\.(?:ts|mjs)$/, "") : part;
    if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(stem)) return [`${path}: "${part}" is not kebab-case`];
    const vague = /^(?:types?|index|common|misc|mod)$|(?:^|-)(?:utils?|helpers?|manager)(?:-|$)/.exec(stem);
    return vague === null ? [] : [`${path}: "${vague[0]}" says nothing about what is inside`];
  });
}

function sizeFaults({ path, text }: Source, stateMachines: readonly string[]): string[] {
  const lines = text.split("\n").length - 1;
  const isMachine = stateMachines.includes(path);
  const max = isMachine ? STATE_MACHINE_LINES_MAX : path.startsWith("src/") ? LINES_MAX : OTHER_LINES_MAX;
  if (isMachine && lines <= LINES_MAX) return [`${path}: has ${lines} lines and needs no exception`];
  return lines > max ? [`${path}: has ${lines} lines, at most ${max} are allowed`] : [];
}

function headerFaults({ path, text }: Source): string[] {
  if (!path.startsWith("src/") || !CORES.includes(roomOf(path)) || text.startsWith("/**")) return [];
  return [`${path}: a core's file starts with a header that says what it does (/** ... */)`];
}

/** Import cycles among the sources, type-only imports included. */
export function cycles(sources: readonly Source[]): string[] {
  const edges = new Map(
    sources.map(({ path, text }) => [
      path,
      importsOf(text)
        .filter(isRelative)
        .map((specifier) => target(path, specifier)),
    ]),
  );
  const done = new Set<string>();
  const faults: string[] = [];
  const visit = (path: string, trail: string[]): void => {
    const from = trail.indexOf(path);
    if (from >= 0) {
      faults.push(`import cycle: ${[...trail.slice(from), path].join(" -> ")}`);
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) if (edges.has(next)) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return faults;
}

/** Every fault of every rule; `stateMachines` are the paths that may be long. */
export function houseFaults(sources: readonly Source[], stateMachines: readonly string[]): string[] {
  const unknown = sources.filter(({ path }) => path.startsWith("src/") && !(roomOf(path) in MAY_IMPORT));
  return [
    ...unknown.map(({ path }) => `${path}: the room ${roomOf(path)} has no rule in tests/house-rules.ts`),
    ...sources.flatMap((source) => [
      ...importFaults(source),
      ...bannedWords(source),
      ...nameFaults(source),
      ...sizeFaults(source, stateMachines),
      ...headerFaults(source),
    ]),
    ...cycles(sources),
  ];
}
