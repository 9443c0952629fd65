/** Certificates, keys and authorities: which files, and what is in them. */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { list } from "../base/settings-collections.ts";
import { flag, section, text } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";
import type { Identity, TlsClientOptions, TlsIdentities } from "./tls-streams.ts";

const PATH_CHARACTERS_MAX = 4096;
const NAMES_MAX = 256;
const NAMED = /^([^=]+)=([^:]+):([^:]+)$/;

export const tlsSettings = section({
  cert: text({
    default: "",
    flag: "tls-cert",
    placeholder: "FILE",
    lengthMax: PATH_CHARACTERS_MAX,
    emptyMeans: "the --listen port speaks plain HTTP",
    doc: "Certificate chain of the --listen port, PEM, its own certificate first. With it the port speaks TLS alone.",
  }),
  key: text({
    default: "",
    flag: "tls-key",
    placeholder: "FILE",
    lengthMax: PATH_CHARACTERS_MAX,
    doc: "Private key that belongs to tls.cert, PEM.",
  }),
  sni: list(text({ lengthMax: PATH_CHARACTERS_MAX, pattern: NAMED, expected: "a name and two files, NAME=CERT:KEY" }), {
    default: [],
    flag: "tls-sni",
    placeholder: "NAME=CERT:KEY,...",
    lengthMax: NAMES_MAX,
    doc: "Further certificates by the server name that a client asks for, such as api.example.com=api.pem:api.key; *.example.com stands for one label.",
  }),
});

export const upstreamTlsSettings = section({
  ca: text({
    default: "",
    placeholder: "FILE",
    lengthMax: PATH_CHARACTERS_MAX,
    emptyMeans: "the system's",
    doc: "Authorities whose certificates https targets may show, PEM.",
  }),
  cert: text({
    default: "",
    placeholder: "FILE",
    lengthMax: PATH_CHARACTERS_MAX,
    doc: "Certificate that is shown to targets that ask for one, PEM.",
  }),
  key: text({
    default: "",
    placeholder: "FILE",
    lengthMax: PATH_CHARACTERS_MAX,
    doc: "Private key that belongs to upstreamTls.cert, PEM.",
  }),
  verify: flag({
    default: true,
    doc: "Whether a target's certificate must be trusted and be for its host. Without it anybody between may read and answer.",
  }),
});

export type TlsConfig = Infer<typeof tlsSettings>;
export type UpstreamTlsConfig = Infer<typeof upstreamTlsSettings>;

/** What the listening port shows; null: it speaks plain HTTP. Throws a MeshError that names the file at fault. */
export function serverIdentities({ cert, key, sni }: TlsConfig): TlsIdentities | null {
  if (cert === "" && key === "" && sni.length === 0) return null;
  if (cert === "") throw invalid("tls.cert", "", "a certificate's file is needed with tls.key and tls.sni");
  const further = sni.map((entry): [string, Identity] => {
    const [, name = "", certFile = "", keyFile = ""] = NAMED.exec(entry) ?? [];
    const names = { cert: `tls.sni of ${name}.cert`, key: `tls.sni of ${name}.key` };
    return [name, identityOf(names, certFile, keyFile)];
  });
  return { ...identityOf({ cert: "tls.cert", key: "tls.key" }, cert, key), sni: Object.fromEntries(further) };
}

/** What a client's files are called where they are configured. */
type ClientFileNames = Readonly<Record<"ca" | "cert" | "key", string>>;

const UPSTREAM_FILES: ClientFileNames = { ca: "upstreamTls.ca", cert: "upstreamTls.cert", key: "upstreamTls.key" };

/** Reads the files; throws a MeshError that names the one at fault. */
export function clientOptions(
  { ca, cert, key, verify }: UpstreamTlsConfig,
  names: ClientFileNames = UPSTREAM_FILES,
): TlsClientOptions {
  return {
    verify,
    ...(ca === "" ? {} : { ca: certificatesIn(names.ca, ca) }),
    ...(cert === "" && key === "" ? {} : { identity: identityOf(names, cert, key) }),
  };
}

function identityOf(names: Omit<ClientFileNames, "ca">, certFile: string, keyFile: string): Identity {
  const cert = certificatesIn(names.cert, certFile);
  const key = contents(names.key, keyFile);
  let isPair = false;
  try {
    isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw invalid(names.key, keyFile, `no private key in PEM without a password (${reasonOf(error)})`);
  }
  if (!isPair) throw invalid(names.key, keyFile, `not the key of the certificate in ${certFile}`);
  return { cert, key };
}

function certificatesIn(path: string, file: string): string {
  const pem = contents(path, file);
  try {
    // The first one, which is what is looked at, stands for all.
    void new X509Certificate(pem);
  } catch (error) {
    throw invalid(path, file, `no certificate in PEM (${reasonOf(error)})`);
  }
  return pem;
}

function contents(path: string, file: string): string {
  if (file === "") throw invalid(path, file, "a file is needed");
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw invalid(path, file, `can't be read (${reasonOf(error)})`);
  }
}

function invalid(path: string, file: string, why: string): MeshError {
  return new MeshError("config_invalid", `${path}: ${file === "" ? "" : `${file}: `}${why}`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
