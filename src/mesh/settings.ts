/** What a member may be told about how it talks to the others: cluster, keys, and limits. */
import { make, refuse } from "../base/field.ts";
import { list } from "../base/settings-collections.ts";
import { bytes, duration, integer, section, text, type Infer } from "../base/settings.ts";
import { parseKey } from "./keyring.ts";
import { formatSeed, GOSSIP_PORT, parseSeed, SEED_EXPECTED, seedHint } from "./seed.ts";

const KEY = "32 bytes in base64 (44 characters), as `openssl rand -base64 32` makes them";

/** Never shows what it was given: a key with a slip in it is still most of a key. */
const gossipKey = make<string>(
  {
    kind: "key",
    placeholder: "KEY",
    expected: KEY,
    write: (value) => value,
    read(raw, at) {
      const given = typeof raw === "string" ? raw.trim() : undefined;
      if (given !== undefined && (given === "" || parseKey(given) !== undefined)) return given;
      return refuse("(hidden)", at, KEY);
    },
  },
  "",
  {
    flag: "gossip-key",
    secret: true,
    emptyMeans: "plain packets, unless there is a key file",
    doc: "Seals all packets between members with AES-256-GCM; other users can see a flag, so prefer INFERMESH_GOSSIP_KEY or a key file. The same at every member.",
  },
);

const seed = make<string>(
  {
    kind: "seed",
    placeholder: "HOST[:PORT]",
    expected: SEED_EXPECTED,
    write: (value) => value,
    read(raw, at) {
      const parsed = typeof raw === "string" ? parseSeed(raw.trim()) : undefined;
      if (parsed !== undefined) return formatSeed(parsed);
      return refuse(raw, at, SEED_EXPECTED, typeof raw === "string" ? seedHint(raw.trim()) : "");
    },
  },
  undefined,
  {},
);

/** How a node finds the mesh; every role has these beside its gossip port. */
export const joinSettings = {
  join: list(seed, {
    default: [],
    doc: `Members of the mesh to meet by gossip, by their --gossip port (${GOSSIP_PORT} where none is given); one that answers is enough. All addresses of a DNS name are tried; srv:NAME stands for the hosts and ports of the name's SRV records. Names are looked up again, and whoever is not in the mesh is tried on.`,
  }),
  joinFile: text({
    default: "",
    placeholder: "FILE",
    lengthMax: 4096,
    doc: "A file of more members to meet, one a line as --join takes them, with # comments. It may be written and changed while the node runs.",
  }),
};

/** Who a node is to the others; `idMeans` says what it is called when nothing else is said. */
export function nodeSettings(idMeans: string) {
  return {
    id: text({
      default: "",
      placeholder: "ID",
      pattern: /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/,
      expected: "1 to 128 letters, digits, ., _, :, @ or -, starting with a letter or digit",
      emptyMeans: idMeans,
      doc: "The node's name, unique in the mesh. Clients see an agent's in x-infermesh-node.",
    }),
    advertise: text({
      default: "",
      placeholder: "HOST",
      lengthMax: 253,
      pattern: /^[A-Za-z0-9[\]:._%-]+$/,
      expected: "a host name or IP address without a port",
      emptyMeans: "what is bound; where that is every address, the one that reaches the seeds",
      doc: "The host by which other machines reach this node; a name is looked up at the start. Packets must come from there.",
    }),
    dataDir: text({
      default: "",
      placeholder: "DIR",
      lengthMax: 4096,
      emptyMeans: "$XDG_STATE_HOME/infermesh, ~/.local/state/infermesh, or the temporary directory",
      doc: "Where the node keeps its state; agent stop and agent status find a running agent there.",
    }),
  };
}

export const transportSettings = section({
  datagramBytesMax: bytes({
    default: 1400,
    min: 600,
    max: 65_000,
    doc: "Longest datagram, encryption included. 1400 passes every usual network in one piece.",
  }),
  frameBytesMax: bytes({
    default: "4MiB",
    min: "64KiB",
    max: "256MiB",
    doc: "Longest message over TCP, before and after decompression.",
  }),
  receiveBufferBytes: bytes({
    default: "2MiB",
    min: "64KiB",
    max: "1GiB",
    doc: "Memory that the kernel is asked for to hold datagrams until they are read. It gives at most net.core.rmem_max.",
  }),
  sendBurst: integer({
    default: 32,
    min: 1,
    max: 10_000,
    doc: "Datagrams sent in one millisecond at most; more wait their turn. Linux's usual receive buffer holds 92 long ones.",
  }),
  sendQueueMax: integer({
    default: 8192,
    min: 64,
    max: 1_000_000,
    doc: "Datagrams that wait for their turn at most; more are dropped.",
  }),
  connectionsMax: integer({
    default: 256,
    min: 4,
    max: 65_536,
    doc: "TCP connections at once in each direction. One more cuts the one that has been sending its request longest.",
  }),
  requestTimeoutMs: duration({
    default: "5s",
    min: "50ms",
    max: "10m",
    doc: "Time that a peer may take to send a request over TCP, and again to take the answer.",
  }),
  replayWindowMs: duration({
    default: "5m",
    min: "10s",
    max: "24h",
    doc: "Sealed packets older than this by their sender's clock are dropped, so clocks must agree within it.",
  }),
  sendersMax: integer({
    default: 20_000,
    min: 64,
    max: 1_000_000,
    doc: "Senders remembered against replays; a member counts as two. About 150 bytes each.",
  }),
});

export type GossipConfig = Infer<typeof gossipSettings>;
export type TransportLimits = Infer<typeof transportSettings>;

export const gossipSettings = section(
  {
    cluster: text({
      default: "infermesh",
      flag: "cluster",
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
      expected: "1 to 64 letters, digits, ., _ or -, starting with a letter or digit",
      doc: "The mesh's name. Members of another name are not heard, even with the same key.",
    }),
    key: gossipKey,
    keyFile: text({
      default: "",
      flag: "gossip-key-file",
      placeholder: "FILE",
      lengthMax: 4096,
      doc: "Keys in base64, one a line; the first seals, all open. The file must be readable by its owner only, who is root or this user; infermesh ctl keyring writes its changes there, so its directory must be writable.",
    }),
    limits: { ...transportSettings, doc: "What peers may cost, and how fast datagrams leave." },
  },
  {
    check: ({ key, keyFile }) =>
      key !== "" && keyFile !== ""
        ? [
            {
              path: "keyFile",
              found: parseKey(keyFile.trim()) === undefined ? keyFile : "(hidden)",
              expected: "none while key is given as well: use one of them",
            },
          ]
        : [],
  },
);
