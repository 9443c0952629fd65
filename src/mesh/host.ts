/** What this machine is called where nobody says otherwise, and where state is kept then. */
import { mkdirSync } from "node:fs";
import { homedir, hostname, tmpdir } from "node:os";
import { join } from "node:path";

/** The host's name, without what an id may not hold. */
export function hostId(): string {
  const id = hostname()
    .replace(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 128);
  return id === "" ? "node" : id;
}

/** Where state is kept by default: the user's state directory, or a temporary one where there is none or it can't be written. */
export function stateDirectory(): string {
  const home = process.env["XDG_STATE_HOME"] ?? "";
  try {
    // It throws where neither $HOME nor /etc/passwd tells, as in an empty image.
    const wanted = join(home.startsWith("/") ? home : join(homedir(), ".local", "state"), "infermesh");
    mkdirSync(wanted, { recursive: true, mode: 0o700 });
    return wanted;
  } catch {
    return join(tmpdir(), `infermesh-${process.getuid?.() ?? "user"}`);
  }
}
