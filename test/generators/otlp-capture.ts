import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A collector in one function: keeps the OTLP JSON bodies that exporters send to it, one line each, by signal. */
export interface OtlpCapture {
  readonly url: string;
  readonly traces: string[];
  readonly metrics: string[];
  close(): Promise<void>;
}

export async function captureOtlp(): Promise<OtlpCapture> {
  const traces: string[] = [];
  const metrics: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const line = JSON.stringify(JSON.parse(Buffer.concat(chunks).toString("utf8")));
      (request.url === "/v1/traces" ? traces : metrics).push(line);
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    traces,
    metrics,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
