/** What `nvidia-smi -q -x` writes, as far as it needs reading: elements, the attribute `id`, texts. Throws where it is no such thing. */

export interface XmlElement {
  readonly name: string;
  readonly id: string;
  /** Without what its elements hold. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

const DEPTH_MAX = 64;
const TOKEN =
  /<!--[^]*?-->|<[!?][^>]*>|<(\/?)([A-Za-z_][\w.-]*)((?:\s+[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>|([^<]+)/gy;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

interface Open {
  readonly name: string;
  readonly id: string;
  text: string;
  readonly children: XmlElement[];
}

/** The outermost element. What stands before `<?xml` is not looked at: nvidia-smi tells of lost GPUs there. */
export function readXml(source: string): XmlElement {
  const from = source.indexOf("<?xml");
  const text = from < 0 ? source : source.slice(from);
  const root: Open = { name: "", id: "", text: "", children: [] };
  const stack = [root];
  let at = 0;
  for (const token of text.matchAll(TOKEN)) {
    at = token.index + token[0].length;
    const [, closes, name = "", attributes = "", isEmpty, words] = token;
    const open = stack.at(-1) as Open;
    if (words !== undefined) {
      open.text += decoded(words);
    } else if (name === "") {
      continue;
    } else if (closes === "/") {
      if (stack.length === 1 || open.name !== name) throw new Error(`</${name}> closes <${open.name}>`);
      stack.pop();
      stack.at(-1)?.children.push({ ...open, text: open.text.trim() });
    } else {
      const id = decoded(/\bid\s*=\s*["']([^"']*)["']/.exec(attributes)?.[1] ?? "");
      if (isEmpty === "/") open.children.push({ name, id, text: "", children: [] });
      else stack.push({ name, id, text: "", children: [] });
      if (stack.length > DEPTH_MAX) throw new Error(`elements are more than ${DEPTH_MAX} deep`);
    }
  }
  if (at < text.length) throw new Error(`no XML from character ${at} on: ${JSON.stringify(text.slice(at, at + 40))}`);
  const [only, ...others] = root.children;
  if (stack.length > 1) throw new Error(`<${stack.at(-1)?.name}> is not closed`);
  if (only === undefined || others.length > 0) throw new Error("there is not one outermost element");
  return only;
}

function decoded(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|(\w+));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name as string] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** All at a path from an element: "pci/pci_gpu_link_info/pcie_gen". */
export function elementsAt(of: XmlElement, path: string): readonly XmlElement[] {
  return path
    .split("/")
    .reduce<readonly XmlElement[]>(
      (found, name) => found.flatMap(({ children }) => children.filter((child) => child.name === name)),
      [of],
    );
}
