/** What a node may be told about the control plane: whether it is a control node, where, and which engine keeps policies. */
import { make, refuse } from "../base/field.ts";
import { isEtcdAddress, parseEtcdAddress } from "./etcd-address.ts";
import { address, choice, section, text, type Infer } from "../base/settings.ts";

export const CONTROL_PORT = 7950;

export const EMBEDDED = "embedded";
const EXPECTED = "embedded, or etcd://HOST:PORT[,HOST:PORT...] (etcds:// for TLS)";

const engine = make<string>(
  {
    kind: "store",
    placeholder: "ENGINE",
    expected: EXPECTED,
    write: (value) => value,
    read(raw, at) {
      const given = typeof raw === "string" ? raw.trim() : "";
      if (given === EMBEDDED) return given;
      const etcd = isEtcdAddress(given) ? parseEtcdAddress(given) : undefined;
      // It may hold a password, which is not shown.
      if (typeof etcd === "string") return refuse("(hidden)", at, EXPECTED, `it ${etcd}`);
      return etcd === undefined ? refuse(raw, at, EXPECTED) : given;
    },
  },
  EMBEDDED,
  {
    flag: "store",
    secret: true,
    doc: "What keeps the policies: the nodes' own consensus, or an etcd v3 cluster that runs already. The same at every node.",
  },
);

const controlFields = {
  mode: choice(["auto", "bootstrap", "join", "off"], {
    default: "auto",
    flag: "control",
    doc: "Whether this node is a control node, which keeps the policies. bootstrap: it is the first one of a new mesh (say so at exactly one). join: it joins those that there are. off: never. auto: an agent that joins nobody bootstraps itself; any other stands by until `infermesh ctl control add` names it. A node that has a store stays a control node.",
  }),
  first: text({
    default: "",
    flag: "control-first",
    placeholder: "ID",
    lengthMax: 128,
    emptyMeans: "whoever is told to bootstrap",
    doc: "With --control bootstrap: only the node of this --id is the first one, every other joins. So all control nodes can be started by one command, as the replicas of a Kubernetes StatefulSet are.",
  }),
  listen: address({
    default: `:${CONTROL_PORT}`,
    flag: "control-listen",
    doc: "Where control nodes and their followers reach this node. With --control auto another free port is taken where this one is in use.",
  }),
  advertise: text({
    default: "",
    flag: "control-advertise",
    placeholder: "HOST:PORT",
    lengthMax: 300,
    pattern: /^(?:\S+:\d{1,5})?$/,
    expected: "HOST:PORT",
    emptyMeans: "the host that gossip announces, and the port that is bound",
    doc: "Where other nodes reach --control-listen, where that is behind something that changes addresses.",
  }),
  dir: text({
    default: "",
    flag: "control-dir",
    placeholder: "DIR",
    lengthMax: 4096,
    emptyMeans: "the data directory",
    doc: "Where a control node keeps its store: a disk that is fast to flush makes writes fast.",
  }),
  store: engine,
  storeCa: text({
    default: "",
    flag: "store-ca",
    placeholder: "FILE",
    lengthMax: 4096,
    emptyMeans: "the system's",
    doc: "Authorities whose certificates etcd may show with etcds://, PEM.",
  }),
  storeCert: text({
    default: "",
    flag: "store-cert",
    placeholder: "FILE",
    lengthMax: 4096,
    doc: "Certificate that etcd is shown, PEM.",
  }),
  storeKey: text({
    default: "",
    flag: "store-key",
    placeholder: "FILE",
    lengthMax: 4096,
    doc: "Private key that belongs to it, PEM.",
  }),
};

export const controlSettings = section(controlFields, {
  check: ({ mode, first }) =>
    first !== "" && mode !== "bootstrap"
      ? [{ path: "first", found: first, expected: `none while control is ${mode}: it is for --control bootstrap` }]
      : [],
});

export type ControlConfig = Infer<typeof controlSettings>;

/** What is meant for the node of that id: of those that are told to bootstrap, all but the first join. */
export function controlOf(control: ControlConfig, id: string): ControlConfig {
  const { mode, first } = control;
  return mode === "bootstrap" && first !== "" && first !== id ? Object.freeze({ ...control, mode: "join" }) : control;
}
