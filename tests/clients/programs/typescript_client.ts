// Calls every operation through the generated TypeScript client, and prints what it answered.
//
// With tokens it provokes statuses of the running API. With statuses it asks a stub for each status that the document
// describes: the stub reads the status from X-Correlation-Id.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Resource = components["schemas"]["Resource"];
type ResourceInput = components["schemas"]["ResourceInput"];
type Erasure = components["schemas"]["Erasure"];
type ErasureInput = components["schemas"]["ErasureInput"];
type Import = components["schemas"]["Import"];
type Failure = components["schemas"]["Error"] | components["schemas"]["GatewayError"];
type Answer = { operation: string; status: number; body: unknown };
type Request = { url: string; tokens?: { all: string; none: string }; statuses?: number[] };

const UNKNOWN = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10";
const LONG = "x".repeat(10_240);
const answers: Answer[] = [];

function connect(url: string, token: string) {
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
}

type Client = ReturnType<typeof connect>;

function makeBody(name = "First", metadata: ResourceInput["metadata"] = { colour: "blue", weight: 12.5 }): ResourceInput {
  return { name, type: "A", ...(metadata === undefined ? {} : { metadata }) };
}

function makeLine(name = "First"): string {
  return JSON.stringify(makeBody(name));
}

// The client writes a body as JSON, unless it is told otherwise.
const AS_LINES = {
  bodySerializer: (body: unknown) => String(body),
  headers: { "Content-Type": "application/x-ndjson" },
};

const AS_PATCH = { headers: { "Content-Type": "application/merge-patch+json" } };

// Records an answer; its error has the type that the document gives to the operation's errors.
function note(
  operation: string,
  answer: { data?: unknown; error?: Failure | undefined; response: Response },
): void {
  // An answer without a body, such as 304, has an empty text in place of an error.
  const error = answer.error || undefined;
  const text = error && ("error" in error ? error.error : error.message);
  if (error && typeof text !== "string") {
    throw new Error(`${operation}: the error has no text`);
  }
  answers.push({ operation, status: answer.response.status, body: answer.data ?? error ?? null });
}

async function callEveryOperation(client: Client, correlationId: string): Promise<void> {
  const header = { "X-Correlation-Id": correlationId };
  const item = { path: { id: UNKNOWN }, header };
  note("listResources", await client.GET("/api/v1/resources", { params: { query: { limit: 2 }, header } }));
  note("createResource", await client.POST("/api/v1/resources", { params: { header }, body: makeBody() }));
  note("getResource", await client.GET("/api/v1/resources/{id}", { params: item }));
  note("updateResource", await client.PUT("/api/v1/resources/{id}", { params: item, body: makeBody() }));
  note("patchResource", await client.PATCH("/api/v1/resources/{id}", { params: item, body: { name: "New" }, ...AS_PATCH }));
  note("deleteResource", await client.DELETE("/api/v1/resources/{id}", { params: item }));
  note("searchResources", await client.GET("/api/v1/search", { params: { query: { q: "first", limit: 2 }, header } }));
  note("listAuditEntries", await client.GET("/api/v1/audit", { params: { query: { limit: 2 }, header } }));
  note("startImport", await client.POST("/api/v1/imports", { params: { header }, body: makeLine(), ...AS_LINES }));
  note("getImport", await client.GET("/api/v1/imports/{id}", { params: item }));
  note("cancelImport", await client.DELETE("/api/v1/imports/{id}", { params: item }));
  note("startErasure", await client.POST("/api/v1/erasures", { params: { header } }));
  note("getErasure", await client.GET("/api/v1/erasures/{id}", { params: item }));
}

