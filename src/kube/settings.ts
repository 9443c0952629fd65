/** Where runtimes are looked for in Kubernetes, and how its API server is reached. */
import { list } from "../base/settings-collections.ts";
import { type Infer, section, text } from "../base/settings.ts";
import { kubeSource } from "./source.ts";

const SOURCES_MAX = 32;
const PATH_CHARACTERS_MAX = 4096;

/** No servers that can be named. */
const NO_SERVERS = ["mock", "generic"];

/** `kinds`: of all servers. */
export function discoverSettings(kinds: readonly string[]) {
  const named = kinds.filter((kind) => !NO_SERVERS.includes(kind));
  return section(
    {
      sources: list(kubeSource(named), {
        default: [],
        flag: "discover",
        separator: " ",
        lengthMax: SOURCES_MAX,
        emptyMeans: "nowhere",
        doc: "Where runtimes that have no agent are looked for: k8s://NAMESPACE?selector=LABELS by the labels of EndpointSlices, with service=NAME those of a Service, with pods=LABELS pods by their own; * for all namespaces. Further keys: port, scheme, runtime, model (docs/kubernetes.md). The flag may be given several times.",
      }),
      kubeconfig: text({
        default: "",
        placeholder: "FILE",
        lengthMax: PATH_CHARACTERS_MAX,
        emptyMeans: "the service account of the pod that it runs in",
        doc: "How the API server of Kubernetes is reached from outside of its cluster: a kubeconfig file with a token or a client certificate.",
      }),
      context: text({
        default: "",
        placeholder: "NAME",
        lengthMax: 256,
        emptyMeans: "the file's current context",
        doc: "Which context of that file counts.",
      }),
      serviceAccount: text({
        default: "/var/run/secrets/kubernetes.io/serviceaccount",
        placeholder: "DIRECTORY",
        lengthMax: PATH_CHARACTERS_MAX,
        doc: "Where the pod's service account is mounted: its token and ca.crt. They are read anew for each request, since tokens are renewed.",
      }),
    },
    { doc: "Runtimes that are found in Kubernetes and have no agent; see docs/kubernetes.md." },
  );
}

export type DiscoverConfig = Infer<ReturnType<typeof discoverSettings>>;
