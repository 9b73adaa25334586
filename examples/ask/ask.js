// Search and answers over the caller's own resources. Whatever comes from the API is shown as text.

import { explainAccess, make, readApi, showUser } from "/_local/session.js";

const SEARCH_API = "Api";
const ANSWER_API = "Streaming/StreamingApi";
const ENDS = {
  deadline: "The time for the answer is up.",
  filtered: "The guardrail has stopped the answer.",
  length: "The answer has reached its longest size.",
  nothing_found: "No resource is found to answer from.",
};

const find = (id) => document.getElementById(id);
let paths = {};
let token = "";
let subject = null;
let running = null;

/** Yield the server-sent events of a response, as {name, data}; comments are left out. */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const pick = (field) => lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2)).join("\n");
      if (pick("event")) yield { name: pick("event"), data: JSON.parse(pick("data")) };
    }
  }
}

function showResults(results) {
  find("results").replaceChildren(...results.map(({ id, name, score }) => make(
    "li", {}, make("strong", {}, name), ` ${Math.round(score * 100)} % `, make("code", {}, id),
  )));
}

function show(event) {
  const { name, data } = event;
  if (name === "sources") showResults(data.sources);
  if (name === "text") find("answer").append(data.text);
  if (name === "fallback") find("answer").textContent = data.reason;
  if (name === "usage") find("usage").textContent = `${data.inputTokens} tokens in, ${data.outputTokens} tokens out, ${data.cost.toFixed(6)} ${data.currency}`;
  if (name === "error") throw new Error(data.error);
}

async function check(response) {
  if (response.ok) return response;
  const { error, message, details = [] } = await response.json();
  const problems = details.map(({ field, problem }) => `${field} ${problem}`).join("; ");
  throw new Error(problems ? `${error}: ${problems}` : error ?? message);
}

async function ask(question, signal) {
  const response = await check(await fetch(`${paths[ANSWER_API]}/api/v1/answers`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ question }),
    signal,
  }));
  let end = "";
  for await (const event of readEvents(response.body)) {
    signal.throwIfAborted();
    show(event);
    if (event.name === "end") end = event.data.reason;
  }
  return ENDS[end] ?? "Done.";
}

async function search(text, signal) {
  const query = new URLSearchParams({ q: text });
  const response = await check(await fetch(`${paths[SEARCH_API]}/api/v1/search?${query}`, { headers: { Authorization: `Bearer ${token}` }, signal }));
  const { results } = await response.json();
  showResults(results.map(({ resource, score }) => ({ ...resource, score })));
  return results.length ? "Done." : "Nothing is found.";
}

/** Stop what runs, and clear what the page shows of an answer. */
function clear() {
  running?.abort();
  running = null;
  for (const id of ["answer", "usage", "results", "state"]) find(id).replaceChildren();
  find("state").className = "";
  find("stop").disabled = true;
}

function become(given, user) {
  token = given;
  // The same user gets a new token now and then.
  if (user.sub !== subject) clear();
  subject = user.sub;
}

async function run(action, doing) {
  const form = find("form");
  if (!form.reportValidity()) return;
  clear();
  const current = running = new AbortController();
  find("state").textContent = doing;
  find("stop").disabled = false;
  try {
    find("state").textContent = await action(find("question").value, current.signal);
  } catch (error) {
    if (current !== running) return;
    find("state").className = current.signal.aborted ? "" : "problem";
    find("state").textContent = current.signal.aborted ? "Stopped." : error.message;
  } finally {
    if (current === running) find("stop").disabled = true;
  }
}

async function start() {
  const answer = await fetch("/_local/pages.json", { cache: "no-store" });
  paths = (await answer.json()).apis;
  const api = await readApi();
  // Only the pages of the API that searches have tokens.
  const port = paths[SEARCH_API].split("/").pop();
  if (!Object.keys(api.local).length && location.port !== port) {
    location.port = port;
    return;
  }
  if (explainAccess(find("user"), api)) showUser(find("user"), api, become);
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run(ask, "The answer comes …");
});
find("search").addEventListener("click", () => run(search, "Searching …"));
find("stop").addEventListener("click", () => running?.abort());
start();
