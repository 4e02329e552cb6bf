// Asking the service. The token lives in this tab's session and nowhere else.

const TOKEN = "dynamic-toolset-token";
const kept = new Map(); // path → {etag, data}

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set(value) {
    kept.clear();
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  },
};

// What a path says; the very same object as before while nothing changed.
export async function read(path) {
  const before = kept.get(path);
  const answer = await send(path, { headers: before ? { "If-None-Match": before.etag } : {} });
  if (answer.status === 304) return before.data;
  const data = answer.headers.get("Content-Type").startsWith("application/json") ? await answer.json() : await answer.text();
  kept.set(path, { etag: answer.headers.get("ETag"), data });
  return data;
}

export const forget = (path) => kept.delete(path);

export async function post(path) {
  return (await send(path, { method: "POST" })).json();
}

async function send(path, options) {
  const headers = { ...options.headers };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { ...options, headers, cache: "no-store", credentials: "omit" });
  } catch {
    throw new ApiError(0, "the service does not answer");
  }
  if (answer.ok || answer.status === 304) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, problem.detail || answer.statusText);
}
