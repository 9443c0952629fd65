/** By a connection of its own: on one kept alive, llama.cpp's server was seen to reset a request now and then. */
export const ask = (url: string, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { ...init, keepalive: false });

/** A page of metrics as its lines are, by series: for tests that ask what a server tells, not how it is read. */
export function seriesOf(page: string): Map<string, number> {
  const lines = page.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

export async function figures(url: string): Promise<Map<string, number>> {
  const answer = await ask(url);
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return seriesOf(await answer.text());
}
