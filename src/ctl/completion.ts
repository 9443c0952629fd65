/**
 * `infermesh ctl completion bash|zsh|fish`: what a shell loads to complete command lines of infermesh. The scripts only
 * hand the words over to `infermesh ctl complete`, which answers with lines of `WORD<Tab>WHAT IT IS`, or with the one
 * line `:files` where the shell is to complete a file's name by itself.
 */
import { section } from "../base/settings.ts";
import { printable } from "../base/printable.ts";
import { KINDS } from "../policy/spec.ts";
import { ask, recordsIn } from "./client.ts";
import { call, type Caller } from "./control-plane.ts";
import { type Branch, complete, type Names } from "./complete.ts";
import { part, type Part } from "./part.ts";
import { profilePath, profileTree, readProfiles } from "./profile-file.ts";

/** Nobody waits for a Tab. */
const NAMES_MS_MAX = 500;
const DOC_LENGTH_MAX = 80;
export const FILES = ":files";

const BASH = `# bash completion of infermesh. Load it by:  source <(infermesh ctl completion bash)
_infermesh() {
  local line="\${COMP_LINE:0:COMP_POINT}" words word begun=""
  read -ra words <<< "$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  local last="\${words[\${#words[@]}-1]}"
  COMPREPLY=()
  # What Readline takes for words of their own is not to be repeated.
  local char
  for char in "=" ":"; do
    if [[ "$COMP_WORDBREAKS" == *"$char"* && "$last" == *"$char"* ]]; then
      local upto="\${last%"\${last##*"$char"}"}"
      [[ \${#upto} -gt \${#begun} ]] && begun="$upto"
    fi
  done
  while IFS=$'\\t' read -r word _; do
    if [[ "$word" == "${FILES}" ]]; then
      compopt -o filenames 2> /dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${last#"$begun"}")
      return
    fi
    COMPREPLY+=("\${word#"$begun"}")
  done < <("\${words[0]}" ctl complete -- "\${words[@]:1}" 2> /dev/null)
  # A list goes on after a comma.
  if [[ \${#COMPREPLY[@]} -eq 1 && "\${COMPREPLY[0]}" == *[,=/] ]]; then compopt -o nospace 2> /dev/null; fi
}
complete -F _infermesh infermesh
`;

const ZSH = `#compdef infermesh
# zsh completion of infermesh. Load it by:  source <(infermesh ctl completion zsh)
_infermesh() {
  local -a lines found
  local line word doc
  lines=("\${(@f)$("\${words[1]}" ctl complete -- "\${(@)words[2,CURRENT]}" 2> /dev/null)}")
  for line in "\${lines[@]}"; do
    [[ -z "$line" ]] && continue
    if [[ "$line" == "${FILES}"* ]]; then
      _files
      return
    fi
    word="\${line%%$'\\t'*}"
    doc="\${line#*$'\\t'}"
    found+=("\${word//:/\\\\:}:$doc")
  done
  (( \${#found} )) && _describe -V infermesh found
}
(( $+functions[compdef] )) && compdef _infermesh infermesh
`;

const FISH = `# fish completion of infermesh. Load it by:  infermesh ctl completion fish | source
function __infermesh_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] ctl complete -- $words[2..-1] 2> /dev/null)
    if test "$found[1]" = "${FILES}"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c infermesh -f -a '(__infermesh_complete)'
`;

export const SHELLS = { bash: BASH, zsh: ZSH, fish: FISH } as const;

/** The script of a shell. */
export function script(shell: keyof typeof SHELLS): Part {
  return part({ settings: section({}), run: (_config, terminal) => terminal.out(SHELLS[shell]) });
}

