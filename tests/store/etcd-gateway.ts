/** What tests do to an etcd beside the client under test: by its JSON gateway, as an administrator would by etcdctl. */

const base64 = (text: string): string => Buffer.from(text).toString("base64");

async function post(port: number, path: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`http://127.0.0.1:${port}/v3/${path}`, { method: "POST", body: JSON.stringify(body) });
  const answer = (await response.json()) as Record<string, unknown>;
  if (response.status !== 200) throw new Error(`${path}: ${JSON.stringify(answer)}`);
  return answer;
}

/** The revision after it. */
export async function putOutside(port: number, key: string, value: string): Promise<number> {
  const { header } = await post(port, "kv/put", { key: base64(key), value: base64(value) });
  return Number((header as { revision: string }).revision);
}

export async function deleteOutside(port: number, key: string, end?: string): Promise<number> {
  const range = end === undefined ? {} : { range_end: base64(end) };
  const { header } = await post(port, "kv/deleterange", { key: base64(key), ...range });
  return Number((header as { revision: string }).revision);
}

/** Forgets all before that revision. */
export async function compact(port: number, revision: number): Promise<void> {
  await post(port, "kv/compaction", { revision, physical: true });
}

/** `member` is hexadecimal. */
export async function disarm(port: number, member: string): Promise<void> {
  const memberID = BigInt(`0x${member}`).toString();
  await post(port, "maintenance/alarm", { action: "DEACTIVATE", alarm: "NOSPACE", memberID });
}

export async function defragment(port: number): Promise<void> {
  await post(port, "maintenance/defragment", {});
}

/** From here on everybody needs a login; `user` may read and write below `prefix` alone. */
export async function demandLogin(port: number, user: string, password: string, prefix: string): Promise<void> {
  const end = `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
  await post(port, "auth/user/add", { name: "root", password: "root" });
  await post(port, "auth/role/add", { name: "root" });
  await post(port, "auth/user/grant", { user: "root", role: "root" });
  await post(port, "auth/user/add", { name: user, password });
  await post(port, "auth/role/add", { name: "mesh" });
  const perm = { permType: "READWRITE", key: base64(prefix), range_end: base64(end) };
  await post(port, "auth/role/grant", { name: "mesh", perm });
  await post(port, "auth/user/grant", { user, role: "mesh" });
  await post(port, "auth/enable", {});
}