async function callLive(url: string, tokens: { all: string; none: string }): Promise<void> {
  const client = connect(url, tokens.all);
  const create = (body: ResourceInput, key?: string) =>
    client.POST("/api/v1/resources", { params: { header: key === undefined ? {} : { "Idempotency-Key": key } }, body });
  const created = await create(makeBody(), "one");
  note("createResource", created);
  const resource: Resource | undefined = created.data;
  if (resource === undefined || resource.metadata?.["colour"] !== "blue") {
    throw new Error("the metadata did not come back");
  }
  const path = { id: resource.id };
  const tag = created.response.headers.get("ETag") ?? "";
  note("createResource", await create(makeBody("x"), "one"));
  const page = await client.GET("/api/v1/resources", { params: { query: { limit: 1 } } });
  note("listResources", page);
  if (page.data?.resources[0]?.id !== resource.id) {
    throw new Error("the page lacks the resource");
  }
  note("listResources", await client.GET("/api/v1/resources", { params: { query: { limit: 0 } } }));
  for (const header of [
    { "If-Match": tag },
    { "If-None-Match": tag },
    { "If-Match": '"other"' },
    { "If-Match": "other" },
  ]) {
    note("getResource", await client.GET("/api/v1/resources/{id}", { params: { path, header } }));
  }
  const large = makeBody("large", { text: "x".repeat(410_000) });
  for (const [body, match] of [[makeBody(""), tag], [makeBody(), '"other"'], [makeBody("New"), tag], [large, "*"]] as const) {
    note("updateResource", await client.PUT("/api/v1/resources/{id}", { params: { path, header: { "If-Match": match } }, body }));
  }
  const current = await client.GET("/api/v1/resources/{id}", { params: { path } });
  const newest = current.response.headers.get("ETag") ?? "";
  for (const [name, match] of [["", newest], ["New", '"other"'], ["New", newest]] as const) {
    const params = { path, header: { "If-Match": match } };
    const body = { name, type: "B", metadata: null } as const;
    note("patchResource", await client.PATCH("/api/v1/resources/{id}", { params, body, ...AS_PATCH }));
  }
  note("createResource", await create(large));
  note("createResource", await create(makeBody("x".repeat(101))));
  for (const tags of ["other", "*", '"other"']) {
    note("deleteResource", await client.DELETE("/api/v1/resources/{id}", { params: { path, header: { "If-None-Match": tags } } }));
  }
  note("searchResources", await client.GET("/api/v1/search", { params: { query: { q: " " } } }));
  await callRecords(client);
  // Nothing is found, nobody is known, no scope suffices, the headers are too long.
  await callEveryOperation(client, "missing");
  await callEveryOperation(connect(url, "garbage"), "unknown");
  await callEveryOperation(connect(url, tokens.none), "forbidden");
  await callEveryOperation(client, LONG);
}

async function callRecords(client: Client): Promise<void> {
  for (const limit of [1, 0]) {
    note("listAuditEntries", await client.GET("/api/v1/audit", { params: { query: { limit } } }));
  }
  const start = (body: string, header: { "Idempotency-Key"?: string } = {}, upload = false) =>
    client.POST("/api/v1/imports", { params: { header, query: { upload } }, body, ...AS_LINES });
  const key = { "Idempotency-Key": "file" };
  const started = await start(makeLine(), key);
  note("startImport", started);
  note("startImport", await start(makeLine("x"), key));
  note("startImport", await start(makeLine(), {}, true));
  const found: Import | undefined = started.data;
  if (found === undefined) {
    throw new Error("the import did not start");
  }
  note("getImport", await client.GET("/api/v1/imports/{id}", { params: { path: { id: found.id } } }));
  note("cancelImport", await client.DELETE("/api/v1/imports/{id}", { params: { path: { id: found.id } } }));
  const erasure = await client.POST("/api/v1/erasures", { body: {} });
  note("startErasure", erasure);
  // The type allows no option.
  note("startErasure", await client.POST("/api/v1/erasures", { body: { only: "resources" } as unknown as ErasureInput }));
  const receipt: Erasure | undefined = erasure.data;
  if (receipt === undefined) {
    throw new Error("the erasure did not start");
  }
  note("getErasure", await client.GET("/api/v1/erasures/{id}", { params: { path: { id: receipt.id } } }));
}

let input = "";
for await (const chunk of process.stdin) {
  input += String(chunk);
}
const request: Request = JSON.parse(input);
if (request.tokens !== undefined) {
  await callLive(request.url, request.tokens);
}
for (const status of request.statuses ?? []) {
  await callEveryOperation(connect(request.url, "token"), String(status));
}
process.stdout.write(JSON.stringify(answers));
