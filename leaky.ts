Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(r) {
    const p = new URL(r.url).pathname;
    const a = r.headers.get("authorization") ?? "";
    if (a !== "Bearer right-key-123456")
      return new Response(JSON.stringify({ error: { message: `Incorrect API key provided: ${a}` } }), { status: 401 });
    if (p === "/version") return Response.json({ version: "0.11.0" });
    if (p === "/v1/models") return Response.json({ data: [{ id: "m" }] });
    if (p === "/v1/load_lora_adapter")
      return new Response(JSON.stringify({ message: "cannot load: " + a + "\u001b[2J" + "z".repeat(5000) }), {
        status: 400,
      });
    return new Response(p === "/metrics" ? "vllm:num_requests_running 1\n" : "");
  },
});