/** `ctl complete -- WORDS`: what the last of the words may become. */
export function completing(root: Branch): Part {
  return part({
    settings: section({}),
    operands: [{ name: "WORD", expected: "the words so far", optional: true, many: true }],
    async run(_config, terminal, words) {
      const { candidates, files } = await complete(root, words, namesOf);
      if (files) terminal.out(`${FILES}\n`);
      for (const { word, doc } of candidates) {
        const [line = ""] = doc.split(/(?<=[.])\s/);
        terminal.out(`${printable(word)}\t${printable(line.slice(0, DOC_LENGTH_MAX))}\n`);
      }
    },
  });
}

/** Of the mesh that the words, the environment or a profile name; none where it does not answer at once. */
const namesOf: Names = async (kind, words) => {
  try {
    if (kind === "profile") return Object.keys(readProfiles(profilePath(process.env)).profiles);
    const caller = callerOf(words);
    if (kind === "policy") return await policiesOf(caller, words);
    if (kind === "gpu") return await gpusOf(caller);
    return kind === "model" ? await listed(caller, "ListModels", "models") : await nodesOf(caller);
  } catch {
    return [];
  }
};

/** A port without a control plane tells its nodes as well. */
async function nodesOf(caller: Caller): Promise<string[]> {
  const nodes = await listed(caller, "ListNodes", "nodes");
  if (nodes.length > 0) return nodes;
  const answer = await ask(caller.endpoint, "/nodes", caller.timeoutMs);
  return answer.kind === "answer" ? idsIn(recordsIn(answer.body, "nodes")) : [];
}

/** `INDEX@NODE` of each, then their UUIDs. */
async function gpusOf(caller: Caller): Promise<string[]> {
  const reply = await call(caller, "GetGpuStates", {}, "infermesh.state.v1.StatePlane");
  const states = reply.kind === "reply" ? (recordsIn(reply.body, "states") ?? []) : [];
  const named = states.map(({ index, labels }) => ({
    index,
    ...(labels as { node?: unknown; gpuUuid?: unknown } | null),
  }));
  const places = named.flatMap(({ index, node }) => (typeof node === "string" ? [`${String(index)}@${node}`] : []));
  const uuids = named.flatMap(({ gpuUuid }) => (typeof gpuUuid === "string" && gpuUuid !== "" ? [gpuUuid] : []));
  return [...new Set([...places, ...uuids])];
}

/** Names of policies of the kind that the words before say. */
async function policiesOf(caller: Caller, words: readonly string[]): Promise<string[]> {
  const kind = words.slice(0, -1).find((word) => (KINDS as readonly string[]).includes(word)) ?? "";
  const reply = await call(caller, "ListPolicies", { kind, local: true });
  const policies = reply.kind === "reply" ? (recordsIn(reply.body, "policies") ?? []) : [];
  return policies.flatMap(({ name }) => (typeof name === "string" ? [name] : []));
}

async function listed(caller: Caller, method: string, list: string): Promise<string[]> {
  const reply = await call(caller, method);
  return reply.kind === "reply" ? idsIn(recordsIn(reply.body, list)) : [];
}

function idsIn(rows: ReturnType<typeof recordsIn>): string[] {
  return (rows ?? []).flatMap(({ id }) => (typeof id === "string" ? [id] : []));
}

function callerOf(words: readonly string[]): Caller {
  const after = (flag: string): string | undefined => {
    const at = words.findLastIndex((word) => word === flag || word.startsWith(`${flag}=`));
    const word = words[at] ?? "";
    return at < 0 ? undefined : word === flag ? words[at + 1] : word.slice(flag.length + 1);
  };
  const profile = profileTree(process.env, after("--profile"));
  const tree = profile !== undefined && "tree" in profile ? profile.tree : {};
  const endpoint = [after("--endpoint"), process.env["INFERMESH_ENDPOINT"], tree["endpoint"]].find(
    (given) => typeof given === "string" && URL.canParse(given),
  );
  return { endpoint: typeof endpoint === "string" ? endpoint.replace(/\/+$/, "") : "", timeoutMs: NAMES_MS_MAX };
}
