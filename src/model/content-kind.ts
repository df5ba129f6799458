/** What the first bytes of a body say it is, for senders whose headers lie; null = nothing. */
export function contentKindOf(body: Uint8Array): "gzip" | "zstd" | "json" | "protobuf" | null {
  if (body[0] === 0x1f && body[1] === 0x8b) return "gzip";
  if (body[0] === 0x28 && body[1] === 0xb5 && body[2] === 0x2f) return "zstd";
  if (body[0] === 0x7b || body[0] === 0x5b) return "json";
  return body[0] === 0x0a ? "protobuf" : null;
}
